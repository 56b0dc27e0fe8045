//! Bodies on their way, large and slow.

use crate::{CGI, MIB, status};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};
use zvfs_modules_tests::nginx::{Nginx, ask};
use zvfs_modules_tests::process::peak;

#[test]
fn a_large_body_and_a_large_answer_pass_through_with_flat_memory() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("zvm_timeout 120s;", CGI);
    let (size, file) = (64 * MIB, server.at("body"));
    let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    let total: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    fs::write(format!("{file}.in"), &bytes).unwrap();
    let upload = format!("{file}.in");
    let sent = format!("@{upload}");
    assert_eq!(server.curl("http", "/cgi?echo", &["--data", "warm"]).stdout, b"warm");
    let worker = server.workers()[0];
    let before = peak(worker);
    let chunked = ["--http1.1", "-H", "Transfer-Encoding: chunked", "--data-binary", &sent];
    for (scheme, options) in [
        ("http", &chunked[..]),
        ("https", &["--http2", "--data-binary", &sent]),
        ("https", &["--http1.1", "-T", &upload]),
    ] {
        let said = server.curl(scheme, "/cgi?sum", options);
        assert_eq!(
            String::from_utf8_lossy(&said.stdout),
            format!("{size} {total}\n"),
            "{options:?}: {said:?}"
        );
    }
    let said = server.curl("http", "/cgi?echo", &["-T", &upload]);
    assert!(said.stdout == bytes, "{} bytes came back: {}", said.stdout.len(), server.log());
    let grown = peak(worker).saturating_sub(before);
    assert!(grown < 48 * MIB, "{grown} bytes more than before");
}

#[test]
fn a_gibibyte_passes_through_a_guest_with_flat_memory() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("zvm_timeout 1000s;", CGI);
    assert_eq!(server.curl("http", "/cgi?sum", &["--data", "a"]).stdout, b"1 97\n");
    let body = server.at("body.in");
    let size = 1024 * MIB as u64;
    fs::File::create(&body).unwrap().set_len(size).unwrap();
    let worker = server.workers()[0];
    let before = peak(worker);
    let said = server.curl("http", "/cgi?sum", &["-T", &body]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{size} 0\n"), "{said:?} {}", server.log());
    let grown = peak(worker).saturating_sub(before);
    assert!(grown < 48 * MIB, "{grown} bytes more than before");
}

#[test]
fn a_slow_client_holds_up_its_guest_and_nobody_else() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("zvm_timeout 120s;", CGI);
    assert_eq!(server.get("/cgi").text(), "hello\n");
    let worker = server.workers()[0];
    let before = peak(worker);
    let mut slow = server.connect();
    ask(&mut slow, "/cgi?many=100000000");
    let mut first = [0; 1000];
    slow.read_exact(&mut first).unwrap();
    for _ in 0..20 {
        assert_eq!(server.get("/cgi").text(), "hello\n");
    }
    let grown = peak(worker).saturating_sub(before);
    assert!(grown < 48 * MIB, "{grown} bytes more than before");
    let mut rest = 0;
    let mut buf = vec![0; MIB];
    loop {
        match slow.read(&mut buf).unwrap() {
            0 => break,
            count => rest += count,
        }
    }
    assert!(rest + first.len() > 100_000_000, "{rest}");
}

#[test]
fn what_a_guest_writes_reaches_the_client_before_it_ends() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("zvm_timeout 120s;", "location /cgi { zvm_program @CGI@; zvm_sessions 1; }");
    let mut stream = server.connect();
    ask(&mut stream, "/cgi?ticks=1000");
    read_until(&mut stream, b"tick 1\n");
    // A client that goes away ends its session, whose place is free long before the guest would have ended.
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    let start = Instant::now();
    assert_eq!(server.get("/cgi").text(), "hello\n");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    // So does one that goes away in the middle of its body, over HTTP/2 too.
    let mut stream = server.connect();
    write!(stream, "POST /cgi?echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf").unwrap();
    drop(stream);
    let said = server.curl("https", "/cgi?ticks=1000", &["--http2", "--max-time", "1"]);
    assert_eq!(status(&said), Some(28));
    assert_eq!(server.get("/cgi").text(), "hello\n");
}

/// A stranger's report: over HTTP/1.1 the header came with the first byte of the body, however late that was.
#[test]
fn a_header_does_not_wait_for_its_body() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("zvm_timeout 120s;", CGI);
    let mut stream = server.connect();
    write!(stream, "POST /cgi?echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    read_until(&mut stream, b"\r\n\r\n");
    // A wrong request can no longer be told so: the answer ends without its end.
    write!(stream, "no chunk\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
    assert!(!server.log().contains("[alert]"), "{}", server.log());
}

/// Reads up to these bytes, one by one.
#[track_caller]
fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut came = Vec::new();
    while !came.ends_with(end) {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&came));
        came.push(byte[0]);
    }
}
