//! Waiting as a caller: ends with the context, and with a limit of the provider's own.

use crate::failure::{Attempt, Failure};
use crate::stated::Stated;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Context, Events, written_duration};

/// How long a wait lasts before it is told of and eased, and then eased again.
///
/// Longer than most servers think about a request: to ease costs whoever else uses the server a request or a connection.
const MOMENT: Duration = Duration::from_secs(1);

/// Who waits, for what, and how long at most.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    context: &'a Context,
    limit: Limit,
    what: &'a str,
    whom: Option<&'a dyn fmt::Display>,
    ease: Option<&'a dyn Fn()>,
    refusal: Option<&'a dyn Fn() -> Option<String>>,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// The caller's alone.
    Caller,
    /// For everything together.
    Until(Instant, Duration),
    /// For each wait: it begins anew with every byte.
    Silence(Duration),
    /// No wait at all.
    Nothing,
}

impl<'a> Waiting<'a> {
    fn new(context: &'a Context, limit: Limit, what: &'a str) -> Waiting<'a> {
        Waiting { context, limit, what, whom: None, ease: None, refusal: None }
    }

    /// Waits as long as the caller does. Such a wait may last, so it is told of from its beginning.
    pub fn as_caller(context: &'a Context, what: &'a str) -> Waiting<'a> {
        Waiting::new(context, Limit::Caller, what)
    }

    /// Waits until a point in time, `limit` from now.
    pub fn until(context: &'a Context, limit: Duration, what: &'a str) -> Waiting<'a> {
        let now = Instant::now();
        // A limit beyond what the clock can say is none.
        let at = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(1 << 32));
        Waiting::new(context, Limit::Until(at, limit), what)
    }

    /// Waits as long as no single wait takes longer than `limit`.
    pub fn silence(context: &'a Context, limit: Duration, what: &'a str) -> Waiting<'a> {
        Waiting::new(context, Limit::Silence(limit), what)
    }

    /// Waits for nothing: what is not there yet is EAGAIN, for whoever asked for that and nobody else.
    pub fn for_nothing(context: &'a Context) -> Waiting<'a> {
        Waiting::new(context, Limit::Nothing, "wait")
    }

    /// Says whom it is about.
    #[must_use]
    pub fn on(self, whom: &'a dyn fmt::Display) -> Waiting<'a> {
        Waiting { whom: Some(whom), ..self }
    }

    /// Does something that may end the wait, after each moment of it.
    #[must_use]
    pub fn eased_by(self, ease: &'a dyn Fn()) -> Waiting<'a> {
        Waiting { ease: Some(ease), ..self }
    }

    /// Says why the last attempt to reach whom it waits for failed, if one did: asked after each moment, and at the end.
    #[must_use]
    pub fn refused_by(self, refusal: &'a dyn Fn() -> Option<String>) -> Waiting<'a> {
        Waiting { refusal: Some(refusal), ..self }
    }

    /// The same limit for something else.
    #[must_use]
    pub fn for_what(self, what: &'a str) -> Waiting<'a> {
        Waiting { what, ..self }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        match self.limit {
            Limit::Caller => Duration::MAX,
            Limit::Until(at, _) => at.saturating_duration_since(Instant::now()),
            Limit::Silence(limit) => limit,
            Limit::Nothing => Duration::ZERO,
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
        if matches!(self.limit, Limit::Nothing) {
            return Err(Failure::new(Code::EAGAIN, Code::EAGAIN.text()));
        }
        let mut left = limit;
        // Most waits that have a limit are short: to tell of each would cost more than they do.
        let mut told = None;
        if matches!(self.limit, Limit::Caller) {
            self.tell(&mut told);
        }
        loop {
            let is_still = told.is_some() && self.ease.is_none() && self.refusal.is_none();
            let slice = if is_still { left } else { left.min(MOMENT) };
            let came = self.context.wait(Some(fd), events, (slice < Duration::MAX).then_some(slice));
            // An end names the last refusal.
            if told.is_some() && self.refused().is_some() {
                self.tell(&mut told);
            }
            let came = came.map_err(|error| match &told {
                Some(_) => error.into(), // the host says what for
                None => {
                    let code = error.code();
                    Failure::new(code, format!("{} while waiting for {}", code.text(), self.object()))
                }
            })?;
            left = left.saturating_sub(slice);
            if !came.is_empty() || left.is_zero() {
                return Ok(came);
            }
            self.tell(&mut told);
            if let Some(ease) = self.ease {
                ease();
            }
        }
    }

    /// Tells the host what is waited for, and by what refusal.
    fn tell(&self, told: &mut Option<Stated>) {
        Stated::keep(told, self.context, self.object().into(), self.refused());
    }

    fn refused(&self) -> Option<String> {
        self.refusal.and_then(|refusal| refusal())
    }

    /// What is waited for, in words.
    fn object(&self) -> String {
        match self.whom {
            Some(whom) => format!("{} ({whom})", self.what),
            None => self.what.to_owned(),
        }
    }

    /// The failure that the limit is over.
    pub fn expired(&self) -> Failure {
        let text = match self.limit {
            Limit::Caller | Limit::Nothing => format!("no {}", self.object()),
            Limit::Until(_, limit) => format!("no {} within {}", self.object(), written_duration(limit)),
            Limit::Silence(limit) => format!("no {} for {}", self.object(), written_duration(limit)),
        };
        Failure::later(Code::ETIMEDOUT, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use vfs_core::Control;
    use zvfs_test_support::eventually;

    /// Whoever waited for a writer was told that no broker had announced itself, long after one was found.
    #[test]
    fn a_refusal_that_is_over_is_told_no_more() {
        let control = Control::new();
        let context = control.context();
        let (nobody, _silent) = UnixStream::pair().unwrap();
        let is_over = AtomicBool::new(false);
        let refusal = || (!is_over.load(Ordering::Relaxed)).then(|| "nobody there".to_owned());
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                Waiting::as_caller(&context, "a writer").refused_by(&refusal).ready(&nobody, Events::READ)
            });
            let refused = || control.waiting().map(|waiting| waiting.refusal);
            eventually("the refusal", || refused() == Some(Some("nobody there".to_owned())));
            is_over.store(true, Ordering::Relaxed);
            eventually("no refusal", || refused() == Some(None));
            control.cancel();
            assert_eq!(waits.join().unwrap().unwrap_err().code, Code::ECANCELED);
        });
    }
}
