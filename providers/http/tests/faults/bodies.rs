//! Bodies that break off, stand still, or are not as long as was said.

use crate::common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use vfs_core::{Code, OpenFlags};
use zvfs_http_servers::{After, FaultServer, Object, pattern};

#[test]
fn drops_resume_at_the_right_byte_and_ask_for_the_same_version() {
    let server = dropping(Object::new(1_000_000), 90_000, After::Close);
    fetch(&quick(), &server.url("/")).is(0..1_000_000);
    let requests = server.requests();
    assert_eq!(requests.len(), 12);
    for (number, request) in requests.iter().enumerate().skip(1) {
        assert_eq!(request.first(), number as u64 * 90_000);
        assert_eq!(request.header("If-Range"), Some("\"one\""));
    }
}

#[test]
fn resets_resume() {
    let server = dropping(Object::new(1_000_000), 90_000, After::Reset);
    fetch(&quick(), &server.url("/")).is(0..1_000_000);
}

#[test]
fn drops_of_a_positional_read_resume() {
    let server = dropping(Object::new(1_000_000), 10_000, After::Close);
    let bytes = with_file(quick(), server.url("/"), READ, |file| read_at(file, 333_333, 100_000));
    assert!(bytes.unwrap() == pattern::bytes(333_333..433_333));
}

#[test]
fn the_budget_of_retries_renews_with_progress() {
    let server = dropping(Object::new(100_000), 1_000, After::Close);
    fetch(&registry(r#"retry-delay = "1ms", retries = 2"#), &server.url("/")).is(0..100_000);
    assert_eq!(server.requests().len(), 100);
}

#[test]
fn without_progress_the_retries_end() {
    let server = dropping(Object::new(100_000), 0, After::Close);
    fetch(&registry(r#"retry-delay = "1ms", retries = 3"#), &server.url("/")).failed(Code::ECONNRESET);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn without_retries_a_drop_is_an_error() {
    let server = dropping(Object::new(100_000), 5_000, After::Close);
    let fetched = fetch(&registry("retries = 0"), &server.url("/"));
    fetched.failed(Code::ECONNRESET);
    assert_eq!(fetched.bytes.len(), 5_000);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn pauses_between_attempts_grow_and_are_jittered() {
    let server = dropping(Object::new(100), 0, After::Close);
    fetch(&registry(r#"retry-delay = "100ms", retries = 4"#), &server.url("/")).failed(Code::ECONNRESET);
    let at: Vec<Instant> = server.requests().iter().map(|request| request.at).collect();
    let whole = at[4] - at[0];
    // 100 + 200 + 400 + 800 ms, less a random part: at least a tenth of it.
    assert!(whole >= Duration::from_millis(150), "{whole:?}");
}

#[test]
fn a_stall_is_noticed_and_resumed() {
    let object = Object::new(1_000_000);
    let server = FaultServer::http(move |request, peer| {
        let answer = object.answer(request);
        if request.first() < 500_000 {
            peer.cut(&answer, 300_000, After::Next)?;
            return peer.stall();
        }
        peer.send(&answer)
    });
    let registry = registry(r#"retry-delay = "1ms", stall-timeout = "200ms""#);
    fetch(&registry, &server.url("/")).is(0..1_000_000);
    let firsts: Vec<u64> = server.requests().iter().map(|request| request.first()).collect();
    assert_eq!(firsts, [0, 300_000, 600_000]);
}

#[test]
fn a_body_that_stalls_for_ever_is_etimedout() {
    let object = Object::new(100_000);
    let server = FaultServer::http(move |request, peer| {
        peer.cut(&object.answer(request), 1000_u64.saturating_sub(request.first()), After::Next)?;
        peer.stall()
    });
    let settings = r#"retry-delay = "1ms", retries = 2, stall-timeout = "100ms""#;
    let fetched = fetch(&registry(settings), &server.url("/"));
    fetched.failed(Code::ETIMEDOUT);
    assert_eq!(fetched.bytes.len(), 1000);
    assert_eq!(server.requests().len(), 3, "the attempt that had some bytes, and two more");
}

#[test]
fn a_server_that_never_answers_is_etimedout() {
    let server = FaultServer::http(|_, peer| peer.stall());
    let settings = r#"retry-delay = "1ms", retries = 1, first-byte-timeout = "100ms""#;
    fetch(&registry(settings), &server.url("/")).failed(Code::ETIMEDOUT);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_head_that_drips_is_etimedout_all_the_same() {
    let object = Object::new(100);
    let server = FaultServer::http(move |request, peer| {
        // A byte every 20 ms is never silent, and takes seconds.
        peer.drip(&object.answer(request).head(), Duration::from_millis(20))?;
        Ok(After::Close)
    });
    let settings = r#"retries = 0, first-byte-timeout = "300ms", stall-timeout = "300ms""#;
    fetch(&registry(settings), &server.url("/")).failed(Code::ETIMEDOUT);
}

#[test]
fn a_slow_body_that_moves_is_no_stall() {
    let object = Object::new(20);
    let server = FaultServer::http(move |request, peer| {
        let answer = object.answer(request);
        peer.cut(&answer, 0, After::Next)?;
        peer.drip(&pattern::bytes(request.first()..20), Duration::from_millis(40))?;
        Ok(After::Close)
    });
    // All of it takes longer than any of the limits.
    let settings =
        r#"retries = 0, first-byte-timeout = "600ms", stall-timeout = "600ms", connect-timeout = "600ms""#;
    fetch(&registry(settings), &server.url("/")).is(0..20);
}

/// Each connection brings some bytes, which give all attempts back: such a server held its caller for as long as it liked.
#[test]
fn a_body_that_trickles_on_and_on_ends_by_the_least_rate() {
    let settings = r#"retry-delay = "1ms", least-rate = "1m", least-rate-time = "300ms""#;
    for positional in [false, true] {
        let server = FaultServer::http(|request, peer| {
            peer.pause(Duration::from_millis(5))?;
            peer.cut(&Object::new(1 << 40).answer(request), 1_000, After::Close)
        });
        let error = with_file(registry(settings), server.url("/"), READ, move |file| match positional {
            true => read_at(file, 0, 1 << 30).unwrap_err(),
            false => drain(file).error.unwrap(),
        });
        assert_eq!(error.code(), Code::ETIMEDOUT, "{}", error.chain());
        assert!(error.chain().contains("`least-rate`"), "{}", error.chain());
    }
}

#[test]
fn a_length_that_is_too_long_is_no_end() {
    // The file has 1,000 bytes and the server says 2,000.
    let server = spoiling(Object::new(1_000), |request, answer| {
        if request.first() == 0 {
            answer.with("Content-Length", 2_000).with("Connection", "close")
        } else {
            answer
        }
    });
    let fetched = fetch(&quick(), &server.url("/"));
    assert!(fetched.error.is_some(), "{fetched:?}");
    assert!(fetched.bytes == pattern::bytes(0..fetched.bytes.len() as u64));
}

#[test]
fn what_follows_a_length_that_is_too_short_reaches_nobody() {
    // A second answer, hidden behind the body of the first: a client that reuses the connection takes it for its own.
    let hidden = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"one\"\r\n\r\nEVIL";
    let object = Object::new(1_000);
    let server = FaultServer::http(move |request, peer| {
        let answer = object.answer(request);
        if request.target != "/spoilt" {
            return peer.send(&answer);
        }
        let mut bytes = answer.head();
        bytes.extend_from_slice(&pattern::bytes(request.first()..1_000));
        bytes.extend_from_slice(hidden);
        peer.raw(&bytes)?;
        Ok(After::Next)
    });
    let registry = quick();
    let first = fetch(&registry, &server.url("/spoilt"));
    if first.error.is_none() {
        first.is(0..1_000);
    } else {
        first.failed(Code::EPROTO);
    }
    fetch(&registry, &server.url("/other")).is(0..1_000);
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let server = spoiling(Object::new(300_000).without_ranges(), move |_, answer| {
            answer.without("Content-Length").version(version)
        });
        fetch(&quick(), &server.url("/")).is(0..300_000);
    }
}

#[test]
fn http_1_0_with_a_length_is_read_and_its_truncation_noticed() {
    let object = Object::new(10_000).without_ranges();
    let server = FaultServer::http(move |request, peer| {
        let count = if request.target == "/cut" { 500 } else { u64::MAX };
        peer.cut(&object.answer(request).version("HTTP/1.0"), count, After::Close)
    });
    fetch(&quick(), &server.url("/")).is(0..10_000);
    fetch(&quick(), &server.url("/cut")).failed(Code::ECONNRESET);
}

#[test]
fn a_kept_connection_that_was_closed_costs_nothing() {
    // As a server does whose time for keeping connections is over.
    let object = Object::new(1_000);
    let answered = Arc::new(AtomicUsize::new(0));
    let server = FaultServer::http(move |request, peer| {
        let number = answered.fetch_add(1, Ordering::Relaxed);
        peer.send(&object.answer(request))?;
        Ok(if number == 0 { After::Close } else { After::Next })
    });
    let registry = registry("retries = 0");
    fetch(&registry, &server.url("/")).is(0..1_000);
    assert!(server.wait_until(SLACK, |_, connections, open| connections == 0 || open == 0));
    fetch(&registry, &server.url("/")).is(0..1_000);
    fetch(&registry, &server.url("/")).is(0..1_000);
}

#[test]
fn an_empty_answer_is_tried_again() {
    let (object, seen) = (Object::new(1_000), AtomicUsize::new(0));
    let server = FaultServer::http(move |request, peer| {
        if seen.fetch_add(1, Ordering::Relaxed) < 2 {
            return Ok(After::Close);
        }
        peer.send(&object.answer(request))
    });
    fetch(&quick(), &server.url("/")).is(0..1_000);
    let server = FaultServer::http(|_, _| Ok(After::Close));
    fetch(&registry(r#"retry-delay = "1ms", retries = 2"#), &server.url("/")).failed(Code::ECONNRESET);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn connections_are_kept_and_used_again() {
    let server = serving(Object::new(1_000_000));
    with_file(quick(), server.url("/"), READ | OpenFlags::RANDOM, |file| {
        for number in 0..100 {
            let offset = number * 7_919;
            assert!(read_at(file, offset, 4_096).unwrap() == pattern::bytes(offset..offset + 4_096));
        }
    });
    assert!(server.requests().len() >= 100);
    assert!(server.connections() <= 3, "{} connections", server.connections());
}
