//! Bodies on their way, large and slow.

use std::fs;
use std::io::Write;
use std::thread;
use zvfs_modules_tests::apache::{Answer, Apache};
use zvfs_modules_tests::streams::{comes_back, pattern, read_until, reads_slowly};

#[test]
fn bodies_stream_both_ways_over_http_1_2_and_tls() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "", "")]);
    let body = pattern(16 << 20);
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    let file = apache.guests().join("body");
    fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    let (size, many) = (body.len(), body.len().to_string());
    for (arguments, tls) in [
        (&["--http1.1"][..], false),
        (&["--http1.1", "-H", "Transfer-Encoding: chunked"], true),
        (&["--http2-prior-knowledge"], false),
        (&["--http2"], true),
    ] {
        let mut post = arguments.to_vec();
        post.extend(["--data-binary", &data]);
        assert_eq!(apache.curl(&post, tls, "/guest?sum"), format!("{size} {sum}\n"), "{arguments:?}");
        // Without a body, which must not be announced either: Apache would wait for it before it ends its answer.
        let get = [arguments[0], "--output", "/dev/null", "--write-out", "%{size_download}"];
        assert_eq!(apache.curl(&get, tls, &format!("/guest?many={many}")), many, "{arguments:?}");
    }
    // Back and forth in chunks, with the client reading while it writes.
    let mut stream = apache.connect();
    let head = format!(
        "POST /guest?echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let (came, is_whole) = thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&body).unwrap());
        Answer::read(&mut stream).bytes()
    });
    assert!(is_whole && came == body, "{} bytes", came.len());
}

/// Of a manifest that says so; of others a read waits for all that it asked for.
#[test]
fn what_has_come_of_a_body_is_there_to_be_read() {
    if !Apache::is_here() {
        return;
    }
    let live = "Interactive = /dev/stdin\nChannel = /dev/null, /dev/stdin, 0, 1000, 1000, 0, 0";
    let apache = Apache::start(&[("live", live, "")]);
    let mut stream = apache.connect();
    write!(stream, "POST /live?echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n").unwrap();
    for part in ["half", "more"] {
        stream.write_all(part.as_bytes()).unwrap();
        read_until(&mut stream, part.as_bytes());
    }
}

#[test]
fn a_gibibyte_passes_through_a_guest_and_back_with_flat_memory() {
    if !Apache::is_here() {
        return;
    }
    let mut apache = Apache::start(&[("guest", "Timeout = 1000", "")]);
    assert_eq!(apache.request("/guest?echo", b"warm").text(), ("warm".into(), true));
    let before = apache.peak();
    comes_back(apache.connect(), "/guest?echo", 1 << 30);
    let grown = apache.peak().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more than before");
}

#[test]
fn a_slow_client_holds_up_its_guest_and_nobody_else() {
    if !Apache::is_here() {
        return;
    }
    let mut apache = Apache::start(&[("guest", "", "")]);
    assert_eq!(apache.request("/guest?", b"").text(), ("hello\n".into(), true));
    let before = apache.peak();
    reads_slowly(apache.connect(), "/guest", || {
        for _ in 0..20 {
            assert_eq!(apache.request("/guest?", b"").text(), ("hello\n".into(), true));
        }
    });
    // A guest that was not held up would have left its answer in the server.
    let grown = apache.peak().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more than before");
}
