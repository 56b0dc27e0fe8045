//! Guests in pooled memory, and threads of a pool: each session goes as in memory and on a thread of its own.

use crate::exceptions::CATCHES_FOR_EVER;
use crate::job::end;
use crate::script::import;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;
use vfs_core::Code;
use zvm::{Cache, Compiler, ExitCode, Manifest, Report, Running, Session, SessionPool, Stopped, Template};

/// Exits with 256 times what `memory.grow` by 15 pages returned, 1, and the low byte of what one more returned, -1.
const GROWS: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (call $exit (i32.add
            (i32.mul (i32.const 256) (memory.grow (i32.const 15)))
            (i32.and (i32.const 255) (memory.grow (i32.const 1)))))))"#;
const SPINS: &str =
    r#"(module (memory (export "memory") 1) (func (export "_start") (loop $for_ever (br $for_ever))))"#;
const TRAPS: &str = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;
const READS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 4) (i32.const 9))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
/// More tables than a place has.
const TABLES: &str = r#"(module (memory (export "memory") 1)
    (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
    (func (export "_start")))"#;

/// Is empty, but says so only once the other end of `end` is gone.
struct Gate {
    /// Dropped at the first read.
    reads: Option<Sender<()>>,
    end: Mutex<Receiver<()>>,
}

impl Read for Gate {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.reads = None;
        let _ = self.end.lock().unwrap_or_else(PoisonError::into_inner).recv();
        Ok(0)
    }
}

fn session(program: &str, compiler: &Compiler, timeout: u32) -> Session {
    reading(program, compiler, timeout, io::empty())
}

fn reading(program: &str, compiler: &Compiler, timeout: u32, input: impl Read + Send + 'static) -> Session {
    let session = Session::new(Manifest::parse(manifest(timeout).as_bytes()).unwrap());
    with_streams(session.program(program).compiler(compiler.clone()), input)
}

fn manifest(timeout: u32) -> String {
    format!(
        "Version = 20140509\nProgram = /given\nMemory = 1m, 0\nTimeout = {timeout}\n\
         Channel = /given, /dev/stdin, 0, 9, 99, 0, 0\nChannel = /given, /dev/stdout, 0, 0, 0, 9, 99\n\
         Channel = /given, /dev/stderr, 0, 0, 0, 9, 99\n"
    )
}

fn with_streams(session: Session, input: impl Read + Send + 'static) -> Session {
    session.reader("/dev/stdin", input).writer("/dev/stdout", io::sink()).writer("/dev/stderr", io::sink())
}

#[test]
fn sessions_end_as_in_memory_of_their_own() {
    let (own, pooled, pool) = (Compiler::new(), Compiler::new().pooled(1).unwrap(), SessionPool::new(1));
    for program in [GROWS, TRAPS, READS, TABLES] {
        let tells = |report: Report| (report.exit_code, report.guest_code, report.fuel, report.state);
        let expected = tells(session(program, &own, 20).run());
        for _ in 0..3 {
            let report = session(program, &pooled, 20).permit(pool.permit().unwrap()).run();
            assert_eq!(tells(report), expected);
        }
    }
    assert_eq!(session(GROWS, &pooled, 20).run().guest_code, Some(256 + 255));
}

/// They begin with the same names, which are put together once.
#[test]
fn what_a_guest_makes_is_gone_for_the_next_one_of_its_template() {
    let makes = format!(
        "(module {} {} (memory (export \"memory\") 1) (data (i32.const 100) \"new\")
            (func (export \"_start\") (call $proc_exit (call $path_open
                (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 3) (i32.const 5)
                (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 200)))))",
        import("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
        import("proc_exit", "(param i32)"),
    );
    let text = manifest(20) + "Scratch = 1m\n";
    let template = Template::new(Manifest::parse(text.as_bytes()).unwrap()).program(makes);
    for _ in 0..3 {
        let report = with_streams(template.session(), io::empty()).run();
        assert_eq!((end(&report), report.guest_code), ((0, "ok"), Some(0)));
    }
}

#[test]
fn a_guest_in_pooled_memory_is_stopped_at_its_timeout() {
    let report = session(SPINS, &Compiler::new().pooled(1).unwrap(), 1).run();
    assert!(report.exit_code.number() == 4 && report.state.starts_with("timeout"), "{report:?}");
    assert_eq!(report.stopped, Some(Stopped::Timeout));
}

#[test]
fn who_comes_beyond_the_pool_ends_without_memory_and_the_next_has_its_place() {
    let compiler = Compiler::new().pooled(1).unwrap();
    let ((open, gate), (ready, reads)) = (channel(), channel());
    let waiting = reading(READS, &compiler, 100, Gate { reads: Some(ready), end: Mutex::new(gate) }).start();
    // Its place is taken once it reads.
    assert!(reads.recv().is_err());
    let report = session(READS, &compiler, 100).run();
    assert_eq!(report.exit_code, ExitCode::Memory, "{report:?}");
    drop(open);
    assert_eq!(end(&waiting.wait()), (0, "ok"));
    assert_eq!(end(&session(READS, &compiler, 100).run()), (0, "ok"));
}

#[test]
fn a_pool_takes_what_was_compiled_without_it() {
    let folder = TempDir::new().unwrap();
    let cache = || Cache::open(&folder.path().join("cache"), &folder.path().join("key")).unwrap();
    assert_eq!(end(&session(GROWS, &Compiler::new().cache(cache()), 20).run()), (0, "ok"));
    let entries = || std::fs::read_dir(folder.path().join("cache")).unwrap().count();
    let before = entries();
    let report = session(GROWS, &Compiler::new().cache(cache()).pooled(1).unwrap(), 20).run();
    assert_eq!((end(&report), report.notes.len(), entries()), ((0, "ok"), 0, before));
}

#[test]
fn a_session_is_refused_where_all_may_run() {
    let pool = SessionPool::new(1);
    let permit = pool.permit().unwrap();
    assert_eq!(pool.permit().unwrap_err().code(), Code::EMFILE);
    let report = session(READS, &Compiler::new(), 20).permit(permit).run();
    assert_eq!(end(&report), (0, "ok"));
    // Free by the time of the report.
    pool.permit().unwrap();
}

/// Each throws into a memory of its own, which the next one gets empty.
#[test]
fn all_guests_of_a_pool_may_throw_at_once() {
    let compiler = Compiler::new().pooled(2).unwrap();
    for _ in 0..3 {
        let running = [1, 2].map(|_| session(CATCHES_FOR_EVER, &compiler, 1).start());
        for report in running.map(Running::wait) {
            assert_eq!(report.stopped, Some(Stopped::Timeout), "{report:?}");
        }
    }
}
