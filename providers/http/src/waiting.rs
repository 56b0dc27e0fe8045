//! Waiting as a caller: ends with the context, and with a limit of the provider's own.

use crate::failure::{Attempt, Failure};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Context, Events};

/// How long a wait lasts before it is eased, and then again.
pub const MOMENT: Duration = Duration::from_millis(200);

/// Who waits, for what, and how long at most.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    context: &'a Context,
    limit: Limit,
    what: &'static str,
    ease: Option<&'a dyn Fn()>,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// For everything together.
    Until(Instant, Duration),
    /// For each wait: it begins anew with every byte.
    Silence(Duration),
}

impl<'a> Waiting<'a> {
    /// Waits until a point in time, `limit` from now.
    pub fn until(context: &'a Context, limit: Duration, what: &'static str) -> Waiting<'a> {
        let now = Instant::now();
        // A limit beyond what the clock can say is none.
        let at = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(1 << 32));
        Waiting { context, limit: Limit::Until(at, limit), what, ease: None }
    }

    /// Waits as long as no single wait takes longer than `limit`.
    pub fn silence(context: &'a Context, limit: Duration, what: &'static str) -> Waiting<'a> {
        Waiting { context, limit: Limit::Silence(limit), what, ease: None }
    }

    /// Does something that may end the wait, after each moment of it.
    #[must_use]
    pub fn eased_by(self, ease: &'a dyn Fn()) -> Waiting<'a> {
        Waiting { ease: Some(ease), ..self }
    }

    /// The same limit for something else.
    #[must_use]
    pub fn for_what(self, what: &'static str) -> Waiting<'a> {
        Waiting { what, ..self }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        match self.limit {
            Limit::Until(at, _) => at.saturating_duration_since(Instant::now()),
            Limit::Silence(limit) => limit,
        }
    }

    /// Waits until a descriptor is ready; returns for what.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT: the caller's; they stay. ETIMEDOUT by the limit: another attempt may help.
    pub fn ready(&self, fd: impl AsFd, events: Events) -> Attempt<Events> {
        let came = self.wait(fd.as_fd(), events, self.left())?;
        if came.is_empty() { Err(self.expired()) } else { Ok(came) }
    }

    /// Waits until a descriptor is ready, at most `limit` if that ends before this one's own; nothing: `limit` is over.
    ///
    /// # Errors
    /// As [`ready`](Waiting::ready).
    pub fn ready_within(&self, fd: impl AsFd, events: Events, limit: Duration) -> Attempt<Events> {
        let left = self.left();
        let came = self.wait(fd.as_fd(), events, left.min(limit))?;
        if came.is_empty() && left <= limit { Err(self.expired()) } else { Ok(came) }
    }

    fn wait(&self, fd: BorrowedFd<'_>, events: Events, limit: Duration) -> Attempt<Events> {
        let Some(ease) = self.ease else { return self.wait_for(fd, events, limit) };
        let mut left = limit;
        loop {
            let came = self.wait_for(fd, events, left.min(MOMENT))?;
            left = left.saturating_sub(MOMENT);
            if !came.is_empty() || left.is_zero() {
                return Ok(came);
            }
            ease();
        }
    }

    fn wait_for(&self, fd: BorrowedFd<'_>, events: Events, limit: Duration) -> Attempt<Events> {
        self.context.wait(Some(fd), events, Some(limit)).map_err(|error| {
            let code = error.code();
            Failure::new(code, format!("{} while waiting for {}", code.text(), self.what))
        })
    }

    /// The failure that the limit is over.
    pub fn expired(&self) -> Failure {
        let text = match self.limit {
            Limit::Until(_, limit) => format!("no {} within {limit:?}", self.what),
            Limit::Silence(limit) => format!("no {} for {limit:?}", self.what),
        };
        Failure::later(Code::ETIMEDOUT, text)
    }
}
