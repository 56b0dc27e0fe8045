//! Read-ahead that is left to be found out: on where it helps, off where it does not, and never a wrong byte.

use crate::common::*;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;
use vfs_core::{Capabilities, Direction};
use zvfs_http_servers::{After, Answer, Body, FaultServer, Object, Peer, Request, Server};
use zvfs_test_support::eventually;

const MIB: u64 = 1 << 20;
/// Ranges of 64 KiB where they help, and no pauses to speak of.
const TUNED: &str = r#"read-ahead-size = "64k", retry-delay = "1ms", stall-timeout = "60s""#;
/// The same for an answer that never goes on.
const IMPATIENT: &str = r#"read-ahead-size = "64k", retry-delay = "1ms", stall-timeout = "2s""#;
const SIZE: u64 = 8 * MIB;
/// Where the first answer falls silent: so early that whatever comes then is faster.
const SILENT_AT: u64 = 64 << 10;

/// A server whose first answer falls silent until so many others have been asked for; then `then` says what comes of it.
fn falling_silent(
    count: usize,
    others: impl Fn(&Request, &mut Peer) -> io::Result<After> + Send + Sync + 'static,
    then: impl Fn(&mut Peer) -> io::Result<After> + Send + Sync + 'static,
) -> FaultServer {
    let (object, asked) = (Object::new(SIZE), Arc::new((Mutex::new(0), Condvar::new())));
    FaultServer::http(move |request, peer| {
        let (asked, told) = &*asked;
        if request.first() > 0 {
            *asked.lock().unwrap() += 1;
            told.notify_all();
            return others(request, peer);
        }
        peer.raw(&object.answer(request).head())?;
        peer.send_body(&Body::Pattern(0..SILENT_AT), u64::MAX)?;
        let waited = told.wait_timeout_while(asked.lock().unwrap(), SLACK, |asked| *asked < count);
        assert!(!waited.unwrap().1.timed_out(), "fewer than {count} other ranges were asked for");
        then(peer)
    })
}

fn goes_on(peer: &mut Peer) -> io::Result<After> {
    peer.send_body(&Body::Pattern(SILENT_AT..SIZE), u64::MAX)?;
    Ok(After::Next)
}

#[test]
fn an_answer_that_falls_silent_is_helped_by_others() {
    let object = Object::new(SIZE);
    let server = falling_silent(4, move |request, peer| peer.send(&object.answer(request)), goes_on);
    fetch(&registry(TUNED), &server.url("/")).is(0..SIZE);
    let requests = server.requests();
    assert!(requests.len() > 4, "{} requests", requests.len());
    let others = || requests.iter().filter(|request| request.first() > 0);
    assert!(others().all(|request| request.header("If-Range") == Some("\"one\"")));
    // What the answer is about to bring is not asked for again.
    assert!(others().all(|request| request.first() >= SILENT_AT + MIB));
}

#[test]
fn an_answer_that_never_goes_on_is_replaced_up_to_what_the_others_brought() {
    let object = Object::new(SIZE);
    let server = falling_silent(1, move |request, peer| peer.send(&object.answer(request)), Peer::stall);
    fetch(&registry(IMPATIENT), &server.url("/")).is(0..SIZE);
    let resumed =
        server.requests().iter().find_map(|request| request.range().filter(|(first, _)| *first == SILENT_AT));
    assert_eq!(resumed, Some((SILENT_AT, Some(SILENT_AT + MIB - 1))));
}

#[test]
fn a_server_that_refuses_a_second_answer_is_read_by_one() {
    let server = falling_silent(1, |_, peer| peer.send(&Answer::new(503)), goes_on);
    fetch(&registry(TUNED), &server.url("/")).is(0..SIZE);
    let served = server.requests().iter().filter(|request| request.first() == 0).count();
    assert_eq!(served, 1, "the answer was asked for again");
}

/// One range of the second connection is served and the next ones are not, as by a server that counts.
#[test]
fn a_server_that_refuses_several_is_read_by_one_from_there_on() {
    let (object, served) = (Object::new(SIZE), Mutex::new(0));
    let others = move |request: &Request, peer: &mut Peer| {
        let mut served = served.lock().unwrap();
        *served += 1;
        let is_part = matches!(request.range(), Some((_, Some(last))) if last + 1 < SIZE);
        let is_refused = *served > 4 && is_part;
        drop(served);
        if is_refused { peer.send(&Answer::new(403)) } else { peer.send(&object.answer(request)) }
    };
    let server = falling_silent(4, others, goes_on);
    let (registry, log) = logging(TUNED);
    fetch(&registry, &server.url("/")).is(0..SIZE);
    assert!(log.text().contains("reading one answer instead of several"), "{}", log.text());
}

#[test]
fn a_changed_object_is_estale_whoever_finds_it_out() {
    let changed = Object::new(SIZE).tagged("\"two\"");
    let server = falling_silent(1, move |request, peer| peer.send(&changed.answer(request)), Peer::stall);
    fetch(&registry(IMPATIENT), &server.url("/")).failed(vfs_core::Code::ESTALE);
}

#[test]
fn a_file_of_few_ranges_is_one_answer() {
    let server = serving(Object::new(200_000));
    fetch(&registry(TUNED), &server.url("/")).is(0..200_000);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_is_found_out_leaves_a_host_its_polls() {
    let server = serving(Object::new(SIZE));
    let url = server.url("/");
    with_file(registry(TUNED), url.clone(), READ, |file| {
        assert!(file.capabilities().contains(Capabilities::POLL));
    });
    with_file(registry(r#"read-ahead = 2"#), url, READ, |file| {
        assert!(!file.capabilities().contains(Capabilities::POLL));
    });
}

/// A copy to a file asks whether the socket is lent before each read: what that waited for was forgotten, and the line seemed fast.
#[test]
fn an_answer_is_helped_by_others_whoever_asks_for_its_socket_in_between() {
    const PIECE: u64 = 16 << 10;
    let object = Object::new(SIZE);
    // Each answer is as fast as a line with a limit is, without a gap that would be an answer's silence.
    let server = FaultServer::http(move |request, peer| {
        let answer = object.answer(request);
        let end = request.range().and_then(|(_, last)| last).map_or(SIZE, |last| last + 1);
        peer.raw(&answer.head())?;
        for at in (request.first()..end).step_by(PIECE as usize) {
            peer.send_body(&Body::Pattern(at..end.min(at + PIECE)), u64::MAX)?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(After::Next)
    });
    with_file(registry(TUNED), server.url("/"), READ, |file| {
        let (mut bytes, mut buf) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            drop(file.lease(Direction::Read));
            match file.read(&mut buf) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&buf[..count]),
                Err(error) => panic!("{error}"),
            }
        }
        Fetched { bytes, error: None }.is(0..SIZE);
    });
    assert!(server.requests().len() > 4, "{} requests", server.requests().len());
}

/// nginx gives each answer of the slow folder 1 MiB at once, then nothing for up to a second.
#[test]
fn nginx_gets_several_requests_where_it_limits_each_answer_and_one_where_it_does_not() {
    let Some(server) = Server::nginx() else { return };
    let content = zvfs_http_servers::pattern::bytes(0..SIZE);
    server.put("object", &content);
    let registry = registry(r#"read-ahead-size = "256k""#);
    let requests = |name: &str| {
        fetch(&registry, &server.http(name)).is(0..SIZE);
        // What was broken off is logged once nginx has noticed.
        let logged = || server.requests().iter().filter(|path| **path == format!("/{name}")).count();
        eventually("its log", || logged() > if name.starts_with("slow/") { 8 } else { 0 });
        logged()
    };
    requests("slow/object");
    // A busy machine may be silent for a moment, which an attempt answers, and several ranges where that is fast; not each time.
    let counts: Vec<usize> = ["one", "two", "three", "four", "five"]
        .into_iter()
        .map(|name| {
            server.put(name, &content);
            requests(name)
        })
        .collect();
    assert!(counts.iter().any(|count| *count <= 3), "{counts:?} requests");
}

/// The same of bursts of 2 MiB each half second. Compared in a moment without one a second range seemed to bring nothing; and so it did
/// where the end of a burst came alone, 0.2 s later, as with `tcp_nopush`.
#[test]
fn nginx_gets_several_requests_where_it_sends_in_bursts() {
    const SIZE: u64 = 48 * MIB;
    /// More are the answer and ten ranges of 4 MiB at least: it was found out before a sixth was read.
    const MOST: usize = 10;
    let Some(server) = Server::nginx() else { return };
    server.put("object", &zvfs_http_servers::pattern::bytes(0..SIZE));
    for folder in ["bursts", "whole-bursts"] {
        let path = format!("{folder}/object");
        let logged = || server.requests().iter().filter(|logged| **logged == format!("/{path}")).count();
        let requests = || {
            let before = logged();
            // By a host that knows nothing of this server.
            fetch(&registry(""), &server.http(&path)).is(0..SIZE);
            eventually("its log", || logged() > before);
            logged() - before
        };
        // A busy machine may hide what a second range brings; not each time.
        let mut counts = Vec::new();
        while counts.len() < 3 && counts.last().is_none_or(|count| *count <= MOST) {
            counts.push(requests());
        }
        assert!(counts.last().is_some_and(|count| *count > MOST), "{folder}: {counts:?} requests");
        println!("{folder}: {counts:?} requests");
    }
}
