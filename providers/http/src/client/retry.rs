//! Trying again: how often, and after how long.

use crate::client::caller::Caller;
use crate::settings::Tuning;
use std::time::Duration;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure, Retry};

/// Progress that makes the next attempt free of a pause: a server that drops connections has earned no rest by then.
const AMPLE: u64 = 64 << 10;

/// Attempts that are left.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    failures: u32,
    progress: u64,
    /// The object was there already: who refuses a connection now may be back soon.
    resuming: bool,
}

impl Budget {
    /// For something that has not been there yet.
    pub fn new() -> Budget {
        Budget { failures: 0, progress: 0, resuming: false }
    }

    /// For what was there before.
    pub fn resuming() -> Budget {
        Budget { resuming: true, ..Budget::new() }
    }

    /// Says that bytes came: the attempts begin anew.
    pub fn progressed(&mut self, bytes: u64) {
        self.failures = 0;
        self.progress = self.progress.saturating_add(bytes);
    }

    /// After a failure: waits, if another attempt may help and is left.
    ///
    /// # Errors
    /// The failure: it is final. The caller's, while it waits.
    pub fn wait(&mut self, failure: Failure, caller: &Caller) -> Attempt<()> {
        let why = failure.text.clone();
        let pause = self.pause(failure, &caller.tuning)?;
        caller.log(&format!("{why}; trying again in {pause:.1?}"));
        if pause.is_zero() {
            return Ok(caller.context.status()?);
        }
        let waits = caller.context.waits_for("another attempt");
        waits.refused(&why);
        Ok(caller.context.sleep(pause)?)
    }

    fn pause(&mut self, failure: Failure, tuning: &Tuning) -> Attempt<Duration> {
        let asked = match failure.retry {
            Retry::No => return Err(failure),
            Retry::Resuming if !self.resuming => return Err(failure),
            Retry::Resuming => None,
            Retry::Later(asked) => asked,
        };
        let attempts = self.failures;
        if attempts >= tuning.retries {
            return Err(match attempts {
                0 => failure,
                _ => Failure {
                    text: format!("{} (after {attempts} further attempts)", failure.text),
                    ..failure
                },
            });
        }
        self.failures += 1;
        let progress = std::mem::take(&mut self.progress);
        if let Some(asked) = asked {
            if asked > tuning.retry_delay_max {
                let text = format!("{}, and asks to wait {} s", failure.text, asked.as_secs());
                return Err(Failure { code: Code::EBUSY, text, retry: failure.retry });
            }
            return Ok(asked);
        }
        if progress >= AMPLE {
            return Ok(Duration::ZERO);
        }
        let longest = tuning.retry_delay.saturating_mul(1 << attempts.min(20)).min(tuning.retry_delay_max);
        // Half of it at random, so that those who failed together don't come back together.
        Ok(longest.mul_f64(0.5 + fastrand::f64() / 2.0))
    }
}

/// Tries until it works or no further attempt may help.
///
/// # Errors
/// The last attempt's failure.
pub fn persist<T>(
    caller: &Caller,
    budget: &mut Budget,
    mut attempt: impl FnMut() -> Attempt<T>,
) -> Attempt<T> {
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(failure) => budget.wait(failure, caller)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning() -> Tuning {
        Tuning { retries: 3, retry_delay: Duration::from_millis(100), ..Tuning::default() }
    }

    fn lost() -> Failure {
        Failure::later(Code::ECONNRESET, "lost")
    }

    #[test]
    fn pauses_grow_and_end() {
        let (mut budget, tuning) = (Budget::new(), tuning());
        for longest in [100, 200, 400] {
            let pause = budget.pause(lost(), &tuning).unwrap().as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{pause} of {longest}");
        }
        let failure = budget.pause(lost(), &tuning).unwrap_err();
        assert_eq!(failure.text, "lost (after 3 further attempts)");
        let one = Tuning { retry_delay_max: Duration::from_millis(10), ..tuning };
        assert!(Budget::new().pause(lost(), &one).unwrap() <= one.retry_delay_max);
    }

    #[test]
    fn progress_gives_all_attempts_back() {
        let (mut budget, tuning) = (Budget::resuming(), tuning());
        for _ in 0..100 {
            budget.pause(lost(), &tuning).unwrap();
            budget.progressed(AMPLE);
            assert_eq!(budget.pause(lost(), &tuning), Ok(Duration::ZERO));
            budget.progressed(1);
            assert!(!budget.pause(lost(), &tuning).unwrap().is_zero());
            budget.progressed(1);
        }
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let tuning = tuning();
        let stays = Failure::new(Code::ENOENT, "404 not found");
        assert_eq!(Budget::new().pause(stays.clone(), &tuning), Err(stays));
        let refused = Failure { retry: Retry::Resuming, ..lost() };
        assert!(Budget::new().pause(refused.clone(), &tuning).is_err());
        assert!(Budget::resuming().pause(refused, &tuning).is_ok());
        let none = Tuning { retries: 0, ..tuning };
        assert_eq!(Budget::new().pause(lost(), &none), Err(lost()));
    }

    #[test]
    fn a_server_is_given_the_time_it_asks_for_up_to_a_limit() {
        let tuning = tuning();
        let busy = |seconds| Failure { retry: Retry::Later(Some(Duration::from_secs(seconds))), ..lost() };
        assert_eq!(Budget::new().pause(busy(7), &tuning), Ok(Duration::from_secs(7)));
        let failure = Budget::new().pause(busy(3600), &tuning).unwrap_err();
        assert_eq!(failure.code, Code::EBUSY);
        assert!(failure.text.contains("3600 s"), "{}", failure.text);
    }
}
