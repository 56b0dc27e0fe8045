//! Secrets: who proves what to whom, and what a peer without one meets.

use crate::common::*;
use crate::hostile::open;
use crate::peer::{answer, connect, listening};
use netpipe::broker;
use std::io::{Read, Write};
use std::net::Shutdown;
use vfs_core::{Code, Finish, OpenOptions};

const SECRETS: [&str; 2] = ["0123456789abcdef-one", "0123456789abcdef-two"];

/// A setting that reads a secret from a file, which lives as long as the guard.
fn secret(text: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let setting = format!("secret-file = \"{}\"", file.path().display());
    (file, setting)
}

#[test]
fn a_secret_must_be_shared() {
    let (_one, first) = secret(SECRETS[0]);
    let (_two, second) = secret(SECRETS[1]);
    for (reading, writing, words) in
        [(&first, &second, "secret"), (&first, &String::new(), "secret"), (&String::new(), &first, "secret")]
    {
        let descriptor = format!("tcp:127.0.0.1:{}", free_port());
        let mut reader = open(reading, &descriptor, false);
        let mut writer = open(writing, &descriptor, true);
        refused(in_time(move || writer.write(b"x")), Code::EACCES, words);
        // The reader waits for one who has it.
        let reading_on = in_thread(move || read_to_end(&mut reader));
        let mut right = open(reading, &descriptor, true);
        right.write_all(b"right").unwrap();
        right.finish(Finish::Commit).unwrap();
        assert_eq!(reading_on.recv_timeout(SLACK).unwrap(), b"right");
    }
}

#[test]
fn a_secret_holds_through_a_broker_too() {
    let (_one, first) = secret(SECRETS[0]);
    let (_two, second) = secret(SECRETS[1]);
    let key = netpipe::Secret::new(SECRETS[0].as_bytes()).unwrap();
    let broker = Running::start(broker::Config { secret: Some(key), ..broker::Config::default() });
    let at = format!("broker = \"{}\"", broker.address);
    let with = |setting: &str| registry(&format!("{at}, {setting}"));
    for other in [&second, &String::new()] {
        let mut writer = with(other).open("netpipe:a:w", &OpenOptions::default()).unwrap();
        refused(in_time(move || writer.write(b"x")), Code::EACCES, "secret");
    }
    let mut reader = with(&first).open("netpipe:a:r", &OpenOptions::default()).unwrap();
    let mut writer = with(&first).open("netpipe:a:w", &OpenOptions::default()).unwrap();
    writer.write_all(b"right").unwrap();
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"right");
}

#[test]
fn a_broker_gets_a_proof_only_if_it_is_listed() {
    let (_one, setting) = secret(SECRETS[0]);
    let listed =
        registry(&format!("{setting}, broker = \"10.9.9.9\", brokers = [\"127.0.0.1:5\", \"Elsewhere\"]"));
    let open = |descriptor: &str| listed.open(descriptor, &OpenOptions::default()).map(drop);
    open("netpipe:a:w").unwrap();
    open("netpipe:127.0.0.1:5:a:w").unwrap();
    open("netpipe:elsewhere:9713:a:w").unwrap();
    refused(open("netpipe:127.0.0.1:6:a:w"), Code::EACCES, "`brokers`");
    refused(open("netpipe://other/a?mode=r"), Code::EACCES, "`brokers`");
    let offered = OpenOptions::default().offer("broker", "127.0.0.1:6");
    refused(listed.open("netpipe:a:w", &offered).map(drop), Code::EACCES, "`brokers`");
}

#[test]
fn without_a_secret_only_loopback_is_dialled() {
    let mut writer = open("", "tcp://192.0.2.1:9", true);
    refused(in_time(move || writer.write(b"x")), Code::EACCES, "another machine");
    let mut reader = open("", "netpipe:192.0.2.1:9:a:r", false);
    refused(in_time(move || reader.read(&mut [0; 8])), Code::EACCES, "another machine");
    // Allowed, it is tried until the deadline.
    let mut writer = open("insecure = true, connect-timeout = \"50ms\"", "tcp://192.0.2.1:9", true);
    times_out(&mut writer, "its reader", |writer| writer.write(b"x"));
}

#[test]
fn a_replayed_hello_is_refused() {
    let (_one, setting) = secret(SECRETS[0]);
    let port = free_port();
    let descriptor = format!("tcp://127.0.0.1:{port}");
    // Between the two sits one who listens.
    let (between, through) = listening();
    let mut reader = open(&setting, &descriptor, false);
    let listener = in_thread(move || {
        let (mut writer, _) = between.accept().unwrap();
        let mut reader = connect(port);
        let mut heard = Vec::new();
        let (mut forth, mut back) = (writer.try_clone().unwrap(), reader.try_clone().unwrap());
        let returning = in_thread(move || std::io::copy(&mut back, &mut writer));
        let mut bytes = [0; 4096];
        loop {
            let count = forth.read(&mut bytes).unwrap_or(0);
            if count == 0 {
                break;
            }
            heard.extend_from_slice(&bytes[..count]);
            reader.write_all(&bytes[..count]).unwrap();
        }
        drop(reader.shutdown(Shutdown::Write));
        drop(returning);
        heard
    });
    let mut writer = open(&setting, &through, true);
    writer.write_all(b"secret matter").unwrap();
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"secret matter");
    drop((reader, writer));
    let heard = listener.recv_timeout(SLACK).unwrap();
    assert!(heard.windows(13).any(|bytes| bytes == b"secret matter"));

    let mut reader = open(&setting, &descriptor, false);
    let mut replay = connect(port);
    // It may be refused before everything is sent.
    let _ = replay.write_all(&heard);
    answer(&mut replay);
    times_out(&mut reader, "a writer", |reader| reader.read(&mut [0; 100]));
}

#[test]
fn a_reflected_hello_is_refused() {
    let (_one, setting) = secret(SECRETS[0]);
    let (listener, descriptor) = listening();
    in_thread(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut back = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut back)
    });
    let mut writer = open(&setting, &descriptor, true);
    refused(in_time(move || writer.write(b"x")), Code::EPROTO, "");
}
