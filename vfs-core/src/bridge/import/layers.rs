//! `zvfs.host.open/1`: what a layer calls to open and use a file of another provider.
#![expect(unsafe_code, reason = "called by providers through the C table")]

use crate::abi;
use crate::bridge::entries::pass_entry;
use crate::bridge::guard::{bytes, bytes_mut, fail, guarded, hand_out, lent, position, seek_from};
use crate::bridge::import::hosting::Hosting;
use crate::bridge::strings::{borrowed, copied};
use crate::bridge::translate::{direction_from_abi, finish_from_abi, flush_from_abi, stat_to_abi};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::file::{COUNT_MAX, File};
use crate::flags::OpenFlags;
use crate::host::{Host, Inner};
use crate::provider::Entry;
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_void};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;

pub(crate) static HOST_OPEN: abi::HostOpen = abi::HostOpen {
    struct_size: abi::HostOpen::SIZE,
    open: Some(open),
    supported_flags: Some(supported_flags),
    finish: Some(finish),
    close: Some(close),
    read: Some(read),
    write: Some(write),
    seek: Some(seek),
    tell: Some(tell),
    truncate: Some(truncate),
    flush: Some(flush),
    capabilities: Some(capabilities),
    read_at: Some(read_at),
    write_at: Some(write_at),
    stat: Some(stat),
    lease: Some(lease),
    advance: Some(advance),
    send_from: Some(send_from),
    receive_into: Some(receive_into),
    name_stat: Some(name_stat),
    name_list: Some(name_list),
    name_remove: Some(name_remove),
};

/// What a layer's pointer to an inner file points to.
struct InnerFile {
    /// The context it was opened under, as the layer names it. Compared, never followed: the layer's file may be gone.
    context: *mut abi::Context,
    /// Exclusive for every call but the positional ones: the ABI's [file] rule.
    file: UnsafeCell<Box<dyn File>>,
    poisoned: AtomicBool,
}

impl InnerFile {
    /// The file, for a call that nothing else overlaps.
    #[expect(clippy::mut_from_ref, reason = "exclusive by the ABI's thread rule, which no type can say")]
    fn exclusive(&self) -> &mut dyn File {
        // SAFETY: the header's [file] tag: one call at a time, and positional ones do not overlap others.
        unsafe { &mut **self.file.get() }
    }

    /// The file, for a call that positional ones may overlap.
    fn shared(&self) -> &dyn File {
        // SAFETY: the header's [shared] tag: only other shared calls overlap this one.
        unsafe { &**self.file.get() }
    }
}

/// Calls a function with a layer's own context. The context is cloned, so that it stays should the layer's file be closed.
///
/// # Safety
/// `host` is NULL or an instance's table; `context` is NULL or one that this host passed, whose file is not closed.
unsafe fn hosted<T>(
    host: *const abi::Host,
    context: *mut abi::Context,
    call: impl FnOnce(&Hosting, &Context) -> Result<T>,
) -> Result<T> {
    let null = |what: &str| Error::new(Code::EINVAL, format!("an inner file needs {what}"));
    // SAFETY: the caller's promise: the table is a Hosting's first field.
    let hosting = unsafe { host.cast::<Hosting>().as_ref() }.ok_or_else(|| null("its host"))?;
    // Before the context is looked at: in start there is none yet.
    hosting.started()?;
    // SAFETY: the caller's promise.
    let context = unsafe { context.cast::<Context>().as_ref() }
        .ok_or_else(|| null("the context of an open file"))?
        .clone();
    call(hosting, &context)
}

/// The same with what a layer asks for.
///
/// # Safety
/// As `hosted`; `request` is NULL, or valid during the call and starts with its size, as are its strings and its list.
unsafe fn requested<T>(
    host: *const abi::Host,
    context: *mut abi::Context,
    request: *const abi::InnerRequest,
    call: impl FnOnce(&Host, &Context, &str, &Inner) -> Result<T>,
) -> Result<T> {
    let call = |hosting: &Hosting, context: &Context| {
        // SAFETY: the caller's promise.
        let size = unsafe { request.cast::<u64>().as_ref() }.copied().unwrap_or(0);
        if size < abi::InnerRequest::SIZE {
            return Err(Error::new(Code::EINVAL, "a zvfs_inner_request smaller than version 1's"));
        }
        // SAFETY: not NULL, and large enough, as just seen.
        let request = unsafe { &*request };
        // SAFETY: the ABI's strings are terminated and valid during the call.
        let descriptor = unsafe { borrowed(request.descriptor, "the descriptor") }?;
        let size = Some(request.expected_size).filter(|size| *size != abi::SIZE_UNKNOWN);
        let mut how = Inner::new(OpenFlags::from_bits(request.flags)).expected_size(size);
        // SAFETY: NULL or a NULL-terminated list, valid during the call.
        how.settings = unsafe { texts(request.settings) }?;
        call(hosting.host(), context, descriptor, &how)
    };
    // SAFETY: the caller's promise.
    unsafe { hosted(host, context, call) }
}

unsafe extern "C" fn open(
    host: *const abi::Host,
    context: *mut abi::Context,
    request: *const abi::InnerRequest,
    out: *mut *mut abi::Inner,
    err: *mut abi::Error,
) -> i32 {
    guarded(err, None, || {
        // SAFETY: the header: the host's own table and context, of a file that is open or being opened, and a layer's request.
        let file = unsafe {
            requested(host, context, request, |host, context, descriptor, how| {
                host.open(context, descriptor, how)
            })
        }?;
        let inner = InnerFile { context, file: UnsafeCell::new(file), poisoned: AtomicBool::new(false) };
        // SAFETY: the layer gives a place of its own for the pointer, valid for the call.
        unsafe { hand_out(out, inner) }
    }) as i32
}

/// Name and text of each value.
///
/// # Safety
/// `list` is NULL or a NULL-terminated list of values, valid during the call.
unsafe fn texts(list: *const *const abi::Value) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    let mut at = list;
    if at.is_null() {
        return Ok(texts);
    }
    // SAFETY: the list ends with NULL, and every step before that stays within it.
    while let Some(value) = unsafe { (*at).as_ref() } {
        // SAFETY: the ABI's strings are terminated and valid during the call.
        let name = unsafe { copied(value.name, "a setting's name") }?;
        // SAFETY: as above.
        texts.push((name, unsafe { copied(value.text, "a setting's text") }?));
        // SAFETY: this element was not the terminator.
        at = unsafe { at.add(1) };
    }
    Ok(texts)
}

unsafe extern "C" fn supported_flags(
    host: *const abi::Host,
    context: *mut abi::Context,
    descriptor: *const c_char,
    out: *mut u64,
    err: *mut abi::Error,
) -> i32 {
    guarded(err, None, || {
        // SAFETY: as in open.
        let flags = unsafe {
            hosted(host, context, |hosting, context| {
                // SAFETY: the ABI's strings are terminated and valid during the call.
                let descriptor = borrowed(descriptor, "the descriptor")?;
                hosting.host().supported_flags(context, descriptor)
            })
        }?;
        // SAFETY: the layer gives a place of its own, valid for the call.
        let out = unsafe { out.as_mut() }
            .ok_or_else(|| Error::new(Code::EINVAL, "supported_flags: out is NULL"))?;
        *out = flags.bits();
        Ok(0)
    }) as i32
}

unsafe extern "C" fn name_stat(
    host: *const abi::Host,
    context: *mut abi::Context,
    request: *const abi::InnerRequest,
    out: *mut abi::Stat,
    err: *mut abi::Error,
) -> i32 {
    guarded(err, None, || {
        // SAFETY: the layer gives a zvfs_stat of its own, valid for the call, with its size set.
        let out = unsafe { sized(out) }.ok_or_else(|| small("name_stat", "zvfs_stat"))?;
        // SAFETY: as in open.
        let stat = unsafe {
            requested(host, context, request, |host, context, descriptor, how| {
                host.stat(context, descriptor, how)
            })
        }?;
        stat_to_abi(&stat, out);
        Ok(0)
    }) as i32
}

unsafe extern "C" fn name_list(
    host: *const abi::Host,
    context: *mut abi::Context,
    request: *const abi::InnerRequest,
    each: Option<abi::EntryFn>,
    arg: *mut c_void,
    err: *mut abi::Error,
) -> i32 {
    guarded(err, None, || {
        let each = each.ok_or_else(|| Error::new(Code::EINVAL, "name_list: no function to call"))?;
        // SAFETY: the layer's own function with its own argument, during the call that they came with.
        let mut pass = |entry: Entry<'_>| unsafe { pass_entry(entry, each, arg) };
        // SAFETY: as in open.
        unsafe {
            requested(host, context, request, |host, context, descriptor, how| {
                host.list(context, descriptor, how, &mut pass)
            })
        }
        .map(|()| 0)
    }) as i32
}

unsafe extern "C" fn name_remove(
    host: *const abi::Host,
    context: *mut abi::Context,
    request: *const abi::InnerRequest,
    err: *mut abi::Error,
) -> i32 {
    guarded(err, None, || {
        // SAFETY: as in open.
        unsafe {
            requested(host, context, request, |host, context, descriptor, how| {
                host.remove(context, descriptor, how)
            })
        }
        .map(|()| 0)
    }) as i32
}

unsafe extern "C" fn close(_context: *mut abi::Context, inner: *mut abi::Inner) {
    if !inner.is_null() {
        // SAFETY: open made it, and close is called once, when nothing else runs on the file.
        let inner = unsafe { Box::from_raw(inner.cast::<InnerFile>()) };
        drop(catch_unwind(AssertUnwindSafe(|| drop(inner))));
    }
}

unsafe extern "C" fn capabilities(_context: *mut abi::Context, inner: *mut abi::Inner) -> u64 {
    // SAFETY: not NULL means made by open and not closed.
    let Some(inner) = (unsafe { inner.cast::<InnerFile>().as_ref() }) else { return 0 };
    catch_unwind(AssertUnwindSafe(|| inner.shared().capabilities().bits())).unwrap_or(0)
}

/// Defines a call on an inner file: null check, the layer's own context, panic guard.
macro_rules! inner_call {
    ($(fn $name:ident($this:ident $(, $arg:ident: $arg_type:ty)*) -> $out:ty $body:block)*) => {$(
        unsafe extern "C" fn $name(
            context: *mut abi::Context, inner: *mut abi::Inner $(, $arg: $arg_type)*, err: *mut abi::Error
        ) -> $out {
            // SAFETY: not NULL means that open made it and that it is not closed yet.
            let Some($this) = (unsafe { inner.cast::<InnerFile>().as_ref() }) else {
                return fail(err, &Error::new(Code::EINVAL, concat!(stringify!($name), ": the inner file is NULL"))) as $out;
            };
            if $this.context != context {
                let text = concat!(stringify!($name), ": not the context that the inner file was opened with");
                return fail(err, &Error::new(Code::EINVAL, text)) as $out;
            }
            guarded(err, Some(&$this.poisoned), || $body) as $out
        }
    )*};
}

inner_call! {
    fn read(this, buf: *mut c_void, n: u64) -> i64 {
        // SAFETY: read's contract: buf[0..n] is writable for the call and nobody else uses it.
        let buf = unsafe { bytes_mut(buf, n) }?;
        this.exclusive().read(buf).map(|count| count as i64)
    }
    fn write(this, buf: *const c_void, n: u64) -> i64 {
        // SAFETY: write's contract: buf[0..n] is readable for the call and nobody changes it.
        let buf = unsafe { bytes(buf, n) }?;
        this.exclusive().write(buf).map(|count| count as i64)
    }
    fn read_at(this, buf: *mut c_void, n: u64, offset: u64) -> i64 {
        // SAFETY: as for read.
        let buf = unsafe { bytes_mut(buf, n) }?;
        this.shared().read_at(buf, offset).map(|count| count as i64)
    }
    fn write_at(this, buf: *const c_void, n: u64, offset: u64) -> i64 {
        // SAFETY: as for write.
        let buf = unsafe { bytes(buf, n) }?;
        this.shared().write_at(buf, offset).map(|count| count as i64)
    }
    fn seek(this, offset: i64, whence: u32) -> i64 {
        position(this.exclusive().seek(seek_from(offset, whence)?)?)
    }
    fn tell(this) -> i64 {
        position(this.exclusive().tell()?)
    }
    fn truncate(this, size: u64) -> i32 {
        this.exclusive().truncate(size).map(|()| 0)
    }
    fn flush(this, level: u32) -> i32 {
        this.exclusive().flush(flush_from_abi(level)?).map(|()| 0)
    }
    fn finish(this, how: u32) -> i32 {
        this.exclusive().finish(finish_from_abi(how)?).map(|()| 0)
    }
    fn stat(this, out: *mut abi::Stat) -> i32 {
        let stat = this.exclusive().stat()?;
        // SAFETY: the layer gives a zvfs_stat of its own, valid for the call, with its size set.
        let out = unsafe { sized(out) }.ok_or_else(|| small("stat", "zvfs_stat"))?;
        stat_to_abi(&stat, out);
        Ok(0)
    }
    fn lease(this, direction: u64, out: *mut abi::Lease) -> i32 {
        // SAFETY: the layer gives a zvfs_lease of its own, valid for the call, with its size set.
        let out = unsafe { sized(out) }.ok_or_else(|| small("lease", "zvfs_lease"))?;
        let lease = this.exclusive().lease(direction_from_abi(direction)?)?;
        out.fd = lease.fd.as_raw_fd();
        out.offset = lease.offset.unwrap_or(abi::OFFSET_STREAM);
        out.limit = lease.limit;
        Ok(0)
    }
    fn advance(this, direction: u64, n: u64) -> i32 {
        this.exclusive().advance(direction_from_abi(direction)?, n).map(|()| 0)
    }
    fn send_from(this, fd: i32, offset: u64, n: u64) -> i64 {
        // SAFETY: the header: the layer's descriptor, open for the call.
        let fd = unsafe { lent(fd) }?;
        this.exclusive().send_from(fd, offset, n.min(COUNT_MAX as u64) as usize).map(|count| count as i64)
    }
    fn receive_into(this, fd: i32, offset: u64, n: u64) -> i64 {
        // SAFETY: the header: the layer's descriptor, open for the call.
        let fd = unsafe { lent(fd) }?;
        this.exclusive().receive_into(fd, offset, n.min(COUNT_MAX as u64) as usize).map(|count| count as i64)
    }
}

/// A struct that the layer provides, if it is as large as this version's.
///
/// # Safety
/// `out` is NULL, or points to a struct of this kind that starts with its size and is used by nobody else.
unsafe fn sized<'a, T: Sized64>(out: *mut T) -> Option<&'a mut T> {
    // SAFETY: the caller's promise.
    let size = unsafe { out.cast::<u64>().as_ref() }?;
    // SAFETY: as large as T, by its own word.
    (*size >= T::SIZE).then(|| unsafe { &mut *out })
}

fn small(call: &str, wanted: &str) -> Error {
    Error::new(Code::EINVAL, format!("{call}: no {wanted} of version 1's size"))
}

trait Sized64 {
    const SIZE: u64;
}
impl Sized64 for abi::Stat {
    const SIZE: u64 = abi::Stat::SIZE;
}
impl Sized64 for abi::Lease {
    const SIZE: u64 = abi::Lease::SIZE;
}
