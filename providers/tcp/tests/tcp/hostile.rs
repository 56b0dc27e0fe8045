//! Peers that lie, die, are slow or are something else; and what travels between.

use crate::common::*;
use crate::peer::{accept, answer, connect, dial, listening};
use netpipe::broker;
use netpipe::{Hello, Message, Name, Role};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, Flush, OpenFile, OpenOptions};

const CHILD: &str = "ZVFS_TCP_TEST_CHILD";
const SETTINGS: &str = "ZVFS_TCP_TEST_SETTINGS";
/// Payload by the connection, and through memory.
const WAYS: [&str; 2] = ["same-host = \"off\"", "same-host = \"on\""];

pub fn open(settings: &str, descriptor: &str, writes: bool) -> OpenFile {
    registry(settings).open(descriptor, &OpenOptions::new(if writes { WRITE } else { READ })).unwrap()
}

/// Writes or reads in a process of its own, until it is killed.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (verb, descriptor) = task.split_once(' ').unwrap();
    let mut file = open(&std::env::var(SETTINGS).unwrap(), descriptor, verb != "read");
    if verb == "meet" {
        // The reader has taken each of the last before the next: so it has come to where the two meet.
        for number in 0..WARM {
            file.write_all(b"w").unwrap();
            if number >= WARM - 50 {
                file.flush(Flush::Sync).unwrap();
            }
        }
    }
    if verb != "read" {
        file.write_all(b"parts").unwrap();
    } else {
        read_exactly(&mut file, 5);
    }
    println!("ready");
    std::io::stdout().flush().unwrap();
    // As long as there is somebody who could kill it.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

pub struct Child(pub std::process::Child);

impl Child {
    pub fn start(settings: &str, task: &str) -> Child {
        Child::started(Command::new(std::env::current_exe().unwrap()), settings, task)
    }

    /// By a command that begins this test, or to which only its name is to be added.
    pub fn started(mut command: Command, settings: &str, task: &str) -> Child {
        let child = command
            .args(["--exact", "hostile::child", "--nocapture"])
            .envs([(CHILD, task), (SETTINGS, settings)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Child(child)
    }

    pub fn wait_until_ready(&mut self) {
        let mut output = self.0.stdout.take().unwrap();
        in_time(move || {
            let (mut text, mut bytes) = (String::new(), [0; 100]);
            while !text.contains("ready") {
                let count = output.read(&mut bytes).unwrap();
                assert!(count > 0, "the child said only {text}");
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_writer_that_is_killed_is_econnreset_and_never_an_end() {
    for settings in WAYS {
        let descriptor = format!("tcp:127.0.0.1:{}", free_port());
        let mut reader = open(settings, &descriptor, false);
        let mut child = Child::start(settings, &format!("write {descriptor}"));
        child.wait_until_ready();
        let error = waits_until(
            move || {
                assert_eq!(read_exactly(&mut reader, 5), b"parts");
                let error = reader.read(&mut [0; 8]).unwrap_err();
                refused(reader.read(&mut [0; 8]), Code::ECONNRESET, "lost");
                error
            },
            || child.kill(),
        );
        assert_eq!(error.code(), Code::ECONNRESET);
    }
}

#[test]
fn a_reader_that_is_killed_is_econnreset() {
    for settings in WAYS {
        let descriptor = format!("tcp:127.0.0.1:{}", free_port());
        let mut writer = open(settings, &descriptor, true);
        let mut child = Child::start(settings, &format!("read {descriptor}"));
        writer.write_all(b"bytes").unwrap();
        child.wait_until_ready();
        writer.write_all(b"more").unwrap();
        let error = waits_until(move || writer.finish(Finish::Commit).unwrap_err(), || child.kill());
        assert_eq!(error.code(), Code::ECONNRESET);
    }
}

#[test]
fn a_peer_that_speaks_something_else_is_eproto() {
    let (listener, descriptor) = listening();
    in_thread(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream
    });
    let mut writer = open("", &descriptor, true);
    refused(in_time(move || writer.write(b"x")), Code::EPROTO, "does not speak netpipe");

    let port = free_port();
    let mut reader = open("", &format!("tcp://127.0.0.1:{port}"), false);
    let reading = in_thread(move || read_to_end(&mut reader));
    let mut peer = connect(port);
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(answer(&mut peer), b"", "nothing is sent back to who does not speak netpipe");
    // The reader goes on waiting.
    let mut writer = open("", &format!("tcp://127.0.0.1:{port}"), true);
    writer.write_all(b"right").unwrap();
    writer.finish(Finish::Commit).unwrap();
    assert_eq!(reading.recv_timeout(SLACK).unwrap(), b"right");
}

#[test]
fn slow_strangers_do_not_keep_a_writer_out() {
    let port = free_port();
    let descriptor = format!("tcp://127.0.0.1:{port}");
    let mut reader = open("", &descriptor, false);
    // More than are let in at once; each has said a little.
    let silent: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = connect(port);
            stream.write_all(&[0x01]).unwrap();
            stream
        })
        .collect();
    let done = in_thread(move || {
        let mut writer = open("", &descriptor, true);
        writer.write_all(b"through").unwrap();
        writer.finish(Finish::Commit).unwrap();
    });
    assert_eq!(read_to_end(&mut reader), b"through");
    done.recv_timeout(SLACK).unwrap();
    drop(silent);
}

#[test]
fn a_slow_hello_is_given_up_after_ten_seconds() {
    let port = free_port();
    let _reader = open("", &format!("tcp://127.0.0.1:{port}"), false);
    let mut stream = connect(port);
    let start = Instant::now();
    let bytes = Hello::pipe(Role::Writer, Name::unnamed(), None).to_bytes();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut refusal = Vec::new();
    for byte in &bytes {
        if stream.write_all(&[*byte]).is_err() || stream.read(&mut [0; 1]).is_ok() {
            break;
        }
        assert!(start.elapsed() < SLACK);
    }
    let _ = stream.read_to_end(&mut refusal);
    assert!(start.elapsed() > Duration::from_secs(5));
}

#[test]
fn no_address_in_particular_is_this_machine() {
    let port = free_port();
    let mut reader = open("", &format!("tcp://127.0.0.1:{port}"), false);
    let mut writer = open("", &format!("tcp://0.0.0.0:{port}"), true);
    writer.write_all(b"here").unwrap();
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"here");
}

/// A writer that was let in.
fn writer(port: u16, features: u64) -> TcpStream {
    dial(port, Hello { features, ..Hello::pipe(Role::Writer, Name::unnamed(), None) }).1
}

/// A DATA frame.
fn data(payload: &[u8]) -> Vec<u8> {
    [&netpipe::Header::data(payload, true).encode()[..], payload].concat()
}

#[test]
fn a_corrupted_frame_is_ebadmsg_and_never_an_end() {
    for crc in ["on", "auto"] {
        let port = free_port();
        let mut reader = open(&format!("crc = \"{crc}\""), &format!("tcp://127.0.0.1:{port}"), false);
        let mut stream = writer(port, 1);
        let mut bytes = data(b"good");
        bytes.extend(data(b"bad bytes"));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        bytes.extend(Message::End(13).to_bytes());
        stream.write_all(&bytes).unwrap();
        let (read, error) = in_time(move || {
            let outcome = drain(&mut reader);
            refused(reader.read(&mut [0; 8]), Code::EBADMSG, "CRC");
            outcome
        });
        assert_eq!(error.unwrap().code(), Code::EBADMSG);
        assert!(b"goodbad byte".starts_with(&read[..read.len().min(12)]));
        // The writer hears of it.
        let last = answer(&mut stream);
        assert!(last.windows(4).any(|bytes| bytes == [74, 0, 0, 0]), "{last:?}");
    }
}

#[test]
fn a_writer_that_breaks_the_rules_is_eproto() {
    let over_window = [
        netpipe::Header { kind: netpipe::Kind::Data, crc: None, length: 1 << 20 }.encode().to_vec(),
        vec![0; 100],
    ]
    .concat();
    for (bytes, words) in [
        (Message::End(1).to_bytes(), "END"),
        (Message::Taken(0).to_bytes(), "out of turn"),
        (vec![0xff; 12], "unknown type"),
        (over_window, "over the window"),
        (netpipe::Header { kind: netpipe::Kind::Data, crc: None, length: 0 }.encode().to_vec(), "0 bytes"),
    ] {
        let port = free_port();
        let mut reader = open("window = \"64k\"", &format!("tcp://127.0.0.1:{port}"), false);
        let mut stream = writer(port, 0);
        stream.write_all(&bytes).unwrap();
        refused(in_time(move || reader.read(&mut [0; 100])), Code::EPROTO, words);
    }
}

#[test]
fn a_reader_that_breaks_the_rules_is_eproto() {
    for message in [Message::Taken(100), Message::Done, Message::End(0)] {
        let (listener, descriptor) = listening();
        let server = in_thread(move || {
            let (_, mut stream) = accept(&listener);
            stream.write_all(&message.to_bytes()).unwrap();
            answer(&mut stream)
        });
        let mut writer = open("", &descriptor, true);
        let written = in_time(move || writer.write(b"x").and_then(|_| writer.flush(Flush::Sync)));
        refused(written, Code::EPROTO, "");
        assert!(server.recv_timeout(SLACK).unwrap().windows(4).any(|bytes| bytes == [71, 0, 0, 0]));
    }
}

/// What a reader says without end must neither keep its writer from its deadline, nor the instance from its other pipes.
#[test]
fn a_reader_that_never_stops_reporting_holds_nobody() {
    let (listener, descriptor) = listening();
    let babbling = in_thread(move || {
        let (_, mut stream) = accept(&listener);
        let many = Message::Taken(0).to_bytes().repeat(10_000);
        while stream.write_all(&many).is_ok() {}
    });
    let host = registry("");
    let mut writer = host.open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
    writer.write_all(b"x").unwrap();
    times_out(&mut writer, "take everything", |writer| writer.flush(Flush::Sync));
    // Nobody listens to it now but the service thread.
    let other = format!("tcp:127.0.0.1:{}", free_port());
    let mut reader = open("", &other, false);
    let mut right = host.open(&other, &OpenOptions::new(WRITE)).unwrap();
    right.write_all(b"right").unwrap();
    right.finish(Finish::End).unwrap();
    assert_eq!(in_time(move || read_to_end(&mut reader)), b"right");
    drop((right, writer));
    babbling.recv_timeout(SLACK).unwrap();
}

#[test]
fn a_reset_is_econnreset_at_each_end() {
    let port = free_port();
    let mut reader = open("", &format!("tcp://127.0.0.1:{port}"), false);
    let mut stream = writer(port, 0);
    stream.write_all(&data(b"some")).unwrap();
    assert_eq!(read_exactly(&mut reader, 4), b"some");
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    refused(in_time(move || reader.read(&mut [0; 8])), Code::ECONNRESET, "lost");

    let (listener, descriptor) = listening();
    in_thread(move || {
        let (_, mut stream) = accept(&listener);
        stream.read_exact(&mut [0; 13]).unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    let mut writer = open("", &descriptor, true);
    writer.write_all(b"x").unwrap();
    refused(in_time(move || writer.finish(Finish::Commit)), Code::ECONNRESET, "lost");
}

#[test]
fn a_broker_that_comes_back_serves_those_who_wait_and_direct_pipes_do_not_notice() {
    let house = House::with(None, "");
    let broker = Running::start(broker::Config::default());
    let address = broker.address;
    let host = registry(&format!("broker = \"{address}\""));
    let open = |text: &str| host.open(text, &OpenOptions::default()).unwrap();
    let (mut met_reader, mut met_writer) = (open("netpipe:met:r"), open("netpipe:met:w"));
    met_writer.write_all(b"before").unwrap();
    read_exactly(&mut met_reader, 6);
    let mut waiting = open("netpipe:waiting:r");
    drop(broker);
    met_writer.write_all(b"meanwhile").unwrap();
    read_exactly(&mut met_reader, 9);
    let reading = in_thread(move || read_to_end(&mut waiting));
    let _again = Running::start_at(address, broker::Config::default());
    let mut late = open("netpipe:waiting:w");
    late.write_all(b"late").unwrap();
    late.finish(Finish::Commit).unwrap();
    assert_eq!(reading.recv_timeout(SLACK).unwrap(), b"late");
    met_writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut met_reader), b"");
    drop(house);
}

#[test]
fn what_cannot_be_reached_is_relayed() {
    let broker = Running::start(broker::Config::default());
    // Others are told of a port where nobody is.
    let nobody = free_port();
    let reading = registry(&format!("broker = \"{}\", advertise = [\"127.0.0.1:{nobody}\"]", broker.address));
    let writing = registry(&format!("broker = \"{}\"", broker.address));
    let mut reader = reading.open("netpipe:a:r", &OpenOptions::default()).unwrap();
    let writer = writing.open("netpipe:a:w", &OpenOptions::default()).unwrap();
    goes_through(&mut reader, writer, &sample(5_000_000));

    // A relayed pipe breaks with its broker.
    let mut reader = reading.open("netpipe:b:r", &OpenOptions::default()).unwrap();
    let mut writer = writing.open("netpipe:b:w", &OpenOptions::default()).unwrap();
    writer.write_all(b"x").unwrap();
    read_exactly(&mut reader, 1);
    drop(broker);
    refused(in_time(move || reader.read(&mut [0; 8])), Code::ECONNRESET, "");
    let error = in_time(move || {
        loop {
            if let Err(error) = writer.write(b"x") {
                return error;
            }
        }
    });
    assert_eq!(error.code(), Code::ECONNRESET);
}

#[test]
fn roles_can_be_turned_round() {
    let port = free_port();
    let mut reader = open("", &format!("tcp://127.0.0.1:{port}?role=connect"), false);
    let writer = open("", &format!("tcp://127.0.0.1:{port}?role=listen"), true);
    goes_through(&mut reader, writer, &sample(500_000));
}

#[test]
fn names_are_looked_up() {
    let port = free_port();
    let mut reader = open("", &format!("tcp://localhost:{port}"), false);
    let mut writer = open("", &format!("tcp://localhost:{port}"), true);
    writer.write_all(b"by name").unwrap();
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"by name");
}

#[test]
fn a_digest_that_does_not_fit_is_ebadmsg_and_never_an_end() {
    let port = free_port();
    let how = OpenOptions::new(READ).offer("digest", "sha256");
    let mut reader = registry("crc = \"off\"").open(&format!("tcp://127.0.0.1:{port}"), &how).unwrap();
    let mut stream = writer(port, netpipe::digest::Algorithm::Sha256.feature());
    let mut bytes = data(b"good");
    Message::Digest([0; 32]).append_to(&mut bytes);
    Message::End(4).append_to(&mut bytes);
    stream.write_all(&bytes).unwrap();
    in_time(move || {
        let (read, error) = drain(&mut reader);
        assert_eq!((&read[..], error.unwrap().code()), (&b"good"[..], Code::EBADMSG));
        refused(reader.read(&mut [0; 8]), Code::EBADMSG, "digest mismatch at end of stream");
    });
    // The writer hears of it.
    let last = answer(&mut stream);
    assert!(last.windows(4).any(|bytes| bytes == [74, 0, 0, 0]), "{last:?}");
}
