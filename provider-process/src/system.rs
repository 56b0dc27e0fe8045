//! What the program is started with, and the system calls that rustix has not.
#![expect(
    unsafe_code,
    reason = "takes over descriptors by their numbers; fork, signals and _exit are libc's"
)]

use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use rustix::process::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

const CONTROL: RawFd = 3;
const SUPERVISOR: RawFd = 4;
const HOST: RawFd = 5;

/// The descriptors that a host gives the program.
pub(crate) struct Given {
    /// To and from the host, for the provider's process.
    pub(crate) control: OwnedFd,
    /// To and from the host, for the supervisor.
    pub(crate) supervisor: OwnedFd,
    /// Readable once the host has ended.
    pub(crate) host: OwnedFd,
}

impl Given {
    /// Takes them over. `None`: somebody else started the program. To be called once, before anything is opened.
    pub(crate) fn take() -> Option<Given> {
        let socket = |number| {
            // SAFETY: should the number be closed, the one call that is made with it says so.
            socket_type(unsafe { BorrowedFd::borrow_raw(number) }) == Ok(SocketType::SEQPACKET)
        };
        if !socket(CONTROL) || !socket(SUPERVISOR) {
            return None;
        }
        // SAFETY: both are open, and nobody else in this process knows of them. So it is with the third: whoever gives the two
        // sockets gives it too, and were it closed, polling it would say so.
        let [control, supervisor, host] =
            [CONTROL, SUPERVISOR, HOST].map(|number| unsafe { OwnedFd::from_raw_fd(number) });
        Some(Given { control, supervisor, host })
    }
}

/// Lets all signals through and gives them their default effect again: the host started the program with all of them blocked, and
/// may ignore some. SIGPIPE alone is ignored, so that a provider's write to a pipe without a reader is an error.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        let disposition = if signal == libc::SIGPIPE { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: runs no function of ours. It fails for SIGKILL, SIGSTOP and the C library's own two, which is as well.
        unsafe { libc::signal(signal, disposition) };
    }
    let mut none = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set, and with that nothing else can fail.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Forks. In the parent: the child.
///
/// # Errors
/// EAGAIN, ENOMEM.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the process has one thread, so nothing that another would hold is missing in the child.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        child => Ok(Pid::from_raw(child)),
    }
}

/// Ends the process at once. A library's destructors do not run: its threads may still be at work.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: never returns, and runs no code of this process.
    unsafe { libc::_exit(status) }
}
