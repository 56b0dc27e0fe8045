//! Connections that cannot be made, break, or stand still; answers that are no success; too much of anything.

use crate::common::*;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use vfs_core::{Code, OpenFlags, OpenOptions};
use zvfs_http_servers::{After, Answer, Authority, BlackHole, FaultServer, Object};

const SIZE: u64 = 100_000;

#[test]
fn nobody_there_is_econnrefused_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    failed(
        fetch(&registry(&endpoint, r#"retry-delay = "600s", retry-delay-max = "600s""#)),
        Code::ECONNREFUSED,
    );
}

#[test]
fn limits_on_time_are_etimedout() {
    let hole = BlackHole::new();
    let silent = FaultServer::silent();
    let stalling = FaultServer::http(|request, peer| {
        peer.cut(&Object::new(SIZE).answer(request), 1000, After::Next)?;
        peer.stall()
    });
    for (endpoint, limit) in [
        (format!("http://{}", hole.address()), "connect-timeout"),
        (silent.url("").replace("http:", "https:"), "connect-timeout"),
        (silent.url(""), "first-byte-timeout"),
        (stalling.url(""), "stall-timeout"),
    ] {
        let error =
            failed(fetch(&registry(&endpoint, &format!("retries = 0, {limit} = \"50ms\""))), Code::ETIMEDOUT);
        assert!(error.chain().contains("50ms"), "{limit}: {}", error.chain());
    }
}

#[test]
fn a_body_that_drips_is_not_stalled() {
    let server = FaultServer::http(|request, peer| {
        let answer = Object::new(20).answer(request);
        peer.raw(&answer.head())?;
        peer.drip(&zvfs_http_servers::pattern::bytes(0..20), Duration::from_millis(20))?;
        Ok(After::Next)
    });
    is_whole(fetch(&registry(&server.url(""), "retries = 0, stall-timeout = \"10s\"")), 20);
}

#[test]
fn transient_refusals_are_tried_again_within_a_limit() {
    for (status, name, code) in
        [(503, "SlowDown", Code::EBUSY), (500, "InternalError", Code::EIO), (429, "TooMany", Code::EBUSY)]
    {
        for bad in [2, usize::MAX] {
            let tries = AtomicUsize::new(0);
            let server = FaultServer::http(move |request, peer| match is_early(&tries, bad) {
                true => peer.send(&refusal(status, name, "wait a little")),
                false => peer.send(&Object::new(SIZE).answer(request)),
            });
            let fetched = fetch(&quick(&server));
            if bad == 2 {
                is_whole(fetched, SIZE);
                continue;
            }
            let error = failed(fetched, code);
            assert!(error.chain().contains(name) && error.is_retryable(), "{}", error.chain());
            assert_eq!(server.requests().len(), 3, "{status}");
        }
    }
}

#[test]
fn other_refusals_are_final_and_say_why() {
    for (status, name, code) in [
        (400, "ExpiredToken", Code::EACCES),
        (400, "InvalidArgument", Code::EINVAL),
        (401, "Unauthorized", Code::EACCES),
        (403, "SignatureDoesNotMatch", Code::EACCES),
        (404, "NoSuchBucket", Code::ENOENT),
        (405, "MethodNotAllowed", Code::ENOTSUP),
        (507, "InsufficientStorage", Code::ENOSPC),
        (301, "PermanentRedirect", Code::EPROTO),
    ] {
        let server = FaultServer::http(move |_, peer| peer.send(&refusal(status, name, "because")));
        let error = failed(fetch(&quick(&server)), code);
        assert!(error.chain().contains(&format!("({name}: because)")), "{}", error.chain());
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn no_http_is_eproto() {
    for words in ["SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"] {
        let server = FaultServer::http(move |_, peer| {
            peer.raw(words.as_bytes())?;
            Ok(After::Close)
        });
        failed(fetch(&quick(&server)), Code::EPROTO);
    }
    // Who speaks before being asked may be found out before the request is sent.
    let error = fetch(&quick(&FaultServer::greeting("220 ready\r\n"))).1.expect("an error");
    assert!(matches!(error.code(), Code::EPROTO | Code::ECONNRESET), "{}", error.chain());
}

#[test]
fn a_certificate_of_nobody_we_know_is_eproto() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let server =
        FaultServer::https(&unknown.good(), |request, peer| peer.send(&Object::new(SIZE).answer(request)));
    let settings = format!("{QUICK}, ca-file = {:?}", known.ca_file());
    failed(fetch(&registry(&server.url(""), &settings)), Code::EPROTO);
    let settings = format!("{QUICK}, ca-file = {:?}", unknown.ca_file());
    is_whole(fetch(&registry(&server.url(""), &settings)), SIZE);
}

#[test]
fn connections_are_kept_and_replaced_when_the_store_closed_them() {
    let server = spoiling(Object::new(SIZE), |_, answer| answer);
    let registry = quick(&server);
    for _ in 0..5 {
        is_whole(fetch(&registry), SIZE);
    }
    assert_eq!(server.connections(), 1);
    let server = FaultServer::http(|request, peer| {
        peer.send(&Object::new(SIZE).answer(request))?;
        Ok(After::Close)
    });
    let registry = quick(&server);
    for _ in 0..5 {
        is_whole(fetch(&registry), SIZE);
    }
    assert_eq!(server.connections(), 5);
}

#[test]
fn an_instance_keeps_no_more_connections_than_it_may() {
    let server = spoiling(Object::new(SIZE), |_, answer| answer);
    let registry = registry(&server.url(""), "connections = 0");
    for _ in 0..3 {
        is_whole(fetch(&registry), SIZE);
    }
    assert_eq!(server.connections(), 3);
}

/// Answers that are not the last are read as fast as they come, and nothing else is done meanwhile.
#[test]
fn endless_heads_are_cut_off() {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let server = FaultServer::http(move |_, peer| {
        let some = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        for _ in 0..4_000 {
            peer.raw(&some)?;
            counted.fetch_add(some.len() as u64, Ordering::Relaxed);
        }
        Ok(After::Close)
    });
    let error = failed(fetch(&registry(&server.url(""), "retries = 0")), Code::EPROTO);
    assert!(error.chain().contains("and no answer"), "{}", error.chain());
    // What the kernel holds on the way is more than what was read.
    assert!(sent.load(Ordering::Relaxed) < 50 << 20, "{} bytes", sent.load(Ordering::Relaxed));
}

/// Whatever the library reads whole has an end.
#[test]
fn endless_answers_are_cut_off() {
    for status in [200, 403] {
        let sent = Arc::new(AtomicU64::new(0));
        let counted = sent.clone();
        let server = FaultServer::http(move |_, peer| {
            peer.raw(&Answer::new(status).raw_body("").head())?;
            for _ in 0..4_000 {
                peer.raw(&[b' '; 65_536])?;
                counted.fetch_add(65_536, Ordering::Relaxed);
            }
            Ok(After::Close)
        });
        let registry = registry(&server.url(""), "retries = 0");
        let listed = in_time(move || {
            registry.list("s3://bucket/folder", &OpenOptions::new(OpenFlags::empty()), &mut |_| {
                ControlFlow::Continue(())
            })
        });
        refused(listed, if status == 200 { Code::EPROTO } else { Code::EACCES });
        assert!(sent.load(Ordering::Relaxed) < 100 << 20, "{} bytes", sent.load(Ordering::Relaxed));
    }
}
