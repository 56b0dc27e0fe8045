//! Many requests: the queue, reloads, and valgrind.

use crate::CGI;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use zvfs_modules_tests::nginx::{Answer, Nginx, ask};
use zvfs_modules_tests::process::descriptors;
use zvfs_test_support::{eventually, have};

#[test]
fn a_full_queue_is_503_and_500_requests_at_once_are_answered() {
    if !Nginx::is_here() {
        return;
    }
    let site = format!(
        "{CGI}\n location /narrow {{ zvm_program @CGI@; zvm_sessions 1; zvm_queue 1; zvm_timeout 120s; }}\n\
         location /impatient {{ zvm_program @CGI@; zvm_sessions 1; zvm_queue 9 timeout=100ms; zvm_timeout 120s; }}"
    );
    let mut server = Nginx::start("", &site);
    for place in ["/cgi", "/narrow"] {
        assert_eq!(server.get(place).text(), "hello\n");
    }
    // Its program may take longer to be compiled than its requests wait.
    eventually("it is compiled", || server.get("/impatient").text() == "hello\n");
    let worker = server.workers()[0];
    let before = descriptors(worker);
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
    eventually("every descriptor is closed", || descriptors(worker) <= before);
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
