//! Waiting as a caller: ends with the context, and says in the log what it is that takes so long.

use std::os::fd::BorrowedFd;
use std::time::Duration;
use vfs_core::{Context, Error, Events, Host, Level, Result};

/// An operator wants to know after this time.
const SILENT: Duration = Duration::from_secs(5);

/// Whoever calls: the context, and where the log is.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Cancel and deadline.
    pub context: Context,
    /// The log.
    pub host: Host,
    /// The descriptor for messages.
    pub shown: String,
}

impl Caller {
    /// Waits for a descriptor; after 5 s logs what for.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT: with what was waited for.
    pub fn wait(
        &self,
        fd: BorrowedFd<'_>,
        events: Events,
        doing: &str,
        what: impl Fn() -> String,
    ) -> Result<()> {
        let explain = |error| self.explain(&error, doing, &what);
        let came = self.context.wait(Some(fd), events, Some(SILENT)).map_err(explain)?;
        if came.is_empty() {
            self.host.log(Level::Info, &format!("{}: waiting for {}", self.shown, what()));
            self.context.wait(Some(fd), events, None).map_err(explain)?;
        }
        Ok(())
    }

    /// Says whether a wait should go on that is none of the kernel's.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT: with what was waited for.
    pub fn check(&self, doing: &str, what: impl Fn() -> String) -> Result<()> {
        self.context.status().map_err(|error| self.explain(&error, doing, what))
    }

    fn explain(&self, error: &Error, doing: &str, what: impl Fn() -> String) -> Error {
        let code = error.code();
        Error::new(code, format!("{doing} {}: {} while waiting for {}", self.shown, code.text(), what()))
    }
}
