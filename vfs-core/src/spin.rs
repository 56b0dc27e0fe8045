//! Asking again and again for a moment before a thread sleeps. A wake-up takes up to 60 us where processors are idle, ten times what a
//! small call needs; where they are busy, or the calls long, asking is in vain, and soon not done any longer.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// About what a wake-up takes.
const LONGEST: Duration = Duration::from_micros(50);
/// Less than this is not worth asking.
const LEAST: Duration = Duration::from_micros(2);
/// Every so many waits it is tried whether asking has become worthwhile.
const TRIAL: u32 = 64;

/// How long asking was worthwhile.
#[derive(Debug, Default)]
pub struct Spin {
    /// How long to ask: the longest after it helped, half as long after it did not.
    limit: Duration,
    waits: u32,
}

impl Spin {
    /// Asks until something comes, or for as long as it seems worthwhile.
    pub fn ask<T>(&mut self, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        if let Some(came) = ask() {
            return Some(came);
        }
        let limit = if self.waits.is_multiple_of(TRIAL) { LONGEST } else { self.limit };
        self.waits = self.waits.wrapping_add(1);
        if limit < LEAST {
            return None;
        }
        let start = Instant::now();
        while start.elapsed() < limit {
            spin_loop();
            if let Some(came) = ask() {
                self.limit = LONGEST;
                return Some(came);
            }
        }
        self.limit /= 2;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is asked in a wait that is in vain.
    fn in_vain(spin: &mut Spin) -> u32 {
        let mut asked = 0;
        assert_eq!(
            spin.ask(|| -> Option<()> {
                asked += 1;
                None
            }),
            None
        );
        asked
    }

    #[test]
    fn what_is_in_vain_is_soon_not_done_any_longer_but_for_a_trial() {
        let mut spin = Spin::default();
        let mut countdown = 3;
        let came = spin.ask(|| {
            countdown -= 1;
            (countdown == 0).then_some("here")
        });
        // A thread that is held up for so long may miss it.
        if came.is_some() {
            assert_eq!(spin.limit, LONGEST);
        }
        let waits: Vec<u32> = (1..=TRIAL).map(|_| in_vain(&mut spin)).collect();
        assert!(waits[6..63].iter().all(|asked| *asked == 1), "{waits:?}");
        assert!(spin.limit < LEAST);
    }
}
