//! The entries of a listing on their way over the boundary, in both directions.
#![expect(unsafe_code, reason = "calls the other side's function, and is called by it")]

use crate::abi;
use crate::bridge::strings::{borrowed, c_string};
use crate::bridge::translate::{empty_stat, stat_from_abi, stat_to_abi};
use crate::provider::Entry;
use std::any::Any;
use std::ffi::c_void;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

/// Passes an entry to the function of whoever asked for the list.
///
/// # Safety
/// `each` and `arg` came with the call that lists, which is in progress.
pub(crate) unsafe fn pass_entry(entry: Entry<'_>, each: abi::EntryFn, arg: *mut c_void) -> ControlFlow<()> {
    let name = c_string(entry.name);
    let stat = entry.stat.map(|stat| {
        let mut out = empty_stat();
        stat_to_abi(stat, &mut out);
        out
    });
    let entry = abi::Entry {
        struct_size: abi::Entry::SIZE,
        name: name.as_ptr(),
        stat: stat.as_ref().map_or(ptr::null(), ptr::from_ref),
    };
    // SAFETY: the caller's promise; the entry is valid during the call.
    if unsafe { each(arg, &entry) } == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Asks the other side for a list: `call` gets what it takes, a function and an argument.
pub(crate) fn take_entries<T>(
    each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    call: impl FnOnce(abi::EntryFn, *mut c_void) -> T,
) -> T {
    let mut listing = Listing { each, stopped: false, panic: None };
    let listed = call(take_entry, ptr::from_mut(&mut listing).cast());
    match listing.panic {
        Some(panic) => resume_unwind(panic),
        None => listed,
    }
}

/// A listing in progress.
struct Listing<'a> {
    each: &'a mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    /// A side that goes on all the same is not listened to.
    stopped: bool,
    /// This side's own panic: it must not unwind through the other, and goes on when that has returned.
    panic: Option<Box<dyn Any + Send>>,
}

/// What the other side calls for each entry. Names that are none (empty, with a slash, not UTF-8) are passed over.
unsafe extern "C" fn take_entry(arg: *mut c_void, entry: *const abi::Entry) -> i32 {
    // SAFETY: arg is what `take_entries` passed, during its call.
    let listing = unsafe { &mut *arg.cast::<Listing<'_>>() };
    if listing.stopped {
        return 1;
    }
    // SAFETY: the header: an entry valid during the callback.
    let Some(entry) = (unsafe { entry.as_ref() }) else { return 0 };
    // SAFETY: as above.
    let Ok(name) = (unsafe { borrowed(entry.name, "an entry's name") }) else { return 0 };
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return 0;
    }
    // SAFETY: as above.
    let stat = unsafe { entry.stat.as_ref() }.map(stat_from_abi);
    let call = AssertUnwindSafe(|| (listing.each)(Entry { name, stat: stat.as_ref() }));
    match catch_unwind(call) {
        Ok(ControlFlow::Continue(())) => return 0,
        Ok(ControlFlow::Break(())) => {}
        Err(panic) => listing.panic = Some(panic),
    }
    listing.stopped = true;
    1
}
