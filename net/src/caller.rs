//! Whoever makes a call on an end of a pipe: waits end with the context, and say what for.

use crate::failure::Failure;
use crate::waiting::Waiting;
use std::borrow::Cow;
use std::os::fd::BorrowedFd;
use vfs_core::{Context, Events, Result};

/// Whoever calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Cancel and deadline.
    pub context: Context,
    /// The descriptor for messages.
    pub shown: String,
}

/// What is waited for.
#[derive(Clone, Debug)]
pub struct WaitedFor {
    /// In words.
    pub object: Cow<'static, str>,
    /// What came of the last attempt.
    pub refusal: Option<String>,
    /// Whether attempts are being made, so that there may be others.
    pub is_sought: bool,
}

impl From<&'static str> for WaitedFor {
    fn from(object: &'static str) -> WaitedFor {
        WaitedFor { object: object.into(), refusal: None, is_sought: false }
    }
}

impl Caller {
    /// Waits for a descriptor.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn wait(
        &self,
        fd: BorrowedFd<'_>,
        events: Events,
        doing: &str,
        wanted: impl Fn() -> WaitedFor,
    ) -> Result<()> {
        let WaitedFor { object, is_sought, .. } = wanted();
        let refusal = || wanted().refusal;
        let waiting = Waiting::as_caller(&self.context, &object);
        let waiting = if is_sought { waiting.refused_by(&refusal) } else { waiting };
        waiting.ready(fd, events).map(drop).map_err(|failure| failure.error(doing, &self.shown))
    }

    /// Says whether a wait should go on that is none of the kernel's.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn check(&self, doing: &str, wanted: impl Fn() -> WaitedFor) -> Result<()> {
        self.context.status().map_err(|error| {
            drop(self.context.waits_for(wanted().object));
            Failure::from(error).error(doing, &self.shown)
        })
    }
}
