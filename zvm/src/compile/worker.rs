//! The host's side of a compiler in a process of its own.
#![expect(unsafe_code, reason = "what the process inherits can be settled between fork and exec only")]

use super::bad;
use super::child::{ARTIFACT, REFUSED, lower_limits};
use crate::exit::{ExitCode, Failure};
use crate::guest::Stop;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;
use vfs_core::{Code, Context, Error, Events, Result};

/// Memory that a compiler may write to, in bytes: more than the largest program needs (docs/performance.md).
const MEMORY: u64 = 4 << 30;
/// CPU time that it may use: several times what the largest program needs (docs/performance.md).
const CPU: Duration = Duration::from_secs(600);
/// More threads than this cost more memory than they save time.
const THREADS_MAX: usize = 8;
/// The largest artifact, in bytes.
const ARTIFACT_MAX: u64 = 1 << 30;
/// Where to stop counting descriptors on kernels that can't be asked to close a range.
const DESCRIPTORS_MAX: i32 = 1 << 20;
/// How long a worker that has closed its output may take to end.
const END_MAX: Duration = Duration::from_secs(5);
/// The longest refusal.
const REFUSAL_MAX: u64 = 4096;

/// A command that compiles one program and ends: it must call [`compile_child`](super::compile_child) with its last three
/// arguments, as the hidden subcommand `compile-child` of `zvfs` does.
///
/// It starts with an empty environment, `/` as its folder, the program as standard input, pipes as standard output and error, of
/// which the latter is read by nobody, and nothing else open; it is killed when the session is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    program: PathBuf,
    arguments: Vec<OsString>,
    memory: u64,
    cpu: Duration,
}

impl Worker {
    /// A worker that runs this executable.
    pub fn new(program: impl Into<PathBuf>) -> Worker {
        Worker { program: program.into(), arguments: Vec::new(), memory: MEMORY, cpu: CPU }
    }

    /// Adds an argument, before those that the worker gets anyway.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Worker {
        self.arguments.push(argument.into());
        self
    }

    /// Sets how many bytes of memory it may write to: 4 GiB by default.
    pub fn memory(mut self, bytes: u64) -> Worker {
        self.memory = bytes;
        self
    }

    /// Sets how much CPU time it may use, in whole seconds from 1: 600 s by default.
    pub fn cpu(mut self, time: Duration) -> Worker {
        self.cpu = time;
        self
    }

    /// Compiles a program, until the session is stopped.
    pub(super) fn compile(
        &self,
        bytes: &[u8],
        functions: u64,
        stop: &Stop,
    ) -> std::result::Result<Vec<u8>, Failure> {
        let control = stop.control().follower();
        let answer = self.start(bytes, functions).and_then(|mut started| started.answer(&control.context()));
        if let Some(failure) = stop.failure() {
            return Err(failure);
        }
        match answer {
            Ok(answer) => answer,
            Err(error) => {
                let text = format!("compile the program by {}: {}", self.program.display(), error.chain());
                Err(Failure::new(ExitCode::Io, text))
            }
        }
    }

    fn start(&self, bytes: &[u8], functions: u64) -> Result<Started> {
        // A file and not a pipe: the host never has to write and read at once, and raises no SIGPIPE.
        let memory = memfd_create("program", MemfdFlags::CLOEXEC).map_err(io::Error::from)?;
        let mut input = File::from(memory);
        input.write_all(bytes)?;
        input.rewind()?;
        // A full pipe takes no more, and holds nobody up. Not /dev/null, which a sandbox may lack.
        let (unread, messages) =
            pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(io::Error::from)?;
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX));
        let mut command = Command::new(&self.program);
        before_exec(&mut command);
        let mut child = command
            .arg0("zvfs")
            .args(&self.arguments)
            .arg(self.memory.to_string())
            .arg(self.cpu.as_secs().max(1).to_string())
            .arg(functions.to_string())
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.to_string())
            .current_dir("/")
            .stdin(Stdio::from(input))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(messages))
            .spawn()?;
        match child.stdout.take() {
            Some(output) => {
                Ok(Started { child, output, _unread: unread, memory: self.memory, cpu: self.cpu })
            }
            None => {
                end(&mut child);
                Err(Error::new(Code::EIO, "it has no standard output"))
            }
        }
    }
}

/// Sees to it that a command inherits its three standard descriptors only, since a provider may keep others that don't close
/// themselves, and channels of other sessions are among them; and that it ends with this thread.
fn before_exec(command: &mut Command) {
    let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let end = open_files.and_then(|limit| i32::try_from(limit).ok()).unwrap_or(DESCRIPTORS_MAX);
    let parent = std::process::id();
    let settle = move || {
        // SAFETY: the call has no preconditions; the number is a signal's.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // The parent may have ended before that was set.
        if std::os::unix::process::parent_id() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // Marked, not closed: one of them tells the parent whether exec worked.
        // SAFETY: the call changes flags of descriptors of the process that is about to become the worker, nothing else.
        if unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) } == 0 {
            return Ok(());
        }
        // Linux before 5.11.
        for descriptor in 3..end.min(DESCRIPTORS_MAX) {
            // SAFETY: as above; a number that is not open gives EBADF.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls only: it allocates nothing and takes no lock.
    unsafe { command.pre_exec(settle) };
}

/// A worker at work. Killed when dropped.
struct Started {
    child: Child,
    output: ChildStdout,
    /// The end of its messages: without it, writing one would be a failure.
    _unread: OwnedFd,
    memory: u64,
    cpu: Duration,
}

impl Started {
    /// Reads the whole answer: a kind, a length, and as many bytes. One that breaks off is explained by the worker's end.
    fn answer(&mut self, context: &Context) -> Result<std::result::Result<Vec<u8>, Failure>> {
        let mut head = [0; 9];
        let mut body = Vec::new();
        if !self.fill(context, &mut head)? {
            return self.explain(context);
        }
        let [kind, length @ ..] = head;
        let length = u64::from_le_bytes(length);
        let most = if kind == ARTIFACT { ARTIFACT_MAX } else { REFUSAL_MAX };
        if length > most {
            return Err(Error::new(Code::EPROTO, format!("it returned {length} bytes: at most {most}")));
        }
        body.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        if !self.fill(context, &mut body)? {
            return self.explain(context);
        }
        match kind {
            ARTIFACT => Ok(Ok(body)),
            REFUSED => Ok(Err(Failure::new(ExitCode::BadProgram, String::from_utf8_lossy(&body)))),
            _ => Err(Error::new(Code::EIO, String::from_utf8_lossy(&body).into_owned())),
        }
    }

    /// Fills `buf`; whether the output lasted.
    fn fill(&mut self, context: &Context, mut buf: &mut [u8]) -> Result<bool> {
        while !buf.is_empty() {
            context.wait(Some(self.output.as_fd()), Events::READ, None)?;
            match self.output.read(buf) {
                Ok(0) => return Ok(false),
                Ok(count) => buf = &mut buf[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Waits a moment for one that has closed its output: a program may close it before it ends with the status that says why.
    fn wait_for_its_end(&self, context: &Context) -> Result<()> {
        // None before Linux 5.3: then it is ended as it is.
        let Ok(process) = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) else {
            return Ok(());
        };
        context.wait(Some(process.as_fd()), Events::READ, Some(END_MAX)).map(drop)
    }

    /// Why a worker gave no answer: what it may use is limited, and the limits end it by a signal.
    fn explain(&mut self, context: &Context) -> Result<std::result::Result<Vec<u8>, Failure>> {
        self.wait_for_its_end(context)?;
        let status = end(&mut self.child);
        let lower = lower_limits(self.memory, self.cpu.as_secs());
        match (status.and_then(|status| status.signal()), lower) {
            (Some(signal), Some(lower)) => {
                let text = format!(
                    "compile the program: its compiler was killed by signal {signal}: this process has its own limits, which apply: {lower}"
                );
                Ok(Err(Failure::new(ExitCode::Memory, text)))
            }
            (None, Some(lower)) => {
                let status = status.map_or("it ended".to_owned(), |status| status.to_string());
                let text = format!("{status}, without an answer, under this process's own limits: {lower}");
                Err(Error::new(Code::ENOMEM, text))
            }
            (Some(signal), None) => {
                let (memory, cpu) = (self.memory >> 20, self.cpu.as_secs());
                Ok(Err(bad(format_args!(
                    "its compiler was killed by signal {signal}: it may use {memory} MiB of memory and {cpu} s of CPU time"
                ))))
            }
            (None, None) => {
                let status = status.map_or("it ended".to_owned(), |status| status.to_string());
                Err(Error::new(Code::EIO, format!("{status}, without an answer")))
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills a process, if it has not ended, and takes its status. `None` if the host takes no notice of its children's ends.
fn end(child: &mut Child) -> Option<ExitStatus> {
    // It fails if the process is over already.
    let _ = child.kill();
    child.wait().ok()
}
