//! A file that the other side has a pointer to: an exported one, or a layer's inner file.
#![expect(unsafe_code, reason = "shares a file between the calls that the header lets overlap")]

use crate::abi;
use crate::boundary::{Answer, Input, Output, Time, Tried};
use crate::bridge::translate::{direction_from_abi, finish_from_abi, flush_from_abi, seek_from_abi};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::{COUNT_MAX, File};
use crate::flags::{Capabilities, Wanted};
use std::cell::UnsafeCell;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct HeldFile {
    /// Exclusive for every call but the positional ones: the ABI's [file] rule.
    file: UnsafeCell<Box<dyn File>>,
    /// Asked when it was opened, where a panic still has an error to go to.
    capabilities: Capabilities,
    poisoned: AtomicBool,
}

/// Lists the calls on a file for a macro that defines them as C has them: each is the method of its name.
macro_rules! file_calls {
    ($define:ident) => {
        $define! {
            fn read(buf: Output<'_>, n: u64) -> i64;
            fn write(buf: Input<'_>, n: u64) -> i64;
            fn read_at(buf: Output<'_>, n: u64, offset: u64) -> i64;
            fn write_at(buf: Input<'_>, n: u64, offset: u64) -> i64;
            fn seek(offset: i64, whence: u32) -> i64;
            fn tell() -> i64;
            fn truncate(size: u64) -> i32;
            fn flush(level: u32) -> i32;
            fn finish(how: u32) -> i32;
            fn stat(out: Answer<'_, abi::Stat>) -> i32;
            fn set_modified(time: Time) -> i32;
            fn lease(direction: u64, out: Answer<'_, abi::Lease>) -> i32;
            fn advance(direction: u64, n: u64) -> i32;
            fn send_from(fd: BorrowedFd<'_>, offset: u64, n: u64) -> i64;
            fn receive_into(fd: BorrowedFd<'_>, offset: u64, n: u64) -> i64;
            fn interest(wanted: u32, out: Answer<'_, abi::Interest>) -> i32;
            fn try_read(buf: Output<'_>, n: u64) -> i64;
            fn try_write(buf: Input<'_>, n: u64) -> i64;
            fn try_finish(how: u32) -> i32;
        }
    };
}
pub(crate) use file_calls;

impl HeldFile {
    pub(crate) fn new(file: Box<dyn File>) -> HeldFile {
        let capabilities = file.capabilities();
        HeldFile { file: UnsafeCell::new(file), capabilities, poisoned: AtomicBool::new(false) }
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Makes a call that nothing else overlaps.
    #[inline]
    fn exclusive<T>(&self, call: impl FnOnce(&mut dyn File) -> Result<T>) -> Result<T> {
        // SAFETY: the header's [file] tag: one call at a time, and positional ones do not overlap others.
        self.unpoisoned(|| call(unsafe { &mut **self.file.get() }))
    }

    /// Makes a call that positional ones may overlap.
    #[inline]
    fn shared<T>(&self, call: impl FnOnce(&dyn File) -> Result<T>) -> Result<T> {
        // SAFETY: the header's [shared] tag: only other shared calls overlap this one.
        self.unpoisoned(|| call(unsafe { &**self.file.get() }))
    }

    /// A call that panics poisons the file: no other follows.
    #[inline]
    fn unpoisoned<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.poisoned.load(Ordering::Relaxed) {
            return Err(Error::new(Code::EIO, "an earlier call panicked; close the file and open it again"));
        }
        let poison = Poison(&self.poisoned);
        let result = call();
        mem::forget(poison);
        result
    }

    #[inline]
    pub(crate) fn read(&self, buf: Output<'_>, n: u64) -> Result<usize> {
        // SAFETY: read's contract: buf[0..n] is writable for the call and nobody else uses it.
        let buf = unsafe { buf.bytes(n) }?;
        self.exclusive(|file| file.read(buf))
    }

    #[inline]
    pub(crate) fn write(&self, buf: Input<'_>, n: u64) -> Result<usize> {
        // SAFETY: write's contract: buf[0..n] is readable for the call and nobody changes it.
        let buf = unsafe { buf.bytes(n) }?;
        self.exclusive(|file| file.write(buf))
    }

    #[inline]
    pub(crate) fn read_at(&self, buf: Output<'_>, n: u64, offset: u64) -> Result<usize> {
        // SAFETY: as for read.
        let buf = unsafe { buf.bytes(n) }?;
        self.shared(|file| file.read_at(buf, offset))
    }

    #[inline]
    pub(crate) fn write_at(&self, buf: Input<'_>, n: u64, offset: u64) -> Result<usize> {
        // SAFETY: as for write.
        let buf = unsafe { buf.bytes(n) }?;
        self.shared(|file| file.write_at(buf, offset))
    }

    pub(crate) fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        let to = seek_from_abi(offset, whence)?;
        self.exclusive(|file| file.seek(to))
    }

    pub(crate) fn tell(&self) -> Result<u64> {
        self.exclusive(|file| file.tell())
    }

    pub(crate) fn truncate(&self, size: u64) -> Result<()> {
        self.exclusive(|file| file.truncate(size))
    }

    pub(crate) fn flush(&self, level: u32) -> Result<()> {
        let level = flush_from_abi(level)?;
        self.exclusive(|file| file.flush(level))
    }

    pub(crate) fn finish(&self, how: u32) -> Result<()> {
        let how = finish_from_abi(how)?;
        self.exclusive(|file| file.finish(how))
    }

    pub(crate) fn stat(&self, out: Answer<'_, abi::Stat>) -> Result<()> {
        out.put(abi::Stat::from(&self.exclusive(|file| file.stat())?));
        Ok(())
    }

    pub(crate) fn set_modified(&self, time: Time) -> Result<()> {
        self.exclusive(|file| file.set_modified(time.0))
    }

    pub(crate) fn lease(&self, direction: u64, out: Answer<'_, abi::Lease>) -> Result<()> {
        let direction = direction_from_abi(direction)?;
        out.put(self.exclusive(|file| {
            let lease = file.lease(direction)?;
            Ok(abi::Lease {
                struct_size: abi::Lease::SIZE,
                fd: lease.fd.as_raw_fd(),
                reserved: 0,
                offset: lease.offset.unwrap_or(abi::OFFSET_STREAM),
                limit: lease.limit,
            })
        })?);
        Ok(())
    }

    pub(crate) fn advance(&self, direction: u64, n: u64) -> Result<()> {
        let direction = direction_from_abi(direction)?;
        self.exclusive(|file| file.advance(direction, n))
    }

    pub(crate) fn send_from(&self, fd: BorrowedFd<'_>, offset: u64, n: u64) -> Result<usize> {
        self.exclusive(|file| file.send_from(fd, offset, count(n)))
    }

    pub(crate) fn receive_into(&self, fd: BorrowedFd<'_>, offset: u64, n: u64) -> Result<usize> {
        self.exclusive(|file| file.receive_into(fd, offset, count(n)))
    }

    pub(crate) fn interest(&self, wanted: u32, out: Answer<'_, abi::Interest>) -> Result<()> {
        let wanted = Wanted::from_abi(wanted)?;
        out.put(self.exclusive(|file| file.interest(wanted).map(abi::Interest::from))?);
        Ok(())
    }

    pub(crate) fn try_read(&self, buf: Output<'_>, n: u64) -> Result<Tried<usize>> {
        // SAFETY: as for read.
        let buf = unsafe { buf.bytes(n) }?;
        self.exclusive(|file| file.try_read(buf)).map(Tried)
    }

    pub(crate) fn try_write(&self, buf: Input<'_>, n: u64) -> Result<Tried<usize>> {
        // SAFETY: as for write.
        let buf = unsafe { buf.bytes(n) }?;
        self.exclusive(|file| file.try_write(buf)).map(Tried)
    }

    pub(crate) fn try_finish(&self, how: u32) -> Result<Tried<()>> {
        let how = finish_from_abi(how)?;
        self.exclusive(|file| file.try_finish(how)).map(Tried)
    }
}

fn count(n: u64) -> usize {
    n.min(COUNT_MAX as u64) as usize
}

/// Poisons a file unless its call comes back.
struct Poison<'a>(&'a AtomicBool);

impl Drop for Poison<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
