//! The caller of an operation: until when, how patiently, and where an operator is told of it.

use crate::settings::Tuning;
use vfs_core::{Context, Host, Level};
use zvfs_net::retry::{Retries, Retrying};
use zvfs_net::waiting::Waiting;

/// The caller of an operation, as a file keeps it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Cancel and deadline.
    pub context: Context,
    /// Limits and fields.
    pub tuning: Tuning,
    /// The log.
    pub host: Host,
    /// The descriptor for messages.
    pub shown: String,
}

impl Caller {
    /// Waits for a body, as long as each byte comes in time.
    pub fn patiently(&self) -> Waiting<'_> {
        Waiting::silence(&self.context, self.tuning.stall_timeout, "byte of the body")
    }
}

impl Retrying for Caller {
    fn context(&self) -> &Context {
        &self.context
    }

    fn retries(&self) -> Retries {
        self.tuning.retries
    }

    fn log(&self, text: &str) {
        self.host.log(Level::Info, &format!("{}: {text}", self.shown));
    }
}
