//! Who is woken for what. Alone in its process: the kernel's counts are of threads by name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::thread;
use std::time::Instant;
use vfs_core::{Configuration, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_tcp::Tcp;
use zvfs_test_support::free_port;

fn host() -> Registry {
    let configuration = "[provider.tcp]\nsettings = { same-host = \"off\" }\n";
    let registry = Registry::new(Configuration::parse(configuration).unwrap());
    registry.register(Box::new(Tcp)).unwrap();
    registry
}

/// How often the service threads of this process went to sleep.
fn sleeps_of_service_threads() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let status = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
    status
        .filter(|status| status.lines().any(|line| line == "Name:\tzvfs-netpipe"))
        .filter_map(|status| {
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            line.split_whitespace().last()?.parse::<u64>().ok()
        })
        .sum()
}

/// Each TAKEN once woke the service thread, which took its time from the two threads at work.
#[test]
fn what_a_busy_writer_is_told_wakes_no_third_thread() {
    const TOTAL: usize = 64 << 20;
    // With the smallest window there are two thousand reports.
    let descriptor = format!("tcp://127.0.0.1:{}", free_port());
    let (reading, writing) = (host(), host());
    let mut reader =
        reading.open(&format!("{descriptor}?window=64k"), &OpenOptions::new(OpenFlags::READ)).unwrap();
    let mut writer = writing.open(&descriptor, &OpenOptions::new(OpenFlags::WRITE)).unwrap();
    let writer = thread::spawn(move || {
        let block = [7; 16 << 10];
        for _ in 0..TOTAL / block.len() {
            writer.write_all(&block).unwrap();
        }
        writer.finish(Finish::Commit).unwrap();
    });
    let mut buffer = [0; 16 << 10];
    let mut total = reader.read(&mut buffer).unwrap();
    let (before, start) = (sleeps_of_service_threads(), Instant::now());
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    let sleeps = sleeps_of_service_threads() - before;
    writer.join().unwrap();
    assert_eq!(total, TOTAL);
    // The writer's listens again after each 20 ms, the reader's reports after each 40 ms; and pipes begin and end.
    let allowed = 100 + start.elapsed().as_millis() as u64 / 5;
    assert!(sleeps < allowed, "{sleeps} sleeps of service threads in {:?}", start.elapsed());
}
