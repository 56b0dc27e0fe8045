//! An open pipe: its calls take turns, and a close or the exit ends them.

use parking_lot::{Mutex, MutexGuard};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Control, Error, Finish, OpenFile, OpenOptions, Registry, Result};

/// How long a close waits for a call that it cancelled. A provider that claims CANCEL needs 100 ms.
const LAST_CALL: Duration = Duration::from_secs(5);

/// An open pipe. Calls take turns at `file`; `None` once it is closed.
pub struct Pipe {
    file: Mutex<Option<OpenFile>>,
    control: Control,
    /// A write is in progress, or ended before it had written all.
    writing: AtomicBool,
    /// How long a call may wait, in milliseconds; 0: for as long as it takes.
    timeout: AtomicU64,
}

impl Pipe {
    /// Opens a pipe; a string without a scheme that leads somewhere is a netpipe's.
    pub fn open(registry: &Registry, descriptor: &str, control: Control) -> Result<Pipe> {
        let file =
            registry.open(&with_scheme(registry, descriptor), &OpenOptions::default().control(&control))?;
        Ok(Pipe {
            file: Mutex::new(Some(file)),
            control,
            writing: AtomicBool::new(false),
            timeout: AtomicU64::new(0),
        })
    }

    /// Sets how long each call may wait, in milliseconds; 0: for as long as it takes.
    pub fn set_timeout(&self, milliseconds: u64) {
        self.timeout.store(milliseconds, Ordering::SeqCst);
    }

    /// Makes a call on the open file, in its turn.
    pub fn call<T>(&self, call: impl FnOnce(&mut OpenFile) -> Result<T>) -> Result<T> {
        match self.file.lock().as_mut() {
            Some(file) => {
                let limit = Duration::from_millis(self.timeout.load(Ordering::SeqCst));
                // A time that no clock reaches is as good as none.
                let deadline = Instant::now().checked_add(limit).filter(|_| !limit.is_zero());
                self.control.set_deadline(deadline);
                let result = call(file);
                self.control.set_deadline(None);
                // A close is what cancels; what it ended is a call on a closed pipe.
                result.map_err(|error| match error.code() {
                    Code::ECANCELED => closed().with_source(error),
                    _ => error,
                })
            }
            None => Err(closed()),
        }
    }

    /// Writes all, or what goes: an error after some bytes shows at the next call, since it stays.
    pub fn write(&self, buf: &[u8]) -> Result<usize> {
        self.call(|file| {
            self.writing.store(true, Ordering::SeqCst);
            let mut written = 0;
            let result = loop {
                match file.write(&buf[written..]) {
                    Ok(count) => written += count,
                    Err(error) if written == 0 => break Err(error),
                    Err(_) => break Ok(written),
                }
                if written == buf.len() {
                    break Ok(written);
                }
            };
            self.writing.store(written != buf.len(), Ordering::SeqCst);
            result
        })
    }

    /// Ends the writing side and closes. A call in progress is cancelled; if that was a write, half of what it had is gone, so
    /// the pipe breaks.
    pub fn close(&self) -> Result<()> {
        let (mut file, cancelled) = match self.file.try_lock() {
            Some(file) => (file, false),
            None => (self.interrupted(Instant::now() + LAST_CALL)?, true),
        };
        let Some(mut file) = file.take() else { return Err(closed()) };
        let torn = cancelled && self.writing.load(Ordering::SeqCst);
        if torn || !file.capabilities().contains(Capabilities::WRITABLE) {
            return Ok(());
        }
        self.control.lift();
        file.finish(Finish::End)
    }

    /// Breaks the pipe and closes it. A call in progress is cancelled.
    pub fn abort(&self) -> Result<()> {
        let mut file = self.interrupted(Instant::now() + LAST_CALL)?;
        let Some(mut file) = file.take() else { return Err(closed()) };
        if file.capabilities().contains(Capabilities::WRITABLE) {
            // The reader learns why; and if it cannot, it still sees no end.
            let _ = file.finish(Finish::Discard);
        }
        Ok(())
    }

    /// Cancels the call in progress and takes its place.
    fn interrupted(&self, until: Instant) -> Result<MutexGuard<'_, Option<OpenFile>>> {
        self.control.cancel();
        self.file.try_lock_until(until).ok_or_else(|| {
            Error::new(
                Code::EBUSY,
                "close: the call in progress on another thread does not return; the pipe is left behind",
            )
        })
    }

    /// Closes without an end, so that a reader sees a pipe that broke: the process is about to end.
    pub fn break_off(&self, until: Instant) {
        if let Ok(mut file) = self.interrupted(until) {
            drop(file.take());
        }
    }
}

#[cold]
pub fn closed() -> Error {
    Error::new(Code::EBADF, "the pipe is closed")
}

/// A string without a scheme that leads somewhere is a netpipe's: "127.0.0.1:2:w". An absolute path is a file's, as ever.
fn with_scheme<'a>(registry: &Registry, descriptor: &'a str) -> Cow<'a, str> {
    let known = descriptor.split_once(':').is_some_and(|(scheme, _)| registry.knows(scheme));
    if known || descriptor.starts_with('/') {
        descriptor.into()
    } else {
        format!("netpipe:{descriptor}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfs_core::Configuration;

    #[test]
    fn what_has_no_known_scheme_is_a_netpipe() {
        let mut configuration = Configuration::closed();
        configuration.allow("mem").unwrap();
        let registry = Registry::new(configuration);
        for (given, meant) in [
            ("127.0.0.1:2:w", "netpipe:127.0.0.1:2:w"),
            ("2:r", "netpipe:2:r"),
            ("broker.example:2:w", "netpipe:broker.example:2:w"),
            ("[::1]:2:w", "netpipe:[::1]:2:w"),
            ("2", "netpipe:2"),
            ("netpipe:2:w", "netpipe:2:w"),
            ("OPAQUE:b|x", "OPAQUE:b|x"),
            ("mem:x", "mem:x"),
            ("/srv/x", "/srv/x"),
        ] {
            assert_eq!(with_scheme(&registry, given), meant);
        }
    }
}
