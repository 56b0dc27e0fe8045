//! What a server saves by what it can ask for: threads that are kept, and memory that is used again. Sessions of one template, one after
//! the other and some at a time, by the clock and in CPU time, against sessions of which nothing is kept; and so for sessions without a
//! template, whose program an earlier one has left in memory, or each takes from the cache on disk.
//!
//! All rows, or those with a word in their names: `cargo bench -p zvm --bench server -- "on disk"`.

use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::Control;
use zvfs_benches::{Cost, heading, pair_of_processes};
use zvm::{Cache, Compiler, Manifest, Running, Session, SessionPool, Template};

type Failure = Box<dyn Error>;
/// What is kept, the pool if that is its threads, and what makes a session.
type Kept<'a> = (&'a str, Option<&'a SessionPool>, &'a dyn Fn() -> Session);

/// Pages of a guest's memory, and how many sessions of it are a round.
const GUESTS: [(usize, u32); 2] = [(1, 1000), (160, 100)];
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
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    for (pages, sessions) in GUESTS {
        let program = program(pages);
        let pool = SessionPool::new(AT_A_TIME);
        let template = |compiler| -> Result<Template, Failure> {
            let template = Template::new(Manifest::parse(MANIFEST.as_bytes())?);
            let template = template.program(program.as_str()).compiler(compiler);
            template.prepare(&Control::new())?;
            Ok(template)
        };
        let (bare, pooled) = (template(Compiler::new())?, template(Compiler::new().pooled(AT_A_TIME)?)?);
        // As a process's first session of a program, but for what the process itself does once.
        let folder = tempfile::tempdir()?;
        let cache = Cache::open(&folder.path().join("cache"), &folder.path().join("key"))?;
        let manifest = Arc::new(Manifest::parse(MANIFEST.as_bytes())?);
        let of = |compiler| Session::new(manifest.clone()).program(program.as_str()).compiler(compiler);
        let cached = || of(Compiler::new().cache(cache.clone()));
        let compiler = Compiler::new();
        let earlier = || of(compiler.clone());
        let kept: [Kept<'_>; 7] = [
            ("threads", Some(&pool), &|| bare.session()),
            ("memory", None, &|| pooled.session()),
            ("threads and memory", Some(&pool), &|| pooled.session()),
            ("the program, of an earlier session", None, &earlier),
            ("threads, and the program of an earlier session", Some(&pool), &earlier),
            ("the program, in the cache on disk", None, &cached),
            ("threads, and the program in the cache on disk", Some(&pool), &cached),
        ];
        for (how, at_a_time) in [("one after the other", 1), ("16 at a time", AT_A_TIME as usize)] {
            let title = format!("sessions of a guest of {} KiB, {how}, each", pages * 64);
            heading(&title, "keeping", "keeping nothing");
            let run = |session: &dyn Fn() -> Session, pool| round(session, pool, sessions, at_a_time);
            for (name, pool, session) in kept.into_iter().filter(|(name, ..)| wanted(name)) {
                let ours = || run(session, pool);
                pair_of_processes(name, sessions.into(), ROUNDS, ours, || run(&|| bare.session(), None));
            }
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

/// What so many sessions cost, by the clock and in CPU time of the process.
fn round(session: &dyn Fn() -> Session, pool: Option<&SessionPool>, sessions: u32, at_a_time: usize) -> Cost {
    let (begin, cpu) = (Instant::now(), cpu_time());
    let mut running: VecDeque<Running> = VecDeque::new();
    for _ in 0..sessions {
        if running.len() == at_a_time {
            running.pop_front().into_iter().for_each(is_good);
        }
        let session = session()
            .reader("/dev/stdin", std::io::empty())
            .writer("/dev/stdout", std::io::sink())
            .writer("/dev/stderr", std::io::sink());
        running.push_back(match pool.map(SessionPool::permit) {
            Some(Ok(permit)) => session.permit(permit).start(),
            Some(Err(error)) => panic!("a permit: {error}"),
            None => session.start(),
        });
    }
    running.into_iter().for_each(is_good);
    Cost { wall: begin.elapsed(), cpu: Some(cpu_time() - cpu) }
}

fn is_good(running: Running) {
    let report = running.wait();
    assert_eq!((report.state.as_str(), report.local.put_bytes + report.network.put_bytes), ("ok", 6));
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
