//! Peers that are stopped: they take connections, and say nothing.

use crate::common::*;
use crate::hostile::open;
use crate::peer::{accept, answer, connect, dial, listening};
use netpipe::{Hello, Message, Name, Role};
use std::io::Write;
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, OpenFile, OpenOptions};

/// A reader that was stopped for 12 s did not speak netpipe, for good.
#[test]
fn a_reader_that_says_nothing_is_dialled_again() {
    let (listener, descriptor) = listening();
    let mut writer = open("", &descriptor, true);
    let writing = in_thread(move || writer.write(b"hello").unwrap());
    let (mut silent, _) = listener.accept().unwrap();
    let heard = answer(&mut silent);
    assert!(heard.ends_with(b"the handshake took too long"), "{heard:?}");
    let _let_in = accept(&listener);
    assert_eq!(writing.recv_timeout(SLACK).unwrap(), 5);
}

#[test]
fn a_reader_that_says_nothing_for_the_peer_timeout_is_etimedout() {
    let (_listener, descriptor) = listening();
    let mut writer = open("peer-timeout = \"1s\"", &descriptor, true);
    refused(in_time(move || writer.write(b"hello")), Code::ETIMEDOUT, "answered none");
}

/// Once the reader went on, it took the connection that its writer had given up for the writer, and the pipe for broken.
#[test]
fn a_connection_that_was_given_up_before_its_hello_was_read_is_nobody() {
    let port = free_port();
    let descriptor = format!("tcp://127.0.0.1:{port}");
    let mut reader = open("", &descriptor, false);
    let mut given_up = connect(port);
    let reason = netpipe::Reason::new(netpipe::code::ETIMEDOUT, "the handshake took too long");
    let mut bytes = Hello::pipe(Role::Writer, Name::unnamed(), None).to_bytes();
    bytes.extend(Message::Refusal(reason).to_bytes());
    given_up.write_all(&bytes).unwrap();
    assert_eq!(answer(&mut given_up), b"", "it is not answered");
    let mut writer = open("", &descriptor, true);
    writer.write_all(b"right").unwrap();
    writer.finish(Finish::End).unwrap();
    assert_eq!(in_time(move || read_to_end(&mut reader)), b"right");
}

/// Whoever gave up a pipe because its peer was stopped waited 5 s more for that peer.
#[test]
fn a_stop_does_not_wait_for_a_peer_that_is_stopped() {
    let stopped = |port, role| dial(port, Hello::pipe(role, Name::unnamed(), None));
    let stop = |host: vfs_core::Registry, file: OpenFile| {
        let start = Instant::now();
        drop(file);
        drop(host);
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    };

    let (host, port) = (registry(""), free_port());
    let mut reader = host.open(&format!("tcp:127.0.0.1:{port}"), &OpenOptions::new(READ)).unwrap();
    let _writer = stopped(port, Role::Writer);
    times_out(&mut reader, "data", |reader| reader.read(&mut [0; 8]));
    stop(host, reader);

    for how in [Finish::Discard, Finish::Commit] {
        let (host, port) = (registry(""), free_port());
        let descriptor = format!("tcp:127.0.0.1:{port}?role=listen");
        let mut writer = host.open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
        let _reader = stopped(port, Role::Reader);
        assert!(fill(&mut writer, &[7; 65_536]) > 0);
        match how {
            Finish::Commit => times_out(&mut writer, "the reader", |writer| writer.finish(how)),
            how => writer.finish(how).unwrap(),
        }
        stop(host, writer);
    }
}
