//! What pipes over tcp do beyond the netpipe suite, which `tests/conformance.rs` runs over them.

use crate::common::*;
use netpipe::broker;
use std::time::Instant;
use vfs_core::{Capabilities, Code, Finish, Flush, OpenFlags, OpenOptions};
use zvfs_test_support::eventually;

#[test]
fn an_end_can_do_this_and_no_more() {
    each_way(|house| {
        let (reader, writer) = (house.reader("a").capabilities(), house.writer("a").capabilities());
        assert_eq!(reader, Capabilities::READABLE | Capabilities::CANCEL | crate::POLL);
        assert_eq!(writer, Capabilities::WRITABLE | Capabilities::CANCEL | crate::SPLICE | crate::POLL);
    });
}

#[test]
fn a_deadline_says_what_was_waited_for() {
    each_way(|house| {
        times_out(&mut house.writer("a"), "waiting for its reader", |writer| writer.write(b"bytes"));
        times_out(&mut house.reader("b"), "waiting for a writer", |reader| reader.read(&mut [0; 8]));
        let (mut reader, mut writer) = house.pair("c");
        times_out(&mut reader, "waiting for data", |reader| reader.read(&mut [0; 8]));
        writer.write_all(b"bytes").unwrap();
        times_out(&mut writer, "take everything", |writer| writer.flush(Flush::Sync));
        drop(reader);
        refused(in_time(move || writer.finish(Finish::Commit)), Code::EPIPE, "the reader closed");
    });
}

/// Nobody there, no broker, a host that no resolver knows: each was silence.
#[test]
fn a_wait_says_for_whom_and_what_came_of_the_last_attempt() {
    let (port, broker) = (free_port(), free_port());
    for (descriptor, object, refusal) in [
        (format!("tcp://127.0.0.1:{port}?mode=w"), "its reader at 127.0.0.1", "connection refused"),
        (format!("tcp://127.0.0.1:{port}?mode=r"), "a writer to connect to 127.0.0.1", ""),
        (format!("netpipe:127.0.0.1:{broker}:a:r"), "a writer through the broker", "connection refused"),
        (
            "tcp://nobody.invalid:1?mode=w".to_owned(),
            "its reader at nobody.invalid:1",
            "look up nobody.invalid:1: ",
        ),
    ] {
        let mut file = registry("").open(&descriptor, &OpenOptions::default()).unwrap();
        let control = file.control().clone();
        let writes = file.capabilities().contains(Capabilities::WRITABLE);
        let outcome = in_thread(move || match writes {
            true => file.write(b"x"),
            false => file.read(&mut [0; 8]),
        });
        let start = Instant::now();
        let waiting = loop {
            match control.waiting() {
                Some(waiting) if refusal.is_empty() || waiting.refusal.is_some() => break waiting,
                _ => assert!(start.elapsed() < SLACK, "{descriptor}: {:?}", control.waiting()),
            }
            std::thread::yield_now();
        };
        assert!(waiting.object.starts_with(object), "{descriptor}: {waiting}");
        assert!(waiting.refusal.unwrap_or_default().contains(refusal), "{descriptor}");
        control.cancel();
        let error = outcome.recv_timeout(SLACK).unwrap().unwrap_err();
        assert_eq!(error.code(), Code::ECANCELED);
        for words in [object, refusal] {
            assert!(error.chain().contains(words), "{}", error.chain());
        }
    }
}

/// As a session does that is stopped.
#[test]
fn what_a_cancel_ended_can_be_discarded() {
    each_way(|house| {
        for flags in [READ, WRITE] {
            let descriptor = house.descriptor(&format!("nobody-{}", flags.bits()));
            let mut file = house.reading.open(&descriptor, &OpenOptions::new(flags)).unwrap();
            let control = file.control().clone();
            let discarded = waits_until(
                move || {
                    let ended = if flags == READ { file.read(&mut [0; 8]) } else { file.write(b"x") };
                    refused(ended, Code::ECANCELED, "");
                    file.finish(Finish::Discard)
                },
                || control.cancel(),
            );
            discarded.unwrap();
        }
    });
}

#[test]
fn commit_is_done_when_the_last_byte_is_taken_though_nobody_reads_the_end() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"bytes").unwrap();
        writer.finish(Finish::End).unwrap();
        read_exactly(&mut reader, 5);
        drop(reader);
        in_time(move || writer.finish(Finish::Commit).unwrap());
    });
}

/// The protocol did not say whether this is EPROTO or EBUSY: the pipe may be free for the dialler a moment later.
#[test]
fn two_ends_of_one_direction_are_ebusy() {
    let host = registry("");
    let pipe = format!("tcp://127.0.0.1:{}", free_port());
    let _listens = host.open(&format!("{pipe}?role=listen"), &OpenOptions::new(WRITE)).unwrap();
    let mut dials = host.open(&pipe, &OpenOptions::new(WRITE)).unwrap();
    refused(in_time(move || dials.write(b"x")), Code::EBUSY, "same direction");
}

#[test]
fn a_descriptor_is_for_one_direction() {
    let registry = registry("broker = \"127.0.0.1:1\"");
    for (descriptor, flags) in [
        ("netpipe:2:w", READ),
        ("netpipe:2:r", WRITE),
        ("tcp://127.0.0.1:1?mode=r", WRITE),
        ("tcp:127.0.0.1:1?mode=w", READ),
        ("opaque:|x", WRITE),
        ("opaque:|>x", READ),
    ] {
        refused(
            registry.open(descriptor, &OpenOptions::new(flags)).map(drop),
            Code::EBADF,
            "the descriptor is for",
        );
    }
    refused(registry.open("netpipe:2", &OpenOptions::new(READ | WRITE)).map(drop), Code::EINVAL, "one way");
    refused(
        registry.open("netpipe:2", &OpenOptions::new(OpenFlags::empty())).map(drop),
        Code::EINVAL,
        "neither",
    );
}

#[test]
fn at_least_64_kib_are_buffered_and_no_more_than_the_window() {
    for (window, settings) in [(64 << 10, "window = \"64k\""), (1 << 20, "")] {
        let house = House::with(None, settings);
        let (_reader, mut writer) = house.pair("a");
        let written = fill(&mut writer, &[0; 1000]);
        assert!((64_000..=window).contains(&written), "{written} of {window}");
    }
}

/// What a kernel has no room for is not acknowledged, and after `peer-timeout` that counts as a silent peer (TCP_USER_TIMEOUT): so all
/// that a reader leaves unread has room, however small the writes were.
#[test]
fn a_reader_that_pauses_is_not_taken_for_a_dead_one() {
    for size in [50, 64 << 10] {
        let house = House::with(None, "peer-timeout = \"1s\"");
        let (mut reader, mut writer) = house.pair("a");
        let written = fill(&mut writer, &vec![7; size]);
        let port = house.descriptor("a").rsplit(':').next().unwrap().parse().unwrap();
        eventually("all that was written is acknowledged", || unacknowledged(port) == 0);
        let done = in_thread(move || writer.finish(Finish::Commit));
        assert_eq!(in_time(move || read_to_end(&mut reader).len()), written);
        done.recv_timeout(SLACK).unwrap().unwrap();
    }
}

/// The bytes sent over connections of a port of this machine that their receivers' kernels have not taken (proc_net_tcp in the kernel's
/// documentation).
fn unacknowledged(port: u16) -> u64 {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let queues = sockets.lines().skip(1).filter_map(|socket| {
        let fields: Vec<&str> = socket.split_whitespace().collect();
        let (sent, _) = fields[4].split_once(':').unwrap();
        let is_of_port = fields[1].ends_with(&port) || fields[2].ends_with(&port);
        (is_of_port && fields[3] == ESTABLISHED).then(|| u64::from_str_radix(sent, 16).unwrap())
    });
    queues.sum()
}

const ESTABLISHED: &str = "01";

#[test]
fn both_descriptor_forms_of_zpipes() {
    let broker = Running::start(broker::Config::default());
    let registry = registry("");
    let open = |text: String| registry.open(&text, &OpenOptions::default()).unwrap();
    let mut reader = open(format!("opaque:{}|hello", broker.address));
    let mut writer = open(format!("opaque:{}|>hello", broker.address));
    writer.write_all(b"hello").unwrap();
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"hello");
}

#[test]
fn nodes_that_name_each_other_form_a_ring() {
    let broker = Running::start(broker::Config::default());
    let host = || registry(&format!("broker = \"{}\", job = \"ring\"", broker.address));
    let nodes: Vec<_> = (0..3)
        .map(|node: u32| {
            let registry = host();
            in_thread(move || {
                let open = |text: String| {
                    registry.open(&text, &OpenOptions::default().offer("node", node.to_string())).unwrap()
                };
                let mut from = open(format!("netpipe:{}:r", (node + 2) % 3));
                let mut to = open(format!("netpipe:{}:w", (node + 1) % 3));
                // Each starts one token; each token goes round twice.
                to.write_all(&[node as u8, 0]).unwrap();
                for _ in 0..6 {
                    let mut token = read_exactly(&mut from, 2);
                    token[1] += 1;
                    if token[1] < 6 {
                        to.write_all(&token).unwrap();
                    } else {
                        break;
                    }
                }
                to.finish(Finish::End).unwrap();
                let rest = read_to_end(&mut from).len();
                to.finish(Finish::Commit).unwrap();
                rest
            })
        })
        .collect();
    for node in nodes {
        assert_eq!(node.recv_timeout(SLACK).unwrap(), 0);
    }
}
