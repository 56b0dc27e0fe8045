//! A host's callbacks as a file.

use std::ffi::c_void;
use vfs_core::{Capabilities, Code, Context, Error, File, Finish, Flush, OnCancel, Result};

/// `zvm_channel`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Callbacks {
    pub struct_size: u64,
    pub arg: *mut c_void,
    pub read: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, u64) -> i64>,
    pub write: Option<unsafe extern "C" fn(*mut c_void, *const c_void, u64) -> i64>,
    pub finish: Option<unsafe extern "C" fn(*mut c_void, u32) -> i32>,
    pub close: Option<unsafe extern "C" fn(*mut c_void)>,
    pub stop: Option<unsafe extern "C" fn(*mut c_void)>,
}

/// The host's end of a channel. Dropping it is the last call.
pub struct Channel(Callbacks);

/// The channel as a session opens it.
struct Opened {
    /// Withdrawn before the channel is closed: `stop` is not called after `close`.
    _stop: Option<OnCancel>,
    channel: Channel,
    context: Context,
}

/// What `stop` is called with. The host's side is made for calls from any thread.
struct Stop {
    stop: unsafe extern "C" fn(*mut c_void),
    arg: *mut c_void,
}

// SAFETY: the header: stop may be called on another thread than the other callbacks, while they run.
unsafe impl Send for Stop {}

impl Stop {
    fn call(self) {
        // SAFETY: the header: a function of this type, called with its arg, before close.
        unsafe { (self.stop)(self.arg) };
    }
}

// SAFETY: the header: the callbacks and their arg are used by one thread at a time, whichever that is.
unsafe impl Send for Channel {}
// SAFETY: no call takes it by a shared reference.
unsafe impl Sync for Channel {}

impl Channel {
    /// Takes over the caller's callbacks.
    ///
    /// # Errors
    /// EINVAL: neither read nor write.
    pub fn new(callbacks: Callbacks) -> Result<Channel> {
        if callbacks.read.is_none() && callbacks.write.is_none() {
            return Err(Error::new(Code::EINVAL, "channel: neither read nor write is set"));
        }
        Ok(Channel(callbacks))
    }

    /// The file, for as long as the context lets it call.
    pub fn open(self, context: &Context) -> Box<dyn File> {
        let Callbacks { stop, arg, .. } = self.0;
        // Cancelled already: then no call is made that it would have to end.
        let stop = stop.and_then(|stop| {
            let stop = Stop { stop, arg };
            context.on_cancel(move || stop.call()).ok()
        });
        Box::new(Opened { _stop: stop, channel: self, context: context.clone() })
    }
}

impl Opened {
    /// A callback's count, or its negative code. One that was interrupted is called again, unless the session was stopped. Too
    /// large a count is found by whoever asked.
    fn counted(&self, verb: &str, call: impl Fn(*mut c_void) -> i64) -> Result<usize> {
        loop {
            self.context.status()?;
            let count = call(self.channel.0.arg);
            match usize::try_from(count) {
                Ok(count) => return Ok(count),
                Err(_) if count == -i64::from(Code::EINTR.raw()) => {}
                Err(_) => {
                    let code = count.checked_neg().map_or(Code::EIO, Code::from_raw);
                    return Err(Error::new(code, format!("the host's {verb} failed: {}", code.text())));
                }
            }
        }
    }
}

impl File for Opened {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::empty();
        if self.channel.0.read.is_some() {
            capabilities |= Capabilities::READABLE;
        }
        if self.channel.0.write.is_some() {
            capabilities |= Capabilities::WRITABLE;
        }
        capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let Some(read) = self.channel.0.read else { return Err(Code::EBADF.into()) };
        let (at, size) = (buf.as_mut_ptr().cast(), buf.len() as u64);
        // SAFETY: the header: a function of this type, called with its arg; the buffer is valid during the call.
        self.counted("read", |arg| unsafe { read(arg, at, size) })
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let Some(write) = self.channel.0.write else { return Err(Code::EBADF.into()) };
        // SAFETY: as above.
        self.counted("write", |arg| unsafe { write(arg, buf.as_ptr().cast(), buf.len() as u64) })
    }

    fn flush(&mut self, _: Flush) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        let Some(finish) = self.channel.0.finish else { return Ok(()) };
        let how = match how {
            Finish::End => 1,
            Finish::Commit => 2,
            Finish::Discard => 3,
        };
        // SAFETY: as above.
        match self.counted("finish", |arg| unsafe { finish(arg, how) }.into())? {
            0 => Ok(()),
            // Neither success nor an error that the header has: nobody knows whether it was kept.
            n => {
                let text = format!("the host's finish returned {n} instead of 0 or a negative code");
                Err(Error::new(Code::EIO, text))
            }
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Some(close) = self.0.close {
            // SAFETY: as above; it is the last call.
            unsafe { close(self.0.arg) };
        }
    }
}
