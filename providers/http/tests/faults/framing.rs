//! Heads and chunks that are not HTTP.

use crate::common::*;
use std::time::Duration;
use vfs_core::{Code, OpenOptions};
use zvfs_http_servers::{After, Answer, FaultServer, Object, chunked, pattern};

/// What a chunked body is answered with; the body is raw.
fn chunks(body: impl Into<Vec<u8>>) -> FaultServer {
    let answer = Answer::new(200).with("Transfer-Encoding", "chunked").raw_body(body);
    FaultServer::http(move |_, peer| {
        peer.send(&answer)?;
        Ok(After::Close)
    })
}

#[track_caller]
fn is_eproto(server: &FaultServer) {
    fetch(&quick(), &server.url("/")).failed(Code::EPROTO);
    assert_eq!(server.requests().len(), 1, "it was tried again");
}

/// A hundred megabytes of the same behind the beginning of an answer: most of it is never taken.
#[track_caller]
fn is_bounded(begins: &'static [u8], piece: &'static [u8]) {
    let sent = Sent::default();
    let counting = sent.clone();
    let server = FaultServer::http(move |_, peer| {
        peer.raw(begins)?;
        flood(peer, piece, 100 << 20, &counting)?;
        Ok(After::Close)
    });
    is_eproto(&server);
    drop(server);
    assert!(sent.total() < 50 << 20, "{} bytes were taken", sent.total());
}

/// A chunk of the pattern, and what follows it.
fn after_a_chunk(rest: &[u8]) -> Vec<u8> {
    let mut body = b"a\r\n".to_vec();
    body.extend_from_slice(&pattern::bytes(0..10));
    body.extend_from_slice(rest);
    body
}

#[test]
fn chunks_of_all_sizes_with_extensions_and_trailers() {
    // A chunk is a call at least: of small ones several thousand will do.
    for (length, size) in [(5_000, 1), (20_000, 7), (100_000, 4_096), (100_000, 65_536), (100_000, 100_000)] {
        let server = chunks(chunked(&pattern::bytes(0..length), size));
        fetch(&quick(), &server.url("/")).is(0..length);
    }
    let server = chunks(after_a_chunk(b"\r\n0;last=\"yes\"\r\nX-Checksum: 1\r\n\r\n"));
    fetch(&quick(), &server.url("/")).is(0..10);
}

#[test]
fn a_chunk_size_that_is_no_number() {
    is_eproto(&chunks(after_a_chunk(b"\r\nzz\r\nabc\r\n0\r\n\r\n")));
}

#[test]
fn a_chunk_size_that_is_negative() {
    is_eproto(&chunks(after_a_chunk(b"\r\n-1\r\nabc\r\n0\r\n\r\n")));
}

#[test]
fn a_chunk_size_beyond_64_bits() {
    is_eproto(&chunks(after_a_chunk(b"\r\n1ffffffffffffffff\r\nabc\r\n0\r\n\r\n")));
}

#[test]
fn a_chunk_without_its_end() {
    is_eproto(&chunks(after_a_chunk(b"xx3\r\nabc\r\n0\r\n\r\n")));
}

#[test]
fn an_empty_chunk_size() {
    is_eproto(&chunks(after_a_chunk(b"\r\n\r\n0\r\n\r\n")));
}

#[test]
fn a_chunked_body_that_breaks_off_is_no_end() {
    for rest in [b"".as_slice(), b"\r\n", b"\r\n5\r\n", b"\r\n0", b"\r\n0\r\n"] {
        let server = chunks(after_a_chunk(rest));
        let registry = registry(r#"retry-delay = "1ms", retries = 1"#);
        let fetched = fetch(&registry, &server.url("/"));
        let code = fetched.error.as_ref().map(|error| error.code());
        assert!(matches!(code, Some(Code::ECONNRESET | Code::EPROTO)), "{rest:?}: {fetched:?}");
        assert!(pattern::bytes(0..10).starts_with(&fetched.bytes), "{rest:?}");
    }
}

#[test]
fn a_chunk_extension_without_end_is_bounded() {
    is_bounded(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na;", b"x");
}

#[test]
fn trailers_without_end_are_bounded() {
    is_bounded(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: value\r\n");
}

#[test]
fn a_hundred_megabytes_of_headers_are_bounded() {
    is_bounded(b"HTTP/1.1 200 OK\r\n", b"X-Padding: 0123456789abcdef\r\n");
}

#[test]
fn one_header_of_a_hundred_megabytes_is_bounded() {
    is_bounded(b"HTTP/1.1 200 OK\r\nX-Padding: ", b"0123456789abcdef");
}

#[test]
fn a_flood_of_interim_answers_is_bounded() {
    is_bounded(b"", b"HTTP/1.1 102 Processing\r\n\r\n");
}

#[test]
fn a_few_interim_answers_are_passed_over() {
    let server = FaultServer::http(|_, peer| {
        peer.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")?;
        peer.send(&Answer::new(200).body(pattern::bytes(0..100)))
    });
    fetch(&quick(), &server.url("/")).is(0..100);
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for() {
    is_eproto(&saying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"));
}

#[test]
fn what_is_no_status_line() {
    for words in [
        "220 mail.example ESMTP\r\n",
        "<html>\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "\u{0}\u{0}\u{1}\u{4}",
        "SSH-2.0-OpenSSH_9.9\r\n",
    ] {
        let server = saying(words);
        let fetched = fetch(&quick(), &server.url("/"));
        let code = fetched.error.as_ref().map(|error| error.code());
        assert_eq!(code, Some(Code::EPROTO), "{words:?}: {fetched:?}");
    }
}

#[test]
fn a_header_line_without_a_colon() {
    is_eproto(&saying("HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn lengths_that_are_no_lengths() {
    for length in ["abc", "-5", "+5", "5, 6", "0x5", "18446744073709551616", "5 5"] {
        let server = saying(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n12345"));
        let fetched = fetch(&quick(), &server.url("/"));
        let code = fetched.error.as_ref().map(|error| error.code());
        assert_eq!(code, Some(Code::EPROTO), "{length:?}: {fetched:?}");
    }
}

#[test]
fn two_lengths_that_differ() {
    is_eproto(&saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456"));
}

#[test]
fn a_length_beside_chunks_is_not_believed() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    answer.extend_from_slice(&chunked(&pattern::bytes(0..10), 10));
    let server = saying(answer);
    let fetched = fetch(&quick(), &server.url("/"));
    match &fetched.error {
        None => fetched.is(0..10),
        Some(_) => drop(fetched.failed(Code::EPROTO).code()),
    }
}

#[test]
fn a_coding_that_was_not_asked_for() {
    let server = FaultServer::http(|_, peer| {
        peer.send(&Answer::new(200).with("Content-Encoding", "gzip").body(b"\x1f\x8b\x08".as_slice()))
    });
    is_eproto(&server);
    assert_eq!(server.requests()[0].header("Accept-Encoding"), Some("identity"));
    is_eproto(&saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"));
}

/// Objects are stored encoded, `.tar.gz` by many servers: there was no way to read them.
#[test]
fn an_encoded_object_is_read_as_it_is_stored_if_who_opens_says_so() {
    let server = spoiling(Object::new(300_000), |_, answer| answer.with("Content-Encoding", "gzip"));
    let error = fetch(&quick(), &server.url("/")).failed(Code::EPROTO).chain();
    for words in ["gzip", "`content-encoding`", "`as-stored`"] {
        assert!(error.contains(words), "{error}");
    }
    let stored = || OpenOptions::new(READ).setting("content-encoding", "as-stored");
    fetch_with(&quick(), &server.url("/"), stored()).is(0..300_000);
    let url = server.url("/");
    in_time(move || {
        let file = quick().open(&url, &stored()).unwrap();
        assert!(read_at(&file, 250_000, 1_000).unwrap() == pattern::bytes(250_000..251_000));
    });
    // An operator may say so for all.
    fetch(&registry(r#"content-encoding = "as-stored""#), &server.url("/")).is(0..300_000);
}

#[test]
fn an_encoding_that_changes_is_another_object() {
    let object = Object::new(100_000);
    let server = FaultServer::http(move |request, peer| {
        let answer = object.answer(request);
        let answer = if request.first() > 0 { answer.with("Content-Encoding", "br") } else { answer };
        peer.cut(&answer, 40_000, After::Close)
    });
    let how = OpenOptions::new(READ).setting("content-encoding", "as-stored");
    fetch_with(&quick(), &server.url("/"), how).failed(Code::ESTALE);
}

#[test]
fn an_encoded_error_is_that_error() {
    let server = FaultServer::http(|_, peer| {
        peer.send(&Answer::new(404).with("Content-Encoding", "gzip").body(b"\x1f\x8b\x08".as_slice()))
    });
    fetch(&quick(), &server.url("/")).failed(Code::ENOENT);
}

#[test]
fn identity_is_no_coding() {
    let server = FaultServer::http(|_, peer| {
        peer.send(&Answer::new(200).with("Content-Encoding", "identity").body(pattern::bytes(0..9)))
    });
    fetch(&quick(), &server.url("/")).is(0..9);
}

/// As curl takes them. The next request goes over another connection: who stands between may have seen another end.
#[test]
fn chunks_ended_by_a_bare_lf_are_read_and_their_connection_is_not_used_again() {
    let server = FaultServer::http(|_, peer| {
        let mut body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\n".to_vec();
        body.extend_from_slice(&pattern::bytes(0..10));
        body.extend_from_slice(b"\n0\n\n");
        peer.raw(&body)?;
        Ok(After::Next)
    });
    let registry = quick();
    for _ in 0..2 {
        fetch(&registry, &server.url("/")).is(0..10);
    }
    assert_eq!(server.connections(), 2);
}

#[test]
fn chunks_that_drip_come_whole() {
    let server = FaultServer::http(|_, peer| {
        peer.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        peer.drip(&chunked(&pattern::bytes(0..30), 4), Duration::from_millis(1))?;
        Ok(After::Close)
    });
    fetch(&quick(), &server.url("/")).is(0..30);
}
