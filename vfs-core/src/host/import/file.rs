//! An open file behind the ABI.
#![expect(unsafe_code, reason = "calls the provider's functions")]

use crate::abi;
use crate::boundary::Time;
use crate::bridge::interest::{empty_interest, interest_from_abi};
use crate::bridge::outcome::{attempt, attempt_status, broken_rule, call, call_status};
use crate::bridge::translate::{direction_to_abi, empty_stat, seek_to_abi, stat_from_abi};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::file::{Direction, File, Finish, Flush, Interest, Lease, Stat};
use crate::flags::{Capabilities, Wanted};
use crate::forks::forks_now;
use crate::host::import::instance::ImportedInstance;
use crate::provider::Threads;
use std::io::SeekFrom;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

pub(crate) struct ImportedFile {
    instance: Arc<ImportedInstance>,
    raw: *mut abi::File,
    /// On the heap: the provider has its address.
    context: Arc<Context>,
    capabilities: Capabilities,
    // Copies of what lies two pointers away: these are all that a read or write touches.
    read: Option<abi::ReadFn>,
    write: Option<abi::WriteFn>,
    read_at: Option<abi::ReadAtFn>,
    write_at: Option<abi::WriteAtFn>,
    /// The process that the instance was started in.
    forks: u32,
    /// Whether calls must take turns with other files'.
    serial: bool,
    /// Set once the provider returned what cannot be true: nothing it says of this file can be believed any more.
    poisoned: AtomicBool,
}

// SAFETY: the raw pointer is only passed back to the provider; the header lets calls of a file come from any thread.
unsafe impl Send for ImportedFile {}
// SAFETY: only the positional calls take `&self`, and the header's [shared] tag lets those overlap.
unsafe impl Sync for ImportedFile {}

impl ImportedFile {
    /// Takes over a file that open returned.
    pub(crate) fn new(
        instance: Arc<ImportedInstance>,
        raw: *mut abi::File,
        context: Arc<Context>,
    ) -> Result<ImportedFile> {
        let library = &instance.library;
        let mut file = ImportedFile {
            read: library.table.read,
            write: library.table.write,
            read_at: library.positional.and_then(|table| table.read_at),
            write_at: library.positional.and_then(|table| table.write_at),
            forks: instance.forks,
            serial: library.info.threads != Threads::PerFile,
            capabilities: Capabilities::empty(),
            poisoned: AtomicBool::new(false),
            instance,
            raw,
            context,
        };
        let capabilities = file.instance.library.table.capabilities;
        // SAFETY: the provider's own function on its own open file.
        let bits = capabilities.map_or(0, |capabilities| unsafe { capabilities(raw) });
        file.capabilities = Capabilities::from_bits(bits).without(file.instance.library.withheld);
        // From here on a failure drops, and so closes, the file.
        if !file.instance.library.complete.contains(file.capabilities) {
            file.check_capabilities()?;
        }
        Ok(file)
    }

    /// A bit without its function is an error.
    #[cold]
    fn check_capabilities(&self) -> Result<()> {
        let (reads, writes) = (
            self.capabilities.contains(Capabilities::READABLE),
            self.capabilities.contains(Capabilities::WRITABLE),
        );
        let functions = self.instance.library.functions(reads, writes);
        match functions.into_iter().find(|(bit, _, present)| self.capabilities.contains(*bit) && !present) {
            Some((_, name, _)) => {
                Err(broken_rule(&format!("a file claims {name} but the table has no function for it")))
            }
            None => Ok(()),
        }
    }

    /// Makes one call, in its turn; refuses it on a poisoned file and in a forked child.
    fn in_turn<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.forks != forks_now() {
            self.instance.alive()?;
        }
        if self.poisoned.load(Ordering::Relaxed) {
            return Err(broken_rule("an earlier call returned an impossible value; close the file"));
        }
        if self.serial {
            let _turn = self.instance.turn(&self.context)?;
            return call();
        }
        call()
    }

    fn call(&self, function: impl FnOnce(*mut abi::Error) -> i64) -> Result<u64> {
        self.in_turn(|| call(function))
    }

    fn status(&self, function: impl FnOnce(*mut abi::Error) -> i32) -> Result<()> {
        self.in_turn(|| call_status(function))
    }

    /// Checks a count against what was asked.
    fn count(&self, count: u64, asked: usize) -> Result<usize> {
        if count <= asked as u64 {
            return Ok(count as usize);
        }
        self.poisoned.store(true, Ordering::Relaxed);
        Err(broken_rule(&format!("it returned {count} bytes where {asked} were asked for")))
    }

    fn taken(&self, count: u64, asked: usize) -> Result<usize> {
        match self.count(count, asked)? {
            0 => {
                self.poisoned.store(true, Ordering::Relaxed);
                Err(broken_rule("a write took nothing and did not fail"))
            }
            count => Ok(count),
        }
    }
}

fn absent(name: &str) -> Error {
    Error::new(Code::ENOTSUP, format!("{name}: not supported by this provider"))
}

impl File for ImportedFile {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let Some(read) = self.read else { return Err(Error::from(Code::EBADF)) };
        let (pointer, asked) = (buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: for every call below: the provider's own function on its own open file (`raw` is closed in drop only), with
        // pointers valid during the call.
        let count = self.call(|err| unsafe { read(self.raw, pointer, asked as u64, err) })?;
        self.count(count, asked)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let Some(write) = self.write else { return Err(Error::from(Code::EBADF)) };
        // SAFETY: as in read.
        let count =
            self.call(|err| unsafe { write(self.raw, buf.as_ptr().cast(), buf.len() as u64, err) })?;
        self.taken(count, buf.len())
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let Some(seek) = self.instance.library.table.seek else { return Err(Error::from(Code::ESPIPE)) };
        let (offset, whence) = seek_to_abi(to)?;
        // SAFETY: as in read.
        self.call(|err| unsafe { seek(self.raw, offset, whence, err) })
    }

    fn tell(&mut self) -> Result<u64> {
        let Some(tell) = self.instance.library.table.tell else { return Err(Error::from(Code::ESPIPE)) };
        // SAFETY: as in read.
        self.call(|err| unsafe { tell(self.raw, err) })
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        let Some(truncate) = self.instance.library.table.truncate else { return Err(absent("truncate")) };
        // SAFETY: as in read.
        self.status(|err| unsafe { truncate(self.raw, size, err) })
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        let Some(flush) = self.instance.library.table.flush else { return Ok(()) };
        // SAFETY: as in read.
        self.status(|err| unsafe { flush(self.raw, level as u32, err) })
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        let Some(finish) = self.instance.library.table.finish else { return Ok(()) };
        // SAFETY: as in read.
        self.status(|err| unsafe { finish(self.raw, how as u32, err) })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let Some(read_at) = self.read_at else { return Err(absent("read_at")) };
        if offset > i64::MAX as u64 {
            return Err(Error::new(Code::EINVAL, "read_at: beyond 2^63"));
        }
        let (pointer, asked) = (buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: as in read.
        let count = self.call(|err| unsafe { read_at(self.raw, pointer, asked as u64, offset, err) })?;
        self.count(count, asked)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        let Some(write_at) = self.write_at else { return Err(absent("write_at")) };
        if offset > i64::MAX as u64 {
            return Err(Error::new(Code::EINVAL, "write_at: beyond 2^63"));
        }
        // SAFETY: as in read.
        let count = self
            .call(|err| unsafe { write_at(self.raw, buf.as_ptr().cast(), buf.len() as u64, offset, err) })?;
        self.taken(count, buf.len())
    }

    fn stat(&mut self) -> Result<Stat> {
        let Some(stat) = self.instance.library.stat.and_then(|table| table.stat) else {
            return Err(absent("stat"));
        };
        let mut out = empty_stat();
        // SAFETY: as in read.
        self.status(|err| unsafe { stat(self.raw, &mut out, err) })?;
        Ok(stat_from_abi(&out))
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        let set = self.instance.library.times.and_then(|table| table.set_modified);
        let Some(set) = set else { return Err(absent("set_modified")) };
        let time = Time(time).ns()?;
        // SAFETY: as in read.
        self.status(|err| unsafe { set(self.raw, time, err) })
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        let Some(lease) = self.instance.library.fd.and_then(|table| table.lease) else {
            return Err(absent("lease"));
        };
        let mut out = abi::Lease { struct_size: abi::Lease::SIZE, fd: -1, reserved: 0, offset: 0, limit: 0 };
        // SAFETY: as in read.
        self.status(|err| unsafe { lease(self.raw, direction_to_abi(direction), &mut out, err) })?;
        if out.fd < 0 {
            return Err(broken_rule("it lent a file descriptor below 0"));
        }
        // SAFETY: the header: the provider's descriptor stays open until the next call on the file, and `&mut self` lives as
        // long as the lease.
        let fd = unsafe { BorrowedFd::borrow_raw(out.fd) };
        let offset = (out.offset != abi::OFFSET_STREAM).then_some(out.offset);
        Ok(Lease { fd, offset, limit: out.limit })
    }

    fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        let advance = self.instance.library.fd.and_then(|table| table.advance);
        let Some(advance) = advance else { return Err(absent("advance")) };
        // SAFETY: as in read.
        self.status(|err| unsafe { advance(self.raw, direction_to_abi(direction), count, err) })
    }

    fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        let send_from = self.instance.library.splice.and_then(|table| table.send_from);
        let Some(send_from) = send_from else { return Err(absent("send_from")) };
        // SAFETY: as in read; the descriptor is borrowed for the call.
        let sent =
            self.call(|err| unsafe { send_from(self.raw, from.as_raw_fd(), offset, count as u64, err) })?;
        self.count(sent, count)
    }

    fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        let receive_into = self.instance.library.splice.and_then(|table| table.receive_into);
        let Some(receive_into) = receive_into else { return Err(absent("receive_into")) };
        // SAFETY: as in read; the descriptor is borrowed for the call.
        let came =
            self.call(|err| unsafe { receive_into(self.raw, to.as_raw_fd(), offset, count as u64, err) })?;
        self.count(came, count)
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        let Some(interest) = self.instance.library.poll.and_then(|table| table.interest) else {
            return Err(absent("interest"));
        };
        let mut out = empty_interest();
        // SAFETY: as in read.
        self.status(|err| unsafe { interest(self.raw, wanted.bits() as u32, &mut out, err) })?;
        // SAFETY: the header: the provider's descriptor is open as long as the file, and `&mut self` lives as long as the
        // interest.
        Ok(unsafe { interest_from_abi(&out) })
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        let Some(try_read) = self.instance.library.poll.and_then(|table| table.try_read) else {
            return Err(absent("try_read"));
        };
        let (pointer, asked) = (buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: as in read.
        let moved =
            self.in_turn(|| attempt(|err| unsafe { try_read(self.raw, pointer, asked as u64, err) }))?;
        moved.map(|count| self.count(count, asked)).transpose()
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        let Some(try_write) = self.instance.library.poll.and_then(|table| table.try_write) else {
            return Err(absent("try_write"));
        };
        let (pointer, asked) = (buf.as_ptr().cast(), buf.len());
        // SAFETY: as in read.
        let moved =
            self.in_turn(|| attempt(|err| unsafe { try_write(self.raw, pointer, asked as u64, err) }))?;
        moved.map(|count| self.taken(count, asked)).transpose()
    }

    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        let Some(try_finish) = self.instance.library.poll.and_then(|table| table.try_finish) else {
            return Err(absent("try_finish"));
        };
        // SAFETY: as in read.
        self.in_turn(|| attempt_status(|err| unsafe { try_finish(self.raw, how as u32, err) }))
    }
}

impl Drop for ImportedFile {
    fn drop(&mut self) {
        // No cancel runs once close has begun.
        let _ = self.context.withdraw();
        if let Some(close) = self.instance.library.table.close
            && self.instance.alive().is_ok()
        {
            // SAFETY: the provider's own open file, closed once, and `&mut self` says that nothing else runs on it.
            let closed = self.instance.last_call(|| unsafe { close(self.raw) });
            if !closed {
                // The file stays with the provider, so its context must stay too, and the instance must not stop.
                mem::forget(self.context.clone());
                mem::forget(self.instance.clone());
            }
        }
    }
}
