//! Clients that go away: their sessions end, and leave nothing behind.

use crate::{GATED, gate, with_a_reader};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use zvfs_modules_tests::apache::{Answer, Apache};
use zvfs_test_support::{LIMIT, eventually, run};

/// A request that was sent, and whose answer nobody has read.
pub fn asked(apache: &Apache, path: &str) -> TcpStream {
    let mut stream = apache.connect();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// A stranger's report: it read 200 and no body, and took that for a success.
#[test]
fn a_client_that_ends_its_side_gets_no_answer() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("gated", GATED, "")]);
    let gate = gate(&apache);
    let mut stream = apache.connect();
    stream.write_all(b"GET /gated?file HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let _never_written = with_a_reader(&gate);
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!((answer.status, answer.head.as_str()), (0, ""));
}

#[test]
fn a_client_that_leaves_ends_its_session() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "Timeout = 1000", "ZvmSessions 1\nZvmQueue 1")]);
    let ask = |query: &str| asked(&apache, &format!("/guest?{query}"));
    // One that computes, and one that writes to a client that does not read.
    for query in ["spin", "many=1000000000"] {
        let leaving = ask(query);
        let mut waiting = ask("");
        if query != "spin" {
            let mut first = [0; 100];
            (&leaving).read_exact(&mut first).unwrap();
        }
        drop(leaving);
        assert_eq!(Answer::read(&mut waiting).text(), ("hello\n".into(), true), "{query}");
    }
    // Over HTTP/2 too, where Apache answers on a connection of its own making.
    let leaving = apache.curl_command(&["--http2-prior-knowledge", "--max-time", "1"], false, "/guest?spin");
    let timed_out = 28;
    assert_eq!(run(leaving).unwrap().status.code(), Some(timed_out));
    assert_eq!(Answer::read(&mut ask("")).text(), ("hello\n".into(), true));
}

#[test]
fn a_client_that_leaves_amid_its_body_leaves_nothing_behind() {
    if !Apache::is_here() {
        return;
    }
    let mut apache = Apache::start(&[("guest", "Timeout = 1000", "ZvmSessions 1\nZvmQueue 0")]);
    assert_eq!(apache.request("/guest?", b"").text(), ("hello\n".into(), true));
    let before = apache.descriptors();
    let upload = apache.guests().join("body").display().to_string();
    File::create(&upload).unwrap().set_len(1 << 30).unwrap();
    let versions =
        [("--http1.1", false), ("--http1.1", true), ("--http2-prior-knowledge", false), ("--http2", true)];
    for (number, (version, tls)) in versions.into_iter().enumerate() {
        let slow = [version, "--limit-rate", "10k", "-T", &upload];
        let mut curl = apache.curl_command(&slow, tls, &format!("/guest?say-and-sum={number}"));
        let mut curl = curl.spawn().unwrap();
        let said = format!("begun {number}");
        eventually(format!("{version}: it runs"), || apache.log().lines().any(|line| line.ends_with(&said)));
        assert_eq!(apache.request("/guest?", b"").status, 503, "{version}: it runs no more");
        curl.kill().unwrap();
        curl.wait().unwrap();
        eventually(format!("{version}: its place is free"), || apache.request("/guest?", b"").status == 200);
    }
    eventually("every descriptor is closed", || apache.descriptors() <= before);
    // A child stays as long as a session of its does.
    apache.stop();
}

/// It kept its place, and a thread, until a session ended.
#[test]
fn a_client_that_leaves_while_it_is_queued_leaves_its_place() {
    if !Apache::is_here() {
        return;
    }
    let mut apache = Apache::start(&[("gated", GATED, "ZvmSessions 1\nZvmQueue 1"), ("other", "", "")]);
    let gate = gate(&apache);
    assert_eq!(apache.request("/other?", b"").text(), ("hello\n".into(), true));
    let before = apache.descriptors();
    let mut running = asked(&apache, "/gated?file");
    let mut writer = with_a_reader(&gate);
    for _ in 0..2 {
        // Of two more, one waits and one is refused; and the one that waits goes.
        let (sender, refused) = channel();
        let two = [asked(&apache, "/gated?file"), asked(&apache, "/gated?file")];
        for (at, stream) in two.iter().enumerate() {
            let (sender, mut stream) = (sender.clone(), stream.try_clone().unwrap());
            thread::spawn(move || sender.send((at, Answer::read(&mut stream))));
        }
        let (at, answer) = refused.recv_timeout(LIMIT).unwrap();
        assert_eq!(answer.status, 503);
        // It hears that it has none: it is known to be gone before any session has ended.
        two[1 - at].shutdown(Shutdown::Write).unwrap();
        let (_, answer) = refused.recv_timeout(LIMIT).unwrap();
        assert_eq!((answer.status, answer.head.as_str()), (0, ""));
    }
    writer.write_all(b"x").unwrap();
    assert_eq!(Answer::read(&mut running).text(), ("x".into(), true));
    drop((writer, running));
    eventually("every descriptor is closed", || apache.descriptors() <= before);
}
