//! How many lines of a provider's log reach its host.

use std::time::{Duration, Instant};

/// So many lines pass in each [`SPAN`].
const LINES: u32 = 100;
const SPAN: Duration = Duration::from_secs(1);

/// Counts lines.
pub(super) struct Rate {
    since: Instant,
    lines: u32,
    dropped: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It passes.
    Yes,
    /// It passes; so many before it did not, which nobody was told yet.
    After(u64),
    /// It does not.
    No,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Rate {
        Rate { since: now, lines: 0, dropped: 0 }
    }

    /// Counts one more line.
    pub(super) fn pass(&mut self, now: Instant) -> Pass {
        if now.duration_since(self.since) >= SPAN {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines == LINES {
            self.dropped += 1;
            return Pass::No;
        }
        self.lines += 1;
        match std::mem::take(&mut self.dropped) {
            0 => Pass::Yes,
            dropped => Pass::After(dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert!((0..LINES).all(|_| rate.pass(start) == Pass::Yes));
        assert_eq!((rate.pass(start), rate.pass(start)), (Pass::No, Pass::No));
        assert_eq!(rate.pass(start + SPAN), Pass::After(2));
        assert_eq!(rate.pass(start + SPAN), Pass::Yes);
    }
}
