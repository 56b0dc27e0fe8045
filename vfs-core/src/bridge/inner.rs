//! An inner file, as a layer sees it through the ABI: the host's `zvfs.host.open/1`.
#![expect(unsafe_code, reason = "reads the host's table and calls its functions")]

use crate::abi;
use crate::boundary::{Growing, Time, c_string, read};
use crate::bridge::entries::{take_entries, take_names};
use crate::bridge::interest::{empty_interest, interest_from_abi};
use crate::bridge::outcome::{attempt, attempt_status, call, call_status};
use crate::bridge::translate::{direction_to_abi, empty_stat, seek_to_abi, stat_from_abi};
use crate::bridge::values::Values;
use crate::code::Code;
use crate::context::Context;
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::file::{Direction, File, Finish, Flush, Interest, Lease, Stat};
use crate::flags::{Capabilities, OpenFlags, Wanted};
use crate::provider::Inner;
use std::ffi::CString;
use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::SystemTime;

/// The host's extension, copied, and the host that it is of.
#[derive(Clone, Copy)]
pub(crate) struct HostOpen {
    host: *const abi::Host,
    table: abi::HostOpen,
}

impl HostOpen {
    /// Asks a host for its extension; `None`: it has none. What an older host's lacks is absent.
    ///
    /// # Safety
    /// `of` is what stands at `host`, a host's table, for as long as the extension is used.
    pub(crate) unsafe fn of(host: *const abi::Host, of: &abi::Host) -> Option<HostOpen> {
        // SAFETY: the caller's promise; the table of this id is a zvfs_host_open.
        unsafe { extension(host, of, abi::EXT_HOST_OPEN) }.map(|table| HostOpen { host, table })
    }

    /// Opens an inner file under the context of the layer's own.
    pub(crate) fn open(self, context: &Context, descriptor: &str, options: &Inner) -> Result<Box<dyn File>> {
        let open = self.table.open.ok_or_else(absent)?;
        let asked = PassedInner::new(descriptor, options);
        let mut raw = ptr::null_mut();
        let context = at_host(context, |context| {
            // SAFETY: the host's function and table, and a context that it passed, of a file that is not closed; request and
            // place for the result are valid during the call.
            call_status(|err| unsafe { open(self.host, context, &asked.request(), &mut raw, err) })
        })?;
        if raw.is_null() {
            return Err(Error::new(Code::EIO, "open of an inner file succeeded without a file"));
        }
        // SAFETY: the host's function on its own open file.
        let bits = self.table.capabilities.map_or(0, |capabilities| unsafe { capabilities(context, raw) });
        let capabilities = Capabilities::from_bits(bits);
        Ok(Box::new(ForeignFile { table: self.table, context, raw, capabilities }))
    }

    /// The flags that a descriptor's provider honours.
    pub(crate) fn supported_flags(self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        let supported_flags = self.table.supported_flags.ok_or_else(absent)?;
        let (descriptor, mut out) = (c_string(descriptor), 0);
        at_host(context, |context| {
            // SAFETY: as in open.
            call_status(|err| unsafe {
                supported_flags(self.host, context, descriptor.as_ptr(), &mut out, err)
            })
        })?;
        Ok(OpenFlags::from_bits(out))
    }

    /// The status of a name of another provider's.
    pub(crate) fn stat(self, context: &Context, descriptor: &str, options: &Inner) -> Result<Stat> {
        let stat = self.table.name_stat.ok_or_else(absent)?;
        let (asked, mut out) = (PassedInner::new(descriptor, options), empty_stat());
        at_host(context, |context| {
            // SAFETY: as in open.
            call_status(|err| unsafe { stat(self.host, context, &asked.request(), &mut out, err) })
        })?;
        Ok(stat_from_abi(&out))
    }

    /// The entries of a directory of another provider's.
    pub(crate) fn list(
        self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let list = self.table.name_list.ok_or_else(absent)?;
        let asked = PassedInner::new(descriptor, options);
        let (listed, _) = take_entries(each, |each, arg| {
            at_host(context, |context| {
                // SAFETY: as in open; function and argument are made for each other, and valid during the call.
                call_status(|err| unsafe { list(self.host, context, &asked.request(), Some(each), arg, err) })
            })
        });
        listed.map(drop)
    }

    /// The same with the names that are no UTF-8 too; without them at a host that is older than this call.
    pub(crate) fn names(
        self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(list) = self.table.names_list else {
            return self.list(context, descriptor, options, &mut |entry| each(entry.into()));
        };
        let asked = PassedInner::new(descriptor, options);
        let (listed, _) = take_names(each, |each, arg| {
            at_host(context, |context| {
                // SAFETY: as in list.
                call_status(|err| unsafe { list(self.host, context, &asked.request(), Some(each), arg, err) })
            })
        });
        listed.map(drop)
    }

    /// Removes a name of another provider's.
    pub(crate) fn remove(self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.change(self.table.name_remove, context, descriptor, options)
    }

    /// Makes a folder of another provider's.
    pub(crate) fn make_folder(self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.change(self.table.folder_make, context, descriptor, options)
    }

    /// Removes a folder of another provider's.
    pub(crate) fn remove_folder(self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.change(self.table.folder_remove, context, descriptor, options)
    }

    fn change(
        self,
        change: Option<abi::InnerOnNameFn>,
        context: &Context,
        descriptor: &str,
        options: &Inner,
    ) -> Result<()> {
        let change = change.ok_or_else(absent)?;
        let asked = PassedInner::new(descriptor, options);
        at_host(context, |context| {
            // SAFETY: as in open.
            call_status(|err| unsafe { change(self.host, context, &asked.request(), err) })
        })
        .map(drop)
    }

    /// Sets the time of a name of another provider's.
    pub(crate) fn set_modified(
        self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        time: SystemTime,
    ) -> Result<()> {
        let set = self.table.name_set_modified.ok_or_else(absent)?;
        let (asked, time) = (PassedInner::new(descriptor, options), Time(time).ns()?);
        at_host(context, |context| {
            // SAFETY: as in open.
            call_status(|err| unsafe { set(self.host, context, &asked.request(), time, err) })
        })
        .map(drop)
    }
}

/// A copy of a host's extension; `None`: it has none, or one smaller than the first of that id. What an older host's lacks is
/// absent.
///
/// # Safety
/// `table` is what stands at `address`, a host's table; T is the struct of that id.
pub(super) unsafe fn extension<T: Growing>(
    address: *const abi::Host,
    table: &abi::Host,
    id: &'static str,
) -> Option<T> {
    let name = c_string(id);
    // SAFETY: the host's own function with its own table; the id is valid during the call.
    let found = unsafe { table.extension?(address, name.as_ptr()) };
    // SAFETY: an extension's table starts with its size, and lives as long as the host's table.
    unsafe { read(found.cast(), id) }.ok()
}

/// A request in C's form, with what it points to.
struct PassedInner {
    descriptor: CString,
    values: Values,
    flags: u64,
    expected_size: u64,
}

impl PassedInner {
    fn new(descriptor: &str, options: &Inner) -> PassedInner {
        PassedInner {
            descriptor: c_string(descriptor),
            values: Values::of_texts(&options.settings),
            flags: options.flags.bits(),
            expected_size: options.expected_size.unwrap_or(abi::SIZE_UNKNOWN),
        }
    }

    fn request(&self) -> abi::InnerRequest {
        abi::InnerRequest {
            struct_size: abi::InnerRequest::SIZE,
            descriptor: self.descriptor.as_ptr(),
            flags: self.flags,
            expected_size: self.expected_size,
            settings: self.values.list(),
        }
    }
}

fn absent() -> Error {
    Error::new(Code::ENOTSUP, "this host is too old: its `zvfs.host.open/1` lacks this call")
}

/// Makes a call with what the host passed for a context, which stays until the call is over; with NULL, which the host refuses,
/// for one that no host passed or whose file is closed. Returns what it was.
fn at_host(
    context: &Context,
    mut call: impl FnMut(*mut abi::Context) -> Result<()>,
) -> Result<*mut abi::Context> {
    let mut result = Ok(ptr::null_mut());
    context.at_its_host(&mut |address| {
        let address: *mut abi::Context = address.cast();
        result = call(address).map(|()| address);
    });
    result
}

/// The inner file.
struct ForeignFile {
    table: abi::HostOpen,
    /// Only named to the host, which compares it.
    context: *mut abi::Context,
    raw: *mut abi::Inner,
    capabilities: Capabilities,
}

// SAFETY: the pointers are only passed back to the host; the header lets calls of a file come from any thread.
unsafe impl Send for ForeignFile {}
// SAFETY: only the positional calls take `&self`, and the header's [shared] tag lets those overlap.
unsafe impl Sync for ForeignFile {}

impl ForeignFile {
    /// A host's function, or ENOTSUP for one that it lacks, and a call of it that returns a count.
    fn count<F>(&self, function: Option<F>, call_it: impl FnOnce(F, *mut abi::Error) -> i64) -> Result<u64> {
        let function = function.ok_or_else(absent)?;
        call(|err| call_it(function, err))
    }

    fn status<F>(&self, function: Option<F>, call_it: impl FnOnce(F, *mut abi::Error) -> i32) -> Result<()> {
        let function = function.ok_or_else(absent)?;
        call_status(|err| call_it(function, err))
    }

    /// A host's count is checked as a provider's is: a slice is made of it.
    fn within(count: u64, asked: usize) -> Result<usize> {
        match usize::try_from(count) {
            Ok(count) if count <= asked => Ok(count),
            _ => Err(Error::new(Code::EIO, format!("the host moved {count} bytes of {asked}"))),
        }
    }
}

// SAFETY of every call below: the host's own function on its own open file (`raw` is closed in drop only), with pointers that
// are valid during the call.
impl File for ForeignFile {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let (pointer, asked) = (buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: see above.
        let count = self.count(self.table.read, |read, err| unsafe {
            read(self.context, self.raw, pointer, asked as u64, err)
        })?;
        Self::within(count, asked)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let (pointer, asked) = (buf.as_ptr().cast(), buf.len());
        // SAFETY: see above.
        let count = self.count(self.table.write, |write, err| unsafe {
            write(self.context, self.raw, pointer, asked as u64, err)
        })?;
        Self::within(count, asked)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let (offset, whence) = seek_to_abi(to)?;
        // SAFETY: see above.
        self.count(self.table.seek, |seek, err| unsafe { seek(self.context, self.raw, offset, whence, err) })
    }

    fn tell(&mut self) -> Result<u64> {
        // SAFETY: see above.
        self.count(self.table.tell, |tell, err| unsafe { tell(self.context, self.raw, err) })
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        // SAFETY: see above.
        self.status(self.table.truncate, |truncate, err| unsafe {
            truncate(self.context, self.raw, size, err)
        })
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        // SAFETY: see above.
        self.status(self.table.flush, |flush, err| unsafe {
            flush(self.context, self.raw, level as u32, err)
        })
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        // SAFETY: see above.
        self.status(self.table.finish, |finish, err| unsafe {
            finish(self.context, self.raw, how as u32, err)
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let (pointer, asked) = (buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: see above.
        let count = self.count(self.table.read_at, |read_at, err| unsafe {
            read_at(self.context, self.raw, pointer, asked as u64, offset, err)
        })?;
        Self::within(count, asked)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        let (pointer, asked) = (buf.as_ptr().cast(), buf.len());
        // SAFETY: see above.
        let count = self.count(self.table.write_at, |write_at, err| unsafe {
            write_at(self.context, self.raw, pointer, asked as u64, offset, err)
        })?;
        Self::within(count, asked)
    }

    fn stat(&mut self) -> Result<Stat> {
        let mut out = empty_stat();
        // SAFETY: see above.
        self.status(self.table.stat, |stat, err| unsafe { stat(self.context, self.raw, &mut out, err) })?;
        Ok(stat_from_abi(&out))
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        let time = Time(time).ns()?;
        // SAFETY: see above.
        self.status(self.table.set_modified, |set, err| unsafe { set(self.context, self.raw, time, err) })
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        let mut out = abi::Lease { struct_size: abi::Lease::SIZE, fd: -1, reserved: 0, offset: 0, limit: 0 };
        // SAFETY: see above.
        self.status(self.table.lease, |lease, err| unsafe {
            lease(self.context, self.raw, direction_to_abi(direction), &mut out, err)
        })?;
        if out.fd < 0 {
            return Err(Error::new(Code::EIO, "the host lent a file descriptor below 0"));
        }
        // SAFETY: the header: it stays open until the next call on the file, and `&mut self` lives as long as the lease.
        let fd = unsafe { BorrowedFd::borrow_raw(out.fd) };
        let offset = (out.offset != abi::OFFSET_STREAM).then_some(out.offset);
        Ok(Lease { fd, offset, limit: out.limit })
    }

    fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        // SAFETY: see above.
        self.status(self.table.advance, |advance, err| unsafe {
            advance(self.context, self.raw, direction_to_abi(direction), count, err)
        })
    }

    fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        let (fd, asked) = (from.as_raw_fd(), count);
        // SAFETY: see above; the descriptor is borrowed for the call.
        let count = self.count(self.table.send_from, |send_from, err| unsafe {
            send_from(self.context, self.raw, fd, offset, asked as u64, err)
        })?;
        Self::within(count, asked)
    }

    fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        let (fd, asked) = (to.as_raw_fd(), count);
        // SAFETY: see above; the descriptor is borrowed for the call.
        let count = self.count(self.table.receive_into, |receive_into, err| unsafe {
            receive_into(self.context, self.raw, fd, offset, asked as u64, err)
        })?;
        Self::within(count, asked)
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        let mut out = empty_interest();
        // SAFETY: see above.
        self.status(self.table.interest, |interest, err| unsafe {
            interest(self.context, self.raw, wanted.bits() as u32, &mut out, err)
        })?;
        // SAFETY: the header: it is open as long as the file, and `&mut self` lives as long as the interest.
        Ok(unsafe { interest_from_abi(&out) })
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        let (pointer, asked) = (buf.as_mut_ptr().cast(), buf.len());
        let try_read = self.table.try_read.ok_or_else(absent)?;
        // SAFETY: see above.
        let moved = attempt(|err| unsafe { try_read(self.context, self.raw, pointer, asked as u64, err) })?;
        moved.map(|count| Self::within(count, asked)).transpose()
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        let (pointer, asked) = (buf.as_ptr().cast(), buf.len());
        let try_write = self.table.try_write.ok_or_else(absent)?;
        // SAFETY: see above.
        let moved = attempt(|err| unsafe { try_write(self.context, self.raw, pointer, asked as u64, err) })?;
        moved.map(|count| Self::within(count, asked)).transpose()
    }

    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        let try_finish = self.table.try_finish.ok_or_else(absent)?;
        // SAFETY: see above.
        attempt_status(|err| unsafe { try_finish(self.context, self.raw, how as u32, err) })
    }
}

impl Drop for ForeignFile {
    fn drop(&mut self) {
        if let Some(close) = self.table.close {
            // SAFETY: the host's own open file, closed once; `&mut self` says that nothing else runs on it.
            unsafe { close(self.context, self.raw) };
        }
    }
}
