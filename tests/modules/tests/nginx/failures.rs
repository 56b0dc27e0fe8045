//! Guests that fail or want too much.

use crate::{CGI, MIB, status};
use std::fs;
use zvfs_modules_tests::nginx::Nginx;
use zvfs_modules_tests::{WRONG_HEADS, raw};
use zvfs_test_support::eventually;

#[test]
fn a_guest_that_fails_is_an_error_and_never_half_an_answer() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start(
        "zvm_timeout 2s;",
        &format!(
            "{CGI}\n location /fuel {{ zvm_program @CGI@; zvm_fuel 100000000; zvm_timeout 100s; }}\n\
             location /sorry {{ zvm_program @CGI@; error_page 502 = @sorry; }}\n location @sorry {{ return 502 sorry; }}\n\
             location /other {{ zvm_program @CGI@; error_page 502 = /cgi?; }}\n\
             location /one {{ zvm_program @CGI@; zvm_sessions 1; zvm_queue 0; error_page 502 = /one?; }}"
        ),
    );
    for (path, expected, reason) in [
        ("/cgi?none", 502, "the guest ended before its header did"),
        ("/cgi?half", 502, "the guest ended before its header did"),
        ("/cgi?bad-line", 502, "header line \"no colon here\" does not begin with a name and a colon"),
        ("/cgi?split", 502, "the guest's header X has the byte 0x0d"),
        ("/cgi?bad-status", 502, "the guest's Status is \"99\", not 200 to 599"),
        ("/cgi?status-line=200abc", 502, "the guest's Status is \"200abc\", not 200 to 599"),
        ("/cgi?status-line=600", 502, "the guest's Status is \"600\", not 200 to 599"),
        ("/cgi?nul", 502, "the guest's header X has the byte 0x00"),
        ("/cgi?large-header=40000", 502, "header is larger than 32768 bytes"),
        ("/cgi?exit=3", 502, "the guest exited with code 3"),
        ("/cgi?trap", 502, "trap: "),
        ("/cgi?overflow", 502, "trap: "),
        ("/cgi?spin", 504, "timeout: "),
        ("/fuel?spin", 502, "fuel: "),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, expected, "{path}: {answer:?} {}", server.log());
        server.logs(reason);
    }
    for path in ["/cgi?late-exit=3", "/cgi?late-trap"] {
        // curl's "transfer closed", and its "stream was not closed cleanly".
        assert_eq!(status(&server.curl("http", path, &[])), Some(18), "{path}");
        assert_eq!(status(&server.curl("https", path, &["--http2"])), Some(92), "{path}");
    }
    // An error page may be a file's or a guest's, and the rest of the body is on its way still. (Over HTTP/2 this curl waits for the rest
    // of its body to be taken, if the answer is no error; with any server.)
    fs::write(server.at("body.in"), vec![b'x'; MIB]).unwrap();
    let upload = server.at("body.in");
    for (scheme, version, path, said) in [
        ("http", "--http1.1", "/sorry?trap", "sorry"),
        ("https", "--http2", "/sorry?trap", "sorry"),
        ("http", "--http1.1", "/other?trap", "hello\n"),
    ] {
        let answer = server.curl(scheme, path, &[version, "-T", &upload]);
        assert_eq!(String::from_utf8_lossy(&answer.stdout), said, "{version}: {}", server.log());
    }
    // One session of a place is over when the next one of its request begins.
    assert_eq!(server.get("/one?trap").text(), "hello\n", "{}", server.log());
    assert_eq!(server.get("/cgi").text(), "hello\n");
    let access = fs::read_to_string(server.at("access.log")).unwrap();
    assert!(
        access.contains("504 timeout: ") && access.contains("502 trap: ") && access.contains("200 ok "),
        "{access}"
    );
    let mut reports = access.lines().filter(|line| line.contains(" exit=0 guest=3 seconds="));
    assert!(
        reports
            .any(|line| line.starts_with("502 the guest exited with code 3 ")
                && line.ends_with(" state=\"ok\"")),
        "{access}"
    );
}

/// A stranger's report: only the guest's own messages had the id, and the access log could not be joined with the reasons.
#[test]
fn why_a_request_failed_is_logged_with_its_id() {
    if !Nginx::is_here() {
        return;
    }
    let lines = "add_header X-Id $request_id always; zvm_program @CGI@;";
    let site = format!("location /cgi {{ {lines} }}\nlocation /short {{ {lines} zvm_timeout 1s; }}");
    let server = Nginx::start("", &site);
    let long = ["X".repeat(1500).as_bytes(), b": \x01\n\nbody"].concat();
    for (path, reason) in [
        ("/cgi?exit=7".to_owned(), "the guest exited with code 7"),
        ("/cgi?trap".to_owned(), "trap: "),
        ("/short?spin".to_owned(), "timeout: "),
        ("/cgi?none".to_owned(), "the guest ended before its header did"),
        // More than a line of the log holds.
        ("/cgi?loud".to_owned(), "guest wrote to stderr: \"\\x1B\\x1B"),
        (format!("/cgi?{}", raw(&long)), "X has the byte 0x01"),
        (format!("/cgi?{}", raw(b"no colon\n\n")), "does not begin with a name and a colon"),
        (format!("/cgi?{}", raw(b"Status: 600\n\n")), "the guest's Status is \"600\", not 200 to 599"),
        (
            format!("/cgi?{}", raw(b"Content-Length: \"x\n\n")),
            "the guest's Content-Length is \"\\x22x\", not a number of bytes",
        ),
        (
            format!("/cgi?{}", raw(b"Content-Length: 4\nContent-Length: 5\n\nbody")),
            "have Content-Length twice: 4 and 5",
        ),
    ] {
        let answer = server.get(&path);
        assert!(answer.status >= 500, "{path}: {answer:?}");
        let id = answer.header.lines().find_map(|line| line.strip_prefix("X-Id: ")).unwrap();
        let said = format!(", id: \"{id}\"");
        eventually(format!("the log has {reason} of {id}"), || {
            server.log().lines().any(|line| line.contains(reason) && line.contains(&said))
        });
    }
}

/// A stranger's report: some bytes passed, and over HTTP/2 they cost the client the whole answer; of two `Status` the last one counted.
#[test]
fn what_http_forbids_in_a_header_is_an_error() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    for (head, said) in WRONG_HEADS {
        let path = format!("/cgi?{}", raw(head));
        let shown = head.escape_ascii();
        assert_eq!(server.get(&path).status, 502, "{shown}");
        let code =
            server.curl("https", &path, &["--http2", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        assert_eq!((status(&code), code.stdout.as_slice()), (Some(0), &b"502"[..]), "{shown}");
        server.logs(said);
    }
    // What is unusual and allowed comes through.
    let path = format!("/cgi?{}", raw(b"X.Y!#$%&'*+-^_`|~: a\tb \xe4 \"\r\n\r\nbody"));
    assert_eq!(server.get(&path).text(), "body", "{}", server.log());
    assert_eq!(server.curl("https", &path, &["--http2"]).stdout, b"body");
}

/// A stranger's report: over gzip and HTTP/2 a short body ended as a whole one does.
#[test]
fn a_body_that_is_shorter_than_its_length_never_looks_complete() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("gzip on; gzip_types text/plain;", CGI);
    // curl's "transfer closed", and its "stream was not closed cleanly".
    for (scheme, options, expected) in [
        ("http", &["--http1.1"][..], 18),
        ("http", &["--http1.1", "--compressed"], 18),
        ("https", &["--http2"], 92),
        ("https", &["--http2", "--compressed"], 92),
    ] {
        assert_eq!(status(&server.curl(scheme, "/cgi?short", options)), Some(expected), "{options:?}");
    }
    server.logs("the guest wrote 100000 bytes less than its Content-Length");
    // If it is over in time it is an error page, else it is cut.
    let said = server.curl("http", "/cgi?length=11", &["--fail"]);
    assert!(matches!(status(&said), Some(18 | 22)), "{said:?}");
    server.logs("the guest wrote 1 bytes less than its Content-Length");
}

/// A stranger's report: the variables were empty just where one wants them.
#[test]
fn how_a_session_ended_is_known_though_an_error_page_answered() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start(
        "",
        "location /uri { zvm_program @CGI@; error_page 502 /sorry; }\n location /sorry { return 200 sorry; }\n\
         location /named { zvm_program @CGI@; error_page 502 = @sorry; }\n location @sorry { return 502 sorry; }",
    );
    for path in ["/uri?trap", "/named?trap"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (502, "sorry"), "{path}");
    }
    eventually("both are in the access log", || {
        fs::read_to_string(server.at("access.log")).unwrap().matches("502 trap: ").count() == 2
    });
}

#[test]
fn a_hostile_guest_gets_no_more_than_its_channels() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    let text = server.get("/cgi?hostile").text();
    assert!(text.contains("/etc/passwd: refused\n") && text.contains("memory: refused\n"), "{text}");
    assert!(!text.contains(": read") && !text.contains("wrote to") && !text.contains("taken"), "{text}");
    let answer = server.get("/cgi?messages");
    assert_eq!(answer.text(), "told\n");
    server.logs("guest wrote to stderr: \"last without an end\", id: \"");
    let log = server.log();
    assert!(log.contains("stderr: \"first\"") && log.contains("second \\x1B[31m\\x22quoted\\x22\""), "{log}");
    assert!(log.contains("back\\x5Cslash\\x00 and behind a NUL\""), "{log}");
    assert!(!log.contains('\x1b'), "{log}");
}
