//! Guests that reach a limit of their manifest's.

use crate::{CGI, status};
use std::fs;
use zvfs_modules_tests::nginx::{Nginx, ask};
use zvfs_modules_tests::process::falls_quiet;
use zvfs_test_support::{built, eventually};

/// 1,000 bytes of a body, 100,000 of an answer, 10 of a file.
const NARROW: &str = "Version = 20140509\nProgram = /given\nMemory = 16m, 0\nTimeout = 100\n\
                      Channel = /dev/null, /dev/stdin, 0, 1000, 1000, 0, 0\n\
                      Channel = /dev/null, /dev/stdout, 0, 0, 0, 1000, 100000\n\
                      Channel = /dev/null, /dev/stderr, 0, 0, 0, 10, 10\n";

#[test]
fn a_guest_that_overruns_a_byte_quota_gets_no_more_and_its_answer_is_none() {
    if !Nginx::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let operator =
        format!("provider-path = [{:?}]\n[provider.file]\nsettings = {{ root = [{:?}] }}\n", built(), at(""));
    for (name, text) in [("manifest", NARROW), ("zvfs.toml", &operator), ("data", "0123456789 and more")] {
        fs::write(at(name), text).unwrap();
    }
    let site = format!(
        "{CGI}\n location /narrow {{ zvm_program @CGI@; zvm_manifest {}; zvm_config {};\n\
         zvm_channel '{}, /data, 0, 100, 10, 0, 0'; }}",
        at("manifest"),
        at("zvfs.toml"),
        at("data")
    );
    let server = Nginx::start("", &site);
    fs::write(at("short"), [b'x'; 1000]).unwrap();
    fs::write(at("long"), [b'x'; 1001]).unwrap();
    let body = |name: &str| format!("@{}", at(name));
    for (scheme, version) in [("http", "--http1.1"), ("https", "--http2")] {
        let ask = |path: &str, body: Option<String>| {
            let mut options = vec![version.to_owned(), "--fail".to_owned()];
            options.extend(body.into_iter().flat_map(|body| ["--data-binary".to_owned(), body]));
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            server.curl(scheme, path, &options)
        };
        // Up to its quota.
        let said = ask("/narrow?sum", Some(body("short")));
        assert_eq!(String::from_utf8_lossy(&said.stdout), format!("1000 {}\n", 1000 * u64::from(b'x')));
        assert_eq!(ask("/narrow?many=99000", None).stdout.len(), 99_000);
        // Beyond it: 502, or an answer that breaks off if it had begun.
        let broken = if scheme == "http" { 18 } else { 92 };
        for (path, body, code) in [("/narrow?many=200000", None, 3), ("/narrow?echo", Some(body("long")), 4)]
        {
            let said = ask(path, body);
            assert!([Some(22), Some(broken)].contains(&status(&said)), "{path} {version}: {said:?}");
            assert!(said.stdout.len() <= 100_000, "{path} {version}: {} bytes", said.stdout.len());
            server.logs(&format!("the guest exited with code {code}"));
        }
        assert_eq!(ask("/narrow?file", None).stdout, b"0123456789");
        assert_eq!(ask("/cgi", None).stdout, b"hello\n");
    }
}

#[test]
fn a_guest_that_spins_holds_up_nobody_and_is_stopped() {
    if !Nginx::is_here() {
        return;
    }
    let short = "location /short { zvm_program @CGI@; zvm_sessions 1; zvm_queue 0; zvm_timeout 1s; }";
    let long = "location /long { zvm_program @CGI@; zvm_sessions 2; zvm_queue 0; zvm_timeout 1000s; }";
    let mut server = Nginx::start("", &format!("{CGI}\n {short}\n {long}"));
    for place in ["/cgi", "/short", "/long"] {
        eventually("its program is compiled", || server.get(place).text() == "hello\n");
    }
    assert_eq!(server.get("/short?spin").status, 504);
    server.logs("timeout: ");
    assert_eq!(server.get("/short").text(), "hello\n", "its place is free");
    let spinning = [(); 2].map(|()| {
        let mut stream = server.connect();
        ask(&mut stream, "/long?spin");
        stream
    });
    eventually("both spin", || server.get("/long").status == 503);
    for _ in 0..20 {
        assert_eq!(server.get("/cgi").text(), "hello\n");
    }
    // What is left of them computes no more.
    let worker = server.workers()[0];
    assert!(!falls_quiet(worker));
    drop(spinning);
    eventually("no thread computes", || falls_quiet(worker));
    assert_eq!(server.get("/long").text(), "hello\n");
}
