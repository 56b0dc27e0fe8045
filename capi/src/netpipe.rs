//! `zvm.h`: named pipes in four functions, and two for what goes wrong.

use crate::argument::{Argument, Object, Source, Target};
use crate::exported::exported;
use crate::pool::{Kind, Pool, Slot};
use crate::process::Process;
use parking_lot::{Mutex, MutexGuard};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Control, Error, Finish, OpenFile, OpenOptions, Registry, Result, abi};

type PipeSlot = Slot<Arc<Pipe>>;

static PIPES: Pool<Arc<Pipe>> = Pool::new();

impl Kind for Arc<Pipe> {
    const NAME: &'static str = "pipe";
}

/// How long a close waits for a call that it cancelled. A provider that claims CANCEL needs 100 ms.
const LAST_CALL: Duration = Duration::from_secs(5);

thread_local! {
    /// The calling thread's last failure.
    static LAST: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Keeps a failure for `zvfs_netpipe_error`.
pub fn remember(error: Error) {
    // At the end of a thread there is nobody left to ask.
    let _ = LAST.try_with(|last| *last.borrow_mut() = Some(error));
}

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
    fn open(registry: &Registry, descriptor: &str) -> Result<Pipe> {
        let control = Control::new();
        let file =
            registry.open(&with_scheme(registry, descriptor), &OpenOptions::default().control(&control))?;
        Ok(Pipe {
            file: Mutex::new(Some(file)),
            control,
            writing: AtomicBool::new(false),
            timeout: AtomicU64::new(0),
        })
    }

    fn call<T>(&self, call: impl FnOnce(&mut OpenFile) -> Result<T>) -> Result<T> {
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
    fn write(&self, buf: &[u8]) -> Result<usize> {
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
    fn close(&self) -> Result<()> {
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
    fn abort(&self) -> Result<()> {
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
                "close: the call in progress on another thread does not end; the pipe is left behind",
            )
        })
    }

    /// Ends whatever waits on the pipe: the process is about to end.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Closes without an end, so that a reader sees a pipe that broke.
    pub fn break_off(&self, until: Instant) {
        if let Ok(mut file) = self.interrupted(until) {
            drop(file.take());
        }
    }
}

#[cold]
fn closed() -> Error {
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

/// The pipe behind a pointer, which another thread may close meanwhile.
struct Opened(Arc<Pipe>);

impl Argument for Opened {
    type C = *const PipeSlot;

    unsafe fn check(value: *const PipeSlot, name: &'static str) -> Result<Opened> {
        // SAFETY: the caller's promise is the same.
        let object = unsafe { <Option<Object<Arc<Pipe>>>>::check(value, name) }?;
        match object {
            Some(object) => {
                // A close takes it out in a moment: what is busy is as good as closed.
                let busy = |error: Error| if error.code() == Code::EBUSY { closed() } else { error };
                Ok(Opened(object.slot().shared().map_err(busy)?.clone()))
            }
            None => Err(Error::new(Code::EBADF, "the pipe is NULL")),
        }
    }
}

/// Takes a pipe out of a pointer, which is of no use from then on; `None`: it is the parent's, which goes on using it.
fn taken(pipe: Option<Object<Arc<Pipe>>>) -> Result<Option<Arc<Pipe>>> {
    let object = pipe.ok_or_else(|| Error::new(Code::EBADF, "the pipe is NULL"))?;
    // Whoever uses the slot only clones what is in it. From here on other threads find it closed.
    PIPES.remove_soon(object.slot())
}

/// The caller's struct for an error's text.
struct ErrorPlace(*mut abi::Error);

impl Argument for ErrorPlace {
    type C = *mut abi::Error;

    unsafe fn check(value: *mut abi::Error, _: &'static str) -> Result<ErrorPlace> {
        if value.is_null() { Err(Error::from(Code::EINVAL)) } else { Ok(ErrorPlace(value)) }
    }
}

fn size(count: i32) -> Result<u64> {
    u64::try_from(count).map_err(|_| Error::new(Code::EINVAL, format!("a count of {count} bytes")))
}

exported! {
    fn netpipe_open(descriptor: &str) -> *const PipeSlot, errno {
        let process = Process::current();
        let pipe = Arc::new(Pipe::open(&process.registry()?, descriptor)?);
        process.watch(&pipe);
        Ok(PIPES.insert(pipe))
    }
    fn netpipe_close(pipe: Option<Object<Arc<Pipe>>>) -> c_int, errno {
        taken(pipe)?.map_or(Ok(()), |pipe| pipe.close())
    }
    fn netpipe_abort(pipe: Option<Object<Arc<Pipe>>>) -> c_int, errno {
        taken(pipe)?.map_or(Ok(()), |pipe| pipe.abort())
    }
    fn netpipe_set_timeout(pipe: Opened, milliseconds: i64) -> c_int, errno {
        let wanted = u64::try_from(milliseconds);
        let wanted = wanted.map_err(|_| Error::new(Code::EINVAL, format!("a time of {milliseconds} ms")))?;
        pipe.0.timeout.store(wanted, Ordering::SeqCst);
        Ok(())
    }
    fn netpipe_read(pipe: Opened, buf: Target<'_>, count: i32) -> i64, errno {
        // SAFETY: the header: buf[0..count] is the caller's and writable.
        let buf = unsafe { buf.bytes(size(count)?) }?;
        pipe.0.call(|file| file.read(buf))
    }
    fn netpipe_write(pipe: Opened, buf: Source<'_>, count: i32) -> i64, errno {
        // SAFETY: the header: buf[0..count] is the caller's and readable.
        let buf = unsafe { buf.bytes(size(count)?) }?;
        pipe.0.write(buf)
    }
    fn zvfs_netpipe_error(out: ErrorPlace) -> i32, plain {
        let mut error = abi::Error { struct_size: abi::Error::SIZE, code: 0, flags: 0, message: [0; 1000] };
        let _ = LAST.try_with(|last| last.borrow().as_ref().map(|last| error.set(last)));
        // SAFETY: not NULL, so a struct of the caller's own, valid during the call.
        unsafe { *out.0 = error };
        Ok(())
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
