//! Programs in C: the least one that does the same shows what a machine allows, and a long line what a distance does.

use crate::Failure;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A ring in shared memory between two threads.
pub struct Ring(PathBuf);

impl Ring {
    /// Builds it; `None`: nothing here does.
    pub fn build(folder: &Path) -> Result<Option<Ring>, Failure> {
        Ok(build(folder, "ring")?.map(Ring))
    }

    /// So many bytes in writes of a size, one way.
    pub fn flow(&self, size: usize, total: usize) -> Result<Duration, Failure> {
        self.run(&["flow", &size.to_string(), &total.to_string()])
    }

    /// 64 bytes there on one, and back on another.
    pub fn trips(&self, count: u64) -> Result<Duration, Failure> {
        self.run(&["trips", &count.to_string()])
    }

    fn run(&self, words: &[&str]) -> Result<Duration, Failure> {
        let output = Command::new(&self.0).args(words).output()?;
        if !output.status.success() {
            return Err(format!("ring {}: {}", words.join(" "), output.status).into());
        }
        Ok(Duration::from_nanos(String::from_utf8(output.stdout)?.trim().parse()?))
    }
}

/// A long line between two network namespaces, until it is dropped.
pub struct Line {
    process: Child,
    ends: [File; 2],
}

impl Line {
    /// The addresses of its ends.
    pub const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

    /// Lays one on which every packet takes so long; `None`: this process may not, or cannot build it.
    pub fn lay(folder: &Path, each_way: Duration) -> Result<Option<Line>, Failure> {
        let Some(program) = build(folder, "line")? else { return Ok(None) };
        let mut process = Command::new(program)
            .arg(each_way.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut said)?;
        let Some((left, right)) = said.trim().split_once(' ') else {
            process.wait()?;
            return Ok(None);
        };
        let ends = [File::open(left)?, File::open(right)?];
        Ok(Some(Line { process, ends }))
    }

    /// Moves this thread to one of its ends, and those that it starts.
    pub fn enter(&self, end: usize) -> Result<(), Failure> {
        Ok(move_into_link_name_space(self.ends[end].as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Builds a program of `limits/`.
fn build(folder: &Path, name: &str) -> Result<Option<PathBuf>, Failure> {
    if zvfs_test_support::find("cc").is_none() {
        return Ok(None);
    }
    let program = folder.join(name);
    let source = format!("{}/limits/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let built = Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&program).arg(&source).status()?;
    if built.success() { Ok(Some(program)) } else { Err(format!("cc {source}: {built}").into()) }
}
