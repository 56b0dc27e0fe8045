//! The entries of a listing on their way over the boundary, in both directions: as text, or as bytes.
#![expect(unsafe_code, reason = "calls the other side's function, and is called by it")]

use crate::abi;
use crate::boundary::{Struct, read, text};
use crate::bridge::translate::stat_from_abi;
use crate::code::Code;
use crate::entry::{Entry, NAME_MAX, Name};
use crate::error::Result;
use crate::extern_c;
use std::any::Any;
use std::ffi::{CString, c_void};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{ptr, slice};

/// Passes an entry to the function of whoever asked for the list.
///
/// # Safety
/// `each` and `arg` came with the call that lists, which is in progress.
pub unsafe fn pass_entry(entry: Entry<'_>, each: abi::EntryFn, arg: *mut c_void) -> ControlFlow<()> {
    // A name with a NUL is none.
    let Ok(name) = CString::new(entry.name) else { return ControlFlow::Continue(()) };
    let stat = entry.stat.map(abi::Stat::from);
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
pub unsafe fn pass_name(name: Name<'_>, each: abi::NameFn, arg: *mut c_void) -> ControlFlow<()> {
    let stat = name.stat.map(abi::Stat::from);
    let name = abi::Name {
        struct_size: abi::Name::SIZE,
        bytes: name.bytes.as_ptr().cast(),
        length: name.bytes.len() as u64,
        stat: stat.as_ref().map_or(ptr::null(), ptr::from_ref),
    };
    // SAFETY: the caller's promise; the name is valid during the call.
    if unsafe { each(arg, &name) } == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Asks the other side for a list: `call` gets what it takes, a function and an argument. Names that are no UTF-8 are not for who asks.
/// Also returns how many were left out for being no names at all.
pub(crate) fn take_entries<T>(
    each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    call: impl FnOnce(abi::EntryFn, *mut c_void) -> T,
) -> (T, u64) {
    let mut each = |name: Name<'_>| name.entry().map_or(ControlFlow::Continue(()), &mut *each);
    take(&mut each, |arg| call(take_entry, arg))
}

/// Asks the other side for a list of names as bytes.
pub(crate) fn take_names<T>(
    each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    call: impl FnOnce(abi::NameFn, *mut c_void) -> T,
) -> (T, u64) {
    take(each, |arg| call(take_name, arg))
}

fn take<T>(
    each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    call: impl FnOnce(*mut c_void) -> T,
) -> (T, u64) {
    let mut visitor = Visitor { each, left_out: 0, stopped: false, panic: None };
    let listed = call(ptr::from_mut(&mut visitor).cast());
    match visitor.panic {
        Some(panic) => resume_unwind(panic),
        None => (listed, visitor.left_out),
    }
}

/// Takes the names of a listing in progress.
struct Visitor<'a> {
    each: &'a mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    /// What was no name.
    left_out: u64,
    /// A side that goes on all the same is not listened to.
    stopped: bool,
    /// This side's own panic: it must not unwind through the other, and goes on when that has returned.
    panic: Option<Box<dyn Any + Send>>,
}

impl Visitor<'_> {
    /// Takes a name; the error stops the other side. What is none (`None`, empty, with a slash or a NUL, too long) is left out.
    fn take(&mut self, bytes: Option<&[u8]>, stat: *const abi::Stat) -> Result<()> {
        if self.stopped {
            return Err(Code::ECANCELED.into());
        }
        // SAFETY: the header: NULL, or valid during the callback that came with it.
        let stat = unsafe { read(stat, "stat") }.ok().map(|stat| stat_from_abi(&stat));
        let name = bytes.map(|bytes| Name { bytes, stat: stat.as_ref() });
        let Some(name) = name.filter(|name| name.is_one()) else {
            self.left_out += 1;
            return Ok(());
        };
        let call = AssertUnwindSafe(|| (self.each)(name));
        match catch_unwind(call) {
            Ok(ControlFlow::Continue(())) => return Ok(()),
            Ok(ControlFlow::Break(())) => {}
            Err(panic) => self.panic = Some(panic),
        }
        self.stopped = true;
        Err(Code::ECANCELED.into())
    }
}

extern_c! { by "zvfs":
    /// What the other side calls for each entry.
    fn take_entry(arg: *mut c_void, entry: Result<Struct<abi::Entry>>) -> i32, plain {
        let (name, stat) = entry.map_or((ptr::null(), ptr::null()), |Struct(entry)| (entry.name, entry.stat));
        // SAFETY: the header: NULL or a terminated string, valid during the callback.
        let name = unsafe { text(name, "name") }.ok().flatten();
        // SAFETY: arg is what `take` passed, during its call.
        unsafe { &mut *arg.cast::<Visitor<'_>>() }.take(name.map(str::as_bytes), stat)
    }
    /// What the other side calls for each name.
    fn take_name(arg: *mut c_void, name: Result<Struct<abi::Name>>) -> i32, plain {
        let name = name.ok().map(|Struct(name)| name);
        let stat = name.as_ref().map_or(ptr::null(), |name| name.stat);
        let name = name.filter(|name| !name.bytes.is_null() && name.length <= NAME_MAX as u64);
        // SAFETY: the header: so many bytes, valid during the callback.
        let bytes = name.map(|name| unsafe { slice::from_raw_parts(name.bytes.cast(), name.length as usize) });
        // SAFETY: arg is what `take` passed, during its call.
        unsafe { &mut *arg.cast::<Visitor<'_>>() }.take(bytes, stat)
    }
}
