//! How sessions end: the exit code, the state, and what becomes of what was written.

use crate::job::Job;
use crate::script;
use crate::shelf::Book;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish};
use zvfs_test_support::eventually;
use zvm::Report;

fn program(body: &str) -> String {
    format!(
        "(module (memory (export \"memory\") 1) (table 1 funcref) (func $f {body}) (func (export \"_start\") (call $f)))"
    )
}

fn end(report: &Report) -> (u8, &str, Option<u32>) {
    (report.exit_code.number(), report.state.as_str(), report.guest_code)
}

const FOREVER: &str = "(module (memory (export \"memory\") 1) (func $main_loop (loop (br 0))) (func $_start (export \"_start\") (call $main_loop)))";

#[test]
fn a_guests_own_code_is_a_good_end() {
    for (script, code) in
        [("", 0), ("proc_exit 0", 0), ("proc_exit 1", 1), ("proc_exit 0xffffffff", u32::MAX)]
    {
        let job = Job::new();
        let report = job.run(&script::program(&format!("write 1 5\n {script}")));
        assert_eq!(end(&report), (0, "ok", Some(code)));
        assert_eq!(job.shelf.log("out"), ["open", "write", "End", "Commit", "close"]);
    }
}

#[test]
fn files_are_made_durable_before_the_end_and_pipes_not_waited_for() {
    let job = Job::new().file("out", Book::new("")).key("Sync = 1");
    assert_eq!(end(&job.run(&script::program("write 1 5"))), (0, "ok", Some(0)));
    assert_eq!(job.shelf.log("out"), ["open", "write", "Sync", "End", "Commit", "close"]);
    assert_eq!(job.shelf.log("err"), ["open", "write", "End", "Commit", "close"]);
}

#[test]
fn every_writer_has_ended_and_every_reader_is_closed_before_one_is_waited_for() {
    let (stuck, in_commit) = channel();
    let job = Job::new().file("out", Book { stuck: Some(stuck), ..Book::pipe("") });
    let running = job.session(&script::program("")).start();
    in_commit.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(job.shelf.log("in"), ["open", "close"]);
    assert_eq!(job.shelf.log("out"), ["open", "End", "Commit"]);
    // A pipe's turn is before what is only renamed, and in the order of the handles.
    assert_eq!(job.shelf.log("err"), ["open", "End"]);
    running.control().cancel();
    assert_eq!(end(&running.wait()), (4, "cancelled", Some(0)));
}

#[test]
fn a_trap_is_named_and_what_was_written_discarded() {
    for (body, kind) in [
        ("unreachable", "unreachable"),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "divide by zero"),
        ("(drop (i32.load (i32.const 65536)))", "out of bounds memory access"),
        ("(call_indirect (i32.const 0))", "uninitialized element"),
        ("(call $f)", "call stack exhausted"),
    ] {
        let job = Job::new();
        let report = job.run(&program(body));
        let (exit, state, code) = end(&report);
        assert!(
            exit == 4 && code.is_none() && state.starts_with("trap: ") && state.contains(kind),
            "{state}"
        );
        assert!(state.contains(", in `f`, called by "), "{state}");
        assert_eq!(job.shelf.log("out"), ["open", "Discard", "close"]);
    }
}

/// A case report: "trap" and "fuel" alone told nobody where a guest was. Names are a stranger's: cut, escaped, and few.
#[test]
fn a_trap_and_the_end_of_fuel_say_where() {
    let long = "n".repeat(100);
    let deep = format!(
        "(module (memory (export \"memory\") 1) (func $f (param i32)
            (if (i32.eqz (local.get 0)) (then (unreachable))) (call $f (i32.sub (local.get 0) (i32.const 1))))
        (func (@name \"a\\1b[2J\") (call $f (i32.const 2)))
        (func (@name \"{long}\") (call 1)) (func $_start (export \"_start\") (call 2)))"
    );
    let job = Job::new();
    let report = job.run(&deep);
    assert_eq!(
        report.state,
        format!(
            "trap: wasm `unreachable` instruction executed, in `f`, called by `f`, `f`, `a\\u{{1b}}[2J`, `{}...`, `_start`",
            &long[..60]
        )
    );
    let report = job.run(&deep.replace("i32.const 2)", "i32.const 20)"));
    assert!(
        report.state.ends_with(", in `f`, called by `f`, `f`, `f`, `f`, `f`, `f`, `f`, ..."),
        "{report:?}"
    );
    let report = Job::new().key("Fuel = 5000").run(FOREVER);
    assert_eq!(report.state, "fuel: all 5000 units are used up, in `main_loop`, called by `_start`");
}

#[test]
fn a_librarys_function_is_called_by_its_name_after_its_own_start() {
    let library = r#"(module (memory (export "memory") 1) (global $ready (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $ready (i32.const 41)))
        (func (export "answer") (result i32) (i32.add (global.get $ready) (i32.const 1)))
        (func (export "works")) (func $fails (export "fails") (unreachable)))"#;
    let call = |name: &str| Job::new().key(&format!("Function = {name}")).run(library);
    assert_eq!(end(&call("answer")), (0, "ok", Some(42)));
    assert_eq!(end(&call("works")), (0, "ok", Some(0)));
    assert_eq!(call("fails").state, "trap: wasm `unreachable` instruction executed, in `fails`");
    let job = Job::new().key("Function = nothing");
    assert_eq!(end(&job.run(library)), (8, "bad program: Function: no `nothing` is exported", None));
    assert!(job.shelf.log("in").is_empty());
    // A command's own function need not be `_start`.
    let report = Job::new().key("Function = _start").run(FOREVER.replace("(br 0)", "nop").as_str());
    assert_eq!(end(&report), (0, "ok", Some(0)));
}

#[test]
fn a_program_that_cannot_run_opens_nothing() {
    let job = Job::new();
    for (program, exit) in [("#!/bin/sh", 8), ("(module)", 8), ("(module (import \"a\" \"b\" (func)))", 8)] {
        assert_eq!(job.run(program).exit_code.number(), exit);
        assert!(job.shelf.log("in").is_empty());
    }
    let text = "Version = 20140509\nProgram = test:nothing\nMemory = 65536, 0\nTimeout = 5
        Channel = test:in, /dev/stdin, 0, 9, 9, 0, 0\nChannel = test:o, /dev/stdout, 0, 0, 0, 9, 9\nChannel = test:o, /dev/stderr, 0, 0, 0, 9, 9";
    for (program, exit) in [("test:nothing", 2), ("nowhere:x", 14)] {
        let manifest = zvm::Manifest::parse(text.replace("test:nothing", program).as_bytes()).unwrap();
        let report = zvm::Session::new(manifest).registry(job.registry.clone()).run();
        assert_eq!(report.exit_code.number(), exit, "{report:?}");
        assert!(report.channels.is_empty() && job.shelf.log("in").is_empty());
    }
}

#[test]
fn a_broken_channel_ends_the_session_whatever_its_guest_does() {
    // The guest would go on after a failed read, and exit with 0.
    for code in [Code::EIO, Code::ECONNRESET, Code::EBADMSG] {
        let job = Job::new().file("in", Book { read_error: Some((3, code)), ..Book::pipe("abcdef") });
        let report = job.run(&script::program("read 0 99\n write 1 5\n proc_exit 0"));
        let (exit, state, guest) = end(&report);
        assert!(exit == 5 && guest.is_none() && state.contains("/dev/stdin"), "{report:?}");
        assert_eq!(job.shelf.log("out"), ["open", "Discard", "close"]);
    }
    let job = Job::new().file("out", Book { write_error: Some((3, Code::ENOSPC)), ..Book::pipe("") });
    let report = job.run(&script::program("write 1 9\n proc_exit 0"));
    assert_eq!((end(&report).0, end(&report).2), (5, None));
    assert!(job.shelf.log("out").contains(&"Discard".to_owned()));
}

#[test]
fn a_failed_end_or_commit_is_a_failure_of_the_host() {
    for how in [Finish::End, Finish::Commit] {
        let job = Job::new().file("out", Book { finish_error: Some((how, Code::EIO)), ..Book::pipe("") });
        let report = job.run(&script::program("write 1 9"));
        assert_eq!((end(&report).0, end(&report).2), (5, Some(0)), "{how:?}");
        assert_eq!(job.shelf.count("out", "Discard"), 1);
    }
}

#[test]
fn a_reader_that_closed_is_a_note() {
    let job = Job::new().file("out", Book { write_error: Some((3, Code::EPIPE)), ..Book::pipe("") });
    let report = job.run(&script::program("write 1 9\n write 1 9"));
    assert_eq!(end(&report), (0, "ok", Some(0)));
    assert!(report.notes.iter().any(|note| note.contains("closed")), "{:?}", report.notes);
}

#[test]
fn a_panic_in_a_call_stays_in_its_session() {
    let odd = Job::new().channel("odd:panic, /dev/stdin, 0, 9, 99, 0, 0");
    let other = Job::new();
    let running = other.session(&script::program("write 1 5")).start();
    let report = odd.run(&script::program("read 0 1\n write 1 5"));
    let (exit, state, code) = end(&report);
    assert!(exit == 5 && code.is_none() && state.contains("odd is panic"), "{state}");
    assert_eq!(odd.shelf.log("out"), ["open", "Discard", "close"]);
    assert_eq!(end(&running.wait()), (0, "ok", Some(0)));
}

/// Runs with a Timeout of a second, and checks that it ends by that, and not much later.
/// What it was at then stands in the report.
fn times_out(job: Job, program: &str, words: &str) -> Job {
    let job = job.timeout(1);
    let start = Instant::now();
    let report = job.run(program);
    let took = start.elapsed();
    let (exit, state, _) = end(&report);
    assert_eq!(exit, 4);
    assert!(state.starts_with("timeout: ") && state.contains(words), "{words}: {state}");
    assert!(report.nondeterministic);
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
    job
}

#[test]
fn a_loop_ends_at_the_timeout() {
    let job = times_out(Job::new(), FOREVER, "in `main_loop`, called by `_start`");
    assert_eq!(job.shelf.log("out"), ["open", "Discard", "close"]);
}

#[test]
fn a_start_section_ends_at_the_timeout() {
    let program = "(module (memory (export \"memory\") 1) (func $s (loop (br 0))) (start $s) (func (export \"_start\")))";
    times_out(Job::new(), program, "in `s`");
}

#[test]
fn a_blocked_read_ends_at_the_timeout() {
    let (stuck, in_read) = channel();
    let job = times_out(
        Job::new().file("in", Book { stuck: Some(stuck), ..Book::pipe("") }),
        &script::program("read 0 1\n write 1 5"),
        "channel /dev/stdin: read test:in, in ",
    );
    assert!(in_read.try_recv().is_ok(), "the read was in progress");
    assert_eq!(job.shelf.log("out"), ["open", "Discard", "close"]);
}

#[test]
fn a_blocked_open_ends_at_the_timeout() {
    let (stuck, in_open) = channel();
    times_out(
        Job::new().file("in", Book { stuck_open: Some(stuck), ..Book::pipe("") }),
        &script::program(""),
        "channel /dev/stdin: open test:in",
    );
    assert!(in_open.try_recv().is_ok(), "the open was in progress");
}

#[test]
fn a_blocked_load_ends_at_the_timeout() {
    let (stuck, in_open) = channel();
    let job = Job::new().timeout(1);
    let session = job.session("");
    job.shelf.edit("program", |book| book.stuck_open = Some(stuck));
    let report = session.run();
    assert_eq!(end(&report), (4, "timeout: open the program test:program", None));
    assert!(in_open.try_recv().is_ok(), "the open was in progress");
}

#[test]
fn a_blocked_commit_ends_at_the_timeout() {
    let (stuck, in_commit) = channel();
    let job = times_out(
        Job::new().file("out", Book { stuck: Some(stuck), ..Book::pipe("") }),
        &script::program("write 1 5"),
        "channel /dev/stdout: commit test:out",
    );
    assert!(in_commit.try_recv().is_ok(), "the commit was in progress");
    assert_eq!(job.shelf.count("out", "Discard"), 1);
}

#[test]
fn a_virtual_sleep_cannot_outlast_the_timeout_but_a_real_one_is_cut_off() {
    // One clock subscription of a day, polled for ever.
    let sleeper = format!(
        "(module {} (memory (export \"memory\") 1)
        (func (export \"_start\")
          (i64.store (i32.const 24) (i64.const 86400000000000))
          (loop (drop (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))) (br 0))))",
        script::import("poll_oneoff", "(param i32 i32 i32 i32) (result i32)")
    );
    times_out(Job::new(), &sleeper, "in ");
    times_out(Job::new().key("Deterministic = 0"), &sleeper, "in ");
}

#[test]
fn a_stopped_guest_makes_not_one_more_call() {
    // Between the sleep that the timeout cuts off and the write there is no loop, where the engine would look.
    let job = Job::new().key("Deterministic = 0");
    let job = times_out(
        job,
        &script::program("put64 4120 86400000000000\n poll_oneoff 4096 8192 1 8\n write 1 5"),
        "in ",
    );
    assert_eq!(job.shelf.log("out"), ["open", "Discard", "close"]);
}

#[test]
fn a_provider_that_ignores_its_cancel_is_left_behind() {
    let job = Job::new().channel("odd:deaf, /dev/stdin, 0, 9, 99, 0, 0").timeout(1);
    let start = Instant::now();
    let running = job.session(&script::program("write 1 7\n read 0 1")).start();
    job.odd.await_stuck();
    let report = running.wait();
    assert_eq!(end(&report), (4, "timeout: channel /dev/stdin: read odd:deaf", None));
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
    let written = report.channels.iter().find(|channel| &*channel.alias == "/dev/stdout").unwrap().counts;
    assert_eq!((written.puts, written.put_bytes), (1, 7), "the counters are told all the same");
    let note =
        "provider `odd`, which ignores its cancel (channel /dev/stdin: read odd:deaf), keeps its thread";
    assert!(report.notes.iter().any(|it| it.contains(note)), "{:?}", report.notes);
    assert_eq!(job.shelf.log("out"), ["open", "write"]);
    // Its thread still ends in order, once the call returns.
    job.odd.release();
    job.odd.await_closed();
    eventually("the thread has closed its channel", || job.shelf.log("out").contains(&"close".to_owned()));
    assert_eq!(job.shelf.log("out"), ["open", "write", "Discard", "close"]);
}

/// No thread of the library's sees to it then.
#[test]
fn a_host_that_waits_keeps_its_sessions_time_and_hears_of_a_cancel() {
    let job = Job::new().timeout(1);
    assert_eq!(end(&job.session(&script::program("")).run_until(None)), (0, "ok", Some(0)));
    let report = job.session(FOREVER).run_until(None);
    assert_eq!(report.state, "timeout: in `main_loop`, called by `_start`");
    let (asked, ask) = UnixStream::pair().unwrap();
    let job = Job::new().channel("odd:deaf, /dev/stdin, 0, 9, 99, 0, 0");
    let session = job.session(&script::program("write 1 7\n read 0 1"));
    let odd = job.odd.clone();
    let asks = thread::spawn(move || {
        odd.await_stuck();
        drop(ask);
    });
    let report = session.run_until(Some(asked.as_fd()));
    asks.join().unwrap();
    assert_eq!(end(&report), (4, "cancelled", None));
    assert!(report.left_behind);
    job.odd.release();
    // It was asked before.
    assert_eq!(end(&Job::new().session(FOREVER).run_until(Some(asked.as_fd()))), (4, "cancelled", None));
}

/// Found: `zvfs run` could end before its providers had stopped, which deliver then what was ended.
#[test]
fn providers_stop_before_the_report_unless_others_have_the_registry() {
    let job = Job::new().channel("odd:idle, /x, 0, 9, 99, 0, 0");
    assert_eq!(end(&job.run(&script::program(""))), (0, "ok", Some(0)));
    assert_eq!(job.odd.stopped(), 0);
    let session = job.session(&script::program(""));
    let Job { registry, odd, .. } = job;
    drop(registry);
    assert_eq!(end(&session.run()), (0, "ok", Some(0)));
    assert_eq!(odd.stopped(), 1);
}

#[test]
fn a_provider_that_hangs_in_its_stop_is_left_behind_and_changes_nothing_else() {
    let job = Job::new().channel("odd:idle, /x, 0, 9, 99, 0, 0");
    let session = job.session(&script::program("write 1 5"));
    let Job { registry, odd, shelf, .. } = job;
    drop(registry);
    odd.hang_at_stop();
    let report = session.run();
    assert_eq!(end(&report), (0, "ok", Some(0)));
    assert_eq!(
        report.notes,
        ["provider `odd` did not stop within 7 s: it keeps the session's thread and memory until it does"]
    );
    assert!(report.left_behind);
    assert_eq!(shelf.log("out"), ["open", "write", "End", "Commit", "close"]);
    assert_eq!(odd.stopped(), 0);
    odd.release();
    eventually("it stops", || odd.stopped() == 1);
}

/// Found: a session whose outputs were complete timed out, in "an instruction of the guest".
#[test]
fn a_close_that_hangs_takes_nothing_from_a_session_that_is_over() {
    let job = Job::new().channel("odd:clings, /x, 0, 0, 0, 9, 99").timeout(1);
    let report = job.run(&script::program("write 1 5"));
    assert_eq!(end(&report), (0, "ok", Some(0)));
    let note = "provider `odd`, which ignores its cancel (channel /x: close odd:clings), keeps its thread";
    assert!(report.notes.iter().any(|it| it.contains(note)), "{:?}", report.notes);
    assert!(report.left_behind);
    job.odd.release();
    job.odd.await_closed();
}

#[test]
fn many_sessions_run_side_by_side() {
    let jobs: Vec<Job> = (0..50).map(|_| Job::new().file("in", Book::pipe("abc"))).collect();
    let script = script::program("read 0 9\n write 1 5");
    let running: Vec<_> = jobs.iter().map(|job| job.session(&script).start()).collect();
    for (running, job) in running.into_iter().zip(&jobs) {
        assert_eq!(end(&running.wait()), (0, "ok", Some(0)));
        assert_eq!(job.log(), [3, 5]);
    }
}

#[test]
fn a_cancel_ends_a_session_at_once() {
    let (stuck, in_read) = channel();
    let blocked = Job::new().file("in", Book { stuck: Some(stuck), ..Book::pipe("") });
    let running = blocked.session(&script::program("read 0 1\n write 1 5")).start();
    in_read.recv_timeout(Duration::from_secs(20)).unwrap();
    let control = running.control().clone();
    let start = Instant::now();
    control.cancel();
    control.cancel();
    let report = running.wait();
    assert_eq!(end(&report), (4, "cancelled", None));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(blocked.shelf.log("out"), ["open", "Discard", "close"]);
    control.cancel();
}

#[test]
fn a_cancel_stops_one_of_several_sessions() {
    let (stuck, in_read) = channel();
    let looping = Job::new();
    let cancelled = looping.session(FOREVER).start();
    let blocked = Job::new().file("in", Book { stuck: Some(stuck), ..Book::pipe("") });
    let other = blocked.session(&script::program("read 0 1")).start();
    in_read.recv_timeout(Duration::from_secs(20)).unwrap();
    // This one is interrupted too, looks at its own switch, and counts to its end.
    let counter = Job::new();
    let counting = counter
        .session(&program("(local i32) (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 50000000))))"))
        .start();
    cancelled.control().cancel();
    assert_eq!(end(&cancelled.wait()), (4, "cancelled", None));
    assert_eq!(end(&counting.wait()), (0, "ok", Some(0)));
    other.control().cancel();
    assert_eq!(end(&other.wait()).1, "cancelled");
}

#[test]
fn a_session_cancelled_before_it_began_runs_nothing() {
    let job = Job::new();
    let (stuck, in_open) = channel();
    let session = job.session(FOREVER);
    job.shelf.edit("program", |book| book.stuck_open = Some(stuck));
    let running = session.start();
    in_open.recv_timeout(Duration::from_secs(20)).unwrap();
    running.control().cancel();
    assert_eq!(end(&running.wait()), (4, "cancelled", None));
    assert!(job.shelf.log("in").is_empty());
}

#[test]
fn a_report_counts_fuel_and_calls() {
    let job = Job::new().file("in", Book::pipe("abc"));
    let report = job.run(&script::program("read 0 9\n read 0 9\n write 1 5"));
    let counts = report.local;
    assert_eq!((counts.gets, counts.get_bytes), (0, 0), "the scheme is not a local one");
    let counts = report.network;
    // Beside them one write, of what the script told.
    assert_eq!((counts.gets, counts.get_bytes, counts.puts, counts.put_bytes), (1, 3, 2, 5 + 24));
    assert!(report.fuel.unwrap() > 300);
}

/// Found: such a session could run, write and commit before it was told.
#[test]
fn a_session_cancelled_before_its_start_opens_nothing() {
    let job = Job::new();
    let session = job.session(&script::program("write 1 5"));
    job.control.cancel();
    let report = session.run();
    assert_eq!((end(&report), report.fuel), ((4, "cancelled", None), None));
    assert!(job.shelf.log("program").is_empty() && job.shelf.log("out").is_empty());
}

#[test]
fn a_deadline_of_the_control_ends_a_session_as_its_timeout_does() {
    let job = Job::new();
    job.control.set_deadline(Some(Instant::now() + Duration::from_millis(200)));
    let report = job.run(FOREVER);
    assert_eq!(report.exit_code.number(), 4);
    assert!(report.state.starts_with("timeout"), "{report:?}");
}

/// Found: a host's reader that says it was interrupted was asked for ever, whatever had ended meanwhile.
#[test]
fn a_reader_that_is_interrupted_is_asked_again_only_while_the_session_lasts() {
    struct Interrupted(std::sync::mpsc::Sender<()>);
    impl std::io::Read for Interrupted {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            self.0.send(()).unwrap();
            Err(std::io::ErrorKind::Interrupted.into())
        }
    }
    let (asked, was_asked) = channel();
    let manifest = zvm::Manifest::parse(
        b"Version = 20140509\nProgram = /given\nMemory = 1048576, 0\nTimeout = 100
        Channel = /given, /dev/stdin, 0, 9, 9, 0, 0\nChannel = /given, /dev/stdout, 0, 0, 0, 9, 9\nChannel = /given, /dev/stderr, 0, 0, 0, 9, 9",
    );
    let running = zvm::Session::new(manifest.unwrap())
        .program(script::program("read 0 9"))
        .reader("/dev/stdin", Interrupted(asked))
        .writer("/dev/stdout", std::io::sink())
        .writer("/dev/stderr", std::io::sink())
        .start();
    was_asked.recv_timeout(Duration::from_secs(20)).unwrap();
    running.control().cancel();
    assert_eq!(end(&running.wait()), (4, "cancelled", None));
    // The report comes after the reader is dropped, and with it the sender.
    while was_asked.try_recv().is_ok() {}
    assert_eq!(was_asked.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected));
}
