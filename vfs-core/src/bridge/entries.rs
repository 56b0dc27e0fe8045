//! The entries of a listing on their way over the boundary, in both directions: as text, or as bytes.
#![expect(unsafe_code, reason = "calls the other side's function, and is called by it")]

use crate::abi;
use crate::bridge::strings::c_string;
use crate::bridge::translate::{empty_stat, stat_from_abi, stat_to_abi};
use crate::file::Stat;
use crate::provider::{Entry, Name};
use std::any::Any;
use std::ffi::{CStr, c_void};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
#[cfg(feature = "host")]
use std::slice;

/// A name that says it is longer says nonsense.
#[cfg(feature = "host")]
const NAME_MAX: u64 = 1 << 20;

/// Passes an entry to the function of whoever asked for the list.
///
/// # Safety
/// `each` and `arg` came with the call that lists, which is in progress.
pub(crate) unsafe fn pass_entry(entry: Entry<'_>, each: abi::EntryFn, arg: *mut c_void) -> ControlFlow<()> {
    let name = c_string(entry.name);
    let stat = entry.stat.map(passed);
    let entry = abi::Entry {
        struct_size: abi::Entry::SIZE,
        name: name.as_ptr(),
        stat: stat.as_ref().map_or(ptr::null(), ptr::from_ref),
    };
    // SAFETY: the caller's promise; the entry is valid during the call.
    if unsafe { each(arg, &entry) } == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Passes a name as bytes.
///
/// # Safety
/// As for [`pass_entry`].
pub(crate) unsafe fn pass_name(name: Name<'_>, each: abi::NameFn, arg: *mut c_void) -> ControlFlow<()> {
    let stat = name.stat.map(passed);
    let name = abi::Name {
        struct_size: abi::Name::SIZE,
        bytes: name.bytes.as_ptr().cast(),
        length: name.bytes.len() as u64,
        stat: stat.as_ref().map_or(ptr::null(), ptr::from_ref),
    };
    // SAFETY: the caller's promise; the name is valid during the call.
    if unsafe { each(arg, &name) } == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn passed(stat: &Stat) -> abi::Stat {
    let mut out = empty_stat();
    stat_to_abi(stat, &mut out);
    out
}

/// Asks the other side for a list: `call` gets what it takes, a function and an argument. What is no UTF-8 is passed over.
pub(crate) fn take_entries<T>(
    each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    call: impl FnOnce(abi::EntryFn, *mut c_void) -> T,
) -> T {
    let mut each = |name: Name<'_>| name.entry().map_or(ControlFlow::Continue(()), &mut *each);
    take(&mut each, |arg| call(take_entry, arg))
}

/// Asks the other side for a list of names as bytes.
#[cfg(feature = "host")]
pub(crate) fn take_names<T>(
    each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    call: impl FnOnce(abi::NameFn, *mut c_void) -> T,
) -> T {
    take(each, |arg| call(take_name, arg))
}

fn take<T>(each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>, call: impl FnOnce(*mut c_void) -> T) -> T {
    let mut listing = Listing { each, stopped: false, panic: None };
    let listed = call(ptr::from_mut(&mut listing).cast());
    match listing.panic {
        Some(panic) => resume_unwind(panic),
        None => listed,
    }
}

/// A listing in progress.
struct Listing<'a> {
    each: &'a mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    /// A side that goes on all the same is not listened to.
    stopped: bool,
    /// This side's own panic: it must not unwind through the other, and goes on when that has returned.
    panic: Option<Box<dyn Any + Send>>,
}

impl Listing<'_> {
    /// Takes a name, and answers for the other side: 0 goes on. What is none (empty, with a slash or a NUL) is passed over.
    fn take(&mut self, bytes: &[u8], stat: Option<&abi::Stat>) -> i32 {
        if self.stopped {
            return 1;
        }
        if bytes.is_empty() || bytes.contains(&b'/') || bytes.contains(&0) || bytes == b"." || bytes == b".."
        {
            return 0;
        }
        let stat = stat.map(stat_from_abi);
        let call = AssertUnwindSafe(|| (self.each)(Name { bytes, stat: stat.as_ref() }));
        match catch_unwind(call) {
            Ok(ControlFlow::Continue(())) => return 0,
            Ok(ControlFlow::Break(())) => {}
            Err(panic) => self.panic = Some(panic),
        }
        self.stopped = true;
        1
    }
}

/// What the other side calls for each entry.
unsafe extern "C" fn take_entry(arg: *mut c_void, entry: *const abi::Entry) -> i32 {
    // SAFETY: arg is what `take` passed, during its call.
    let listing = unsafe { &mut *arg.cast::<Listing<'_>>() };
    // SAFETY: the header: an entry valid during the callback.
    let Some(entry) = (unsafe { entry.as_ref() }) else { return 0 };
    if entry.name.is_null() {
        return 0;
    }
    // SAFETY: as above, and not NULL: a terminated string.
    let name = unsafe { CStr::from_ptr(entry.name) };
    // SAFETY: as above.
    listing.take(name.to_bytes(), unsafe { entry.stat.as_ref() })
}

/// What the other side calls for each name.
#[cfg(feature = "host")]
unsafe extern "C" fn take_name(arg: *mut c_void, name: *const abi::Name) -> i32 {
    // SAFETY: arg is what `take` passed, during its call.
    let listing = unsafe { &mut *arg.cast::<Listing<'_>>() };
    // SAFETY: the header: a name valid during the callback.
    let Some(name) = (unsafe { name.as_ref() }) else { return 0 };
    if name.struct_size < abi::Name::SIZE || name.bytes.is_null() || name.length > NAME_MAX {
        return 0;
    }
    // SAFETY: as above, and not NULL: so many bytes.
    let bytes = unsafe { slice::from_raw_parts(name.bytes.cast(), name.length as usize) };
    // SAFETY: as above.
    listing.take(bytes, unsafe { name.stat.as_ref() })
}
