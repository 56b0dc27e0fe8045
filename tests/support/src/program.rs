//! Programs that are run, never longer than a limit, and what Cargo built for this test.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a compiler may take on a busy machine; and valgrind makes one processor fifty times slower.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// The folder where Cargo leaves what it built for this test: beside the test's own program. `cargo test -p` leaves fresh
/// libraries there only.
pub fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().canonicalize().unwrap()
}

/// A provider's library that Cargo built for this test.
pub fn library(name: &str) -> PathBuf {
    built().join(format!("libzvfs_{name}.so"))
}

/// The names of this project's providers. Those outside Cargo's `default-members` are left out where this build has no library of
/// them: `cargo test` has none, `cargo test --workspace` has all.
pub fn providers() -> Vec<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let workspace = std::fs::read_to_string(format!("{root}/Cargo.toml")).unwrap();
    let (_, default) = workspace.split_once("default-members").unwrap();
    let folders = std::fs::read_dir(format!("{root}/providers")).unwrap();
    let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| default.contains(&format!("\"providers/{name}\"")) || library(name).exists())
        .collect()
}

/// Runs a program that must succeed, with no configuration and no library path but its own; what it said.
#[track_caller]
pub fn succeeded(mut command: Command) -> Output {
    let shown = format!("{command:?}");
    command.env_remove("ZVFS_CONFIG");
    // Cargo's leads to the build tree first, whose library may be an earlier build's.
    if command.get_envs().all(|(name, _)| name != "LD_LIBRARY_PATH") {
        command.env_remove("LD_LIBRARY_PATH");
    }
    let output = run(command).unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}: {}\n{out}\n{err}", output.status);
    output
}

/// Runs a program to its end, or kills it at the limit. It gets nothing on standard input.
///
/// # Errors
/// It does not start; TimedOut.
pub fn run(mut command: Command) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    if !ends(&child, PATIENCE) {
        child.kill()?;
        child.wait()?;
        let said =
            |thread: JoinHandle<Vec<u8>>| String::from_utf8_lossy(&thread.join().unwrap()).into_owned();
        let text = format!("{command:?}: not done after {PATIENCE:?}\n{}{}", said(stdout), said(stderr));
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    }
    let text = |thread: JoinHandle<Vec<u8>>| thread.join().unwrap();
    Ok(Output { status: child.wait()?, stdout: text(stdout), stderr: text(stderr) })
}

/// Waits for a child's end; whether it came within the limit.
pub fn ends(child: &Child, limit: Duration) -> bool {
    // There is none of a child that has ended and been waited for.
    let Ok(process) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return true };
    let timeout = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: 0 };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

/// Reads a pipe on a thread of its own, so that a full one never blocks the program.
pub fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A program that was killed leaves what it had written.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        bytes
    })
}

/// The memory that this process holds, in bytes.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}
