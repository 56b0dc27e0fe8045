//! Keeps SIGPIPE away from the process: for providers that write to pipes, and for `copy`.
#![expect(unsafe_code, reason = "the thread's signal mask: neither std nor rustix has it")]

use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::ptr;

/// Runs a call that may raise SIGPIPE in this thread, and takes the signal back if it did.
///
/// A write to a pipe has no MSG_NOSIGNAL, and a host in C may have left SIGPIPE at its deadly default. So it is blocked in
/// this thread for the call; the handler, which belongs to the whole process, stays as it is.
pub fn without_sigpipe<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_pipe() -> Result<usize, Errno> {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        without_sigpipe(|| rustix::io::write(&writer, b"x"))
    }

    fn is_blocked() -> bool {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: without a new set pthread_sigmask only writes the present one.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.assume_init_ref(), libc::SIGPIPE) == 1
        }
    }

    /// Does something to SIGPIPE in this thread.
    fn change(how: libc::c_int) {
        let mut sigpipe = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set.
        unsafe {
            libc::sigemptyset(sigpipe.as_mut_ptr());
            libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);
            libc::pthread_sigmask(how, sigpipe.as_ptr(), ptr::null_mut());
        }
    }

    // Each test has a thread of its own, and so a mask of its own. std ignores SIGPIPE, and an ignored signal that is blocked
    // stays pending, as one with the default action does.

    #[test]
    fn a_broken_pipe_leaves_no_signal_and_the_mask_as_it_was() {
        assert_eq!(broken_pipe(), Err(Errno::PIPE));
        assert!(!is_blocked() && !is_pending());
        change(libc::SIG_BLOCK);
        assert_eq!(broken_pipe(), Err(Errno::PIPE));
        assert!(is_blocked() && !is_pending());
    }

    #[test]
    fn a_signal_that_waits_for_the_host_is_left_to_it() {
        change(libc::SIG_BLOCK);
        // SAFETY: to this thread, which has it blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
        assert!(is_pending());
        assert_eq!(broken_pipe(), Err(Errno::PIPE));
        assert!(is_pending());
        change(libc::SIG_UNBLOCK); // ignored, so it goes away
        assert!(!is_pending());
    }

    #[test]
    fn what_succeeds_passes_through() {
        assert_eq!(without_sigpipe(|| Ok(7)), Ok(7));
        assert_eq!(without_sigpipe(|| Err::<(), _>(Errno::IO)), Err(Errno::IO));
        assert!(!is_blocked());
    }
}
