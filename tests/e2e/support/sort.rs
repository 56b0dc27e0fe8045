//! The job of `examples/jobs/sort`: four mappers and three reducers, in a full mesh of netpipes.

use crate::support::{Done, Folder, Started, WASM_TOOLS, copy_example, run, under};
use std::fs;
use std::process::{Command, Stdio};

pub const MAPPERS: [&str; 4] = ["m1", "m2", "m3", "m4"];
pub const REDUCERS: [&str; 3] = ["r1", "r2", "r3"];

/// A copy of examples/jobs/sort with its guests built and its records made; `None`: nothing to build them with.
pub fn job() -> Option<Folder> {
    let folder = Folder::needing(&WASM_TOOLS)?;
    copy_example("jobs/sort", folder.path());
    for guest in ["mapper", "reducer"] {
        let mut clang = Command::new("clang");
        clang.args(["--target=wasm32-wasi", "-O2", "-o", &folder.at(&format!("{guest}.wasm"))]);
        clang.arg(folder.at(&format!("{guest}.c")));
        run(clang).succeeded();
    }
    let mut sh = Command::new("sh");
    sh.arg(folder.at("records.sh"));
    run(sh).succeeded();
    Some(folder)
}

/// The manifests of some nodes.
pub fn manifests(folder: &Folder, nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(|node| folder.at(&format!("{node}.manifest"))).collect()
}

pub fn all_nodes() -> Vec<&'static str> {
    [&MAPPERS[..], &REDUCERS[..]].concat()
}

/// Checks that the reducers' outputs, one after the other, are all records in order.
#[track_caller]
pub fn assert_sorted(folder: &Folder) {
    let read = |name: String| fs::read_to_string(folder.at(&name)).unwrap();
    let parts: Vec<String> = (1..=MAPPERS.len()).map(|at| read(format!("part-{at}.txt"))).collect();
    let mut records: Vec<&str> = parts.iter().flat_map(|part| part.lines()).collect();
    assert_eq!(records.len(), 40_000);
    records.sort_unstable();
    let sorted: Vec<String> = (1..=REDUCERS.len()).map(|at| read(format!("sorted-{at}.txt"))).collect();
    assert!(sorted.iter().all(|share| share.len() > 64 << 10), "no reducer is idle");
    assert!(sorted.concat() == records.join("\n") + "\n");
}

/// `zvfs run` under an operator's file.
pub fn run_under(file: &str, arguments: &[String]) -> Command {
    let mut command = under(file, &["run"]);
    command.args(arguments);
    command
}

/// Starts one node's run.
pub fn start_node(mut command: Command) -> Started {
    Started::new(command.stdin(Stdio::null()))
}

/// All end well, and say nothing but whom they waited for, as they do on a slow machine.
#[track_caller]
pub fn all_succeed(nodes: Vec<(&str, Started)>) {
    let done: Vec<(&str, Done)> = nodes.into_iter().map(|(node, started)| (node, started.end())).collect();
    for (node, done) in done {
        let is_quiet = done.stderr.lines().all(|line| line.contains(": waiting for "));
        assert!(done.code == 0 && is_quiet, "{node}: {done:?}");
    }
}
