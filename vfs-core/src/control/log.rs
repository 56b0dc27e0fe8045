//! Where a wait that lasts is said.

use crate::descriptor::Shown;
use crate::provider::{Host, Level};
use crate::waiting::Waiting;

/// The log of the host that opened a file, and the file's descriptor.
pub(crate) struct Log(Option<(Host, Box<str>)>);

impl Log {
    pub(crate) fn new(host: Host, descriptor: &str) -> Log {
        Log(Some((host, descriptor.into())))
    }

    /// Nobody to tell.
    pub(crate) fn none() -> Log {
        Log(None)
    }

    /// Says a wait once it has lasted: at the level that an operator sees by default, since the program looks as if it hung.
    pub(super) fn lasting(&self, waiting: &Waiting) {
        if let Some((host, descriptor)) = &self.0 {
            host.log(Level::Warning, &format!("{}: waiting for {waiting}", Shown(descriptor)));
        }
    }
}
