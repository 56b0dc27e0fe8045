//! The setting `least-rate`: a body has to come or go that fast. A limit for silence alone lets a server hold its caller with
//! a byte now and then, or with a few on each of many connections.

use crate::settings::Tuning;
use std::mem;
use std::time::{Duration, Instant};
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// What came of a body, and how long it was waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastRate {
    /// Somebody waits since then.
    since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl LeastRate {
    /// Says that a body is waited for. After a failure it still is, through pauses and further attempts.
    pub fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Says that what was waited for is there. Its bytes are added once they are taken, which may be much later.
    pub fn pause(&mut self) {
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    /// Adds bytes that came or went. What their reader does before it wants more is not counted.
    ///
    /// # Errors
    /// As [`check`](LeastRate::check).
    pub fn add(&mut self, bytes: u64, tuning: &Tuning) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.check(tuning)?;
        self.since = None;
        Ok(())
    }

    /// Looks whether enough came, once it was waited for long enough; then all begins anew.
    ///
    /// # Errors
    /// Too little: in words.
    pub fn check(&mut self, tuning: &Tuning) -> Result<(), String> {
        if let Some(since) = &mut self.since {
            let now = Instant::now();
            self.waited += now - mem::replace(since, now);
        }
        let Tuning { least_rate, least_rate_time, .. } = tuning;
        if self.waited < *least_rate_time {
            return Ok(());
        }
        let LeastRate { waited, bytes, .. } = mem::take(self);
        if bytes as f64 >= *least_rate as f64 * waited.as_secs_f64() {
            return Ok(());
        }
        Err(format!(
            "{bytes} bytes in {:.1} s are fewer than the {least_rate} a second of `least-rate`",
            waited.as_secs_f64()
        ))
    }
}

/// A body that came, but too slowly.
#[cold]
pub fn too_slow(text: String) -> Failure {
    Failure::new(Code::ETIMEDOUT, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning(least_rate: u64) -> Tuning {
        Tuning { least_rate, least_rate_time: Duration::from_secs(60), ..Tuning::default() }
    }

    /// A rate that has been waited for so long.
    fn after(seconds: u64, bytes: u64) -> LeastRate {
        LeastRate { since: None, waited: Duration::from_secs(seconds), bytes }
    }

    #[test]
    fn too_little_in_all_of_the_time_is_refused_and_said() {
        assert_eq!(after(59, 0).add(0, &tuning(100)), Ok(()));
        assert_eq!(after(60, 5_000).add(1_000, &tuning(100)), Ok(()));
        let text = after(60, 4_000).add(1_999, &tuning(100)).unwrap_err();
        assert!(text.contains("5999 bytes in 60.0 s") && text.contains("`least-rate`"), "{text}");
        assert_eq!(after(600, 0).add(0, &tuning(0)), Ok(()), "0 is no limit");
    }

    #[test]
    fn the_time_runs_while_somebody_waits_through_failures_and_no_longer() {
        let mut rate = LeastRate::default();
        rate.begin();
        assert!(rate.check(&tuning(100)).is_ok() && rate.since.is_some(), "a failure ends the wait");
        rate.add(1, &tuning(100)).unwrap();
        assert!(rate.since.is_none(), "the reader's own time counts");
        rate.begin();
        rate.pause();
        assert!(rate.since.is_none() && rate.waited < Duration::from_secs(60), "what is there is waited for");
        let mut rate = after(60, 6_000);
        rate.add(0, &tuning(100)).unwrap();
        assert_eq!((rate.waited, rate.bytes), (Duration::ZERO, 0), "what was fast once counts for ever");
    }
}
