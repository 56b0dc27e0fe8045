//! Waiting as a caller: ends with the context, and says what for.

use netpipe::Reason;
use std::os::fd::BorrowedFd;
use vfs_core::{Code, Context, Error, Events, Result};
use zvfs_net::failure::Failure;
use zvfs_net::waiting::Waiting;

/// Whoever calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Cancel and deadline.
    pub context: Context,
    /// The descriptor for messages.
    pub shown: String,
}

impl Caller {
    /// Waits for a descriptor to become readable. `wanted` says for what that is, and what came of the last attempt.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn wait(
        &self,
        fd: BorrowedFd<'_>,
        doing: &str,
        wanted: impl Fn() -> (String, Option<String>),
    ) -> Result<()> {
        let (object, _) = wanted();
        let refusal = || wanted().1;
        let waiting = Waiting::as_caller(&self.context, &object).refused_by(&refusal);
        waiting.ready(fd, Events::READ).map(drop).map_err(|failure| failure.error(doing, &self.shown))
    }

    /// The error of a call that a pipe's own word ends.
    pub fn told(&self, doing: &str, why: &Reason) -> Error {
        Failure::new(Code::from_raw(why.errno().into()), why.to_string()).error(doing, &self.shown)
    }
}
