//! An instance behind the ABI: its start, its stop, and whose turn it is.
#![expect(unsafe_code, reason = "calls the provider's functions")]

use crate::abi;
use crate::bridge::outcome::{broken_rule, call_status};
use crate::bridge::values::Values;
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::forks::{forks, forks_now};
use crate::host::import::calls::CALLS;
use crate::host::import::hosting::Hosting;
use crate::host::import::library::ImportedLibrary;
use crate::provider::{Host, Level, Threads};
use crate::settings::Settings;
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use std::mem;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// How often a call that waits for its turn looks whether it was cancelled.
const TURN: Duration = Duration::from_millis(20);
/// How long a close waits for its turn.
const LAST_TURN: Duration = Duration::from_secs(5);

/// Of a call in a forked child.
pub(crate) const PARENTS_INSTANCE: &str =
    "the provider's instance belongs to the parent process: make a new registry after a fork";

/// A started instance. Its files hold it too, so that it stops only when all are closed.
pub(crate) struct ImportedInstance {
    pub(crate) library: Arc<ImportedLibrary>,
    pub(crate) raw: *mut abi::Instance,
    serial: ReentrantMutex<()>,
    /// The process it was started in.
    pub(crate) forks: u32,
    hosting: Arc<Hosting>,
}

// SAFETY: the raw pointer is only passed back to the provider, whose calls on an instance may come from any thread.
unsafe impl Send for ImportedInstance {}
// SAFETY: as above; `threads` is honoured by `turn`.
unsafe impl Sync for ImportedInstance {}

impl ImportedInstance {
    pub(super) fn start(
        library: Arc<ImportedLibrary>,
        host: Host,
        settings: &Settings,
    ) -> Result<ImportedInstance> {
        let forks = forks();
        let hosting = Hosting::new(host, &CALLS);
        let values = Values::new(settings);
        let mut raw = ptr::null_mut();
        if let Some(start) = library.table.start {
            let _turn = match library.info.threads {
                Threads::PerLibrary => {
                    let busy =
                        || Error::new(Code::EBUSY, "another call of the library does not return").retryable();
                    Some(library.serial.try_lock_for(LAST_TURN).ok_or_else(busy)?)
                }
                _ => None,
            };
            // SAFETY: the provider's own function; the table lives in the instance, the list and the place for the result during
            // the call.
            call_status(|err| unsafe { start(hosting.table(), values.list(), &mut raw, err) })?;
            if raw.is_null() {
                return Err(broken_rule("start succeeded without an instance"));
            }
        }
        hosting.set_started();
        Ok(ImportedInstance { library, raw, serial: ReentrantMutex::new(()), forks, hosting })
    }

    /// Writes a line of the host's own about this instance to its log.
    pub(super) fn log(&self, level: Level, text: &str) {
        self.hosting.host().log(level, &Level::line(text));
    }

    /// Refuses a call in a forked child: what the provider holds (threads, locks, connections) stayed with the parent.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.forks == forks_now() {
            return Ok(());
        }
        Err(Error::new(Code::EPERM, PARENTS_INSTANCE))
    }

    /// The turn that `threads` asks for.
    pub(crate) fn turn(&self, context: &Context) -> Result<Option<ReentrantMutexGuard<'_, ()>>> {
        match self.library.info.threads {
            Threads::PerFile => Ok(None),
            Threads::PerInstance => turn(&self.serial, context).map(Some),
            Threads::PerLibrary => turn(&self.library.serial, context).map(Some),
        }
    }

    /// Makes the last call on a file or the instance, in its turn, and says whether it did. One that doesn't come (another call
    /// of the library is stuck) is not waited for: what the provider still has must then be left behind.
    #[must_use]
    pub(crate) fn last_call(&self, call: impl FnOnce()) -> bool {
        let serial = match self.library.info.threads {
            Threads::PerFile => {
                call();
                return true;
            }
            Threads::PerInstance => &self.serial,
            Threads::PerLibrary => &self.library.serial,
        };
        let turn = serial.try_lock_for(LAST_TURN);
        if turn.is_some() {
            call();
        }
        turn.is_some()
    }
}

impl Drop for ImportedInstance {
    fn drop(&mut self) {
        if let Some(stop) = self.library.table.stop
            && self.alive().is_ok()
        {
            // SAFETY: made by this library's start, stopped once, and every file held this instance and is gone.
            let stopped = self.last_call(|| unsafe { stop(self.raw) });
            if !stopped {
                // The provider may go on calling its host.
                mem::forget(self.hosting.clone());
            }
        }
    }
}

/// Takes a serialised library's turn; the wait for it ends on a cancel or the deadline.
fn turn<'a>(serial: &'a ReentrantMutex<()>, context: &Context) -> Result<ReentrantMutexGuard<'a, ()>> {
    loop {
        if let Some(turn) = serial.try_lock_for(TURN) {
            return Ok(turn);
        }
        context.status()?;
    }
}
