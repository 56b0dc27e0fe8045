//! `modules/apache` in Debian's Apache with mpm_event.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod clients;
mod compiling;
mod configuration;
mod limits;
mod redirects;
mod streams;

use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use zvfs_modules_tests::apache::{Answer, Apache};
use zvfs_modules_tests::{WRONG_HEADS, raw};
use zvfs_test_support::{LIMIT, eventually, fifo};

/// A FIFO that guests read as `/data`.
fn gate(apache: &Apache) -> PathBuf {
    let path = fifo(apache.guests().join("gate"));
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    path
}

const GATED: &str = "Channel = $FOLDER/gate, /data, 0, 9, 1, 0, 0";

/// Waits until a guest has it open for reading.
fn with_a_reader(gate: &Path) -> File {
    let mut writer = None;
    eventually("a guest reads the FIFO", || {
        let flags = OFlags::NONBLOCK.bits() as i32;
        writer = OpenOptions::new().write(true).custom_flags(flags).open(gate).ok();
        writer.is_some()
    });
    writer.unwrap()
}

#[test]
fn the_server_runs_mpm_event() {
    if !Apache::is_here() {
        return;
    }
    let mut apache = Apache::start(&[("guest", "", "")]);
    assert_eq!(apache.request("/guest?", b"").text(), ("hello\n".into(), true));
    let (mpm, threads) = apache.mpm();
    assert_eq!(mpm, "event");
    // ThreadsPerChild, in one process, and those that listen and manage.
    assert!(threads > 32, "{threads} threads");
}

#[test]
fn a_request_is_a_cgi_program_s() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "", "")]);
    assert_eq!(apache.curl(&["-d", "a body"], false, "/guest?echo"), "a body");
    let said = apache.curl(
        &["-H", "X-Test: yes", "-H", "Authorization: Basic eA==", "-d", "abc"],
        false,
        "/guest/more?environment",
    );
    for line in [
        "REQUEST_METHOD=POST",
        "QUERY_STRING=environment",
        "CONTENT_LENGTH=3",
        "HTTP_X_TEST=yes",
        "GATEWAY_INTERFACE=CGI/1.1",
        "GREETING=hello",
    ] {
        assert!(said.lines().any(|said| said == line), "no {line}: {said}");
    }
    assert!(!said.contains("AUTHORIZATION") && !said.contains("LD_LIBRARY_PATH"), "{said}");
    let answer = apache.request("/guest?status=404", b"");
    assert_eq!(answer.status, 404);
    assert!(answer.head.contains("404 What I Say") && answer.head.contains("X-Own: yes"), "{answer:?}");
    assert_eq!(answer.text(), ("body\n".into(), true));
    // Only the server says how long a body is, and only a final answer ends a request.
    let answer = apache.request("/guest?length=2", b"");
    assert!(!answer.head.contains("Content-Length: 2\r"), "{answer:?}");
    assert_eq!(answer.text(), ("0123456789".into(), true));
    for status in ["100", "101", "103", "199", "600", "999", "200abc"] {
        assert_eq!(apache.request(&format!("/guest?status-line={status}"), b"").status, 500, "{status}");
    }
    // A stranger's report: with the guest's encoding, of what is Apache's own page.
    let head = b"Content-Encoding: gzip\nConnection: guest-made\nX: guest-made\nStatus: 999 x\n\nbody";
    let answer = apache.request(&format!("/guest?{}", raw(head)), b"");
    let of_guest = answer.head.contains("guest-made") || answer.head.contains("gzip");
    assert!(answer.status == 500 && !of_guest, "{answer:?}");
    let answer = apache.request("/guest?hop", b"");
    assert!(!answer.head.contains("guest-made") && answer.head.contains("Set-Cookie: b=2"), "{answer:?}");
    assert_eq!(answer.text(), ("hop\n".into(), true));
    let chunked =
        apache.curl(&["-H", "Transfer-Encoding: chunked", "-d", "abc"], false, "/guest?environment");
    assert!(!chunked.contains("TRANSFER_ENCODING") && !chunked.contains("CONTENT_LENGTH"), "{chunked}");
    // Another URL of this server answers in its place.
    assert_eq!(apache.curl(&[], false, "/guest?redirect"), "static");
}

/// A stranger's report: over HTTP/2 the body that the guest wrote was sent, and a client takes that for a broken stream.
#[test]
fn the_answer_to_head_has_no_body() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "", "")]);
    for query in ["", "many=100000", "many=1000000", "ticks=3", "status=404"] {
        let path = format!("/guest?{query}");
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let head = apache.curl(&["--head", version], false, &path);
            let status = if query == "status=404" { " 404" } else { " 200" };
            assert!(head.starts_with("HTTP/") && head.contains(status), "{version} {query}: {head}");
            // GET has none, or that of the body.
            assert!(!head.to_lowercase().contains("content-length: 0"), "{version} {query}: {head}");
        }
        assert_eq!(data_of_head(&apache, &path), 0, "{query}");
    }
}

/// How many bytes of DATA frames answer HEAD over HTTP/2, up to the stream's end.
fn data_of_head(apache: &Apache, path: &str) -> usize {
    const DATA: u8 = 0;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    const END_STREAM: u8 = 1;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let size = u8::try_from(payload.len()).unwrap();
        [&[0, 0, size, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // Literals, with names of HPACK's table: `:authority`, `:method`, `:path`; and its `:scheme: http`.
    let literal =
        |name: u8, value: &str| [&[name, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    let fields = [literal(2, "HEAD"), vec![0x86], literal(4, path), literal(1, "x")].concat();
    let mut stream = apache.connect();
    let settings = frame(4, 0, 0, &[]);
    let headers = frame(1, 4 | END_STREAM, 1, &fields);
    stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &headers].concat()).unwrap();
    let mut data = 0;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let size = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; size];
        stream.read_exact(&mut payload).unwrap();
        let (kind, flags) = (head[3], head[4]);
        assert!(kind != RST_STREAM && kind != GOAWAY, "frame {kind}: {payload:?}");
        data += if kind == DATA { size } else { 0 };
        if head[8] == 1 && kind <= 1 && flags & END_STREAM != 0 {
            return data;
        }
    }
}

#[test]
fn what_is_no_answer_is_an_error_and_a_part_is_cut_off() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[
        ("guest", "Timeout = 20\nFuel = 2000000000", ""),
        ("hasty", "Timeout = 1", ""), // without a limit of fuel
        ("narrow", "Channel = /dev/null, /dev/stdout, 0, 0, 0, 1000, 100000", ""),
    ]);
    for query in
        ["none", "half", "bad-line", "nul", "large-header=100000", "exit=7", "trap", "spin", "overflow"]
    {
        let answer = apache.request(&format!("/guest?{query}"), b"");
        assert_eq!(answer.status, 500, "{query}: {answer:?}");
    }
    assert_eq!(apache.request("/hasty?spin", b"").status, 500);
    for query in ["late-exit=7", "late-trap"] {
        let answer = apache.request(&format!("/guest?{query}"), b"");
        let (body, is_whole) = answer.text();
        assert_eq!((answer.status, is_whole), (200, false), "{query}");
        assert!(body.len() <= 200_000, "{query}");
    }
    // A quota that is reached is a failed write, for which this guest exits with 3.
    assert!(!apache.request("/narrow?many=200000", b"").text().1);
    let log = apache.log();
    for words in [
        "the guest exited with 3",
        "the guest ended before its header lines did",
        "`no colon here` does not begin with a name and a colon",
        "the guest's header X has the byte 0x00",
        "header lines have over 65536 bytes",
        "the guest exited with 7",
        "trap",
        "timeout",
    ] {
        assert!(log.to_lowercase().contains(&words.to_lowercase()), "no `{words}`: {log}");
    }
    eventually("the reports are in the access log", || {
        let access = apache.access_log();
        access.contains("500 session=- exit=0 guest=7 ") && access.contains("500 session=- exit=4 guest=- ")
    });
}

/// A stranger's report: some bytes passed, and over HTTP/2 they cost the client the whole answer; of two `Status` the last one counted.
#[test]
fn what_http_forbids_in_a_header_is_an_error() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("guest", "", "")]);
    for (head, said) in WRONG_HEADS {
        let path = format!("/guest?{}", raw(head));
        let shown = head.escape_ascii();
        assert_eq!(apache.request(&path, b"").status, 500, "{shown}");
        let code = ["--http2-prior-knowledge", "--output", "/dev/null", "--write-out", "%{http_code}"];
        assert_eq!(apache.curl(&code, false, &path), "500", "{shown}");
        assert!(apache.log().contains(said), "{shown}: {}", apache.log());
    }
    // What is unusual and allowed comes through.
    let path = format!("/guest?{}", raw(b"X.Y!#$%&'*+-^_`|~: a\tb \xe4 \"\r\n\r\nbody"));
    assert_eq!(apache.curl(&["--http2-prior-knowledge"], false, &path), "body");
    assert_eq!(apache.request(&path, b"").text(), ("body".into(), true));
}

#[test]
fn a_guest_reaches_what_its_manifest_lists_and_says_what_it_says_in_the_log() {
    if !Apache::is_here() {
        return;
    }
    let apache =
        Apache::start(&[("guest", "", ""), ("greedy", "Channel = /etc/passwd, /data, 0, 9, 99, 0, 0", "")]);
    let said = apache.curl(&[], false, "/guest?hostile");
    assert!(
        !said.contains("read\n") && !said.contains("wrote") && said.contains("memory: refused"),
        "{said}"
    );
    assert_eq!(apache.request("/greedy?file", b"").status, 500);
    assert_eq!(apache.curl(&[], false, "/guest?messages"), "told\n");
    let log = apache.log();
    assert!(log.contains("/etc/passwd") && log.contains("root"), "{log}");
    for words in ["zvm guest: first", "zvm guest: last without an end"] {
        let line = log.lines().find(|line| line.contains(words)).unwrap();
        // [notice] [the request's id] ...
        let id = line.split(['[', ']']).nth(3).unwrap();
        assert!(id.len() > 5, "{line}");
    }
    assert!(!log.contains('\x1b') && log.contains("slash? and behind a NUL"), "{log}");
}

#[test]
fn a_full_queue_is_503() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::start(&[("gated", GATED, "ZvmSessions 1\nZvmQueue 1"), ("other", "", "")]);
    let gate = gate(&apache);
    let ask = || {
        let mut stream = apache.connect();
        stream.write_all(b"GET /gated?file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        stream
    };
    let mut first = ask();
    let mut writer = with_a_reader(&gate);
    // Of two more, one waits and one is refused.
    let (sender, answers) = channel();
    for mut stream in [ask(), ask()] {
        let sender = sender.clone();
        thread::spawn(move || sender.send(Answer::read(&mut stream)));
    }
    let refused = answers.recv_timeout(LIMIT).unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("Retry-After: 1"), "{refused:?}");
    // Other places have their own.
    assert_eq!(apache.curl(&[], false, "/other?"), "hello\n");
    writer.write_all(b"x").unwrap();
    assert_eq!(Answer::read(&mut first).text(), ("x".into(), true));
    drop(writer);
    with_a_reader(&gate).write_all(b"y").unwrap();
    assert_eq!(answers.recv_timeout(LIMIT).unwrap().text(), ("y".into(), true));
    assert!(apache.log().contains("1 sessions run and 1 requests wait"));
}

#[test]
fn a_reload_loses_no_answer() {
    if !Apache::is_here() {
        return;
    }
    let apache =
        Apache::start(&[("gated", GATED, "ZvmSessions 20"), ("guest", "", "ZvmSessions 8\nZvmQueue 24")]);
    let gate = gate(&apache);
    let mut slow = apache.connect();
    slow.write_all(b"GET /gated?file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut writer = with_a_reader(&gate);
    thread::scope(|scope| {
        let load: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let answer = apache.request("/guest?echo", b"body");
                        assert_eq!((answer.status, answer.text()), (200, ("body".into(), true)));
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            apache.reload();
        }
        load.into_iter().for_each(|thread| thread.join().unwrap());
    });
    writer.write_all(b"x").unwrap();
    assert_eq!(Answer::read(&mut slow).text(), ("x".into(), true));
}

#[test]
fn five_hundred_requests_at_once_are_all_answered() {
    if !Apache::is_here() {
        return;
    }
    let mut apache = Apache::start(&[("guest", "", "ZvmSessions 16\nZvmQueue 1000")]);
    assert_eq!(apache.request("/guest?", b"").status, 200);
    let before = apache.descriptors();
    let mut streams: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = apache.connect();
            stream.write_all(b"GET /guest? HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for stream in &mut streams {
        let answer = Answer::read(stream);
        assert_eq!((answer.status, answer.text()), (200, ("hello\n".into(), true)));
        let _ = stream.shutdown(Shutdown::Both);
    }
    drop(streams);
    eventually("every descriptor is closed", || apache.descriptors() <= before);
}

#[test]
fn the_sanitizers_find_nothing_in_some_hundred_requests() {
    if !Apache::is_here() {
        return;
    }
    let apache = Apache::sanitized(&[("guest", "Fuel = 10000000", "ZvmSessions 4\nZvmQueue 100")]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for query in
                    ["", "echo", "sum", "environment", "status=404", "redirect", "none", "half", "bad-line"]
                        .into_iter()
                        .chain([
                            "messages",
                            "exit=7",
                            "late-exit=3",
                            "trap",
                            "late-trap",
                            "many=300000",
                            "spin",
                        ])
                        .cycle()
                        .take(60)
                {
                    let answer = apache.request(&format!("/guest?{query}"), b"some body");
                    assert_ne!(answer.status, 0, "{query}");
                    let mut leaving = apache.connect();
                    leaving.write_all(b"GET /guest?many=99999999 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                }
            });
        }
    });
    let found = apache.findings();
    assert!(found.is_empty(), "{found}");
}
