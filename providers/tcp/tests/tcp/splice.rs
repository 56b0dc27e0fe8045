//! Files that go into a pipe without passing through this process.

use crate::common::{House, SLACK, in_thread, read_to_end, refused, sample};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Finish, OpenFile, OpenFlags, OpenOptions, Registry};

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

/// Sends a file from an offset to its end.
fn send_all(writer: &mut OpenFile, file: &File, mut offset: u64) {
    loop {
        match writer.send_from(file.as_fd(), offset, 1 << 30).unwrap() {
            0 => return,
            count => offset += count as u64,
        }
    }
}

#[test]
fn a_file_arrives_between_writes() {
    for house in [House::direct(), House::brokered()] {
        let (mut reader, mut writer) = (house.reader("a"), house.writer("a"));
        let content = sample(3_000_000);
        let file = file(&content);
        let sent = in_thread(move || {
            writer.write_all(b"before").unwrap();
            send_all(&mut writer, &file, 1000);
            writer.write_all(b"after").unwrap();
            writer.finish(Finish::Commit).unwrap();
        });
        assert!(read_to_end(&mut reader) == [b"before", &content[1000..], b"after"].concat());
        sent.recv_timeout(SLACK).unwrap();
    }
}

#[test]
fn a_frame_of_a_file_that_a_deadline_interrupts_is_finished() {
    let house = House::direct();
    let mut reader = house.reader("a");
    let content = sample(8_000_000);
    let file = file(&content);
    let control = Control::new();
    control.set_deadline(Some(Instant::now() + Duration::from_millis(200)));
    let how = OpenOptions::new(OpenFlags::WRITE).control(&control);
    let mut writer = house.writing.open(&house.descriptor("a"), &how).unwrap();
    let mut sent = 0;
    let error = loop {
        match writer.send_from(file.as_fd(), sent as u64, 1 << 30) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::ETIMEDOUT);
    control.set_deadline(None);
    let taking = in_thread(move || read_to_end(&mut reader));
    send_all(&mut writer, &file, sent as u64);
    writer.finish(Finish::Commit).unwrap();
    assert!(taking.recv_timeout(SLACK).unwrap() == content);
}

#[test]
fn checksums_need_to_see_the_bytes() {
    let house = House::with(None, "crc = \"on\"");
    let (_reader, mut writer) = (house.reader("a"), house.writer("a"));
    refused(writer.send_from(file(b"x").as_fd(), 0, 1), Code::ENOTSUP, "checksums");
    writer.write_all(b"still works").unwrap();
}

#[test]
fn digests_need_to_see_the_bytes() {
    let house = House::direct();
    let open = |at: &Registry, flags| {
        at.open(&house.descriptor("a"), &OpenOptions::new(flags).setting("digest", "sha256")).unwrap()
    };
    let (_reader, mut writer) =
        (open(&house.reading, OpenFlags::READ), open(&house.writing, OpenFlags::WRITE));
    refused(writer.send_from(file(b"x").as_fd(), 0, 1), Code::ENOTSUP, "digests");
}

#[test]
fn behind_its_end_a_file_sends_nothing() {
    let house = House::direct();
    let (_reader, mut writer) = (house.reader("a"), house.writer("a"));
    assert_eq!(writer.send_from(file(b"x").as_fd(), 1, 1).unwrap(), 0);
    assert_eq!(writer.send_from(file(b"x").as_fd(), 99, 1).unwrap(), 0);
}
