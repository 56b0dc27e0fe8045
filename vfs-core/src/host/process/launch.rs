//! Starts the program `zvfs-provider` so that its host never hears of it by signals or wait(2): a host may wait for any child, or
//! ignore SIGCHLD.
//!
//! The host clones an intermediate whose end sends no signal; that one clones the program and is gone. The kernel gives the program
//! to init or to a subreaper. A host may be that one itself, as in a container: then it has to reap the program in the end.
#![expect(unsafe_code, reason = "clones the process, where nothing but system calls may then be made")]

use super::socket::Socket;
use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open, waitid};
use rustix::time::Timespec;
use std::ffi::{CString, c_char, c_int, c_long};
use std::fs::File;
use std::io::{self, stderr, stdin, stdout};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr;

/// The host's ends.
pub(super) struct Launched {
    /// To and from the provider's process.
    pub(super) control: Socket,
    /// To and from its parent, the supervisor.
    pub(super) supervisor: Socket,
    pub(super) failure: LaunchFailure,
    pub(super) orphan: Orphan,
}

/// Why the program could not be run, if that is why the sockets ended.
pub(super) struct LaunchFailure {
    path: PathBuf,
    /// Where an errno comes, if it has not come yet.
    pipe: OwnedFd,
    errno: Option<i32>,
}

/// The program's process; `None`: it has ended already.
pub(super) struct Orphan(Option<OwnedFd>);

/// The program is about to end when it is reaped.
const ITS_END: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Above the numbers of the program's own descriptors.
const ABOVE: RawFd = 16;

/// Starts the program for a provider. `program` was checked, and is what runs; `path` is for messages.
///
/// The program has descriptors 0 to 2 of the host's, if it may have its `standard_streams`; 3 the control socket, 4 the supervisor's,
/// 5 a pidfd of the host, and no others; no environment; and all signals blocked, since a handler of the host's must not run in the copy: it unblocks them first.
///
/// # Errors
/// EMFILE, EAGAIN, ENOMEM: the system gives no process or descriptor. ENOEXEC, EACCES: it is no program.
pub(super) fn launch(
    program: &File,
    path: &Path,
    provider: &str,
    standard_streams: bool,
) -> Result<Launched> {
    let (control, their_control) = Socket::pair()?;
    let (supervisor, their_supervisor) = Socket::pair()?;
    let sockets = [their_control.as_fd(), their_supervisor.as_fd()];
    let streams = streams(standard_streams).map_err(|error| not_started(error, path))?;
    let started = start(program, provider, streams, sockets);
    let (pipe, word) = started.map_err(|error| not_started(error.into(), path))?;
    let failure = LaunchFailure { path: path.to_owned(), pipe, errno: word.errno };
    let orphan = Orphan(word.program.and_then(|program| pidfd_open(program, PidfdFlags::empty()).ok()));
    Ok(Launched { control, supervisor, failure, orphan })
}

impl LaunchFailure {
    pub(super) fn error(&self) -> Option<Error> {
        let errno = self.errno.or_else(|| Word::read(&self.pipe).errno)?;
        Some(not_started(io::Error::from_raw_os_error(errno).into(), &self.path))
    }
}

impl Orphan {
    /// Reaps it once it has ended, if that is for the host to do. Nobody else's child is waited for.
    pub(super) fn reap(&self) {
        let Some(process) = &self.0 else { return };
        let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&ITS_END));
        let _ = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// What the copies wrote into the pipe.
#[derive(Default)]
struct Word {
    /// From the intermediate, written as a negative number.
    program: Option<Pid>,
    errno: Option<i32>,
}

impl Word {
    /// Reads what is there.
    fn read(pipe: &OwnedFd) -> Word {
        let (mut word, mut number) = (Word::default(), [0; 4]);
        while rustix::io::read(pipe, &mut number) == Ok(4) {
            match i32::from_ne_bytes(number) {
                errno @ 1.. => word.errno = Some(errno),
                process => word.program = Pid::from_raw(process.saturating_neg()),
            }
        }
        word
    }
}

fn not_started(error: Error, path: &Path) -> Error {
    error.context(format!("start {}", path.display()))
}

fn start(
    program: &File,
    provider: &str,
    streams: [OwnedFd; 3],
    sockets: [BorrowedFd<'_>; 2],
) -> io::Result<(OwnedFd, Word)> {
    let host = pidfd_open(getpid(), PidfdFlags::empty())?;
    let (failure, fails) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let [control, supervisor] = sockets;
    let own = streams.into_iter().map(Ok);
    let own = own.chain([control, supervisor, host.as_fd()].map(above));
    let own = own.collect::<io::Result<Vec<OwnedFd>>>()?;
    let (program, fails) = (above(program.as_fd())?, above(fails.as_fd())?);
    let name = CString::new(provider)?;
    let plan = Plan {
        own: &own,
        program: &program,
        fails: &fails,
        arguments: [c"zvfs-provider".as_ptr(), name.as_ptr(), ptr::null()],
        environment: [ptr::null()],
    };
    without_signals(|| clone_and_reap(&plan))?;
    // The intermediate is done.
    let word = Word::read(&failure);
    Ok((failure, word))
}

/// What is to be standard input, output and error: the host's own, or each open in the wrong direction. Who uses them is told so
/// then, and loses nothing in silence.
fn streams(hosts: bool) -> Result<[OwnedFd; 3]> {
    let null = Path::new("/dev/null");
    let (reads, writes) = (opened(null, "read")?, opened(null, "write")?);
    let or = |own: BorrowedFd<'_>, null: &File| match hosts && outlives_exec(own) {
        true => above(own),
        false => above(null.as_fd()),
    };
    Ok([or(stdin().as_fd(), &writes)?, or(stdout().as_fd(), &reads)?, or(stderr().as_fd(), &reads)?])
}

/// Opens a device to `read` or to `write`. Some machine's /dev/null is not open to all.
fn opened(path: &Path, direction: &str) -> Result<File> {
    let opened = File::options().read(direction == "read").write(direction == "write").open(path);
    opened.map_err(|error| Error::from(error).context(format!("open {} to {direction}", path.display())))
}

/// Whether a descriptor may be a standard stream of the host's. If not, the host has closed that one; and what an exec would close, as
/// every descriptor of this library's, only has its number.
fn outlives_exec(descriptor: BorrowedFd<'_>) -> bool {
    fcntl_getfd(descriptor).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
}

/// A copy of a descriptor whose number is in nobody's way.
fn above(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(descriptor, ABOVE)?)
}

/// Everything that the copies need, made before: they may not allocate.
struct Plan<'a> {
    /// By their number in the program.
    own: &'a [OwnedFd],
    program: &'a OwnedFd,
    /// Where a copy writes its errno.
    fails: &'a OwnedFd,
    arguments: [*const c_char; 3],
    environment: [*const c_char; 1],
}

/// Runs with all signals blocked in this thread, and so in what it clones.
pub(super) fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set; with a valid set and SIG_BLOCK pthread_sigmask cannot fail, and initialises the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = work();
    // SAFETY: `before` is the mask that this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}

/// Clones the intermediate, whose end sends no signal, and waits for it: no wait for any child of the host's sees it.
fn clone_and_reap(plan: &Plan<'_>) -> io::Result<()> {
    // SAFETY: a fork(2) of this thread; the copy goes on in `intermediate`, which never returns.
    match unsafe { fork(0) } {
        0 => intermediate(plan),
        -1 => Err(io::Error::last_os_error()),
        child => {
            let mut status = 0;
            // SAFETY: the place is valid during the call. It ends soon, whatever becomes of the program.
            while unsafe { libc::waitpid(child as libc::pid_t, &raw mut status, libc::__WCLONE) } == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
            Ok(())
        }
    }
}

/// fork(2) with the signal that the copy's end sends; without the C library's handlers, which are the host's and its libraries'.
///
/// # Safety
/// In the copy other threads are gone, with whatever locks they held: only system calls are safe there.
unsafe fn fork(exit_signal: c_int) -> c_long {
    let signal = exit_signal as c_long;
    // SAFETY: no flag shares memory or a stack. The last two arguments change places between architectures, and are both 0.
    unsafe { libc::syscall(libc::SYS_clone, signal, 0 as c_long, 0 as c_long, 0 as c_long, 0 as c_long) }
}

/// Clones the program and ends. Makes system calls only.
fn intermediate(plan: &Plan<'_>) -> ! {
    // SAFETY: as before.
    match unsafe { fork(libc::SIGCHLD) } {
        0 => become_program(plan),
        -1 => fail(plan),
        program => {
            say(plan, -(program as i32));
            exit()
        }
    }
}

/// Makes system calls only.
fn become_program(plan: &Plan<'_>) -> ! {
    for (number, descriptor) in plan.own.iter().enumerate() {
        // SAFETY: a plain system call on numbers. The copy does not close on exec.
        if unsafe { libc::dup2(descriptor.as_raw_fd(), number as c_int) } == -1 {
            fail(plan);
        }
    }
    let (first, last) = (plan.own.len() as c_long, c_long::from(u32::MAX));
    // SAFETY: as above; no descriptor is closed before the program runs.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC as c_long) } == -1
    {
        fail(plan);
    }
    // SAFETY: the lists end with NULL, and point to strings that live in the plan.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            c_long::from(plan.program.as_raw_fd()),
            c"".as_ptr(),
            plan.arguments.as_ptr(),
            plan.environment.as_ptr(),
            c_long::from(libc::AT_EMPTY_PATH),
        );
    }
    fail(plan)
}

/// Tells the host why the program does not run. Makes system calls only.
fn fail(plan: &Plan<'_>) -> ! {
    // SAFETY: the address of this thread's errno.
    say(plan, unsafe { *libc::__errno_location() });
    exit()
}

fn say(plan: &Plan<'_>, number: i32) {
    let number = number.to_ne_bytes();
    // SAFETY: the bytes live on this stack. Who does not hear of it hears the end of the sockets.
    unsafe { libc::write(plan.fails.as_raw_fd(), number.as_ptr().cast(), number.len()) };
}

/// Ends without the handlers of the host's.
fn exit() -> ! {
    // SAFETY: never returns, and runs no code of this process.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    /// Found: a host in C that had closed its standard streams lent the process what lay at their numbers, its own timer among that.
    #[test]
    fn what_an_exec_would_close_is_no_standard_stream() {
        let own = tempfile::tempfile().unwrap();
        assert!(!outlives_exec(own.as_fd()));
        let theirs = rustix::io::dup(&own).unwrap();
        assert!(outlives_exec(theirs.as_fd()));
    }

    /// Found: where /dev/null was for reading only, the error named the program.
    #[test]
    fn a_device_that_is_not_open_to_all_is_named() {
        let error = opened(Path::new("/sys/devices"), "write").unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (Code::EISDIR, "open /sys/devices to write"));
        assert!(streams(false).is_ok());
    }

    #[test]
    fn what_is_no_program_is_an_error_that_names_it() {
        let text = tempfile::NamedTempFile::new().unwrap();
        let launched = launch(text.as_file(), Path::new("/x/zvfs-provider"), "null", false).unwrap();
        let mut ended = [PollFd::new(&launched.control, PollFlags::IN)];
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        assert_eq!(poll(&mut ended, Some(&limit)), Ok(1), "it goes on");
        let error = launched.failure.error().unwrap();
        assert_eq!(error.code(), Code::EACCES);
        assert_eq!(error.to_string(), "start /x/zvfs-provider");
    }
}
