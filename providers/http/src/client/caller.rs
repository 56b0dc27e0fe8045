//! Who asks: until when, how patiently, and where what an operator may want to know is told.

use crate::settings::Tuning;
use vfs_core::{Context, Host, Level};

/// Who asks, as a file keeps it.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Cancel and deadline.
    pub context: Context,
    /// Limits and fields.
    pub tuning: Tuning,
    /// The log.
    pub host: Host,
    /// The descriptor for messages.
    pub shown: String,
}

/// Who asks, for one call.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Cancel and deadline.
    pub context: &'a Context,
    /// Limits and fields.
    pub tuning: &'a Tuning,
    host: &'a Host,
    shown: &'a str,
}

impl Asker {
    /// For one call.
    pub fn caller(&self) -> Caller<'_> {
        let Asker { context, tuning, host, shown } = self;
        Caller { context, tuning, host, shown }
    }
}

impl Caller<'_> {
    /// Tells an operator who wants to know.
    pub fn log(&self, text: &str) {
        self.host.log(Level::Info, &format!("{}: {text}", self.shown));
    }
}
