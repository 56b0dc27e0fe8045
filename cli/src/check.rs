//! `zvfs check`: what a library is, without trusting it: it is loaded in a child process only.

pub mod child;
mod elf;

use crate::arguments::duration;
use crate::exit::{Failure, number, warn};
use crate::text::printable;
use clap::Args;
use elf::Elf;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Error};

/// What is kept of a child's output: a table of settings is no longer.
const OUTPUT_MAX: usize = 1 << 20;
/// How long its output may take once it has ended: what it started may still hold it open.
const OUTPUT_TIME: Duration = Duration::from_secs(1);

/// Examine a provider's library: its table, what it links to, what is wrong with it
///
/// The library is loaded in a process of its own. Being loaded, it may do whatever you may: check what you would run.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Check {
    /// How long loading it may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// The library, such as libzvfs_file.so
    #[arg(value_name = "LIB.so")]
    library: PathBuf,
}

impl Check {
    pub fn execute(&self) -> Result<(), Failure> {
        let elf = Elf::read(&self.library)?;
        let loaded = self.load_in_child()?;
        let mut out = io::stdout();
        write!(out, "{}", loaded.table).and_then(|()| writeln!(out, "{elf}")).map_err(Failure::output)?;
        let mut defects = elf.defects();
        defects.extend(loaded.defect);
        defects.iter().for_each(|defect| warn(defect));
        match defects.first() {
            None => writeln!(out, "nothing wrong with it").map_err(Failure::output),
            Some(_) => Err(Failure::told(loaded.code)),
        }
    }

    /// Lets a child load it, within the time limit.
    fn load_in_child(&self) -> Result<Loaded, Failure> {
        let doing = |error: io::Error| Error::from(error).context("start a process that loads the library");
        let executable = std::env::current_exe().map_err(doing)?;
        let mut child = Command::new(executable)
            .args(child::arguments(self.timeout, &self.library))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(doing)?;
        let (output, errors) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
        let in_time = wait(&child, self.timeout).map_err(doing)?;
        if !in_time {
            child.kill().map_err(doing)?;
        }
        let status = child.wait().map_err(doing)?;
        let collected = |output: Option<Receiver<Vec<u8>>>| output.as_ref().map(text).unwrap_or_default();
        Ok(self.judge(in_time.then_some(status), &collected(output), &collected(errors)))
    }

    fn judge(&self, status: Option<ExitStatus>, output: &str, errors: &str) -> Loaded {
        let table: String = output.lines().map(|line| printable(line) + "\n").collect();
        let library = self.library.display();
        // The library may write there too.
        let told = errors.lines().filter_map(|line| line.strip_prefix("zvfs: ")).next_back();
        let (code, defect) = match status.map(|status| (status.code(), status.signal())) {
            Some((Some(0), _)) if !table.is_empty() => (Code::ELIBBAD, None),
            Some((_, Some(signal))) => {
                (Code::ELIBBAD, Some(format!("{library}: crashed with signal {signal} while loading")))
            }
            Some((Some(code @ 1..), _)) if told.is_some() => {
                (Code::from_raw(code.into()), told.map(str::to_owned))
            }
            Some(_) => (Code::ELIBBAD, Some(format!("{library}: ended the process while loading"))),
            None => {
                let limit = self.timeout;
                (Code::ETIMEDOUT, Some(format!("{library}: did not finish loading within {limit:?}")))
            }
        };
        Loaded { table, defect, code: number(code) }
    }
}

/// What came of loading.
struct Loaded {
    /// What the library says of itself.
    table: String,
    defect: Option<String>,
    /// The exit code, if there is a defect, this one or another.
    code: u8,
}

/// Collects a stream on a thread of its own: what the library started may hold it open for ever.
fn collect(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let (mut buf, mut left) = (vec![0; 64 * 1024], OUTPUT_MAX);
        // A broken pipe ends the output like its end. Beyond the limit it is read and dropped, so that nobody waits.
        while let Ok(count @ 1..) = stream.read(&mut buf) {
            let kept = count.min(left);
            left -= kept;
            if kept > 0 && send.send(buf[..kept].to_vec()).is_err() {
                break;
            }
        }
    });
    receive
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
