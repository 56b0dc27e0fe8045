//! Digests of whole pipes: both ends ask for them, and compare.

use crate::common::*;
use vfs_core::{Code, Finish, OpenFile, OpenFlags, OpenOptions};

fn open(house: &House, name: &str, writes: bool, digest: Option<&str>) -> OpenFile {
    let (registry, flags) = match writes {
        true => (&house.writing, OpenFlags::WRITE),
        false => (&house.reading, OpenFlags::READ),
    };
    let mut how = OpenOptions::new(flags);
    if let Some(digest) = digest {
        how = how.offer("digest", digest);
    }
    registry.open(&house.descriptor(name), &how).unwrap()
}

/// Carries bytes through a pipe whose reader asks for one digest and whose writer for another.
fn carried(house: &House, name: &str, reads: Option<&str>, writes: Option<&str>) {
    let (mut reader, writer) = (open(house, name, false, reads), open(house, name, true, writes));
    goes_through(&mut reader, writer, &sample(3_000_000));
}

#[test]
fn what_arrives_whole_passes() {
    each_way(|house| {
        for (name, algorithm) in [("a", "sha256"), ("b", "blake3")] {
            carried(house, name, Some(algorithm), Some(algorithm));
        }
    });
}

#[test]
fn an_end_that_asks_alone_gets_no_comparison() {
    each_way(|house| {
        carried(house, "a", Some("sha256"), None);
        carried(house, "b", None, Some("sha256"));
        carried(house, "c", Some("blake3"), Some("sha256"));
    });
}

#[test]
fn an_empty_pipe_passes_and_a_reader_that_stops_early_is_none_of_its_business() {
    let house = House::direct();
    let (mut reader, mut writer) =
        (open(&house, "a", false, Some("sha256")), open(&house, "a", true, Some("sha256")));
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"");
    drop((reader, writer));
    let (mut reader, mut writer) =
        (open(&house, "b", false, Some("sha256")), open(&house, "b", true, Some("sha256")));
    let content = sample(100_000);
    let sent = content.clone();
    let sending = in_thread(move || {
        writer.write_all(&sent).unwrap();
        writer.finish(Finish::Commit)
    });
    assert!(read_exactly(&mut reader, 100_000) == content);
    drop(reader);
    sending.recv_timeout(SLACK).unwrap().unwrap();
}

#[test]
fn an_unknown_algorithm_is_refused() {
    let house = House::direct();
    let how = OpenOptions::new(OpenFlags::READ).setting("digest", "md5");
    refused(house.reading.open(&house.descriptor("a"), &how), Code::EINVAL, "blake3");
}
