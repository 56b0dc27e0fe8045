//! What a provider calls: the functions of the host's table, and of its extensions but for those of layers.
#![expect(unsafe_code, reason = "called by providers through the C table")]

use crate::abi;
use crate::boundary::Callback;
use crate::bridge::translate::{events_from_abi, limit_from_abi, limit_to_abi};
use crate::context::{CancelFn, Context};
use crate::extern_c;
use crate::host::import::hosting::Hosting;
use crate::host::import::layers::HOST_OPEN;
use crate::provider::Level;
use std::borrow::Cow;
use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr;

/// The functions, the same for every instance.
pub(super) const CALLS: abi::Host = abi::Host {
    struct_size: abi::Host::SIZE,
    name: ptr::null(),
    version: ptr::null(),
    log: Some(log),
    extension: Some(extension),
    status: Some(status),
    time_left: Some(time_left),
    on_cancel: Some(on_cancel),
    wait: Some(wait),
};

static HOST_WAITING: abi::HostWaiting =
    abi::HostWaiting { struct_size: abi::HostWaiting::SIZE, waits_for: Some(waits_for) };

/// A provider's function and argument, to be called on whatever thread cancels.
struct CancelCall(abi::CancelFn, *mut c_void);

// SAFETY: the header says that the function runs on any thread, so its author made the argument fit for that.
unsafe impl Send for CancelCall {}

impl CancelCall {
    fn run(self) {
        // SAFETY: the provider's own function with its own argument, which stays until it is withdrawn or close has begun.
        unsafe { (self.0)(self.1) }
    }
}

extern_c! { by "the host":
    fn waits_for(context: Context, object: Option<Cow<'_, str>>, refusal: Option<Cow<'_, str>>) -> (), plain {
        context.set_waiting(object.as_deref(), refusal.as_deref());
        Ok(())
    }
    fn log(host: &Hosting, level: u32, text: Cow<'_, str>) -> (), plain {
        host.host().log(Level::of(level), &Level::line(&text));
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
            let function = CancelCall(function.0, arg);
            Box::new(move || function.run()) as CancelFn
        }))
    }
    // A descriptor is the provider's for the time of the call, and a closed one is answered with EBADF.
    fn wait(context: Context, fd: i32, events: u32, ns: u64) -> i32, plain {
        // SAFETY: as just said.
        let fd = (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) });
        context.wait(fd, events_from_abi(events), limit_from_abi(ns)).map(|came| came.bits() as u32)
    }
}
