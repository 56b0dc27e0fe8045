//! Times two pieces of code side by side: machines are shared and noisy, so only the ratio in one run says anything.
//!
//! Not criterion: it measures one thing after the other, and what drifts between them becomes part of the result.
//!
//! With `ZVFS_BENCH_JSON=FILE` each row is also a line of JSON at the end of that file, from which `benches/chart` draws.

pub mod curve;
pub mod host;
pub mod peers;
pub mod pipes;
pub mod python;

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rounds of a pair; each gives one ratio.
const ROUNDS: usize = 21;

/// What the rows are about that are printed now: the words of [`heading`].
static HEADING: Mutex<[String; 3]> = Mutex::new([String::new(), String::new(), String::new()]);

/// What a pair took, one number a round: nanoseconds for each operation.
#[derive(Debug)]
pub struct Pair {
    ours: Vec<f64>,
    peer: Vec<f64>,
}

/// Runs `ours` and `peer` in turn, the first of each round changing, and prints a row. Each call makes `operations` of them.
pub fn pair(name: &str, operations: u64, mut ours: impl FnMut(), mut peer: impl FnMut()) -> Pair {
    let time = |code: &mut dyn FnMut()| {
        let start = Instant::now();
        code();
        start.elapsed()
    };
    pair_timed(name, operations, || time(&mut ours), || time(&mut peer))
}

/// As [`pair`], for code that measures itself, since it has to set something up first.
pub fn pair_timed(
    name: &str,
    operations: u64,
    mut ours: impl FnMut() -> Duration,
    mut peer: impl FnMut() -> Duration,
) -> Pair {
    let time = |code: &mut dyn FnMut() -> Duration| code().as_nanos() as f64 / operations as f64;
    // Once unmeasured: page cache, branch predictors, lazy binding.
    time(&mut ours);
    time(&mut peer);
    let mut pair = Pair { ours: Vec::new(), peer: Vec::new() };
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            pair.ours.push(time(&mut ours));
            pair.peer.push(time(&mut peer));
        } else {
            pair.peer.push(time(&mut peer));
            pair.ours.push(time(&mut ours));
        }
    }
    pair.print(name);
    pair
}

/// What some work took, such as a process from its start to its end.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// By the clock.
    pub wall: Duration,
    /// Of the processors, in user and kernel mode; in steps of 10 ms. `None`: not measured.
    pub cpu: Option<Duration>,
}

/// Runs a command to its end, without input and output.
///
/// # Panics
/// It cannot be started, or fails.
pub fn cost(command: &mut Command) -> Cost {
    measured(CHILDREN, || {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
    })
}

/// What code takes, with all threads of this process and the processes that it starts and waits for.
pub fn cost_of(code: impl FnOnce()) -> Cost {
    measured(ALL, code)
}

fn measured(whose: Range<usize>, code: impl FnOnce()) -> Cost {
    let (start, before) = (Instant::now(), processors_time(whose.clone()));
    code();
    Cost { wall: start.elapsed(), cpu: Some(processors_time(whose).saturating_sub(before)) }
}

/// As [`pair_timed`], with so many rounds, for work that takes long, such as processes: a row for the time, and one for that of the processors if both
/// sides have it.
pub fn pair_of_processes(
    name: &str,
    operations: u64,
    rounds: usize,
    mut ours: impl FnMut() -> Cost,
    mut peer: impl FnMut() -> Cost,
) {
    let mut costs = [Vec::new(), Vec::new()];
    let mut run = |ours_now: bool| if ours_now { costs[0].push(ours()) } else { costs[1].push(peer()) };
    // The first round is not measured.
    for round in 0..=rounds {
        run(round % 2 == 0);
        run(round % 2 == 1);
    }
    let [ours, peer] = &costs;
    let of = |costs: &[Cost], time: fn(&Cost) -> Option<Duration>| -> Option<Vec<f64>> {
        costs[1..].iter().map(|cost| Some(time(cost)?.as_nanos() as f64 / operations as f64)).collect()
    };
    for (what, time) in
        [("time", (|cost| Some(cost.wall)) as fn(&Cost) -> Option<Duration>), ("CPU", |cost| cost.cpu)]
    {
        if let (Some(ours), Some(peer)) = (of(ours, time), of(peer, time)) {
            Pair { ours, peer }.print(&format!("{name}, {what}"));
        }
    }
}

/// Of the fields of /proc/self/stat after the name: the times of all children that have ended, and with this process's own.
const CHILDREN: Range<usize> = 13..15;
const ALL: Range<usize> = 11..15;

/// The sum of these times: the system's own call for it needs `unsafe`.
fn processors_time(whose: Range<usize>) -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace().collect();
    let ticks: u64 = fields.get(whose).unwrap_or_default().iter().filter_map(|n| n.parse::<u64>().ok()).sum();
    // Linux tells user space 100 ticks a second, whatever it has itself.
    Duration::from_millis(ticks * 10)
}

/// Whether the command line names these rows, or none.
pub fn is_wanted(title: &str) -> bool {
    // Cargo adds `--bench`.
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
    words.peek().is_none() || words.any(|word| title.contains(&word))
}

/// Prints what the columns of the rows are.
pub fn heading(title: &str, ours: &str, peer: &str) {
    *HEADING.lock().unwrap_or_else(PoisonError::into_inner) = [title, ours, peer].map(str::to_owned);
    println!("\n{title}: {ours} against {peer}");
    println!("{:<44} {:>12} {:>12} {:>10} {:>8}  ratio, min to max", "", "ours", "peer", "more", "ratio");
}

impl Pair {
    fn print(&self, name: &str) {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.peer).map(|(ours, peer)| ours / peer).collect();
        let (ours, peer) = (median(&self.ours), median(&self.peer));
        let (low, high) =
            ratios.iter().fold((f64::MAX, 0.0_f64), |(low, high), ratio| (low.min(*ratio), high.max(*ratio)));
        println!(
            "{name:<44} {ours:>9.1} ns {peer:>9.1} ns {:>7.1} ns {:>8.3}  {low:.3} to {high:.3}",
            ours - peer,
            median(&ratios)
        );
        if let Some(file) = std::env::var_os("ZVFS_BENCH_JSON") {
            let [title, of, against] = &*HEADING.lock().unwrap_or_else(PoisonError::into_inner);
            let row = serde_json::json!({
                "bench": bench_name(), "title": title, "ours": of, "peer": against, "row": name,
                "ours_ns": ours, "peer_ns": peer, "ratio": median(&ratios), "least": low, "most": high,
            });
            if let Err(error) = append(Path::new(&file), &row.to_string()) {
                panic!("ZVFS_BENCH_JSON={}: {error}", file.display());
            }
        }
    }
}

/// The bench's own name: its executable's, without Cargo's hash.
fn bench_name() -> String {
    let executable = std::env::current_exe().unwrap_or_default();
    let name = executable.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    name.rsplit_once('-').map_or(name.clone(), |(name, _)| name.to_owned())
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    writeln!(File::options().append(true).create(true).open(file)?, "{line}")
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Places in a file, the same each time and in no order.
pub fn offsets(count: u64, size: u64, read: u64) -> Vec<u64> {
    (0..count).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (size / read) * read).collect()
}

/// Keeps a value, and what it depends on, from being optimised away.
pub fn keep<T>(value: T) {
    black_box(value);
}

/// The folder of this executable: Cargo leaves the providers' libraries there.
pub fn provider_folder() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    executable.parent().map(PathBuf::from).unwrap_or_default()
}
