//! Ends on one host: what the writer sends goes through memory where they meet, and through the server elsewhere.

use crate::common::*;
use crate::ends::{Copy, WAYS};
use between::Between;
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, OpenFile, OpenFlags, OpenOptions};
use zvfs_engines::NatsServer;
use zvfs_test_support::{by_another_user, command, read_by_turns, without_proc};

#[expect(dead_code, reason = "shared with the tests of tcp")]
#[path = "../../../../netpipe/tests/support/between.rs"]
mod between;

/// From a pipe's first frames on.
const ON: &str = "same-host-after = 0";
const OFF: &str = "same-host = \"off\"";
/// More than a ring holds.
const MUCH: usize = 5 << 20;

/// Two hosts with settings of their own, and somebody between the writing one and the server, who counts.
fn apart(server: &NatsServer, reading: &str, writing: &str) -> (House, Between) {
    let port = server.address().rsplit(':').next().unwrap().parse().unwrap();
    let between = Between::new(port);
    let reading = registry(&format!("servers = [{:?}], {reading}", server.address()));
    let writing = registry(&format!("servers = [\"127.0.0.1:{}\"], {writing}", between.port));
    (House { reading, writing }, between)
}

/// Brings many bytes through a pipe; true: its server saw few of them.
fn meets(house: &House, between: &Between, offers: &str) -> bool {
    let options = |flags| match offers {
        "" => OpenOptions::new(flags),
        digest => OpenOptions::new(flags).offer("digest", digest),
    };
    let mut reader = house.reading.open("nats:a", &options(OpenFlags::READ)).unwrap();
    let mut writer = house.writing.open("nats:a", &options(OpenFlags::WRITE)).unwrap();
    warm_up(&mut reader, &mut writer);
    let before = between.count();
    goes_through(&mut reader, writer, &sample(MUCH));
    between.count() - before < MUCH / 5
}

/// One byte after the other, each read before the next is written: time to meet.
fn warm_up(reader: &mut OpenFile, writer: &mut OpenFile) {
    for number in 0..40_u8 {
        writer.write_all(&[number]).unwrap();
        assert_eq!(read_exactly(reader, 1), [number]);
    }
}

#[test]
fn ends_that_meet_send_no_payload_to_their_server() {
    let Some(server) = NatsServer::debian() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = format!("same-host = {:?}, {ON}", folder.path());
    for (settings, offers) in [(ON, ""), (ON, "sha256"), (ON, "blake3"), (&place, "")] {
        let (house, between) = apart(&server, settings, settings);
        assert!(meets(&house, &between, offers), "{settings} {offers}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is left where they met");
}

/// An end that does not know of meetings says what one says that is not to.
#[test]
fn ends_that_do_not_meet_send_it_through_their_server() {
    let Some(server) = NatsServer::debian() else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = folders.each_ref().map(|folder| format!("same-host = {:?}, {ON}", folder.path()));
    let gone = format!("same-host = \"/nonexistent\", {ON}");
    for (reading, writing) in [(ON, OFF), (OFF, ON), (ON, one.as_str()), (&one, &other), (&gone, &gone)] {
        let (house, between) = apart(&server, reading, writing);
        assert!(!meets(&house, &between, ""), "{reading}, {writing}");
    }
}

#[test]
fn a_short_pipe_stays_with_its_server() {
    let Some(server) = NatsServer::debian() else { return };
    let (house, between) = apart(&server, "", "");
    assert!(!meets(&house, &between, ""));
}

#[test]
fn a_place_that_cannot_be_one_is_refused() {
    let host = registry("same-host = \"run/netpipes\"");
    let opened = host.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
    refused(opened, Code::EINVAL, "a folder's whole path of at most 64 bytes");
}

/// Nothing is lost, and nothing comes in another order, where the writer leaves the server: in whatever pieces, and wherever that is.
#[test]
fn what_is_written_around_the_turn_comes_whole_and_in_order() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    for (piece, after) in [(1, "0"), (1000, "100k"), (70_000, "2m"), (300_000, "0")] {
        let house = House::at(&servers, &format!("same-host-after = {}", number(after)));
        let (mut reader, mut writer) = house.pair("a");
        let content = sample((3000 * piece).min(12 << 20));
        let sent = content.clone();
        let writing = in_thread(move || {
            sent.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
            writer.finish(Finish::Commit).unwrap();
        });
        assert!(read_to_end(&mut reader) == content, "in pieces of {piece}");
        writing.recv_timeout(SLACK).unwrap();
    }
}

fn number(size: &str) -> String {
    if size == "0" { size.to_owned() } else { format!("{size:?}") }
}

/// Several writers, in memory and not: none is left out, and each write arrives whole.
#[test]
fn writers_in_memory_and_others_are_read_by_turns() {
    let Some(server) = NatsServer::debian() else { return };
    let at = format!("servers = [{:?}]", server.address());
    let reader =
        registry(&format!("{at}, {ON}")).open("nats:a:r?writers=4", &OpenOptions::default()).unwrap();
    let writers = [ON, ON, OFF, OFF].map(|settings| {
        let settings = format!("{at}, {settings}");
        move || registry(&settings).open("nats:a:w", &OpenOptions::default()).unwrap()
    });
    read_by_turns(reader, writers, 500, |mut writer| writer.finish(Finish::Commit).unwrap());
}

#[test]
fn what_a_writer_left_when_its_host_went_is_read() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let House { reading, writing } = House::at(&servers, ON);
    let mut reader = reading.open("nats:a:r", &OpenOptions::default()).unwrap();
    let mut writer = writing.open("nats:a:w", &OpenOptions::default()).unwrap();
    warm_up(&mut reader, &mut writer);
    let content = sample(300_000);
    writer.write_all(&content).unwrap();
    writer.finish(Finish::End).unwrap();
    drop((writer, writing));
    assert!(read_to_end(&mut reader) == content);
}

/// Signs of life go by the server, and a process that is stopped gives none.
#[test]
fn an_end_that_is_stopped_is_lost_after_the_peer_timeout() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    for settings in WAYS {
        let house = House::at(&servers, settings);
        let mut reader = house.reader("a");
        let copy = Copy::start(&servers[0], settings, "nats:a:w", false);
        read_exactly(&mut reader, 3_000_000);
        copy.signal(Signal::STOP);
        reader.control().set_deadline(Some(Instant::now() + SLACK));
        let (_, error) = drain(&mut reader);
        refused::<()>(Err(error.unwrap()), Code::ECONNRESET, "the writer was lost");
        let mut writer = house.writer("b");
        let copy = Copy::start(&servers[0], settings, "nats:b:r", true);
        writer.write_all(&sample(3_000_000)).unwrap();
        copy.signal(Signal::STOP);
        writer.control().set_deadline(Some(Instant::now() + SLACK));
        let error = write_until_it_fails(&mut writer);
        assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
    }
}

/// Its kernel closes the socket where the two met: nobody waits for signs of life.
#[test]
fn an_end_that_is_killed_in_memory_is_lost_at_once() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let settings = format!("{ON}, peer-timeout = \"10m\"");
    let house = House::at(&servers, &settings);
    let mut reader = house.reader("a");
    let copy = Copy::start(&servers[0], &settings, "nats:a:w", false);
    read_exactly(&mut reader, 3_000_000);
    copy.signal(Signal::KILL);
    let reading = in_thread(move || drain(&mut reader).1.unwrap());
    let error = reading.recv_timeout(SLACK).unwrap();
    assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
    let mut writer = house.writer("b");
    let copy = Copy::start(&servers[0], &settings, "nats:b:r", true);
    writer.write_all(&sample(8_000_000)).unwrap();
    copy.signal(Signal::KILL);
    let writing = in_thread(move || write_until_it_fails(&mut writer));
    let error = writing.recv_timeout(SLACK).unwrap();
    assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
}

/// A process with a wall around it writes, and its server is watched.
fn met_by(server: &NatsServer, walled: Command) -> bool {
    let port = server.address().rsplit(':').next().unwrap().parse().unwrap();
    let between = Between::new(port);
    let house = House::at_address(&server.address(), ON);
    let mut reader = house.reader("a");
    let _copy = Copy::by(walled, &format!("127.0.0.1:{}", between.port), ON, "nats:a:w", false);
    read_exactly(&mut reader, MUCH);
    let before = between.count();
    read_exactly(&mut reader, MUCH);
    between.count() - before < MUCH / 5
}

/// Another user's memory is none of this one's.
#[test]
fn ends_of_two_users_do_not_meet() {
    let Some(nobody) = by_another_user(command(), "--version") else { return };
    let Some(server) = NatsServer::debian() else { return };
    assert!(!met_by(&server, nobody));
}

/// What the kernel would tell in /proc is not needed.
#[test]
fn ends_without_proc_meet() {
    let Some(without) = without_proc(command()) else { return };
    let Some(server) = NatsServer::debian() else { return };
    assert!(met_by(&server, without));
}

/// A pipe in memory goes on while its server is away for less than the peer timeout.
#[test]
fn a_server_that_is_restarted_is_not_missed() {
    let Some(mut server) = NatsServer::debian() else { return };
    let house = House::at_address(&server.address(), ON);
    let (mut reader, mut writer) = house.pair("a");
    warm_up(&mut reader, &mut writer);
    server.kill();
    let writing = in_thread(move || {
        writer.write_all(&sample(MUCH)).unwrap();
        writer
    });
    assert!(read_exactly(&mut reader, MUCH) == sample(MUCH));
    let writer = writing.recv_timeout(Duration::from_secs(25)).unwrap();
    server.restart();
    goes_through(&mut reader, writer, b"to the end");
}
