//! What statuses come to, and which are tried again.

use crate::common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use vfs_core::{Code, OpenOptions};
use zvfs_http_servers::{After, Answer, FaultServer, Object};

/// A code for a status, and that it was asked for once.
#[track_caller]
fn is_final(status: u16, code: Code) {
    let server = FaultServer::http(move |_, peer| peer.send(&Answer::new(status).body("why not")));
    let fetched = fetch(&quick(), &server.url("/"));
    assert!(fetched.bytes.is_empty(), "the words of an error came as content");
    let error = fetched.failed(code);
    assert!(error.chain().contains(&status.to_string()), "{}", error.chain());
    assert_eq!(server.requests().len(), 1, "{status} was tried again");
}

#[test]
fn what_is_not_there_is_enoent() {
    is_final(404, Code::ENOENT);
    is_final(410, Code::ENOENT);
}

#[test]
fn what_is_not_allowed_is_eacces() {
    is_final(401, Code::EACCES);
    is_final(403, Code::EACCES);
    is_final(407, Code::EACCES);
}

#[test]
fn other_statuses_are_errors_too() {
    for status in [204, 300, 304, 400, 402, 405, 406, 418, 451, 499] {
        let server =
            FaultServer::http(move |_, peer| peer.send(&Answer::new(status).without("Content-Length")));
        let fetched = fetch(&quick(), &server.url("/"));
        // 204 says that there is nothing: an empty file, or an error.
        if status != 204 {
            assert!(fetched.error.is_some(), "{status}");
        }
        assert!(fetched.bytes.is_empty());
    }
}

/// Fails a few times, then is right.
fn failing(times: usize, answer: Answer) -> FaultServer {
    let seen = AtomicUsize::new(0);
    FaultServer::http(move |request, peer| {
        if seen.fetch_add(1, Ordering::Relaxed) < times {
            return peer.send(&answer);
        }
        peer.send(&Object::new(1_000).answer(request))
    })
}

#[test]
fn what_may_pass_is_tried_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let server = failing(3, Answer::new(status));
        fetch(&quick(), &server.url("/")).is(0..1_000);
        assert_eq!(server.requests().len(), 4, "{status}");
    }
}

#[test]
fn retry_after_is_waited_for() {
    for status in [429, 503] {
        let server = failing(1, Answer::new(status).with("Retry-After", "1"));
        fetch(&quick(), &server.url("/")).is(0..1_000);
        let requests = server.requests();
        let pause = requests[1].at - requests[0].at;
        assert!(pause >= Duration::from_millis(900), "{pause:?}");
    }
}

#[test]
fn retry_after_as_a_date_that_is_past_is_no_wait() {
    let server = failing(1, Answer::new(503).with("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"));
    fetch(&quick(), &server.url("/")).is(0..1_000);
}

#[test]
fn retry_after_that_makes_no_sense_is_ignored() {
    for value in ["soon", "-1", "99999999999999999999999"] {
        let server = failing(1, Answer::new(503).with("Retry-After", value));
        let fetched = fetch(&quick(), &server.url("/"));
        // The last one is a number: longer than anybody waits.
        match &fetched.error {
            Some(error) => assert_eq!(error.code(), Code::EBUSY, "{value}"),
            None => fetched.is(0..1_000),
        }
    }
}

#[test]
fn a_longer_wait_than_the_operator_allows_is_ebusy_at_once() {
    let server = failing(1, Answer::new(503).with("Retry-After", "86400"));
    fetch(&registry(r#"retry-delay-max = "2s""#), &server.url("/")).failed(Code::EBUSY);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn too_busy_for_all_retries_is_ebusy() {
    for status in [429, 503] {
        let server = failing(100, Answer::new(status));
        fetch(&registry(r#"retry-delay = "1ms", retries = 2"#), &server.url("/")).failed(Code::EBUSY);
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn a_failing_server_is_an_error_after_the_retries() {
    let server = failing(100, Answer::new(500));
    let fetched = fetch(&registry(r#"retry-delay = "1ms", retries = 2"#), &server.url("/"));
    let error = fetched.error.expect("500 came as content");
    assert!(!matches!(error.code(), Code::ENOENT | Code::EACCES | Code::ESTALE), "{}", error.chain());
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn busy_in_the_middle_is_waited_out() {
    let seen = AtomicUsize::new(0);
    let server = FaultServer::http(move |request, peer| {
        let number = seen.fetch_add(1, Ordering::Relaxed);
        if number % 2 == 1 {
            return peer.send(&Answer::new(503));
        }
        peer.cut(&Object::new(100_000).answer(request), 30_000, After::Close)
    });
    fetch(&quick(), &server.url("/")).is(0..100_000);
}

#[test]
fn stat_and_remove_have_the_same_codes() {
    let server = FaultServer::http(|request, peer| {
        let status = request.target.trim_start_matches('/').parse().unwrap();
        peer.send(&Answer::new(status))
    });
    let registry = registry(r#"retry-delay = "1ms", retries = 1"#);
    for (status, code) in [(404, Code::ENOENT), (410, Code::ENOENT), (403, Code::EACCES), (503, Code::EBUSY)]
    {
        let url = server.url(&format!("/{status}"));
        refused(registry.stat(&url, &OpenOptions::default()), code);
        refused(registry.remove(&url, &OpenOptions::default()), code);
    }
    let methods: Vec<String> = server.requests().into_iter().map(|request| request.method).collect();
    assert!(methods.contains(&"DELETE".to_owned()), "{methods:?}");
}

/// S3 and others say in the body what is wrong; only the status was repeated.
#[test]
fn an_error_has_the_server_s_own_words_without_markup_and_secrets() {
    let said = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>Not the signature of \
                swordfish</Message><Key>reader</Key><Query>X-Sig=sesame</Query>\u{1b}[31m</Error>";
    let server = FaultServer::http(move |_, peer| {
        peer.send(&Answer::new(403).with("Content-Type", "application/xml").body(said))
    });
    let url = server.url("/?X-Sig=sesame").replace("://", "://reader:swordfish@");
    let error = fetch(&quick(), &url).failed(Code::EACCES).chain();
    let words = "the server says: SignatureDoesNotMatch Not the signature of *** *** X-Sig=*** \\u{1b}[31m";
    assert!(error.ends_with(words), "{error}");
    for outcome in [
        quick().stat(&url, &OpenOptions::default()).map(drop),
        quick().remove(&url.replace("/?", "/x?"), &OpenOptions::default()),
        quick().open(&url, &OpenOptions::new(UPLOAD)).map(drop),
    ] {
        let error = outcome.unwrap_err().chain();
        assert!(error.ends_with(words), "{error}");
    }
}

#[test]
fn words_that_do_not_come_or_are_none_are_not_waited_for_long() {
    for (kind, body) in [("image/png", "swordfish"), ("text/plain", "")] {
        let answer = Answer::new(404).with("Content-Type", kind).body(body);
        let server = FaultServer::http(move |_, peer| peer.send(&answer));
        let error = fetch(&quick(), &server.url("/")).failed(Code::ENOENT).chain();
        assert!(error.ends_with("404 not found"), "{error}");
    }
    // A megabyte of them, and a body that stands still.
    let server = FaultServer::http(|request, peer| {
        let answer = Answer::new(404).with("Content-Type", "text/plain").body("why ".repeat(250_000));
        peer.cut(&answer, if request.target == "/stalls" { 400 } else { u64::MAX }, After::Next)?;
        peer.stall()
    });
    for path in ["/", "/stalls"] {
        let error = fetch(&quick(), &server.url(path)).failed(Code::ENOENT).chain();
        assert!(error.contains("the server says: why why") && error.len() < 400, "{error}");
    }
}

#[test]
fn nobody_there_is_an_error_that_names_the_address() {
    let port = zvfs_test_support::free_port();
    let fetched = fetch(&registry("retries = 0"), &format!("http://127.0.0.1:{port}/"));
    let error = fetched.failed(Code::ECONNREFUSED);
    assert!(error.chain().contains(&port.to_string()), "{}", error.chain());
}

#[test]
fn an_unknown_host_is_an_error() {
    // RFC 6761: this name never exists.
    let fetched = fetch(&registry("retries = 0"), "http://nobody.invalid/");
    assert!(fetched.error.is_some());
}

#[test]
fn descriptors_that_are_no_url_are_einval() {
    for descriptor in
        ["http:", "http://", "http:host/x", "http:///x", "http://host:99999/", "http://[::1/", "https:"]
    {
        fetch(&quick(), descriptor).failed(Code::EINVAL);
    }
}
