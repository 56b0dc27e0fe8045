//! The compiler in a process of its own: this program is the worker, and runs the tests that need one.
//!
//! It has no test harness, since that would understand the worker's arguments as its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod bombs;

use bombs::{module, nothing, tangle};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vfs_core::Control;
use zvm::{Compiler, ExitCode, Manifest, Report, Session, Template, Worker};

/// Longer than anything here takes on a busy machine.
const BOUND: Duration = Duration::from_secs(100);

const SMALL: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["compile", memory, cpu, functions] => {
            let number = |text: &str| text.parse().unwrap();
            zvm::compile_child(number(memory), number(cpu), number(functions)).unwrap();
        }
        ["tell-what-is-open", ..] => tell_what_is_open(),
        ["stay", ..] => std::thread::sleep(BOUND * 2),
        ["fail", ..] => std::process::exit(3),
        ["lie", ..] => std::io::stdout().write_all(&[0, 255, 255, 255, 255, 255, 255, 255, 255]).unwrap(),
        ["garbage", ..] => std::io::stdout().write_all(b"\0\x03\0\0\0\0\0\0\0abc").unwrap(),
        _ => run_tests(&arguments),
    }
}

/// Runs those whose names contain one of the arguments, or all.
fn run_tests(arguments: &[String]) {
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let tests: [(&str, fn()); 11] = [
        ("a_program_is_compiled_and_runs", a_program_is_compiled_and_runs),
        ("a_refusal_comes_back_with_its_reason", a_refusal_comes_back_with_its_reason),
        (
            "many_locals_and_many_functions_are_refused_at_once",
            many_locals_and_many_functions_are_refused_at_once,
        ),
        ("a_program_that_does_not_fit_is_known_once_it_is_compiled", does_not_fit),
        ("a_compiler_over_its_memory_is_ended", a_compiler_over_its_memory_is_ended),
        ("a_compiler_over_its_time_is_ended", a_compiler_over_its_time_is_ended),
        ("timeout_and_cancel_end_a_compiler", timeout_and_cancel_end_a_compiler),
        ("a_worker_that_fails_or_lies_is_told", a_worker_that_fails_or_lies_is_told),
        ("a_worker_that_does_not_answer_a_check_is_told", a_worker_that_does_not_answer_a_check_is_told),
        ("a_worker_inherits_three_descriptors", a_worker_inherits_three_descriptors),
        ("sessions_of_one_program_compile_it_once", sessions_of_one_program_compile_it_once),
    ];
    for (name, test) in tests {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)) {
            test();
            println!("test {name} ... ok");
        }
    }
}

fn worker(role: &str) -> Worker {
    Worker::new(std::env::current_exe().unwrap()).argument(role)
}

fn session(program: impl Into<Vec<u8>>, timeout: u64, worker: Worker) -> Session {
    compiled_by(Compiler::new().worker(worker), program, timeout)
}

fn compiled_by(compiler: Compiler, program: impl Into<Vec<u8>>, timeout: u64) -> Session {
    let text = format!(
        "Version = 20140509\nProgram = /given\nMemory = 1048576, 0\nTimeout = {timeout}
        Channel = /given, /dev/stdin, 0, 9, 99, 0, 0
        Channel = /given, /dev/stdout, 0, 0, 0, 9, 99
        Channel = /given, /dev/stderr, 0, 0, 0, 9, 99"
    );
    Session::new(Manifest::parse(text.as_bytes()).unwrap())
        .program(program)
        .compiler(compiler)
        .reader("/dev/stdin", std::io::empty())
        .writer("/dev/stdout", std::io::sink())
        .writer("/dev/stderr", std::io::sink())
}

#[track_caller]
fn ended(report: &Report, code: u8, words: &str) {
    assert!(report.exit_code.number() == code && report.state.contains(words), "{report:?}");
}

fn a_program_is_compiled_and_runs() {
    ended(&session(SMALL, 100, worker("compile")).run(), 0, "ok");
    ended(&session(module([nothing()].into_iter()), 100, worker("compile")).run(), 0, "ok");
}

/// A program's text is the worker's to read, so that a check of the session cannot tell what it starts with: whoever prepares can.
fn does_not_fit() {
    for (memory, program, fits) in [
        (65536, SMALL, true),
        (65535, SMALL, false),
        (65536, r#"(module (memory (export "memory") 1) (table 1 funcref) (func (export "_start")))"#, false),
    ] {
        let text = format!(
            "Version = 20140509\nProgram = /given\nMemory = {memory}, 0\nTimeout = 100\n\
             Channel = /dev/null, /dev/stdin, 0, 9, 9, 0, 0\n\
             Channel = /dev/null, /dev/stdout, 0, 0, 0, 9, 9\nChannel = /dev/null, /dev/stderr, 0, 0, 0, 9, 9\n"
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let compiler = Compiler::new().worker(worker("compile"));
        let template = Template::new(manifest).program(program).compiler(compiler);
        for _ in 0..2 {
            match template.prepare(&Control::new()) {
                Ok(()) => assert!(fits, "{memory}: {program}"),
                Err(failure) => {
                    assert!(!fits && failure.exit() == ExitCode::Memory, "{failure}");
                    assert!(failure.text().contains("are too few: the program starts with"), "{failure}");
                }
            }
        }
    }
}

fn a_refusal_comes_back_with_its_reason() {
    ended(&session("(module (oops))", 100, worker("compile")).run(), 8, "oops");
    let unknown =
        r#"(module (import "env" "system" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
    ended(&session(unknown, 100, worker("compile")).run(), 8, "env::system");
}

/// On a prototype the first was not compiled after 100 s, and the second took 67 s and 2.75 GB.
fn many_locals_and_many_functions_are_refused_at_once() {
    for (program, words) in [
        (module([tangle(40_000, 470_000)].into_iter()), "40000 locals in one function"),
        (module(vec![b"\0\x41\0\x1a\x41\0\x1a\x0b".to_vec(); 500_000].into_iter()), "500000 functions"),
    ] {
        let start = Instant::now();
        // No worker is even started.
        ended(&session(program, 100, worker("stay")).run(), 8, words);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

fn a_compiler_over_its_memory_is_ended() {
    let report =
        session(module([tangle(1000, 400_000)].into_iter()), 100, worker("compile").memory(48 << 20)).run();
    ended(&report, 8, "it may use 48 MiB of memory");
}

fn a_compiler_over_its_time_is_ended() {
    let report = session(heaviest(), 100, worker("compile").cpu(Duration::from_secs(1))).run();
    ended(&report, 8, "1 s of CPU time");
}

fn timeout_and_cancel_end_a_compiler() {
    let start = Instant::now();
    ended(&session(heaviest(), 1, worker("compile")).run(), 4, "timeout: compile the program");
    let running = session(SMALL, 1000, worker("stay")).start();
    running.control().cancel();
    let report = running.wait();
    ended(&report, 4, "cancelled");
    assert!(start.elapsed() < BOUND && report.notes.is_empty(), "{:?} {report:?}", start.elapsed());
    // The kernel tells of none that still runs or was not waited for.
    let none = rustix::process::wait(rustix::process::WaitOptions::NOHANG).unwrap_err();
    assert_eq!(none, rustix::io::Errno::CHILD);
}

fn a_worker_that_fails_or_lies_is_told() {
    ended(&session(SMALL, 100, worker("fail")).run(), 5, "exit status: 3, without an answer");
    // Its output is closed before it has ended: it was not the host that ended it.
    let closes = Worker::new("/bin/sh").argument("-c").argument("exec >&-; sleep 0.3; exit 3");
    ended(&session(SMALL, 100, closes).run(), 5, "exit status: 3, without an answer");
    ended(&session(SMALL, 100, worker("lie")).run(), 5, "bytes: at most");
    ended(&session(SMALL, 100, worker("garbage")).run(), 5, "load the compiled program");
    ended(&session(SMALL, 100, Worker::new("/nowhere/worker")).run(), 5, "/nowhere/worker");
}

/// A stranger's report: a server that checked its configuration was silent for a minute, and blamed nobody.
fn a_worker_that_does_not_answer_a_check_is_told() {
    let failure = session(SMALL, 100, worker("stay")).check(&|_| false).unwrap_err();
    assert!(failure.text().contains("compile the program by "), "{failure:?}");
}

/// Found: where /dev/null cannot be opened no program was compiled, by an "access denied" that named nothing.
fn a_worker_inherits_three_descriptors() {
    let (kept, _other) = rustix::pipe::pipe().unwrap();
    // Not closed by exec, as a library's descriptors may be.
    let kept = rustix::io::dup(kept.as_fd()).unwrap();
    rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::empty()).unwrap();
    let report = session(SMALL, 100, worker("tell-what-is-open")).run();
    ended(&report, 8, "open: 0 1 2, variables: RAYON_NUM_THREADS, folder: /, errors: pipe, input: (module");
}

fn tell_what_is_open() {
    let listed: Vec<PathBuf> =
        std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path()).collect();
    // The one that listed them is gone by now.
    let still_open = listed.iter().filter(|path| path.symlink_metadata().is_ok());
    let mut open: Vec<u32> =
        still_open.map(|path| path.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect();
    open.sort_unstable();
    let open: Vec<String> = open.iter().map(ToString::to_string).collect();
    let variables: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).unwrap();
    let folder = std::env::current_dir().unwrap();
    let errors = std::fs::read_link("/proc/self/fd/2").unwrap().to_string_lossy().into_owned();
    let text = format!(
        "open: {}, variables: {}, folder: {}, errors: {}, input: {input}",
        open.join(" "),
        variables.join(" "),
        folder.display(),
        errors.split(':').next().unwrap()
    );
    let mut answer = vec![1];
    answer.extend((text.len() as u64).to_le_bytes());
    answer.extend(text.bytes());
    std::io::stdout().write_all(&answer).unwrap();
}

fn sessions_of_one_program_compile_it_once() {
    let compiler = Compiler::new().worker(worker("compile"));
    ended(&compiled_by(compiler.clone(), SMALL, 100).run(), 0, "ok");
    // A worker that can't compile shows that none is asked.
    ended(&compiled_by(compiler.worker(worker("fail")), SMALL, 100).run(), 0, "ok");
}

/// Within every limit, and work for the compiler of this build for many seconds.
fn heaviest() -> Vec<u8> {
    let body = tangle(1000, 400_000);
    module(vec![body; 40].into_iter())
}
