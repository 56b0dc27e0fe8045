//! The monotonic clock in nanoseconds, which a timer descriptor wants and std's `Instant` does not say.
#![expect(unsafe_code, reason = "calls clock_gettime")]

use rustix::time::Timespec;
use std::time::{Duration, Instant};

/// How far the coarse clock may be behind: it moves with the timer's tick, 1 to 10 ms, and later where a virtual processor was
/// held up.
const COARSE: u64 = 50_000_000;

/// Now, exactly. 23 ns.
pub(super) fn now() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Whether a time has passed, exactly. 5 ns as long as it is some way off, since the coarse clock can say that.
pub(super) fn passed(time: u64) -> bool {
    let far = read(libc::CLOCK_MONOTONIC_COARSE).saturating_add(COARSE) < time;
    !far && now() >= time
}

/// A time of std's on this clock.
pub(super) fn at(time: Instant) -> u64 {
    now().saturating_add(nanoseconds(time.saturating_duration_since(Instant::now())))
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

pub(super) fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 }
}

/// The C library's clock_gettime, not rustix's: that one looks for the kernel's vDSO where valgrind has hidden it, and dies.
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live value of this function's own; both clocks exist on every Linux, so it cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_passes_exactly_however_coarse_the_fast_clock_is() {
        for ahead in [0, 1_000, 3_000_000, COARSE + 5_000_000] {
            let time = now() + ahead;
            while !passed(time) {
                std::hint::spin_loop();
            }
            assert!(now() >= time, "{ahead}: early");
        }
        assert!(!passed(now() + 10 * COARSE));
    }
}
