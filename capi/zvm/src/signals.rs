//! Signals of the host are the host's: no thread of the library takes one.

use std::mem::MaybeUninit;
use std::ptr;

/// Those that a thread raises by what it does: a guest's faults, which the engine takes. Blocked, they would end the process.
const RAISED: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// Calls a function that starts threads: they inherit this mask, whatever the host's thread has blocked.
pub fn blocked<T>(call: impl FnOnce() -> T) -> T {
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
