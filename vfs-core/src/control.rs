//! The other end of a context: cancel and deadline of what is opened under it.
//!
//! A host has one for what it opens, a provider for what threads of its own wait for, since a file's context ends with the file.

mod clock;
mod limits;
mod log;
mod state;
#[cfg(test)]
mod tests;
mod waits;

use crate::code::Code;
#[cfg(feature = "host")]
use crate::context::Limits;
use crate::context::{CancelFn, Context, ContextCalls, Follower, Origin};
use crate::error::{Error, Result};
use crate::flags::Events;
use crate::waiting::Waiting;
pub(crate) use log::Log;
use state::State;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The other end of a [`Context`]: cancels calls and sets their deadline, from any thread, also while an open is still in
/// progress. One control may serve any number of files: each has a [`follower`](Control::follower) of it. Clones are the same
/// control.
///
/// In a forked child a parent's control does nothing: make a new one.
#[derive(Clone, Default)]
pub struct Control(Arc<State>);

impl Control {
    /// A control that is not cancelled and has no deadline.
    pub fn new() -> Control {
        Control::default()
    }

    /// A control of one open, under which inner files may be opened.
    #[cfg(any(feature = "host", test))]
    pub(crate) fn of(origin: Origin, log: Log) -> Control {
        Control(Arc::new(State::new(origin, log)))
    }

    /// The provider's end.
    pub fn context(&self) -> Context {
        Context::new(self.0.clone())
    }

    /// Ends calls with ECANCELED, those in progress and those to come, until [`lift`](Control::lift).
    pub fn cancel(&self) {
        self.0.set_cancelled(true);
    }

    /// Undoes a cancel of this control, for the calls to come.
    pub fn lift(&self) {
        self.0.set_cancelled(false);
    }

    /// Whether it is cancelled, or what it follows is.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Sets or clears the time at which calls end with ETIMEDOUT, for those in progress too.
    pub fn set_deadline(&self, at: Option<Instant>) {
        self.0.set_deadline(at);
    }

    /// Says whether calls may go on.
    ///
    /// # Errors
    /// ECANCELED: it is cancelled. ETIMEDOUT: the deadline has passed.
    #[inline]
    pub fn status(&self) -> Result<()> {
        self.0.status()
    }

    /// What is waited for under this control, as the provider states it: here, or under the follower that has waited longest.
    /// `None`: nothing, or the provider does not say.
    pub fn waiting(&self) -> Option<Waiting> {
        self.0.waiting()
    }

    /// A control for one more file, which ends when either of the two does: this one's cancel and deadline hold for it too, as
    /// they are now and as they change. What is done to the follower does not reach this one.
    pub fn follower(&self) -> Control {
        let own = Control::new();
        // In a forked child there is nothing to follow.
        let _ = own.follow(&self.context());
        own
    }

    /// A descriptor that is readable once the control is cancelled or late, and until that is lifted or moved. To be polled and
    /// never read; it lives as long as the control.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM. EPERM: the control is the parent process's.
    pub fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.0.alarm()
    }

    /// Makes this control follow a context's cancel and deadline, as they are now and as they change.
    ///
    /// # Errors
    /// EPERM: the context is that of a parent process.
    pub(crate) fn follow(&self, context: &Context) -> Result<()> {
        let follower: Arc<dyn Follower> = self.0.clone();
        context.lead(Arc::downgrade(&follower))
    }

    /// Takes over what the other side of a process says of a file's control; the newest word counts.
    #[cfg(feature = "host")]
    pub(crate) fn hear(&self, generation: u64, limits: Limits) {
        self.0.follow(generation, limits);
    }

    /// Makes a call with nothing to end it but this time and a cancel of this very control: what it follows reaches it again
    /// when the call is over.
    pub(crate) fn detached<T>(&self, time: Duration, call: impl FnOnce() -> T) -> T {
        self.0.detach(Instant::now() + time);
        let result = call();
        self.0.attach();
        result
    }

    /// Says whether a call may begin; if not, the error names it: what it would do, on what.
    #[inline]
    pub(crate) fn call_begins(&self, verb: &str, shown: &str) -> Result<()> {
        self.0.status().map_err(|error| not_begun(verb, shown, error))
    }

    /// Takes a call's result: an error that this control caused is explained, and what the provider stated that it waits for, and
    /// forgot to take back, is waited for no longer.
    #[inline]
    pub(crate) fn call_ended<T>(&self, mut result: Result<T>) -> Result<T> {
        if result.is_err() {
            result = result.map_err(|error| self.explain(error));
        }
        self.forget_wait();
        result
    }

    /// The latter alone, for a call that went well.
    #[inline]
    pub(crate) fn forget_wait(&self) {
        self.0.forget_wait();
    }

    /// Says in an error that this control caused which of its two ends it was, and what was waited for.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match error.code() {
            Code::ECANCELED | Code::ETIMEDOUT => self.0.explain(error),
            _ => error,
        }
    }
}

#[cold]
#[inline(never)]
fn not_begun(verb: &str, shown: &str, error: Error) -> Error {
    error.context(format!("{verb} {shown}"))
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Control").field(&self.context()).finish()
    }
}

impl ContextCalls for State {
    fn status(&self) -> Result<()> {
        State::status(self)
    }

    fn time_left(&self) -> Option<Duration> {
        State::time_left(self)
    }

    fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        State::set_on_cancel(self, function)
    }

    fn wait(&self, fd: Option<BorrowedFd<'_>>, events: Events, limit: Option<Duration>) -> Result<Events> {
        State::wait(self, fd, events, limit)
    }

    fn set_waiting(&self, object: Option<&str>, refusal: Option<&str>) {
        State::set_waiting(self, object, refusal);
    }

    fn origin(&self) -> Option<Origin> {
        Some(self.origin.clone())
    }

    fn lead(&self, follower: Weak<dyn Follower>) -> Result<()> {
        State::lead(self, follower)
    }
}
