//! Where a wait that lasts is said.

use crate::provider::{Host, Level};
use crate::waiting::Waiting;
use std::sync::Arc;

/// The log of the host that opened a file, and the file's descriptor for messages.
pub(crate) struct Log(Option<(Host, Arc<str>)>);

impl Log {
    #[cfg(any(feature = "host", test))]
    pub(crate) fn new(host: Host, shown: Arc<str>) -> Log {
        Log(Some((host, shown)))
    }

    /// Nobody to tell.
    pub(crate) fn none() -> Log {
        Log(None)
    }

    /// Says a wait once it has lasted: at the level that an operator sees by default, since the program looks as if it hung.
    pub(super) fn lasting(&self, waiting: &Waiting) {
        if let Some((host, shown)) = &self.0 {
            host.log(Level::Warning, &format!("{shown}: waiting for {waiting}"));
        }
    }
}
