//! Writes to broken pipes in a process whose SIGPIPE is deadly, as a host's in C is, and in one that ignores it.
#![cfg(feature = "sigpipe")]
#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]
#![expect(
    unsafe_code,
    reason = "a signal's disposition and the thread's mask: neither std nor rustix has them"
)]

use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vfs_core::without_sigpipe;

/// The disposition is the process's: one test at a time has its own.
fn disposed(disposition: libc::sighandler_t) -> MutexGuard<'static, ()> {
    static PROCESS: Mutex<()> = Mutex::new(());
    let guard = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: no handler, and the harness writes to nobody who leaves.
    unsafe { libc::signal(libc::SIGPIPE, disposition) };
    guard
}

fn broken_pipe() -> Result<usize, Errno> {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    drop(reader);
    without_sigpipe(|| rustix::io::write(&writer, b"x"))
}

fn is_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigpending initialises the set, and fails for a bad address only.
    unsafe {
        libc::sigpending(pending.as_mut_ptr());
        libc::sigismember(pending.assume_init_ref(), libc::SIGPIPE) == 1
    }
}

fn is_blocked() -> bool {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: without a new set pthread_sigmask only writes the present one.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
        libc::sigismember(mask.assume_init_ref(), libc::SIGPIPE) == 1
    }
}

/// Has this thread block SIGPIPE. Each test has a thread of its own.
fn block() {
    let mut sigpipe = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        libc::sigemptyset(sigpipe.as_mut_ptr());
        libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, sigpipe.as_ptr(), ptr::null_mut());
    }
}

#[test]
fn a_broken_pipe_leaves_no_signal_and_the_mask_as_it_was() {
    let _disposed = disposed(libc::SIG_DFL);
    assert_eq!(broken_pipe(), Err(Errno::PIPE));
    assert!(!is_blocked() && !is_pending());
    block();
    assert_eq!(broken_pipe(), Err(Errno::PIPE));
    assert!(is_blocked() && !is_pending());
}

#[test]
fn a_signal_that_waits_for_the_host_is_left_to_it() {
    let _disposed = disposed(libc::SIG_DFL);
    block();
    // SAFETY: to this thread, which has it blocked.
    unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
    assert!(is_pending());
    assert_eq!(broken_pipe(), Err(Errno::PIPE));
    assert!(is_pending());
}

#[test]
fn an_ignored_signal_is_not_blocked_for_a_call() {
    let _disposed = disposed(libc::SIG_IGN);
    assert_eq!(without_sigpipe(|| Ok(is_blocked())), Ok(false));
    assert_eq!(broken_pipe(), Err(Errno::PIPE));
}

#[test]
fn what_succeeds_passes_through() {
    for disposition in [libc::SIG_DFL, libc::SIG_IGN] {
        let _disposed = disposed(disposition);
        assert_eq!(without_sigpipe(|| Ok(7)), Ok(7));
        assert_eq!(without_sigpipe(|| Err::<(), _>(Errno::IO)), Err(Errno::IO));
        assert!(!is_blocked());
    }
}
