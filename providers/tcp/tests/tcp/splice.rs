//! Files that go into a pipe without passing through this process.

use crate::common::{House, SLACK, WRITE, in_thread, in_time, read_to_end, refused, registry, sample};
use crate::peer::{accept, listening};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Finish, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_test_support::{have, succeeded};

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

/// How many segments with bytes this end of a connection has received, as the kernel counts them.
fn segments(stream: &TcpStream) -> usize {
    let (own, other) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let mut command = Command::new("ss");
    command.args(["-tinHO", "src", &own.to_string(), "dst", &other.to_string()]);
    let said = String::from_utf8(succeeded(command).stdout).unwrap();
    let count = said.split_whitespace().find_map(|word| word.strip_prefix("data_segs_in:"));
    count.unwrap_or_else(|| panic!("no count in {said:?}")).parse().unwrap()
}

/// A frame's head left as a packet of its own, which woke the reader for 12 bytes: of what it received 4 of 10 times there was nothing.
#[test]
fn a_frames_head_leaves_with_the_first_of_its_payload() {
    const FRAMES: usize = 50;
    const SIZE: usize = 500;
    if !have(&["ss"]) {
        return;
    }
    let (listener, descriptor) = listening();
    let accepted = in_thread(move || accept(&listener).1);
    let mut writer = registry("").open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
    writer.write_all(b"x").unwrap();
    let mut stream = accepted.recv_timeout(SLACK).unwrap();
    stream.set_read_timeout(Some(SLACK)).unwrap();
    stream.read_exact(&mut [0; netpipe::frame::HEADER + 1]).unwrap();
    let file = file(&sample(SIZE));
    let before = segments(&stream);
    let stream = in_time(move || {
        for _ in 0..FRAMES {
            assert_eq!(writer.send_from(file.as_fd(), 0, SIZE).unwrap(), SIZE);
            // Nothing is under way when the next one begins, which the kernel would put into one segment with it.
            stream.read_exact(&mut [0; netpipe::frame::HEADER + SIZE]).unwrap();
        }
        stream
    });
    let count = segments(&stream) - before;
    // The kernel keeps a head for 0.2 s at the most, and lets it go if it sends a word of its own: that is not each time.
    assert!(count < FRAMES * 3 / 2, "{count} segments of {FRAMES} frames");
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
