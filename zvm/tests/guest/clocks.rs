//! Time, chance, arguments: what would differ from run to run, and does not.

use crate::job::{BADF, FAULT, INVAL, Job};
use crate::script;
use crate::shelf::Book;
use std::time::{Duration, Instant};

/// A subscription at 4096 + 48 * `index`: userdata, tag, what it is on, time, flags.
fn subscription(index: usize, userdata: u64, tag: u64, on: u64, time: u64, flags: u32) -> String {
    let at = 4096 + 48 * index;
    format!(
        "put64 {at} {userdata}\n put64 {} {tag}\n put64 {} {on}\n put64 {} {time}\n put32 {} {flags}\n",
        at + 8,
        at + 16,
        at + 24,
        at + 40
    )
}

/// Polls so many subscriptions, and tells the events' number, then of each userdata, and errno and type.
fn poll(count: usize, events: usize) -> String {
    let mut text = format!("poll_oneoff 4096 16384 {count} 8\n get32 8\n");
    for event in 0..events {
        text += &format!("get64 {}\n get32 {}\n", 16384 + 32 * event, 16384 + 32 * event + 8);
    }
    text
}

const CLOCK: u64 = 0;
const READ: u64 = 1;
const WRITE: u64 = 2;
const SECOND: u64 = 1_000_000_000;

#[test]
fn virtual_time_moves_by_readings() {
    let told = Job::new().told("clock_time_get 0 0 16\n get64 16\n clock_time_get 1 0 16\n get64 16\n clock_time_get 3 0 16\n get64 16
        clock_res_get 0 16\n get64 16\n clock_time_get 4 0 16\n clock_res_get 4 16\n clock_time_get 0 0 131065");
    assert_eq!(told, [0, 1000, 0, 2000, 0, 3000, 0, 1000, INVAL, INVAL, FAULT]);
}

#[test]
fn a_virtual_sleep_takes_no_real_time() {
    let hour = 3600 * SECOND;
    let script = subscription(0, 7, CLOCK, 1, hour, 0)
        + &subscription(1, 8, CLOCK, 0, 2 * hour, 1)
        + &poll(2, 1)
        + "clock_time_get 1 0 16\n get64 16\n"
        + &poll(2, 2);
    let start = Instant::now();
    let told = Job::new().told(&script);
    assert!(start.elapsed() < Duration::from_secs(60));
    let hour = hour as i64;
    assert_eq!(told[..6], [0, 1, 7, 0, 0, hour + 1000]);
    // The absolute one is less than an hour away now.
    assert_eq!(told[6..9], [0, 1, 8]);
}

#[test]
fn descriptors_are_ready_before_any_clock() {
    let script = subscription(0, 1, CLOCK, 0, 0, 0)
        + &subscription(1, 2, WRITE, 1, 0, 0)
        + &subscription(2, 3, READ, 0, 0, 0)
        + &subscription(3, 4, READ, 99, 0, 0)
        + &subscription(4, 5, CLOCK, 9, 0, 0)
        + &poll(5, 4)
        + "clock_time_get 1 0 16\n get64 16\n";
    let told = Job::new().told(&script);
    let event = |tag: u64, errno: i64| (tag as i64) << 16 | -errno;
    assert_eq!(
        told,
        [0, 4, 2, event(WRITE, 0), 3, event(READ, 0), 4, event(READ, BADF), 5, event(CLOCK, INVAL), 0, 1000]
    );
}

#[test]
fn a_poll_is_bounded_and_checked() {
    let told = Job::new().told("poll_oneoff 4096 16384 0 8\n poll_oneoff 0 0 1025 8\n poll_oneoff 0 0 0xffffffff 8
        poll_oneoff 131050 4096 1 8\n poll_oneoff 4096 131050 1 8\n poll_oneoff 4096 16384 1 131070\n put8 4104 3\n poll_oneoff 4096 16384 1 8");
    assert_eq!(told, [INVAL, INVAL, INVAL, FAULT, FAULT, FAULT, INVAL]);
}

#[test]
fn real_time_is_the_hosts_and_the_report_says_so() {
    let job = Job::new().key("Deterministic = 0");
    let sleep = subscription(0, 7, CLOCK, 1, SECOND / 20, 0) + &poll(1, 1);
    let script = format!(
        "clock_time_get 0 0 16\n get64 16\n clock_time_get 1 0 16\n get64 16\n {sleep} clock_time_get 1 0 16\n get64 16"
    );
    let start = Instant::now();
    let report = job.run(&script::program(&script));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(report.nondeterministic && report.exit_code.number() == 0, "{report:?}");
    let told = job.log();
    assert!(told[1] > 1_577_836_800 * SECOND as i64, "after 2020");
    assert!(told[9] - told[3] >= SECOND as i64 / 20);
    assert!(!Job::new().run(&script::program("")).nondeterministic);
}

/// What `random_get` gives under these keys.
fn random(keys: &[&str], program: &str) -> Vec<i64> {
    let mut job = Job::new();
    for key in keys {
        job = job.key(key);
    }
    job.told(&format!("random_get 4096 16\n get64 4096\n get64 4104\n {program}"))[..3].to_vec()
}

#[test]
fn chance_is_seeded_by_program_node_and_seed() {
    let plain = random(&[], "");
    assert_eq!(plain, random(&[], ""));
    for other in [random(&["Seed = 1"], ""), random(&["Node = 1"], ""), random(&[], "sched_yield")] {
        assert_ne!(plain, other);
    }
    assert_ne!(random(&["Deterministic = 0"], ""), random(&["Deterministic = 0"], ""));
    let told = Job::new().told("random_get 131065 8\n random_get 4096 0\n random_get 131071 1");
    assert_eq!(told, [FAULT, 0, 0]);
}

#[test]
fn arguments_and_environment_are_the_manifests() {
    let job = Job::new().key("Args = one \"t w o\"").key("Env = A=1").key("Env = B=x=y");
    let told = job.told("args_sizes_get 16 20\n get32 16\n get32 20\n args_get 32 4096\n get32 32\n get32 36\n get32 40\n get64 4096\n get64 4104
        environ_sizes_get 16 20\n get32 16\n get32 20\n environ_get 32 4096\n get32 36\n get64 4096\n args_get 131070 4096\n args_get 32 131070");
    let text = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes);
    assert_eq!(told[..9], [0, 3, 8 + 4 + 6, 0, 4096, 4104, 4108, text(b"program\0"), text(b"one\0t w ")]);
    assert_eq!(told[9..], [0, 2, 4 + 6, 0, 4100, text(b"A=1\0B=x="), FAULT, FAULT]);
}

#[test]
fn two_runs_are_the_same_to_the_unit_of_fuel() {
    let script = "random_get 4096 5000\n read 0 5000\n write 1 5000\n clock_time_get 0 0 16\n get64 16\n fd_readdir 3 4096 999 0 8\n get32 8";
    let run = |chunk: usize| {
        let job = Job::new().file("in", Book { chunk, ..Book::pipe(crate::job::letters(4000)) });
        let report = job.run(&script::program(script));
        (report.fuel.unwrap(), job.log(), job.shelf.data("out"))
    };
    let first = run(usize::MAX);
    assert!(first.0 > 1000 && first.2.len() == 5000);
    // How a provider cuts its data makes no difference either.
    assert_eq!(first, run(usize::MAX));
    assert_eq!(first, run(7));
}
