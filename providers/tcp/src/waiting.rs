//! Waiting as a caller: ends with the context, and says what for.

use std::borrow::Cow;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use vfs_core::{Context, Error, Events, Result};

/// How often somebody who waits for the other end looks what came of the attempts to reach it.
const LOOK: Duration = Duration::from_secs(1);

/// Whoever calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Cancel and deadline.
    pub context: Context,
    /// The descriptor for messages.
    pub shown: String,
}

/// What is waited for. The host says it in the error of a wait that is ended, and in its log when one lasts.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// In words.
    pub object: Cow<'static, str>,
    /// What came of the last attempt.
    pub refusal: Option<String>,
    /// Whether attempts are being made, so that there may be others.
    pub is_sought: bool,
}

impl From<&'static str> for Wanted {
    fn from(object: &'static str) -> Wanted {
        Wanted { object: object.into(), refusal: None, is_sought: false }
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
        wanted: impl Fn() -> Wanted,
    ) -> Result<()> {
        let Wanted { object, mut refusal, is_sought } = wanted();
        let waits = self.context.waits_for(object);
        loop {
            if let Some(refusal) = refusal {
                waits.refused(refusal);
            }
            let came = self.context.wait(Some(fd), events, is_sought.then_some(LOOK));
            refusal = wanted().refusal;
            match came {
                Ok(came) if came.is_empty() => {}
                Ok(_) => return Ok(()),
                Err(error) => {
                    if let Some(refusal) = refusal {
                        waits.refused(refusal);
                    }
                    return Err(self.stopped(&error, doing));
                }
            }
        }
    }

    /// Says whether a wait should go on that is none of the kernel's.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn check(&self, doing: &str, wanted: impl Fn() -> Wanted) -> Result<()> {
        self.context.status().map_err(|error| {
            drop(self.context.waits_for(wanted().object));
            self.stopped(&error, doing)
        })
    }

    fn stopped(&self, error: &Error, doing: &str) -> Error {
        Error::new(error.code(), format!("{doing} {}: {}", self.shown, error.code().text()))
    }
}
