//! A child process that loads a library: bounded in time, and in what is kept of its output.

use crate::exit::{self, Failure, number};
use crate::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Error};

/// What is kept of a child's output: a table of settings is no longer.
const OUTPUT_MAX: usize = 1 << 20;
/// How long its output may take once it has ended: what it started may still hold it open.
const OUTPUT_TIME: Duration = Duration::from_secs(1);

/// How a child ended.
pub struct Ended {
    /// `None`: it was ended, the time was over.
    pub status: Option<ExitStatus>,
    pub process: u32,
    pub output: String,
    pub errors: String,
}

impl Ended {
    /// Runs this command again, as a child with these arguments.
    pub fn run(arguments: Vec<OsString>, limit: Duration) -> Result<Ended, Error> {
        let doing = |error: io::Error| Error::from(error).context("start a process that loads the library");
        let executable = std::env::current_exe().map_err(doing)?;
        // At its end from the start, as /dev/null would be, which a sandbox may lack.
        let (nothing, _) = io::pipe().map_err(doing)?;
        let mut child = Command::new(executable)
            .args(arguments)
            // So that a library that takes the user's locale changes that of the process, whichever the user has.
            .env("LC_ALL", "C.UTF-8")
            .stdin(nothing)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(doing)?;
        let collected = child.stdout.take().map(collect).transpose();
        let collected =
            collected.and_then(|output| Ok((output, child.stderr.take().map(collect).transpose()?)));
        let (output, errors) = match collected {
            Ok(both) => both,
            Err(error) => {
                // Nobody would read what it writes.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(
                    Error::no_thread(&error).context("read what a process that loads the library writes")
                );
            }
        };
        let in_time = wait(&child, limit).map_err(doing)?;
        if !in_time {
            child.kill().map_err(doing)?;
        }
        let status = child.wait().map_err(doing)?;
        let collected = |output: Option<Receiver<Vec<u8>>>| output.as_ref().map(text).unwrap_or_default();
        let status = in_time.then_some(status);
        Ok(Ended { status, process: child.id(), output: collected(output), errors: collected(errors) })
    }

    /// The exit code, or the signal that ended it; `None` for both: the time was over.
    pub fn code_and_signal(&self) -> (Option<i32>, Option<i32>) {
        self.status.map_or((None, None), |status| (status.code(), status.signal()))
    }

    /// The last line that our own code wrote to standard error: the library may write there too.
    pub fn told(&self) -> Option<&str> {
        self.errors.lines().filter_map(|line| line.strip_prefix("zvfs: ")).next_back()
    }
}

/// Ends this process after a time. Its parent does so sooner; this is for a parent that was killed.
pub fn end_after(limit: Duration) -> Result<(), Failure> {
    signals::spawn("limit", move || {
        thread::sleep(limit);
        exit::leave(number(Code::ETIMEDOUT))
    })
}

/// Collects a stream on a thread of its own: what the library started may hold it open for ever.
fn collect(mut stream: impl Read + Send + 'static) -> io::Result<Receiver<Vec<u8>>> {
    let (send, receive) = channel();
    thread::Builder::new().spawn(move || {
        let (mut buf, mut left) = (vec![0; 64 * 1024], OUTPUT_MAX);
        // A broken pipe ends the output like its end. Beyond the limit it is read and dropped, so that nobody waits.
        while let Ok(count @ 1..) = stream.read(&mut buf) {
            let kept = count.min(left);
            left -= kept;
            if kept > 0 && send.send(buf[..kept].to_vec()).is_err() {
                break;
            }
        }
    })?;
    Ok(receive)
}

/// What was collected until the end, or until now if the end does not come.
fn text(output: &Receiver<Vec<u8>>) -> String {
    let (mut bytes, until) = (Vec::new(), Instant::now() + OUTPUT_TIME);
    while let Ok(part) = output.recv_timeout(until.saturating_duration_since(Instant::now())) {
        bytes.extend(part);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a process to end; whether it did.
fn wait(child: &Child, limit: Duration) -> io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
