//! The nginx of this machine, whose answers are guests'.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zvfs_modules_tests::guest;
use zvfs_modules_tests::nginx::{Answer, Nginx, ask, peak};
use zvfs_test_support::{built, eventually, have};

/// One guest that does what a request says.
const CGI: &str = "location /cgi { zvm_program @CGI@; }";
const MIB: usize = 1 << 20;

/// A file of this project.
fn text(path: &str) -> String {
    fs::read_to_string(zvfs_abi_tests::project().join(path)).unwrap()
}

fn status(output: &std::process::Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_guest_answers_over_http_1_0_1_1_and_2_with_and_without_tls() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    let answer = server.get("/cgi");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"), "{}", server.log());
    assert!(answer.header.contains("Content-Type: text/plain\r\n"), "{answer:?}");
    for (scheme, version) in [("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")] {
        let said = server.curl(scheme, "/cgi?echo", &[version, "--data-binary", "a body"]);
        assert_eq!((status(&said), said.stdout.as_slice()), (Some(0), &b"a body"[..]), "{version}: {said:?}");
        let said = server.curl(scheme, "/cgi?many=300000", &[version]);
        assert_eq!((status(&said), said.stdout.len()), (Some(0), 300_000), "{version}");
        let head = server.curl(scheme, "/cgi?many=300000", &[version, "--head"]);
        assert!(String::from_utf8_lossy(&head.stdout).contains(" 200"), "{version}: {head:?}");
    }
    // Two requests over one connection.
    let two = server.curl("http", "/cgi?[1-2]=", &["--write-out", "%{num_connects} "]);
    assert!(String::from_utf8_lossy(&two.stdout).ends_with("0 "), "{two:?}");
}

#[test]
fn a_guest_is_told_what_cgi_says_and_what_the_configuration_adds() {
    if !Nginx::is_here() {
        return;
    }
    let site = "location /cgi { zvm_program @CGI@; zvm_param ADDED $arg_environment; zvm_param REQUEST_SCHEME other; \
                zvm_args 'one \"two words\"'; }\n location ~ ^/pattern { zvm_program @CGI@; }";
    let server = Nginx::start("", site);
    let headers =
        ["-H", "X-One: 1", "-H", "X-One: 2", "-H", "Proxy: evil", "-H", "Cookie: a=1", "-H", "Cookie: b=2"];
    let body = ["--data", "12345", "-H", "Content-Type: text/x"];
    let said = server.curl("http", "/cgi/some%20path?environment=5", &[&headers[..], &body].concat());
    let text = String::from_utf8(said.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "REQUEST_METHOD=POST",
        "REQUEST_URI=/cgi/some%20path?environment=5",
        "QUERY_STRING=environment=5",
        "SCRIPT_NAME=/cgi",
        "PATH_INFO=/some path",
        "CONTENT_LENGTH=5",
        "CONTENT_TYPE=text/x",
        "SERVER_PROTOCOL=HTTP/1.1",
        "REMOTE_ADDR=127.0.0.1",
        "HTTP_X_ONE=1, 2",
        "HTTP_COOKIE=a=1; b=2",
        "ADDED=5",
        "REQUEST_SCHEME=other",
    ] {
        assert!(lines.contains(&line), "{line}: {text}");
    }
    for name in ["HTTP_PROXY", "HTTP_CONTENT", "HTTPS", "REMOTE_USER"] {
        assert!(!lines.iter().any(|line| line.starts_with(name)), "{name}: {text}");
    }
    // How long a body is nobody knows that comes in chunks.
    let chunked = ["-H", "Transfer-Encoding: chunked", "-d", "12345"];
    let text = server.curl("http", "/cgi?environment=5", &chunked).stdout;
    assert!(!String::from_utf8_lossy(&text).contains("CONTENT_LENGTH="));
    let said = server.curl("https", "/pattern/more?environment", &[]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.contains("\nSCRIPT_NAME=/pattern/more\n") && text.contains("\nHTTPS=on\n"), "{text}");
    assert!(text.contains("\nPATH_INFO=\n") && !text.contains("CONTENT_LENGTH"), "{text}");
    let many: Vec<String> = (0..300).map(|n| format!("X-{n}: 1\r\n")).collect();
    let mut stream = server.connect();
    write!(stream, "GET /cgi HTTP/1.0\r\n{}\r\n", many.concat()).unwrap();
    assert_eq!(Answer::read(stream).status, 400);
}

#[test]
fn the_header_lines_of_an_answer_mean_what_cgi_says() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    let answer = server.get("/cgi?status=404");
    assert!(answer.header.starts_with("HTTP/1.1 404 What I Say\r\n"), "{answer:?}");
    assert!(answer.header.contains("X-Own: yes\r\n") && answer.text() == "body\n", "{answer:?}");
    assert_eq!(server.get("/cgi?status=304").body, b"");
    let answer = server.get("/cgi?redirect");
    assert!(answer.status == 302 && answer.header.contains("/elsewhere\r\n"), "{answer:?}");
    let said = server.curl("http", "/cgi?hop", &["--include"]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(
        text.contains("Content-Type: text/html; charset=koi8-r\r\n")
            && text.contains("Connection: keep-alive"),
        "{text}"
    );
    assert!(text.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n") && text.ends_with("hop\n"), "{text}");
    assert_eq!(server.curl("http", "/cgi?length=10", &[]).stdout, b"0123456789");
    assert_eq!(server.curl("http", "/cgi?length=4", &[]).stdout, b"0123");
    assert_eq!(server.curl("http", "/cgi?length=0", &[]).stdout, b"");
    // Fewer than promised: curl's "transfer closed with bytes remaining".
    assert_eq!(status(&server.curl("http", "/cgi?length=11", &[])), Some(18));
    server.logs("the guest wrote 1 bytes less than its Content-Length");
}

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
             location /other {{ zvm_program @CGI@; error_page 502 = /cgi?; }}"
        ),
    );
    for (path, expected, reason) in [
        ("/cgi?none", 502, "the guest ended before its header did"),
        ("/cgi?half", 502, "the guest ended before its header did"),
        ("/cgi?bad-line", 502, "the guest wrote an invalid header line"),
        ("/cgi?split", 502, "the guest wrote an invalid header line"),
        ("/cgi?bad-status", 502, "invalid header: \"Status: 99\""),
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
    assert_eq!(server.get("/cgi").text(), "hello\n");
    let access = fs::read_to_string(server.at("access.log")).unwrap();
    assert!(
        access.contains("504 timeout: ") && access.contains("502 trap: ") && access.contains("200 ok "),
        "{access}"
    );
}

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
    let mut came = Vec::new();
    let mut byte = [0];
    while !came.ends_with(b"tick 1\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", server.log());
        came.push(byte[0]);
    }
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

#[test]
fn a_full_queue_is_503_and_500_requests_at_once_are_answered() {
    if !Nginx::is_here() {
        return;
    }
    let site = format!(
        "{CGI}\n location /narrow {{ zvm_program @CGI@; zvm_sessions 1; zvm_queue 1; zvm_timeout 120s; }}\n\
         location /impatient {{ zvm_program @CGI@; zvm_sessions 1; zvm_queue 9 timeout=100ms; zvm_timeout 120s; }}"
    );
    let server = Nginx::start("", &site);
    assert_eq!(server.get("/narrow").text(), "hello\n");
    for place in ["narrow", "impatient"] {
        let mut running = server.connect();
        ask(&mut running, &format!("/{place}?ticks=1000"));
        running.read_exact(&mut [0; 10]).unwrap();
        if place == "impatient" {
            assert_eq!(server.get("/impatient").status, 503);
            server.logs("no session ended while the request waited for 100 ms");
            continue;
        }
        let mut waiting = server.connect();
        ask(&mut waiting, "/narrow");
        eventually("the queue is full", || server.get("/narrow").status == 503);
        server.logs("1 sessions run and 1 requests wait: refused");
        drop(running);
        assert_eq!(Answer::read(waiting).text(), "hello\n");
    }
    let streams: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = server.connect();
            ask(&mut stream, "/cgi?echo");
            stream
        })
        .collect();
    for stream in streams {
        assert_eq!(Answer::read(stream).status, 200, "{}", server.log());
    }
}

#[test]
fn a_reload_and_a_graceful_stop_lose_no_answer() {
    if !Nginx::is_here() {
        return;
    }
    let mut server = Nginx::start("", CGI);
    let master = Pid::from_child(server.process().child());
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let answer = server.get("/cgi?many=100000");
                    assert_eq!((answer.status, answer.body.len()), (200, 100_000), "{}", server.log());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..5 {
            let before = answered.load(Ordering::SeqCst);
            kill_process(master, Signal::HUP).unwrap();
            eventually("requests are answered", || answered.load(Ordering::SeqCst) > before + 20);
        }
        done.store(true, Ordering::SeqCst);
    });
    let mut running = server.connect();
    ask(&mut running, "/cgi?ticks=20");
    running.read_exact(&mut [0; 10]).unwrap();
    kill_process(master, Signal::QUIT).unwrap();
    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("tick 19\n"), "{rest}");
    eventually("it has ended", || server.process().has_ended());
    assert!(!server.log().contains("open socket"), "{}", server.log());
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
    assert!(!log.contains('\x1b'), "{log}");
}

#[test]
fn a_manifest_of_the_operators_has_channels_of_its_own() {
    if !Nginx::is_here() {
        return;
    }
    let server = Nginx::start("", CGI);
    fs::write(server.at("data"), "from a file").unwrap();
    let operator = format!(
        "provider-path = [{:?}]\n[provider.file]\nsettings = {{ root = [{:?}] }}\n",
        built(),
        server.path()
    );
    fs::write(server.at("zvfs.toml"), operator).unwrap();
    let manifest = "Version = 20140509\nProgram = /given\nMemory = 16m, 0\nTimeout = 10\n\
                    Channel = /dev/null, /dev/stdin, 0, 0x7fffffff, 0x7fffffff, 0, 0\n\
                    Channel = /dev/null, /dev/stdout, 0, 0, 0, 1000, 40\nChannel = /dev/null, /dev/stderr, 0, 0, 0, 10, 10\n";
    fs::write(server.at("site.manifest"), manifest).unwrap();
    let site = format!(
        "{CGI}\n location /file {{ zvm_program @CGI@; zvm_manifest @FOLDER@/site.manifest; zvm_config @FOLDER@/zvfs.toml;\n\
         zvm_channel '@FOLDER@/data, /data, 3, 10, 1000, 0, 0'; }}"
    );
    let mut server = server;
    server.configure("", "", &site);
    kill_process(Pid::from_child(server.process().child()), Signal::HUP).unwrap();
    eventually("the new configuration is there", || server.get("/file?file").text() == "from a file");
    // 40 bytes are not enough for the header and more: a quota that is reached is a failed write, for which this guest exits with 3. That
    // is 502, or an answer that breaks off if it had begun.
    // A worker of the configuration before may still take a request.
    eventually("the guest exited with code 3", || {
        assert_ne!(status(&server.curl("http", "/file?many=100000", &["--fail"])), Some(0));
        server.log().contains("the guest exited with code 3")
    });
}

#[test]
fn a_wrong_configuration_is_found_before_anything_starts() {
    if !Nginx::is_here() {
        return;
    }
    for (site, reason) in [
        ("location / { zvm_program /nowhere/to/be/found; }", "open() \"/nowhere/to/be/found\" failed"),
        ("location / { zvm_program @CGI@; zvm_channel 'x'; }", "MANIFEST 9: "),
        ("location / { zvm_manifest @CGI@; }", "MANIFEST "),
        ("location / { zvm_program @CGI@; zvm_config /nowhere; }", "/nowhere"),
        ("location / { zvm_program @CGI@; zvm_queue x; }", "\"zvm_queue\" directive has an invalid number"),
        ("location / { zvm_program @CGI@; zvm_buffers 1 4k; }", "at least 2 \"zvm_buffers\""),
        ("location / { zvm_program @CGI@; zvm_memory 8192m; }", "Memory: 8589934592 is out of range"),
    ] {
        let said = Nginx::check("", site);
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(status(&said) == Some(1) && text.contains(reason), "{site}: {text}");
    }
    // What is no program is found by the workers, and by whoever asks.
    let server = Nginx::start("", "location /bad { zvm_program @FOLDER@/nginx.conf; }");
    assert_eq!(server.get("/bad").status, 500);
    server.logs("bad program: ");
}

#[test]
fn valgrind_finds_nothing() {
    if !Nginx::is_here() || !have(&["valgrind"]) {
        return;
    }
    let example = zvfs_abi_tests::project().join("modules/nginx/examples/hello.wat");
    let site = format!("{CGI}\n location /hello {{ zvm_program {}; }}", example.display());
    // Another server compiles for this one.
    let quick = Nginx::start("zvm_timeout 100s;", &site);
    assert_eq!((quick.get("/cgi").status, quick.get("/hello").status), (200, 200));
    drop(quick);
    let valgrind = [
        "valgrind",
        "--quiet",
        "--error-exitcode=99",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
    ];
    let [engine, own] = ["capi/zvm/tests", "tests/modules/src/nginx"].map(|folder| {
        format!("--suppressions={}/valgrind.supp", zvfs_abi_tests::project().join(folder).display())
    });
    let runner =
        [&valgrind[..], &["--show-leak-kinds=definite", "--smc-check=all-non-file", &engine, &own]].concat();
    let mut server =
        Nginx::start_under(&runner, "master_process off;", "zvm_timeout 500s; zvm_sessions 1;", &site);
    for _ in 0..100 {
        assert_eq!(server.get("/hello").text(), "hello from a guest\n");
    }
    for mode in
        ["echo", "environment", "none", "exit=3", "messages", "many=1000000", "late-exit=3", "length=3"]
    {
        server.get(&format!("/cgi?{mode}"));
    }
    let said = server.curl("https", "/cgi?echo", &["--http2", "--data-binary", "a body"]);
    assert_eq!(said.stdout, b"a body");
    let mut gone = server.connect();
    ask(&mut gone, "/cgi?ticks=1000");
    gone.read_exact(&mut [0; 10]).unwrap();
    drop(gone);
    // Its turn comes when nothing of the one before is left.
    assert_eq!(server.get("/cgi").text(), "hello\n");
    // Again and again: nginx misses a signal that comes just before it waits for events.
    let pid = Pid::from_child(server.process().child());
    eventually("it has ended", || {
        let _ = kill_process(pid, Signal::QUIT);
        server.process().has_ended()
    });
    let said = fs::read_to_string(server.at("output")).unwrap();
    assert_eq!(server.process().child().wait().unwrap().code(), Some(0), "{said}");
}

#[test]
fn the_page_has_each_directive_and_the_default_manifest() {
    let (page, module) = (text("docs/nginx.md"), text("modules/nginx/src/ngx_http_zvm_module.c"));
    let (_, commands) = module.split_once("ngx_http_zvm_commands[]").unwrap();
    let (commands, _) = commands.split_once("ngx_null_command").unwrap();
    let known: BTreeSet<&str> =
        commands.split("ngx_string(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `zvm_"))
        .filter(|row| row.matches('|').count() == 3);
    let told: BTreeSet<String> =
        rows.map(|row| format!("zvm_{}", row.split([' ', '`']).next().unwrap())).collect();
    assert_eq!(told, known.iter().map(ToString::to_string).collect());
    let (_, manifest) = page.split_once("### The default manifest").unwrap();
    let source = text("modules/nginx/src/ngx_http_zvm_manifest.c");
    for line in manifest.split("```").nth(1).unwrap().trim().lines() {
        assert!(source.contains(&format!("\"{}\\n\"", line.replace("FILE", "%V"))), "{line}");
    }
}

#[test]
fn the_readmes_guest_answers_as_it_says() {
    if !Nginx::is_here() {
        return;
    }
    let readme = text("modules/nginx/README.md");
    let here = |name: &str| {
        let (_, rest) = readme.split_once(&format!("{name} <<'END'\n")).unwrap();
        rest.split_once("END\n").unwrap().0
    };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("hello.c");
    fs::write(&source, here("hello.c")).unwrap();
    let program = guest(source.to_str().unwrap());
    let (_, location) = here("hello.conf").split_once("location /hello").unwrap();
    let (location, _) = location.split_once('}').unwrap();
    let location = location.replace("/srv/guests/hello.wasm", program.to_str().unwrap());
    let server = Nginx::start("", &format!("location /hello {location} }}"));
    let (_, path) = readme.split_once("curl http://127.0.0.1:8088").unwrap();
    let said = readme.split("```\n").nth(4).unwrap();
    assert_eq!(server.get(path.lines().next().unwrap()).text(), said, "{}", server.log());
}
