//! When calls end, as one number that a call can look at in a nanosecond.

use super::clock;
use crate::context::Limits;

/// Calls do not end by themselves.
pub(super) const NEVER: u64 = u64::MAX;
/// Cancelled; no deadline has this time.
pub(super) const CANCELLED: u64 = 0;

impl Limits {
    pub(crate) const NONE: Limits = Limits { cancelled: false, deadline: NEVER };

    /// Both at once: whichever ends first.
    pub(super) fn and(self, other: Limits) -> Limits {
        Limits { cancelled: self.cancelled || other.cancelled, deadline: self.deadline.min(other.deadline) }
    }

    /// When calls end: a time, [`CANCELLED`] or [`NEVER`].
    pub(super) fn ends(self) -> u64 {
        if self.cancelled { CANCELLED } else { self.deadline }
    }

    /// Sets a deadline; one that has passed counts at once.
    pub(super) fn set_deadline(&mut self, at: Option<std::time::Instant>) {
        self.deadline = at.map_or(NEVER, |at| clock::at(at).clamp(CANCELLED + 1, NEVER - 1));
    }
}
