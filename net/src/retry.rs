//! Trying again: how often, and after how long.

use crate::failure::{Attempt, Failure, Retry};
use std::time::Duration;
use vfs_core::{Code, Context, written_duration};

/// Progress that makes the next attempt free of a pause: a server that drops connections has earned no rest by then.
const AMPLE: u64 = 64 << 10;

/// How often, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts after a failure.
    pub most: u32,
    /// The pause before the second attempt. It doubles.
    pub delay: Duration,
    /// The longest one.
    pub delay_max: Duration,
}

impl Default for Retries {
    fn default() -> Retries {
        Retries { most: 5, delay: Duration::from_millis(200), delay_max: Duration::from_secs(60) }
    }
}

/// Whoever tries again.
pub trait Retrying {
    /// Cancel and deadline.
    fn context(&self) -> &Context;
    /// How often, and after how long.
    fn retries(&self) -> Retries;
    /// Tells the operator of it.
    fn log(&self, text: &str);
}

/// Attempts that are left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    failures: u32,
    progress: u64,
    /// The object was there already: who refuses a connection now may be back soon.
    resuming: bool,
}

impl Budget {
    /// For something that has not been there yet.
    pub fn new() -> Budget {
        Budget::default()
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
    pub fn wait(&mut self, failure: Failure, caller: &impl Retrying) -> Attempt<()> {
        let why = failure.text.clone();
        let pause = self.pause(failure, caller.retries())?;
        caller.log(&format!("{why}; trying again in {}", written_duration(pause)));
        if pause.is_zero() {
            return Ok(caller.context().status()?);
        }
        let waits = caller.context().waits_for("another attempt");
        waits.refused(&why);
        Ok(caller.context().sleep(pause)?)
    }

    /// The pause after a failure, for whoever waits in another way.
    ///
    /// # Errors
    /// The failure: it is final.
    pub fn pause(&mut self, failure: Failure, retries: Retries) -> Attempt<Duration> {
        let asked = match failure.retry {
            Retry::No => return Err(failure),
            Retry::Resuming if !self.resuming => return Err(failure),
            Retry::Resuming => None,
            Retry::Later(asked) => asked,
        };
        let attempts = self.failures;
        if attempts >= retries.most {
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
            if asked > retries.delay_max {
                let text = format!("{}, and asks to wait {} s", failure.text, asked.as_secs());
                return Err(Failure { code: Code::EBUSY, text, retry: failure.retry });
            }
            return Ok(asked);
        }
        if progress >= AMPLE {
            return Ok(Duration::ZERO);
        }
        let longest = retries.delay.saturating_mul(1 << attempts.min(20)).min(retries.delay_max);
        // Half of it at random, so that those who failed together don't come back together.
        Ok(longest.mul_f64(0.5 + fastrand::f64() / 2.0))
    }
}

/// Tries until it works or no further attempt may help.
///
/// # Errors
/// The last attempt's failure.
pub fn persist<T>(
    caller: &impl Retrying,
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

    fn retries() -> Retries {
        Retries { most: 3, delay: Duration::from_millis(100), ..Retries::default() }
    }

    fn lost() -> Failure {
        Failure::later(Code::ECONNRESET, "lost")
    }

    #[test]
    fn pauses_grow_and_end() {
        let (mut budget, retries) = (Budget::new(), retries());
        for longest in [100, 200, 400] {
            let pause = budget.pause(lost(), retries).unwrap().as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{pause} of {longest}");
        }
        let failure = budget.pause(lost(), retries).unwrap_err();
        assert_eq!(failure.text, "lost (after 3 further attempts)");
        let one = Retries { delay_max: Duration::from_millis(10), ..retries };
        assert!(Budget::new().pause(lost(), one).unwrap() <= one.delay_max);
    }

    #[test]
    fn progress_gives_all_attempts_back() {
        let (mut budget, retries) = (Budget::resuming(), retries());
        for _ in 0..100 {
            budget.pause(lost(), retries).unwrap();
            budget.progressed(AMPLE);
            assert_eq!(budget.pause(lost(), retries), Ok(Duration::ZERO));
            budget.progressed(1);
            assert!(!budget.pause(lost(), retries).unwrap().is_zero());
            budget.progressed(1);
        }
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let retries = retries();
        let stays = Failure::new(Code::ENOENT, "404 not found");
        assert_eq!(Budget::new().pause(stays.clone(), retries), Err(stays));
        let refused = Failure { retry: Retry::Resuming, ..lost() };
        assert!(Budget::new().pause(refused.clone(), retries).is_err());
        assert!(Budget::resuming().pause(refused, retries).is_ok());
        let none = Retries { most: 0, ..retries };
        assert_eq!(Budget::new().pause(lost(), none), Err(lost()));
    }

    #[test]
    fn a_server_is_given_the_time_it_asks_for_up_to_a_limit() {
        let retries = retries();
        let busy = |seconds| Failure { retry: Retry::Later(Some(Duration::from_secs(seconds))), ..lost() };
        assert_eq!(Budget::new().pause(busy(7), retries), Ok(Duration::from_secs(7)));
        let failure = Budget::new().pause(busy(3600), retries).unwrap_err();
        assert_eq!(failure.code, Code::EBUSY);
        assert!(failure.text.contains("3600 s"), "{}", failure.text);
    }
}
