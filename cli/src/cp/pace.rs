//! How fast the files of a copy may be, all together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vfs_core::{Context, Result};

/// Spreads the bytes of all files evenly over time.
pub struct Pace {
    /// Bytes a second, at least 1.
    rate: u64,
    /// When the next bytes may move.
    // Not parking_lot's: a thread may wait for it while a library loads.
    next: Mutex<Instant>,
}

impl Pace {
    pub fn new(rate: u64) -> Pace {
        Pace { rate: rate.max(1), next: Mutex::new(Instant::now()) }
    }

    /// How much may move at once: a tenth of a second's, so that the rate is even.
    pub fn step(&self) -> u64 {
        (self.rate / 10).max(1)
    }

    /// Waits for what was moved: whatever moves next, in any file, comes after it.
    ///
    /// # Errors
    /// The context's.
    pub fn moved(&self, bytes: u64, context: &Context) -> Result<()> {
        let now = Instant::now();
        let at = {
            // Nothing panics while it is held.
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = (*next).max(now) + self.time_of(bytes);
            *next
        };
        context.sleep(at - now)
    }

    fn time_of(&self, bytes: u64) -> Duration {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        let pace = Pace::new(1000);
        assert_eq!((pace.step(), pace.time_of(500)), (100, Duration::from_millis(500)));
        assert_eq!(Pace::new(1).step(), 1);
        let fast = Pace::new(u64::MAX);
        assert_eq!(fast.time_of(u64::MAX), Duration::from_secs(1));
    }
}
