//! Guests that answer by `Location: /path`, which the server follows by itself.

use std::io::{Read, Write};
use std::thread;
use zvfs_modules_tests::apache::Apache;
use zvfs_modules_tests::raw;

/// A session kept its place while what it pointed to was answered, so a guest that points to itself held the place until the server's
/// Timeout, and as many redirects at once as there are places held all of them.
#[test]
fn a_redirect_leaves_its_place_before_it_is_followed() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "", "ZvmSessions 1\nZvmQueue 20")]);
    assert_eq!(apache.request("/guest?again", b"").status, 500);
    let log = apache.log();
    assert!(log.contains("LimitInternalRecursion"), "{log}");
    assert!(!log.contains("refused"), "{log}");
    let turn = raw(b"Location: /guest?\n\n");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(apache.curl(&[], false, &format!("/guest?{turn}")), "hello\n"));
        }
    });
    assert!(!apache.log().contains("refused"), "{}", apache.log());
}

/// A guest may point elsewhere before it has read its body. What was left of it was taken for the connection's next request.
#[test]
fn the_body_of_a_redirected_request_is_no_request() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "", "")]);
    let smuggled = "GET /guest?status=418 HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    for (header, body) in [
        (format!("Content-Length: {}", smuggled.len()), smuggled),
        ("Transfer-Encoding: chunked".to_owned(), chunk.as_str()),
    ] {
        let mut stream = apache.connect();
        write!(stream, "POST /guest?redirect HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n{body}").unwrap();
        write!(stream, "GET /guest? HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let statuses: Vec<&str> = text.matches("HTTP/1.1 ").collect();
        assert!(statuses.len() == 2 && !text.contains("418") && text.contains("hello"), "{header}: {text}");
    }
}

/// What a guest says of its own body went with the answer of the other URL, which clients then took for compressed.
#[test]
fn a_redirect_takes_cookies_along_and_no_words_about_a_body() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "", "")]);
    let turn = raw(b"Location: /guest?\nContent-Encoding: gzip\nContent-Language: de\nSet-Cookie: a=1\n\n");
    let answer = apache.curl(&["--include"], false, &format!("/guest?{turn}"));
    assert!(answer.ends_with("hello\n") && answer.contains("Set-Cookie: a=1"), "{answer}");
    assert!(!answer.contains("Content-Encoding") && !answer.contains("Content-Language"), "{answer}");
}
