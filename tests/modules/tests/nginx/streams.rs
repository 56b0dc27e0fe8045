//! Bodies on their way, large and slow.

use crate::{CGI, MIB, status};
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use zvfs_modules_tests::nginx::{Answer, Nginx, ask};
use zvfs_modules_tests::process::peak;
use zvfs_modules_tests::streams::{comes_back, pattern, read_until, reads_slowly};
use zvfs_test_support::{have, succeeded};

#[test]
fn a_large_body_and_a_large_answer_pass_through_with_flat_memory() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("zvm_timeout 120s;", CGI);
    let (size, file) = (64 * MIB, server.at("body"));
    let bytes = pattern(size);
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
fn bodies_stream_both_ways_over_http_1_2_and_tls() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("zvm_timeout 120s;", CGI);
    let (size, upload) = (16 * MIB, server.at("body.in"));
    let bytes = pattern(size);
    let total: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    fs::write(&upload, &bytes).unwrap();
    for (scheme, version) in [
        ("http", &["--http1.0"][..]),
        ("http", &["--http1.1"]),
        ("https", &["--http1.1", "-H", "Transfer-Encoding: chunked"]),
        ("https", &["--http2"]),
    ] {
        let ask = |path: &str, options: &[&str]| {
            let said = server.curl(scheme, path, &[version, options].concat());
            assert_eq!(status(&said), Some(0), "{scheme} {version:?} {path}: {}", server.log());
            said.stdout
        };
        let summed = ask("/cgi?sum", &["-T", &upload]);
        assert_eq!(String::from_utf8_lossy(&summed), format!("{size} {total}\n"), "{scheme} {version:?}");
        assert!(ask("/cgi?echo", &["-T", &upload]) == bytes, "{scheme} {version:?}");
        let came = ask(&format!("/cgi?many={size}"), &[]);
        assert!(came.len() == size && came.iter().all(|byte| *byte == b'x'), "{scheme} {version:?}");
    }
}

#[test]
fn a_gibibyte_passes_through_a_guest_and_back_with_flat_memory() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("zvm_timeout 1000s;", CGI);
    assert_eq!(server.curl("http", "/cgi?echo", &["--data", "warm"]).stdout, b"warm");
    let worker = server.workers()[0];
    let before = peak(worker);
    comes_back(server.connect(), "/cgi?echo", 1024 * MIB);
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
    reads_slowly(server.connect(), "/cgi", || {
        for _ in 0..20 {
            assert_eq!(server.get("/cgi").text(), "hello\n");
        }
    });
    // A guest that was not held up would have left its answer in the server.
    let grown = peak(worker).saturating_sub(before);
    assert!(grown < 48 * MIB, "{grown} bytes more than before");
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

/// A read once waited for 64 KiB of a body, or its end.
#[test]
fn what_has_come_of_a_body_is_there_to_be_read() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("zvm_timeout 120s;", CGI);
    let mut stream = server.connect();
    write!(stream, "POST /cgi?echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n").unwrap();
    for part in ["half", "more"] {
        stream.write_all(part.as_bytes()).unwrap();
        read_until(&mut stream, part.as_bytes());
    }
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

/// A stranger's report: it was told `keep-alive`, and the connection was dropped, where the guest had left more of the body than nginx
/// holds.
#[test]
fn a_connection_whose_body_is_left_unread_is_not_said_to_be_kept() {
    if !Nginx::is_here() {
        return;
    }
    let narrow = "location /narrow { zvm_program @CGI@; zvm_sessions 1; zvm_queue 0; zvm_timeout 120s; }";
    let server = Nginx::start("zvm_timeout 120s;", &format!("{CGI}\n{narrow}"));
    let mut running = server.connect();
    ask(&mut running, "/narrow?ticks=1000");
    read_until(&mut running, b"tick 1\n");
    // Of 8 MiB, which neither nginx nor the socket has room for, the rest is on its way when the answer comes.
    for (path, expected) in [("/cgi?", 200), ("/cgi?trap", 502), ("/narrow?", 503)] {
        let mut stream = server.connect();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 8 * MIB).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let writing = thread::spawn(move || writer.write_all(&vec![b'x'; 8 * MIB]).is_ok());
        let answer = Answer::read(stream);
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        assert!(answer.header.contains("Connection: close\r\n"), "{path}: {answer:?}");
        // All of it was taken, so that the answer was not lost by a reset.
        assert!(writing.join().unwrap(), "{path}");
    }
    drop(running);
    // What was taken already is no reason.
    let mut stream = server.connect();
    let request = |connection: &str, path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\n{connection}Content-Length: 9\r\n\r\nsome body")
    };
    write!(stream, "{}{}", request("", "/cgi?"), request("Connection: close\r\n", "/cgi?echo")).unwrap();
    let answer = Answer::read(stream);
    assert!(answer.header.contains("Connection: keep-alive\r\n"), "{answer:?}");
    assert!(answer.text().contains("\r\n\r\n") && answer.text().contains("some body"), "{answer:?}");
    // Over HTTP/2 there is nothing to say: the stream ends, and the connection has the next one. (curl would not do: it sends its body on
    // behind the answer's end, for ever.)
    if have(&["nghttp"]) {
        fs::write(server.at("body.in"), vec![b'x'; 8 * MIB]).unwrap();
        let mut nghttp = Command::new("nghttp");
        nghttp.args(["--timeout=120", "--data", &server.at("body.in")]);
        nghttp.args([server.url("https", "/cgi"), server.url("https", "/cgi?sum")]);
        let said = String::from_utf8(succeeded(nghttp).stdout).unwrap();
        assert_eq!(said, format!("hello\n{} {}\n", 8 * MIB, 8 * MIB * usize::from(b'x')));
    }
}
