//! The provider's two handles on its host: who waits for a file, and the host itself.

use crate::error::Result;
use crate::flags::Events;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// What a cancel runs.
pub type CancelFn = Box<dyn FnOnce() + Send>;

/// What stands behind a [`Context`]: the host's own, or one that came through the ABI.
pub trait ContextCalls: Send + Sync {
    /// See [`Context::status`].
    fn status(&self) -> Result<()>;
    /// See [`Context::time_left`].
    fn time_left(&self) -> Option<Duration>;
    /// Sets or withdraws the one function that a cancel runs. When it returns, an earlier one is not running.
    ///
    /// # Errors
    /// ECANCELED: cancelled already; the function will not run.
    fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()>;
    /// See [`Context::wait`].
    fn wait(&self, fd: Option<BorrowedFd<'_>>, events: Events, limit: Option<Duration>) -> Result<Events>;
}

/// Whoever waits for a file: its cancel and its deadline. Comes with each open and lives until close.
///
/// A provider that blocks only in [`wait`](Context::wait) has both for nothing, and may claim `CANCEL`.
#[derive(Clone)]
pub struct Context(Arc<dyn ContextCalls>);

impl Context {
    /// Wraps a host's implementation.
    pub fn new(calls: Arc<dyn ContextCalls>) -> Context {
        Context(calls)
    }

    /// Says whether the call in progress should go on. Does not block.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT: it should end with this.
    pub fn status(&self) -> Result<()> {
        self.0.status()
    }

    /// The time until the deadline; `None`: there is none. The host may move it at any time, so ask anew.
    pub fn time_left(&self) -> Option<Duration> {
        self.0.time_left()
    }

    /// Runs a function when the host cancels, at most once, on any thread, until the guard is dropped. It must not wait and
    /// must not touch the guard. One at a time: a second one replaces the first. Not run for a deadline.
    ///
    /// # Errors
    /// ECANCELED: cancelled already; the function will not run.
    pub fn on_cancel(&self, function: impl FnOnce() + Send + 'static) -> Result<OnCancel> {
        self.0.set_on_cancel(Some(Box::new(function)))?;
        Ok(OnCancel { context: self.clone() })
    }

    /// Sets or withdraws the function that a cancel runs, without a guard: for the bridge.
    #[cfg(feature = "host")]
    pub(crate) fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        self.0.set_on_cancel(function)
    }

    /// Withdraws whatever function a cancel would run.
    #[cfg(feature = "host")]
    pub(crate) fn withdraw(&self) -> Result<()> {
        self.0.set_on_cancel(None)
    }

    /// Waits for a file descriptor, or just sleeps, and ends early on a cancel or the deadline. Returns the events that
    /// came; none after `limit` (`None`: no limit of its own).
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT (the deadline), EBADF.
    pub fn wait(
        &self,
        fd: Option<BorrowedFd<'_>>,
        events: Events,
        limit: Option<Duration>,
    ) -> Result<Events> {
        self.0.wait(fd, events, limit)
    }

    /// Sleeps; ends early on a cancel or the deadline.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT (the deadline).
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.0.wait(None, Events::empty(), Some(time)).map(|_| ())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:?}, {:?} left)", self.status().map_err(|error| error.code()), self.time_left())
    }
}

/// Withdraws the function when dropped; afterwards it is not running.
#[derive(Debug)]
#[must_use = "dropping it withdraws the function"]
pub struct OnCancel {
    context: Context,
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        // Cancelled already: then there is nothing left to withdraw.
        let _ = self.context.0.set_on_cancel(None);
    }
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that somebody must mend.
    Error = 10,
    /// Something is odd; work goes on.
    Warning = 20,
    /// What an operator may want to know.
    Info = 30,
    /// What an author may want to know.
    Debug = 40,
}

/// What stands behind a [`Host`].
pub trait HostCalls: Send + Sync {
    /// The host program's name.
    fn name(&self) -> &str;
    /// Its version.
    fn version(&self) -> &str;
    /// Writes one line to the host's log.
    fn log(&self, level: Level, text: &str);
}

/// The host that runs an instance.
#[derive(Clone)]
pub struct Host(Arc<dyn HostCalls>);

impl Host {
    /// Wraps a host's implementation.
    pub fn new(calls: Arc<dyn HostCalls>) -> Host {
        Host(calls)
    }

    /// The host program's name, such as `zvfs`.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The host program's version.
    pub fn version(&self) -> &str {
        self.0.version()
    }

    /// Writes one line to the host's log.
    pub fn log(&self, level: Level, text: &str) {
        self.0.log(level, text);
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} {})", self.name(), self.version())
    }
}
