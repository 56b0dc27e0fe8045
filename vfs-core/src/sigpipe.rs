//! Keeps SIGPIPE away from the process: for providers that write to pipes, and for `copy`.
#![expect(
    unsafe_code,
    reason = "a signal's disposition and the thread's mask: neither std nor rustix has them"
)]

use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::ptr;

/// Runs a call that may raise SIGPIPE in this thread, and takes the signal back if it did.
///
/// A write to a pipe has no MSG_NOSIGNAL, and a host in C may have left SIGPIPE at its deadly default. So it is blocked in
/// this thread for the call; the handler, which belongs to the whole process, stays as it is. A process that ignores it, as those of Rust
/// and Python do, has nothing to be kept from: it is asked each time, which is one system call where blocking takes two.
pub fn without_sigpipe<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    if is_ignored() { call() } else { while_blocked(call) }
}

fn is_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction only writes the present one, and for this signal cannot fail.
    unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: it is initialised.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn while_blocked<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    let mut sigpipe = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset and a successful pthread_sigmask initialise the sets they get, which live on this stack; with a
    // valid set and SIG_BLOCK pthread_sigmask cannot fail.
    let (sigpipe, old) = unsafe {
        libc::sigemptyset(sigpipe.as_mut_ptr());
        libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, sigpipe.as_ptr(), old.as_mut_ptr());
        (sigpipe.assume_init(), old.assume_init())
    };
    // SAFETY: `old` is initialised.
    let was_blocked = unsafe { libc::sigismember(&old, libc::SIGPIPE) } == 1;
    // One that the host itself has blocked and pending is not ours to take.
    let was_pending = was_blocked && is_pending();

    let result = call();

    if matches!(result, Err(Errno::PIPE)) && !was_pending {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both pointers are to live, initialised values; the kernel writes nothing through a null siginfo. With a
        // time of 0 it does not wait. -1 with EINTR means that another signal came first: try again.
        while unsafe { libc::sigtimedwait(&sigpipe, ptr::null_mut(), &now) } == -1
            && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
        {}
    }
    if !was_blocked {
        // SAFETY: `old` is the mask that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &old, ptr::null_mut()) };
    }
    result
}

fn is_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigpending initialises the set on success, and fails for a bad address only.
    unsafe {
        libc::sigpending(pending.as_mut_ptr()) == 0
            && libc::sigismember(pending.assume_init_ref(), libc::SIGPIPE) == 1
    }
}
