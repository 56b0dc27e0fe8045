//! Ends on one host: where they meet what the writer sends goes through memory, and elsewhere it does not.

mod liars;
mod walls;

#[path = "../../../../netpipe/tests/support/between.rs"]
mod between;

use crate::common::*;
use crate::hostile::{Child, open};
use crate::tls::Authority;
use between::Between;
use rustix::process::{Pid, Signal, kill_process};
use std::os::fd::AsFd;
use std::thread;
use vfs_core::{Code, Finish, OpenFile, OpenOptions};
use zvfs_test_support::read_by_turns;

const ON: &str = "same-host = \"on\"";
const OFF: &str = "same-host = \"off\"";
/// More than a ring holds.
const MUCH: usize = 3 << 20;
/// What goes over a connection beside payload: handshake, reports, last words.
const BESIDE: usize = 8 << 10;

/// What the writer sends first.
const FIRST: &[u8] = b"the first payload";

/// Two ends with somebody between them, who dial and listen as these descriptors' ends say.
fn apart_as(ends: [(&str, &str); 2]) -> (OpenFile, OpenFile, Between) {
    let [(reading, reads), (writing, writes)] = ends;
    let port = free_port();
    let between = Between::new(port);
    let at = |how: &str| {
        let port = if how.contains("listen") { port } else { between.port };
        format!("tcp://127.0.0.1:{port}{how}")
    };
    let mut reader = open(reading, &at(reads), false);
    let mut writer = open(writing, &at(writes), true);
    writer.write_all(FIRST).unwrap();
    read_exactly(&mut reader, FIRST.len());
    (reader, writer, between)
}

fn apart(reading: &str, writing: &str) -> (OpenFile, OpenFile, Between) {
    apart_as([(reading, "?role=listen"), (writing, "")])
}

/// Writes and reads so many frames; true: the last one did not go over the connection.
fn warmed_up(reader: &mut OpenFile, writer: &mut OpenFile, between: &Between) -> bool {
    let mut last = Vec::new();
    for number in 0..WARM {
        last = format!("frame number {number:04}").into_bytes();
        writer.write_all(&last).unwrap();
        assert_eq!(read_exactly(reader, last.len()), last);
    }
    !between.passed(&last)
}

/// Two ends that have met, with somebody between them.
fn met(reading: &str, writing: &str) -> (OpenFile, OpenFile, Between) {
    let (mut reader, mut writer, between) = apart(reading, writing);
    assert!(warmed_up(&mut reader, &mut writer, &between), "they do not meet");
    (reader, writer, between)
}

#[test]
fn ends_that_meet_send_no_payload_over_their_connection() {
    let folder = tempfile::tempdir().unwrap();
    let content = sample(MUCH);
    let folder_setting = format!("same-host = {:?}", folder.path());
    let checked = format!("{ON}, crc = \"on\"");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "sixteen bytes at least").unwrap();
    let secret = format!("{ON}, secret-file = {:?}", file.path());
    let authority = Authority::new();
    let secure = format!("{ON}, {}", authority.peer("one"));
    for settings in [ON, &folder_setting, &checked, &secret, &secure] {
        let (mut reader, writer, between) = met(settings, settings);
        let before = between.count();
        goes_through(&mut reader, writer, &content);
        let beside = between.count() - before;
        assert!(beside < BESIDE, "{settings}: {beside} bytes");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is left where they met");
}

#[test]
fn ends_that_do_not_meet_send_it_over_their_connection() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = folders.each_ref().map(|folder| format!("same-host = {:?}", folder.path()));
    let gone = "same-host = \"/nonexistent\"";
    let content = sample(MUCH);
    for (reading, writing) in [(ON, OFF), (OFF, ON), (ON, one.as_str()), (&one, &other), (gone, gone)] {
        let (mut reader, mut writer, between) = apart(reading, writing);
        assert!(!warmed_up(&mut reader, &mut writer, &between), "{reading}, {writing}");
        goes_through(&mut reader, writer, &content);
        assert!(between.count() > MUCH, "{reading}, {writing}: {} bytes", between.count());
    }
}

#[test]
fn a_place_that_cannot_be_one_is_refused() {
    for place in ["yes", "run/netpipes", "", &format!("/{}", "x".repeat(64))] {
        let settings = format!("same-host = {place:?}");
        let refusal = registry(&settings).open("tcp://127.0.0.1:1", &OpenOptions::new(WRITE)).map(drop);
        refused(refusal, Code::EINVAL, "a folder's whole path of at most 64 bytes");
    }
}

/// A writer that listens, and a reader that dials.
#[test]
fn a_reader_that_dials_meets_its_writer_too() {
    let (mut reader, mut writer, between) = apart_as([(ON, "?role=connect"), (ON, "?role=listen")]);
    assert!(warmed_up(&mut reader, &mut writer, &between));
    let before = between.count();
    goes_through(&mut reader, writer, &sample(MUCH));
    assert!(between.count() - before < BESIDE, "{} bytes", between.count() - before);
}

#[test]
fn a_file_is_written_and_not_sent_where_memory_is_shared() {
    let (_reader, mut writer, _between) = met(ON, ON);
    let file = tempfile::tempfile().unwrap();
    refused(writer.send_from(file.as_fd(), 0, 1), Code::ENOTSUP, "shared memory");
    writer.write_all(b"still works").unwrap();
}

#[test]
fn a_connection_that_is_cut_breaks_the_pipe_after_what_was_sent() {
    let (mut reader, mut writer, between) = met(ON, ON);
    let content = sample(200_000);
    writer.write_all(&content).unwrap();
    between.cut();
    let (came, error) = in_time(move || drain(&mut reader));
    assert!(came == content, "{} bytes", came.len());
    assert_eq!(error.unwrap().code(), Code::ECONNRESET);
    let error = in_time(move || {
        loop {
            if let Err(error) = writer.write(b"more") {
                return error;
            }
        }
    });
    assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
}

#[test]
fn what_was_ended_is_an_end_though_the_connection_is_cut() {
    let (mut reader, mut writer, between) = met(ON, ON);
    let content = sample(200_000);
    writer.write_all(&content).unwrap();
    writer.finish(Finish::End).unwrap();
    between.cut();
    assert!(in_time(move || read_to_end(&mut reader)) == content);
}

#[test]
fn what_a_writer_left_when_its_host_went_is_read() {
    let port = free_port();
    let descriptor = format!("tcp://127.0.0.1:{port}");
    let mut reader = open(ON, &descriptor, false);
    let content = sample(100_000);
    let mut writer = open(ON, &descriptor, true);
    writer.write_all(&content).unwrap();
    writer.finish(Finish::End).unwrap();
    drop(writer);
    assert!(in_time(move || read_to_end(&mut reader)) == content);
}

/// Nothing is lost, and nothing comes in another order, where the writer goes from the connection to memory: in whatever pieces, and
/// whether the reader waits or is far behind.
#[test]
fn what_is_written_around_the_turn_comes_whole_and_in_order() {
    for piece in [1, 1000, 8000, 70_000, 300_000] {
        let (mut reader, mut writer) = House::with(None, ON).pair("a");
        let content = sample((2 * WARM * piece).min(24 << 20));
        let sent = content.clone();
        let writing = thread::spawn(move || {
            sent.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
            writer.finish(Finish::Commit).unwrap();
        });
        assert!(in_time(move || read_to_end(&mut reader)) == content, "in pieces of {piece}");
        writing.join().unwrap();
    }
}

/// A pipe that carries little costs what it cost without memory: its ends do not even look for each other.
#[test]
fn a_short_pipe_stays_on_its_connection() {
    let (mut reader, writer, between) = apart(ON, ON);
    let content = sample(500_000);
    goes_through(&mut reader, writer, &content);
    assert!(between.passed(&content[content.len() - 1000..]));
    assert!(!between.passed(&[0x84, 0, 0, 0, 1, 0, 0, 0]), "a MEETING frame");
}

/// What is written is there at once, however little: nothing waits for more.
#[test]
fn a_lone_byte_is_not_kept_back() {
    let house = House::with(None, ON);
    let (mut reader, mut writer) = house.pair("a");
    for number in 0..2 * WARM {
        let byte = number as u8;
        writer.write_all(&[byte]).unwrap();
        assert_eq!(read_exactly(&mut reader, 1), [byte]);
    }
}

/// Several writers, in memory and not: none is left out, and each write arrives whole.
#[test]
fn writers_in_memory_and_others_are_read_by_turns() {
    let port = free_port();
    let reader = open(ON, &format!("tcp://127.0.0.1:{port}?writers=4"), false);
    let writers = [ON, ON, OFF, OFF].map(|settings| {
        let descriptor = format!("tcp://127.0.0.1:{port}");
        move || open(settings, &descriptor, true)
    });
    read_by_turns(reader, writers, 2 * WARM, |mut writer| writer.finish(Finish::End).unwrap());
}

/// A stopped peer's kernel still answers; the pipe waits, and goes on when it does.
#[test]
fn a_writer_that_is_stopped_is_waited_for_until_the_silence_is_too_long() {
    let descriptor = format!("tcp:127.0.0.1:{}", free_port());
    let mut reader = open(&format!("{ON}, silence-timeout = \"2s\""), &descriptor, false);
    let mut child = Child::start(ON, &format!("meet {descriptor}"));
    read_exactly(&mut reader, WARM);
    child.wait_until_ready();
    assert_eq!(read_exactly(&mut reader, 5), b"parts");
    let pid = Pid::from_raw(child.0.id() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    times_out(&mut reader, "waiting for data", |reader| reader.read(&mut [0; 8]));
    kill_process(pid, Signal::CONT).unwrap();
    // It gives signs of life again.
    times_out(&mut reader, "waiting for data", |reader| reader.read(&mut [0; 8]));
    kill_process(pid, Signal::STOP).unwrap();
    let error = in_time(move || reader.read(&mut [0; 8]).unwrap_err());
    refused::<usize>(Err(error), Code::ECONNRESET, "no sign of life");
}

/// One that is stopped takes nothing: what it does not take is bounded, and a wait for it ends.
#[test]
fn a_reader_that_is_stopped_fills_the_ring_and_no_more() {
    let descriptor = format!("tcp:127.0.0.1:{}", free_port());
    let mut writer = open(ON, &descriptor, true);
    let mut child = Child::start(ON, &format!("read {descriptor}"));
    writer.write_all(b"bytes").unwrap();
    child.wait_until_ready();
    let pid = Pid::from_raw(child.0.id() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let held = fill(&mut writer, &[7; 64 << 10]);
    assert!(held <= 2 << 20, "{held}");
    times_out(&mut writer, "waiting for", |writer| writer.finish(Finish::Commit));
    child.kill();
    let error = in_time(move || writer.finish(Finish::Commit).unwrap_err());
    assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
}
