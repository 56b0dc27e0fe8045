//! The CPU time of a session.
#![expect(unsafe_code, reason = "no safe crate in use wraps getrusage")]

use crate::report::CpuTime;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::time::Duration;

thread_local! {
    /// What the thread had used when its last session ended: nothing, if this is its first.
    static USED: Cell<CpuTime> = const { Cell::new(CpuTime { system: Duration::ZERO, user: Duration::ZERO }) };
}

/// The CPU time of the calling thread that was others': of the sessions that it ran before. Asks the kernel for nothing.
pub(super) fn used_before() -> CpuTime {
    USED.get()
}

/// The CPU time of the calling thread, whose session is over.
pub(super) fn ended() -> CpuTime {
    let now = thread_time();
    USED.set(now);
    now
}

/// The CPU time of the calling thread.
pub(super) fn thread_time() -> CpuTime {
    let mut usage = MaybeUninit::uninit();
    // SAFETY: a place for what it writes. It fails for no thread that asks of itself.
    let usage = unsafe {
        let code = libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        debug_assert_eq!(code, 0);
        usage.assume_init()
    };
    CpuTime { system: duration(usage.ru_stime), user: duration(usage.ru_utime) }
}

fn duration(time: libc::timeval) -> Duration {
    // Neither is ever negative.
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        let before = thread_time();
        let start = std::time::Instant::now();
        let mut sum = 0u64;
        while thread_time().user == before.user {
            assert!(start.elapsed() < Duration::from_secs(30), "{sum}");
            (0..1_000_000).for_each(|number: u64| sum = std::hint::black_box(sum.wrapping_add(number)));
        }
    }
}
