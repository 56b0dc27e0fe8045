//! Clients that go away: their sessions end, and leave nothing behind.

use crate::CGI;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, Stdio};
use zvfs_modules_tests::nginx::{Answer, Nginx, ask};
use zvfs_modules_tests::process::descriptors;
use zvfs_test_support::eventually;

/// One session at a time, which lasts until its client goes.
const ONE: &str = "zvm_program @CGI@; zvm_sessions 1; zvm_timeout 1000s;";

/// Where a client is when it goes.
#[derive(Clone, Copy, Debug)]
enum Amid {
    /// Its guest waits for the rest of it.
    Body,
    /// Its guest writes from time to time.
    Answer,
    /// Its guest waits until the client reads on.
    UnreadAnswer,
}

/// A client that has come so far, as the server's `number`th one.
fn client(server: &Nginx, scheme: &str, version: &str, amid: Amid, number: usize) -> Child {
    let upload = server.at("body.in");
    File::create(&upload).unwrap().set_len(1 << 30).unwrap();
    let slow = ["--limit-rate", "10k", "-T", &upload];
    let (path, options) = match amid {
        Amid::Body => (format!("/one?say-and-sum={number}"), &slow[..]),
        Amid::Answer => ("/one?ticks=100000".to_owned(), &[][..]),
        Amid::UnreadAnswer => ("/one?many=10000000000".to_owned(), &[][..]),
    };
    let mut curl = server.curl_command(scheme, &path, &[&[version, "--no-buffer"], options].concat());
    let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
    match amid {
        Amid::Body => server.logs(&format!("begun {number}\"")),
        Amid::Answer | Amid::UnreadAnswer => {
            curl.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
        }
    }
    curl
}

/// How many requests nobody waited for, of those that were not answered.
fn left(server: &Nginx) -> usize {
    let access = fs::read_to_string(server.at("access.log")).unwrap();
    access.lines().filter(|line| line.starts_with("499 ")).count()
}

#[test]
fn a_client_that_leaves_amid_its_body_or_its_answer_leaves_nothing_behind() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("", &format!("location /one {{ {ONE} zvm_queue 0; }}"));
    let is_free = |server: &Nginx| server.get("/one").text() == "hello\n";
    eventually("its program is compiled", || is_free(&server));
    let worker = server.workers()[0];
    let before = descriptors(worker);
    let mut number = 0;
    for (scheme, version) in [("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")] {
        for amid in [Amid::Body, Amid::Answer, Amid::UnreadAnswer] {
            number += 1;
            let mut client = client(&server, scheme, version, amid, number);
            assert_eq!(server.get("/one").status, 503, "{scheme} {version} {amid:?}: it runs no more");
            client.kill().unwrap();
            client.wait().unwrap();
            eventually(format!("{scheme} {version} {amid:?}: its place is free"), || is_free(&server));
        }
    }
    eventually("every descriptor is closed", || descriptors(worker) <= before);
    // A worker stays as long as a session of its does.
    kill_process(Pid::from_child(server.process().child()), Signal::QUIT).unwrap();
    eventually("it has ended", || server.process().has_ended());
    let log = server.log();
    assert!(!log.contains("[alert]") && !log.contains("open socket"), "{log}");
}

#[test]
fn a_client_that_leaves_while_it_is_queued_leaves_its_place() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("", &format!("{CGI}\n location /one {{ {ONE} zvm_queue 1; }}"));
    for place in ["/cgi", "/one"] {
        assert_eq!(server.get(place).text(), "hello\n");
    }
    let worker = server.workers()[0];
    let before = descriptors(worker);
    let mut running = server.connect();
    ask(&mut running, "/one?ticks=100000");
    running.read_exact(&mut [0; 10]).unwrap();
    for gone in 1..=3 {
        let mut queued = server.connect();
        ask(&mut queued, "/one");
        eventually("the queue is full", || server.get("/one").status == 503);
        drop(queued);
        eventually("it is known to be gone", || left(&server) == gone);
    }
    // Its place is the next one's, who waits still, and gets what is asked for when there is a session.
    let mut waiting = server.connect();
    ask(&mut waiting, "/one?echo");
    eventually("the queue is full", || server.get("/one").status == 503);
    assert_eq!(server.get("/cgi").text(), "hello\n");
    drop(running);
    let answer = Answer::read(waiting);
    assert_eq!(answer.status, 200, "{answer:?} {}", server.log());
    eventually("every descriptor is closed", || descriptors(worker) <= before);
}
