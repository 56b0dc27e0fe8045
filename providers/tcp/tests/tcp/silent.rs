//! Peers that are stopped: they take connections, and say nothing.

use crate::common::*;
use crate::hostile::{answer, connect, open, shake_hands};
use netpipe::{Handshake, Hello, Message, Name, Progress, Role};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, OpenFile, OpenOptions};

/// A reader that was stopped for 12 s did not speak netpipe, for good.
#[test]
fn a_reader_that_says_nothing_is_dialled_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let descriptor = format!("tcp://{}", listener.local_addr().unwrap());
    let mut writer = open("", &descriptor, true);
    let writing = in_thread(move || writer.write(b"hello").unwrap());
    let (mut silent, _) = listener.accept().unwrap();
    let heard = answer(&mut silent);
    assert!(heard.ends_with(b"the handshake took too long"), "{heard:?}");
    let (mut stream, _) = listener.accept().unwrap();
    shake_hands(&mut stream, Handshake::acceptor(None));
    assert_eq!(writing.recv_timeout(SLACK).unwrap(), 5);
}

#[test]
fn a_reader_that_says_nothing_for_the_peer_timeout_is_etimedout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let descriptor = format!("tcp://{}", listener.local_addr().unwrap());
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
    let stopped = |descriptor: &str, role| -> TcpStream {
        let mut stream = connect(descriptor.rsplit(':').next().unwrap().parse().unwrap());
        let mut dialler = Handshake::dialler(Hello::pipe(role, Name::unnamed(), None), None, None).unwrap();
        stream.write_all(&dialler.output()).unwrap();
        loop {
            let mut bytes = vec![0; dialler.want()];
            let count = stream.read(&mut bytes).unwrap();
            if let Progress::Done(_) = dialler.input(&mut &bytes[..count]).unwrap() {
                return stream;
            }
        }
    };
    let descriptor = || format!("tcp:127.0.0.1:{}", free_port());
    let stop = |host: vfs_core::Registry, file: OpenFile| {
        let start = Instant::now();
        drop(file);
        drop(host);
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    };

    let (host, at) = (registry(""), descriptor());
    let mut reader = host.open(&at, &OpenOptions::new(READ)).unwrap();
    let _writer = stopped(&at, Role::Writer);
    times_out(&mut reader, "data", |reader| reader.read(&mut [0; 8]));
    stop(host, reader);

    for how in [Finish::Discard, Finish::Commit] {
        let (host, at) = (registry(""), descriptor());
        let mut writer = host.open(&format!("{at}?role=listen"), &OpenOptions::new(WRITE)).unwrap();
        let _reader = stopped(&at, Role::Reader);
        assert!(fill(&mut writer, &[7; 65_536]) > 0);
        match how {
            Finish::Commit => times_out(&mut writer, "the reader", |writer| writer.finish(how)),
            how => writer.finish(how).unwrap(),
        }
        stop(host, writer);
    }
}
