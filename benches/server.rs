//! What a server saves by what it can ask for: threads that are kept, and memory that is used again. Sessions of one template, one after
//! the other and some at a time, by the clock and in CPU time; and sessions whose program each takes from the cache on disk.

use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::Control;
use zvm::{Cache, Compiler, Manifest, Running, Session, SessionPool, Template};

type Failure = Box<dyn Error>;

const SESSIONS: u32 = 1000;
const ROUNDS: usize = 9;
const AT_A_TIME: u32 = 16;

const MANIFEST: &str = "Version = 20140509\nProgram = /given\nMemory = 16m, 0\nTimeout = 1000
    Channel = /given, /dev/stdin, 0, 9, 99, 0, 0
    Channel = /given, /dev/stdout, 0, 0, 0, 9, 9999
    Channel = /given, /dev/stderr, 0, 0, 0, 9, 9999\n";

/// Writes a line. PAGES pages of memory, with data on each, all of which it reads.
const PROGRAM: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") PAGES)
    DATA
    (func (export "_start") (local $at i32) (local $sum i32)
        (loop $more
            (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $more (i32.lt_u (local.get $at) (i32.const SIZE))))
        (i32.store (i32.const 0) (i32.const 16))
        (i32.store (i32.const 4) (i32.const 6))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

fn main() -> Result<(), Failure> {
    println!("{SESSIONS} sessions, {ROUNDS} times: the median of each, and the least and most");
    for pages in [1, 160] {
        println!("\na guest of {} KiB", pages * 64);
        let program = program(pages);
        let pool = SessionPool::new(AT_A_TIME);
        for (name, pool, compiler) in [
            ("threads and memory of their own", None, Compiler::new()),
            ("a pool's threads", Some(&pool), Compiler::new()),
            ("a pool's memory", None, Compiler::new().pooled(AT_A_TIME)?),
            ("a pool's threads and memory", Some(&pool), Compiler::new().pooled(AT_A_TIME)?),
        ] {
            let manifest = Manifest::parse(MANIFEST.as_bytes())?;
            let template = Template::new(manifest).program(program.as_str()).compiler(compiler);
            template.prepare(&Control::new())?;
            rows(name, pool, || template.session())?;
        }
        // As a process's first session of a program, but for what the process itself does once.
        let folder = tempfile::tempdir()?;
        let cache = Cache::open(&folder.path().join("cache"), &folder.path().join("key"))?;
        let manifest = Arc::new(Manifest::parse(MANIFEST.as_bytes())?);
        let cached = || {
            let compiler = Compiler::new().cache(cache.clone());
            Session::new(manifest.clone()).program(program.as_str()).compiler(compiler)
        };
        rows("from the cache on disk, threads and memory of their own", None, cached)?;
        rows("from the cache on disk, a pool's threads", Some(&pool), cached)?;
    }
    Ok(())
}

/// Measures sessions, one after the other and some at a time.
fn rows(name: &str, pool: Option<&SessionPool>, session: impl Fn() -> Session) -> Result<(), Failure> {
    for at_a_time in [1, AT_A_TIME as usize] {
        let mut rounds: Vec<_> =
            (0..ROUNDS).map(|_| round(&session, pool, at_a_time)).collect::<Result<_, _>>()?;
        println!("{name}, {at_a_time} at a time:");
        for (what, cost) in [("time", (|round| round.0) as fn(&(_, _)) -> _), ("CPU", |round| round.1)] {
            rounds.sort_by_key(cost);
            let [least, median, most] = [0, ROUNDS / 2, ROUNDS - 1].map(|at| cost(&rounds[at]));
            println!("    {what} {median:.1?} ({least:.1?} to {most:.1?}) a session");
        }
    }
    Ok(())
}

fn program(pages: usize) -> String {
    let data: String =
        (0..pages).map(|page| format!("(data (i32.const {}) \"hello\\n\")", page * 65536 + 16)).collect();
    let size = pages * 65536;
    PROGRAM.replace("PAGES", &pages.to_string()).replace("DATA", &data).replace("SIZE", &size.to_string())
}

/// What a session costs, by the clock and in CPU time of the process.
fn round(
    session: &impl Fn() -> Session,
    pool: Option<&SessionPool>,
    at_a_time: usize,
) -> Result<(Duration, Duration), Failure> {
    let (begin, cpu) = (Instant::now(), cpu_time());
    let mut running: VecDeque<Running> = VecDeque::new();
    for _ in 0..SESSIONS {
        if running.len() == at_a_time {
            running.pop_front().into_iter().for_each(is_good);
        }
        let session = session()
            .reader("/dev/stdin", std::io::empty())
            .writer("/dev/stdout", std::io::sink())
            .writer("/dev/stderr", std::io::sink());
        running.push_back(match pool {
            Some(pool) => session.permit(pool.permit()?).start(),
            None => session.start(),
        });
    }
    running.into_iter().for_each(is_good);
    Ok((begin.elapsed() / SESSIONS, (cpu_time() - cpu) / SESSIONS))
}

fn is_good(running: Running) {
    let report = running.wait();
    assert_eq!((report.state.as_str(), report.local.put_bytes + report.network.put_bytes), ("ok", 6));
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
