//! What a provider calls: the host's table, and the calls on a context.
#![expect(unsafe_code, reason = "called by providers through the C table")]

use crate::abi;
use crate::bridge::import::layers::HOST_OPEN;
use crate::bridge::strings::{borrowed, c_string};
use crate::bridge::translate::{events_from_abi, limit_from_abi, limit_to_abi};
use crate::context::Context;
use crate::error::Result;
use crate::host::{Host, Level, busy_in_start};
use crate::printable::is_printable;
use std::ffi::{CString, c_char, c_void};
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// # Safety
/// `context` came from [`context_pointer`], and its file is not closed.
unsafe fn with_context(context: *mut abi::Context, call: impl FnOnce(&Context) -> Result<i32>) -> i32 {
    // SAFETY: the caller's promise.
    let Some(context) = (unsafe { context.cast::<Context>().as_ref() }) else {
        return -crate::code::Code::EINVAL.raw();
    };
    // A clone: should a provider's own thread still wait in here when the file is closed, what it waits on stays.
    let context = context.clone();
    call(&context).unwrap_or_else(|error| -error.code().raw())
}

static HOST_WAITING: abi::HostWaiting =
    abi::HostWaiting { struct_size: abi::HostWaiting::SIZE, waits_for: Some(waits_for) };

unsafe extern "C" fn waits_for(context: *mut abi::Context, object: *const c_char, refusal: *const c_char) {
    // SAFETY: the ABI's strings are NULL or terminated, and valid during the call. One that is not UTF-8 is not shown.
    let text = |text| unsafe { borrowed(text, "a text") }.ok();
    let (ends, object, refusal) = (object.is_null(), text(object), text(refusal));
    if ends || object.is_some() {
        // SAFETY: as in status.
        unsafe {
            with_context(context, |context| {
                context.set_waiting(object, refusal);
                Ok(0)
            })
        };
    }
}

unsafe extern "C" fn log(host: *const abi::Host, level: u32, text: *const c_char) {
    // SAFETY: the header: host is the table that start got, which is a Hosting's first field.
    let Some(hosting) = (unsafe { host.cast::<Hosting>().as_ref() }) else { return };
    let level = match level {
        0..=10 => Level::Error,
        11..=20 => Level::Warning,
        21..=30 => Level::Info,
        _ => Level::Debug,
    };
    // SAFETY: the ABI's strings are terminated and valid during the call. One that is not UTF-8 is not logged.
    if let Ok(text) = unsafe { borrowed(text, "a line of the log") } {
        // One line, and nothing that a terminal would obey.
        let line = text.trim().replace(|character: char| !is_printable(character), " ");
        // A host's log that panics must not unwind through the provider; the panic's own report is made by then.
        drop(catch_unwind(AssertUnwindSafe(|| hosting.host.log(level, &line))));
    }
}

unsafe extern "C" fn extension(_host: *const abi::Host, id: *const c_char) -> *const c_void {
    // SAFETY: the ABI's strings are terminated and valid during the call; NULL is answered.
    match unsafe { borrowed(id, "an extension's id") } {
        Ok(abi::EXT_HOST_OPEN) => (&raw const HOST_OPEN).cast(),
        Ok(abi::EXT_HOST_WAITING) => (&raw const HOST_WAITING).cast(),
        _ => ptr::null(),
    }
}

unsafe extern "C" fn status(context: *mut abi::Context) -> i32 {
    // SAFETY: the header: a context that the host passed, before close has returned.
    unsafe { with_context(context, |context| context.status().map(|()| 0)) }
}

unsafe extern "C" fn time_left(context: *mut abi::Context) -> u64 {
    // SAFETY: as in status.
    match unsafe { context.cast::<Context>().as_ref() } {
        Some(context) => limit_to_abi(context.time_left()),
        None => abi::TIME_UNLIMITED,
    }
}

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

unsafe extern "C" fn on_cancel(
    context: *mut abi::Context,
    function: Option<abi::CancelFn>,
    arg: *mut c_void,
) -> i32 {
    // SAFETY: as in status.
    unsafe {
        with_context(context, |context| {
            let function = function.map(|function| {
                let function = OnCancel(function, arg);
                Box::new(move || function.run()) as crate::context::CancelFn
            });
            context.set_on_cancel(function).map(|()| 0)
        })
    }
}

unsafe extern "C" fn wait(context: *mut abi::Context, fd: i32, events: u32, ns: u64) -> i32 {
    // SAFETY: as in status; the fd is the provider's for the time of the call, and a closed one is answered with EBADF.
    unsafe {
        with_context(context, |context| {
            let fd = (fd >= 0).then(|| BorrowedFd::borrow_raw(fd));
            context.wait(fd, events_from_abi(events), limit_from_abi(ns)).map(|came| came.bits() as i32)
        })
    }
}
