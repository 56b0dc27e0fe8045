//! What a provider calls: the host's table, and the calls on a context.
#![expect(unsafe_code, reason = "called by providers through the C table")]

use crate::abi;
use crate::boundary::{Argument, Callback, c_string, null};
use crate::bridge::import::layers::HOST_OPEN;
use crate::bridge::translate::{events_from_abi, limit_from_abi, limit_to_abi};
use crate::context::Context;
use crate::error::Result;
use crate::extern_c;
use crate::host::{Host, Level, busy_in_start};
use crate::printable::is_printable;
use std::ffi::{CString, c_void};
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The table that one instance gets. The ABI's struct comes first, so that its address is the whole's.
#[repr(C)]
pub(crate) struct Hosting {
    table: abi::Host,
    host: Host,
    /// Until start has returned.
    starting: AtomicBool,
    _name: CString,
    _version: CString,
}

// SAFETY: the table's pointers point into the struct's own strings, which nobody changes.
unsafe impl Send for Hosting {}
// SAFETY: as above.
unsafe impl Sync for Hosting {}

impl Hosting {
    pub(crate) fn new(host: Host) -> Arc<Hosting> {
        let (name, version) = (c_string(host.name()), c_string(host.version()));
        let table = abi::Host {
            struct_size: abi::Host::SIZE,
            name: name.as_ptr(),
            version: version.as_ptr(),
            log: Some(log),
            extension: Some(extension),
            status: Some(status),
            time_left: Some(time_left),
            on_cancel: Some(on_cancel),
            wait: Some(wait),
        };
        Arc::new(Hosting { table, host, starting: AtomicBool::new(true), _name: name, _version: version })
    }

    /// The host behind the table.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Says that start has returned.
    pub(crate) fn set_started(&self) {
        self.starting.store(false, Ordering::Release);
    }

    /// Refuses what must wait until start has returned.
    pub(crate) fn started(&self) -> Result<()> {
        if self.starting.load(Ordering::Acquire) { Err(busy_in_start()) } else { Ok(()) }
    }

    pub(crate) fn table(&self) -> *const abi::Host {
        ptr::from_ref(self).cast()
    }
}

/// The pointer that stands for a context, valid as long as the box is.
pub(crate) fn context_pointer(context: &Context) -> *mut abi::Context {
    ptr::from_ref(context).cast_mut().cast()
}

/// The context behind the pointer, before close has returned. A clone: should a provider's own thread still wait in here when the
/// file is closed, what it waits on stays.
impl Argument for Context {
    type C = *mut abi::Context;

    unsafe fn check(value: *mut abi::Context, name: &'static str) -> Result<Context> {
        // SAFETY: the caller's promise: NULL, or what `context_pointer` gave, and its file is not closed.
        unsafe { value.cast::<Context>().as_ref() }.cloned().ok_or_else(|| null(name))
    }
}

/// The table that start got, which is a Hosting's first field.
impl Argument for &Hosting {
    type C = *const abi::Host;

    unsafe fn check(value: *const abi::Host, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's promise: NULL, or what `table` gave, before stop has returned.
        unsafe { value.cast::<Hosting>().as_ref() }.ok_or_else(|| null(name))
    }
}

static HOST_WAITING: abi::HostWaiting =
    abi::HostWaiting { struct_size: abi::HostWaiting::SIZE, waits_for: Some(waits_for) };

/// A provider's function and argument, to be called on whatever thread cancels.
struct OnCancel(abi::CancelFn, *mut c_void);

// SAFETY: the header says that the function runs on any thread, so its author made the argument fit for that.
unsafe impl Send for OnCancel {}

impl OnCancel {
    fn run(self) {
        // SAFETY: the provider's own function with its own argument, which stays until it is withdrawn or close has begun.
        unsafe { (self.0)(self.1) }
    }
}

extern_c! { by "the host":
    // A text that is not UTF-8 is not shown.
    fn waits_for(context: Context, object: Option<&str>, refusal: Result<Option<&str>>) -> (), plain {
        context.set_waiting(object, refusal.ok().flatten());
        Ok(())
    }
    // A text that is not UTF-8 is not logged.
    fn log(host: &Hosting, level: u32, text: &str) -> (), plain {
        let level = match level {
            0..=10 => Level::Error,
            11..=20 => Level::Warning,
            21..=30 => Level::Info,
            _ => Level::Debug,
        };
        // One line, and nothing that a terminal would obey.
        let line = text.trim().replace(|character: char| !is_printable(character), " ");
        host.host.log(level, &line);
        Ok(())
    }
    fn extension(_host: Option<&Hosting>, id: &str) -> *const c_void, plain {
        Ok(match id {
            abi::EXT_HOST_OPEN => (&raw const HOST_OPEN).cast(),
            abi::EXT_HOST_WAITING => (&raw const HOST_WAITING).cast(),
            _ => ptr::null(),
        })
    }
    fn status(context: Context) -> i32, plain {
        context.status()
    }
    fn time_left(context: Option<Context>) -> u64, plain {
        Ok(limit_to_abi(context.and_then(|context| context.time_left())))
    }
    fn on_cancel(context: Context, function: Option<Callback<abi::CancelFn>>, arg: *mut c_void) -> i32, plain {
        context.set_on_cancel(function.map(|function| {
            let function = OnCancel(function.0, arg);
            Box::new(move || function.run()) as crate::context::CancelFn
        }))
    }
    // A descriptor is the provider's for the time of the call, and a closed one is answered with EBADF.
    fn wait(context: Context, fd: i32, events: u32, ns: u64) -> i32, plain {
        // SAFETY: as just said.
        let fd = (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) });
        context.wait(fd, events_from_abi(events), limit_from_abi(ns)).map(|came| came.bits() as u32)
    }
}
