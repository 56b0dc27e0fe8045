//! What a process of a server holds.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// The most memory that a process ever had, in bytes.
pub fn peak(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// The processors' time that it used, in steps of 10 ms.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Fields 14 and 15; the second is a name in brackets, which may have spaces.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Whether it computes nothing for a while.
pub fn falls_quiet(pid: u32) -> bool {
    let before = cpu(pid);
    sleep(Duration::from_millis(200));
    cpu(pid) == before
}

/// One of a process's threads.
#[derive(Debug)]
pub struct Thread {
    /// Its name; that of the first one is the program's.
    pub name: String,
    /// Its nice value.
    pub nice: i32,
    /// How often it has gone to sleep.
    pub sleeps: u64,
}

/// The threads that it has. One that ends meanwhile is left out.
pub fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .filter_map(|task| {
            let task = task.unwrap().path();
            let stat = fs::read_to_string(task.join("stat")).ok()?;
            let status = fs::read_to_string(task.join("status")).ok()?;
            let (start, fields) = stat.rsplit_once(')').unwrap();
            let (_, name) = start.split_once('(').unwrap();
            let nice = fields.split_whitespace().nth(16).unwrap().parse().unwrap();
            let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let sleeps = sleeps.unwrap().trim().parse().unwrap();
            Some(Thread { name: name.to_owned(), nice, sleeps })
        })
        .collect()
}

/// How many descriptors it has open.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// The processes that it started, on whichever thread.
pub fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // A thread may end meanwhile.
    let of_thread =
        |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let children: Vec<String> = threads.map(|thread| of_thread(thread.unwrap())).collect();
    children.iter().flat_map(|pids| pids.split_whitespace()).map(|pid| pid.parse().unwrap()).collect()
}
