//! What stands behind the pointers that a provider has of its host: the table of an instance, and a context.
#![expect(unsafe_code, reason = "follows pointers that providers pass back")]

use crate::abi;
use crate::boundary::{Argument, c_string, null};
use crate::context::Context;
use crate::error::Result;
use crate::provider::{Host, busy_in_start};
use std::ffi::CString;
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
    /// With these functions.
    pub(super) fn new(host: Host, calls: &abi::Host) -> Arc<Hosting> {
        let (name, version) = (c_string(host.name()), c_string(host.version()));
        let table = abi::Host { name: name.as_ptr(), version: version.as_ptr(), ..*calls };
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
