//! Threads of the library's. Signals of the host are the host's: none of them takes one.
#![expect(unsafe_code, reason = "no safe crate in use changes a thread's signal mask")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread;

/// Those that a thread raises by what it does: a guest's faults, which the engine takes. Blocked, they would end the process.
const RAISED: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// Starts a thread, which ends by itself.
///
/// # Errors
/// The system has no more.
pub(super) fn spawn(name: &str, stack: usize, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.into()).stack_size(stack);
    signals_blocked(|| thread.spawn(work)).map(drop)
}

/// Calls a function that starts threads, or has a provider start some: they inherit this thread's mask, which blocks all signals
/// but those that a guest's faults raise.
pub fn signals_blocked<T>(call: impl FnOnce() -> T) -> T {
    let _restore = Restore::block();
    call()
}

/// The mask that the thread had, which it gets back also if a panic comes.
struct Restore(libc::sigset_t);

impl Restore {
    fn block() -> Restore {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: sigfillset initialises the set, sigdelset gets an initialised one and numbers of signals; with a valid set and
        // SIG_SETMASK pthread_sigmask cannot fail, and initialises the other.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in RAISED {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Restore(before.assume_init())
        }
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: a mask that pthread_sigmask gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}
