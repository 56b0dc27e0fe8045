//! Programs that are being compiled: who waits for that, and who does not.

use crate::CGI;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};
use zvfs_modules_tests::gate::Gate;
use zvfs_modules_tests::nginx::{Answer, Nginx, ask};
use zvfs_test_support::{command, eventually};

/// A stranger's report: while a large program was compiled, its own requests were 504 and others waited.
#[test]
fn a_program_that_is_being_compiled_holds_up_its_own_requests_and_costs_them_no_time() {
    if !Nginx::is_here() {
        return;
    }
    let gate = Gate::new();
    let (compiler, program) = (gate.compiler(), gate.program());
    let site = format!(
        "{CGI}\n location /large {{ zvm_program {program}; zvm_compiler {compiler}; zvm_cache off; zvm_timeout 1s; \
         zvm_sessions 2; zvm_queue 1; }}"
    );
    let server = Nginx::start("", &site);
    // As many as may run and wait; one more is refused.
    let mut waiting: Vec<_> = (0..3).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|stream| ask(stream, "/large"));
    eventually("one more is refused", || server.get("/large").status == 503);
    server.logs("0 sessions run and 3 requests wait: refused");
    // For longer than its session may take.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert_eq!(server.get("/cgi").text(), "hello\n", "{}", server.log());
    }
    gate.open();
    for stream in waiting {
        assert_eq!(Answer::read(stream).text(), "hello from a guest\n", "{}", server.log());
    }
}

/// A stranger's report: what was in the cache answered 503 for as long as two others were compiled.
#[test]
fn a_program_that_is_in_the_cache_waits_for_none_that_is_compiled() {
    if !Nginx::is_here() {
        return;
    }
    let gate = Gate::new();
    let (slow, folder) = (gate.program(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name).display().to_string();
    // Larger than those that are compiled, which come first.
    let program = fs::read_to_string(&slow).unwrap();
    let comment = program.replace('\n', "\n;; ");
    fs::write(at("cached.wat"), format!("{program};; {comment}\n")).unwrap();
    fs::write(at("other.wat"), format!("{program};;")).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let cached = |compiler: &str| {
        let (file, cache) = (at("cached.wat"), at("cache"));
        format!(
            "location /cached {{ zvm_program {file}; zvm_compiler {compiler}; zvm_cache {cache}/programs {cache}/key; }}"
        )
    };
    let server = Nginx::start("", &cached(&command().display().to_string()));
    assert_eq!(server.get("/cached").text(), "hello from a guest\n", "{}", server.log());
    drop(server);
    let compiler = gate.compiler();
    let other = at("other.wat");
    let site = format!(
        "{} location /slow {{ zvm_program {slow}; zvm_compiler {compiler}; zvm_cache off; }} \
         location /other {{ zvm_program {other}; zvm_compiler {compiler}; zvm_cache off; }}",
        cached(&compiler)
    );
    let server = Nginx::start("", &site);
    assert_eq!(server.get("/cached").text(), "hello from a guest\n", "{}", server.log());
}

/// A server with a place for the gate's program, with further directives.
fn gated(gate: &Gate, lines: &str) -> Nginx {
    let (compiler, program) = (gate.compiler(), gate.program());
    let site = format!(
        "location /large {{ zvm_program {program}; zvm_compiler {compiler}; zvm_cache off; {lines} }}"
    );
    Nginx::start("", &site)
}

/// What it answers while something is done to the gate.
fn answer_while(server: &Nginx, act: impl FnOnce()) -> Answer {
    thread::scope(|scope| {
        let answer = scope.spawn(|| server.get("/large"));
        act();
        answer.join().unwrap()
    })
}

#[test]
fn a_program_that_cannot_be_compiled_is_tried_again_for_the_next_request() {
    if !Nginx::is_here() {
        return;
    }
    let gate = Gate::new();
    let server = gated(&gate, "");
    // Once when the worker starts.
    gate.refuse();
    server.logs("zvm: prepare ");
    let refused = answer_while(&server, || gate.refuse());
    assert_eq!(refused.status, 500, "{}", server.log());
    server.logs("compile the program by");
    eventually("it is in the access log", || {
        fs::read_to_string(server.at("access.log")).unwrap().contains("500 compile the program by ")
    });
    let answer = answer_while(&server, || gate.open());
    assert_eq!(answer.text(), "hello from a guest\n", "{}", server.log());
}

#[test]
fn an_error_page_of_a_program_that_cannot_be_compiled_waits_for_the_next_try() {
    if !Nginx::is_here() {
        return;
    }
    let gate = Gate::new();
    let server = gated(&gate, "error_page 500 = /large?;");
    let answer = answer_while(&server, || {
        gate.refuse();
        server.logs("zvm: prepare ");
        gate.open();
    });
    assert_eq!(answer.text(), "hello from a guest\n", "{}", server.log());
}

#[test]
fn who_waits_too_long_for_a_compiler_is_refused() {
    if !Nginx::is_here() {
        return;
    }
    let gate = Gate::new();
    let server = gated(&gate, "zvm_queue 1 timeout=100ms;");
    assert_eq!(server.get("/large").status, 503);
    server.logs("its program was not compiled while the request waited for 100 ms");
}
