//! A provider's word with whoever waits for a file: cancel, deadline, and a wait that ends with both.

use crate::error::Result;
use crate::flags::Events;
#[cfg(feature = "control")]
use crate::waiting::Waiting;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::Arc;
#[cfg(feature = "control")]
use std::sync::Weak;
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
    /// Says what the call in progress waits for, and what was last refused; `None`: nothing any more. See
    /// [`Context::waits_for`].
    fn set_waiting(&self, object: Option<&str>, refusal: Option<&str>) {
        let _ = (object, refusal);
    }
    /// Calls a function with the place where the host that passed it through the ABI keeps it, for the bridge. NULL: it came by
    /// no ABI, or its file is closed.
    #[doc(hidden)]
    fn at_its_host(&self, call: &mut dyn FnMut(*mut ())) {
        call(ptr::null_mut());
    }
    /// What an inner file inherits, for a host; `None`: nothing can be opened under it.
    #[cfg(feature = "control")]
    #[doc(hidden)]
    fn origin(&self) -> Option<Origin> {
        None
    }
    /// Makes another follow this one's cancel and deadline from now on, for a host.
    #[cfg(feature = "control")]
    #[doc(hidden)]
    fn lead(&self, follower: Weak<dyn Follower>) -> Result<()> {
        let _ = follower;
        Ok(())
    }
}

/// What an inner file inherits from the file whose context it was opened under.
#[cfg(feature = "control")]
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// How many layers stand above the file: 0 for one that the host opened for itself.
    pub depth: u32,
    /// What the host offers to whichever provider declares it: `node`, `job`, ...
    pub offered: Vec<(&'static str, String)>,
    /// What the file is called between a provider's process and its host; 0 elsewhere.
    pub file: u64,
}

/// When calls end.
#[cfg(feature = "control")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// They end now.
    pub cancelled: bool,
    /// On the monotonic clock, in nanoseconds; `u64::MAX`: there is no deadline.
    pub deadline: u64,
}

/// A control that ends with another one, as that one sees it.
#[cfg(feature = "control")]
pub trait Follower: Send + Sync {
    /// Takes over the leader's limits; `generation` counts the leader's changes, so that the newest word wins.
    fn follow(&self, generation: u64, limits: Limits);
    /// What it waits for.
    fn waiting(&self) -> Option<Waiting>;
}

/// Whoever waits for a file: its cancel and its deadline. Comes with each open and lives until close.
///
/// A provider that blocks only in [`wait`](Context::wait) gets both for free, and may claim `CANCEL`.
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

    /// Says in words what the call is about to wait for, until the guard is dropped: "a reader of netpipe `a`". The host names
    /// it in the call's error should the wait be cancelled or time out, in its log should it last, and to whoever asks. One at a
    /// time: a second one replaces the first. No secrets. Costs an allocation: for waits, not for each read.
    ///
    /// # Example
    /// ```
    /// # use vfs_core::{Context, Result};
    /// # use std::time::Duration;
    /// fn dial(context: &Context, address: &str, connect: impl Fn() -> Result<()>) -> Result<()> {
    ///     let waits = context.waits_for(format_args!("a peer at {address}"));
    ///     while let Err(error) = connect() {
    ///         waits.refused(error.chain());
    ///         context.sleep(Duration::from_millis(100))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn waits_for(&self, object: impl fmt::Display) -> WaitsFor {
        let (context, object) = (self.clone(), object.to_string());
        context.0.set_waiting(Some(&object), None);
        WaitsFor { context, object }
    }

    /// See [`ContextCalls::set_waiting`]; without a guard, for the bridge.
    #[cfg(feature = "host")]
    pub(crate) fn set_waiting(&self, object: Option<&str>, refusal: Option<&str>) {
        self.0.set_waiting(object, refusal);
    }

    /// Sets or withdraws the function that a cancel runs, without a guard: for the bridge.
    #[cfg(feature = "host")]
    pub(crate) fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        self.0.set_on_cancel(function)
    }

    /// See [`ContextCalls::at_its_host`].
    pub(crate) fn at_its_host(&self, call: &mut dyn FnMut(*mut ())) {
        self.0.at_its_host(call);
    }

    /// See [`ContextCalls::origin`].
    #[cfg(feature = "host")]
    pub(crate) fn origin(&self) -> Option<Origin> {
        self.0.origin()
    }

    /// See [`ContextCalls::lead`].
    #[cfg(feature = "control")]
    pub(crate) fn lead(&self, follower: Weak<dyn Follower>) -> Result<()> {
        self.0.lead(follower)
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

/// States what is waited for, until it is dropped. See [`Context::waits_for`].
#[derive(Debug)]
#[must_use = "dropping it says that the wait is over"]
pub struct WaitsFor {
    context: Context,
    object: String,
}

impl WaitsFor {
    /// Says why the last attempt failed: a line for a person, without secrets.
    pub fn refused(&self, by: impl fmt::Display) {
        self.context.0.set_waiting(Some(&self.object), Some(&by.to_string()));
    }
}

impl Drop for WaitsFor {
    fn drop(&mut self) {
        self.context.0.set_waiting(None, None);
    }
}
