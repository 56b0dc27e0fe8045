//! The host's one chokepoint around an open file.

use super::ending::Ending;
use super::promises::Promises;
use crate::boundary::Time;
use crate::code::Code;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::file::{COUNT_MAX, Direction, File, Finish, Flush, Lease, Stat};
use crate::flags::Capabilities;
use crate::lock::Mutex;
use std::any::Any;
use std::fmt;
use std::io::{self, SeekFrom};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// The time that a DISCARD gets.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// An open file, as hosts use it. Every call passes here: no call begins that its control has ended, counts are clamped, what a
/// file cannot do is refused without asking the provider, a failed write stays failed, and nothing is written after the end.
/// Dropping it closes the file; what needs a COMMIT ([`finish`](OpenFile::finish)) and had none leaves no trace.
///
/// # Blocking
/// As the provider does. With `CANCEL` among the capabilities, every call ends within 100 ms of [`Control::cancel`] or the
/// deadline; without it a call in progress may last, and the next one does not begin.
///
/// # Errors
/// Of every call but a DISCARD: ECANCELED, ETIMEDOUT: the control has ended it. A call that has a result gives that, however late.
pub struct OpenFile {
    // Before `_keep`: a file is closed before its instance may stop.
    pub(super) file: Box<dyn File>,
    pub(super) capabilities: Capabilities,
    pub(super) control: Control,
    pub(super) shown: Arc<str>,
    pub(super) ending: Ending,
    pub(super) promises: Promises,
    pub(super) write_failed: AtomicBool,
    pub(super) write_error: Mutex<Option<Error>>,
    /// `None`: no provider stands behind it.
    pub(super) _keep: Option<Arc<dyn Any + Send + Sync>>,
    /// The registry of a file that is nobody's inner one: a layer may open inner files as long as its own is open. (Were it an
    /// inner one's, the registry could end within a call of a provider.)
    pub(super) _registry: Option<Arc<dyn Any + Send + Sync>>,
}

impl OpenFile {
    /// What the file can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Cancel and deadline of this file alone: a follower of the control that it was opened with.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The descriptor for messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The same, to be kept without a copy.
    pub fn shown_shared(&self) -> &Arc<str> {
        &self.shown
    }

    /// Reads: waits for one byte, the end (0) or an error. An empty buffer gives 0.
    ///
    /// # Errors
    /// EBADF: not readable; the provider's.
    #[inline]
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.begin(Capabilities::READABLE, Code::EBADF, "read", "not open for reading")?;
        match buf.len().min(COUNT_MAX) {
            0 => Ok(0),
            asked => {
                let result = self.file.read(&mut buf[..asked]);
                self.counted(result, 0, asked)
            }
        }
    }

    /// Writes at least one byte of a buffer that is not empty.
    ///
    /// # Errors
    /// EBADF: not writable; the provider's. Any but ETIMEDOUT is final: later writes, END and COMMIT give it again.
    #[inline]
    pub fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.begin(Capabilities::WRITABLE, Code::EBADF, "write", "not open for writing")?;
        self.begin_writing("write")?;
        let asked = buf.len().min(COUNT_MAX);
        if asked == 0 {
            return Ok(0);
        }
        let result = self.file.write(&buf[..asked]);
        self.remember(self.counted(result, 1, asked))
    }

    /// Writes all of a buffer, in as many calls as it takes.
    ///
    /// # Errors
    /// As [`write`](OpenFile::write); how much had been written is then lost.
    pub fn write_all(&mut self, mut buf: &[u8]) -> Result<()> {
        while !buf.is_empty() {
            let count = self.write(buf)?;
            buf = &buf[count..];
        }
        Ok(())
    }

    /// Moves the position that read and write share, and returns it.
    ///
    /// # Errors
    /// ESPIPE: no positions. EINVAL: before the start.
    pub fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.begin(Capabilities::SEEKABLE, Code::ESPIPE, "seek", "the file has no positions")?;
        self.control.call_ended(self.file.seek(to))
    }

    /// The position.
    ///
    /// # Errors
    /// ESPIPE: no positions.
    pub fn tell(&mut self) -> Result<u64> {
        self.begin(Capabilities::SEEKABLE, Code::ESPIPE, "tell", "the file has no positions")?;
        self.control.call_ended(self.file.tell())
    }

    /// Sets the size in bytes; the position stays.
    ///
    /// # Errors
    /// ENOTSUP: not truncatable.
    pub fn truncate(&mut self, size: u64) -> Result<()> {
        self.begin(Capabilities::TRUNCATABLE, Code::ENOTSUP, "truncate", "the file cannot change its size")?;
        self.ending.check("truncate", &self.shown)?;
        self.control.call_ended(self.file.truncate(size))
    }

    /// Hands on what the provider buffers, or makes it durable.
    ///
    /// # Errors
    /// The provider's.
    pub fn flush(&mut self, level: Flush) -> Result<()> {
        self.control.call_begins("flush", &self.shown)?;
        self.earlier_failure()?;
        self.control.call_ended(self.file.flush(level))
    }

    /// Ends the writing side. After END, COMMIT and DISCARD whatever writes is EBADF. A further END is 0, and after a COMMIT gives
    /// that one's answer, as a further COMMIT does: a failed one stays failed, but for ETIMEDOUT, after which it may be repeated.
    /// DISCARD is the way out of a failed COMMIT, EINVAL after a good one; END and COMMIT after DISCARD are EINVAL.
    ///
    /// For a DISCARD nothing counts but its 5 s and a cancel of the file's own [`control`](OpenFile::control): what that one
    /// follows, and other files that follow it too, are left as they are.
    ///
    /// # Errors
    /// An earlier write's failure: what lacks bytes does not end well, and DISCARD is what is left. COMMIT: it is not complete.
    pub fn finish(&mut self, how: Finish) -> Result<()> {
        if let Some(answer) = self.ending.answer(how) {
            return answer;
        }
        let OpenFile { file, control, .. } = self;
        let result = if how == Finish::Discard {
            control.detached(DISCARD_TIME, || control.call_ended(file.finish(how)))
        } else {
            control.call_begins(how.verb(), &self.shown)?;
            self.earlier_failure()?;
            self.control.call_ended(self.file.finish(how))
        };
        self.ending.note(how, &result);
        result
    }

    /// Reads at an offset, without the position; such calls may overlap.
    ///
    /// # Errors
    /// ENOTSUP: not positional; the provider's.
    #[inline]
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.begin(
            Capabilities::POSITIONAL_READ,
            Code::ENOTSUP,
            "read_at",
            "the file has no positional reads",
        )?;
        match buf.len().min(COUNT_MAX) {
            0 => Ok(0),
            asked => self.counted(self.file.read_at(&mut buf[..asked], offset), 0, asked),
        }
    }

    /// Writes at an offset, without the position; such calls may overlap.
    ///
    /// # Errors
    /// ENOTSUP: not positional; as [`write`](OpenFile::write).
    #[inline]
    pub fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.begin(
            Capabilities::POSITIONAL_WRITE,
            Code::ENOTSUP,
            "write_at",
            "the file has no positional writes",
        )?;
        self.begin_writing("write_at")?;
        let asked = buf.len().min(COUNT_MAX);
        if asked == 0 {
            return Ok(0);
        }
        self.remember(self.counted(self.file.write_at(&buf[..asked], offset), 1, asked))
    }

    /// Status of the open file.
    ///
    /// # Errors
    /// ENOTSUP: it has none.
    pub fn stat(&mut self) -> Result<Stat> {
        self.begin(Capabilities::STAT, Code::ENOTSUP, "stat", "the file has no status")?;
        self.control.call_ended(self.file.stat())
    }

    /// Sets the time that the file has once its COMMIT has succeeded, rounded down to what the store holds. Best before the first
    /// write: some stores take none later.
    ///
    /// # Errors
    /// ENOTSUP: it takes none, or none any more. EOVERFLOW: a time that it cannot hold. Neither stops the file from being written.
    /// EBADF: after the end. An earlier write's failure.
    pub fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.begin(
            Capabilities::TIMES | Capabilities::WRITABLE,
            Code::ENOTSUP,
            "set_modified",
            "the file takes no time",
        )?;
        self.begin_writing("set_modified")?;
        // What the ABI has no number for is refused for a host's own files too.
        Time(time).ns()?;
        self.control.call_ended(self.file.set_modified(time))
    }

    /// Lends the kernel file behind this one, until the next call.
    ///
    /// # Errors
    /// ENOTSUP: none, or not now; an earlier write's failure.
    pub fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        self.begin(Capabilities::FD, Code::ENOTSUP, "lease", "no kernel file behind this one")?;
        if direction == Direction::Write {
            self.begin_writing("lease")?;
        }
        let OpenFile { file, control, .. } = self;
        control.call_ended(file.lease(direction))
    }

    /// Says that `count` bytes were moved through the lease; also when the control has ended since, for moved they are.
    ///
    /// # Errors
    /// The provider's.
    pub fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        if !self.capabilities.contains(Capabilities::FD) {
            return Err(self.refused("advance", Code::ENOTSUP, "no kernel file behind this one"));
        }
        self.control.call_ended(self.file.advance(direction, count))
    }

    /// Writes up to `count` bytes from a regular file at an offset, in the kernel; 0 at that file's end.
    ///
    /// # Errors
    /// ENOTSUP: not by this file, or not now. Else as [`write`](OpenFile::write).
    pub fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.begin(
            Capabilities::SPLICE | Capabilities::WRITABLE,
            Code::ENOTSUP,
            "send_from",
            "not supported by this file",
        )?;
        self.begin_writing("send_from")?;
        let sent = self.file.send_from(from, offset, count.min(COUNT_MAX));
        match self.control.call_ended(sent) {
            Err(error) if error.code() == Code::ENOTSUP => Err(error),
            result => self.remember(result),
        }
    }

    /// Reads up to `count` bytes into a regular file at an offset, in the kernel; 0 at this file's end.
    ///
    /// # Errors
    /// ENOTSUP: not by this file, or not now. Else as [`read`](OpenFile::read).
    pub fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.begin(
            Capabilities::SPLICE | Capabilities::READABLE,
            Code::ENOTSUP,
            "receive_into",
            "not supported by this file",
        )?;
        self.control.call_ended(self.file.receive_into(to, offset, count.min(COUNT_MAX)))
    }

    /// Lets a count through that can be, and ends the call. The bridge checks loaded providers too, and poisons their files; a host's own has only
    /// this.
    #[inline]
    pub(super) fn counted(&self, result: Result<usize>, least: usize, asked: usize) -> Result<usize> {
        match result {
            Ok(count) if (least..=asked).contains(&count) => {
                self.control.forget_wait();
                Ok(count)
            }
            result => self.no_count(result, asked),
        }
    }

    /// Out of line, so that a call that goes well stays short.
    #[cold]
    #[inline(never)]
    fn no_count(&self, result: Result<usize>, asked: usize) -> Result<usize> {
        let count = self.control.call_ended(result)?;
        Err(Error::new(Code::EIO, format!("the provider broke a rule: it moved {count} bytes of {asked}")))
    }

    /// Refuses what the file cannot do, and what its control has ended.
    #[inline]
    pub(super) fn begin(
        &self,
        capability: Capabilities,
        code: Code,
        verb: &'static str,
        text: &'static str,
    ) -> Result<()> {
        if !self.capabilities.contains(capability) {
            return Err(self.refused(verb, code, text));
        }
        self.control.call_begins(verb, &self.shown)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn refused(&self, verb: &str, code: Code, text: &str) -> Error {
        Error::new(code, format!("{verb} {}: {text}", self.shown))
    }

    /// Refuses what writes, after the end and after a write that failed.
    #[inline]
    pub(in crate::host) fn begin_writing(&self, verb: &str) -> Result<()> {
        self.ending.check(verb, &self.shown)?;
        self.earlier_failure()
    }

    /// Makes a failed write, through a call or a lease, final.
    pub(crate) fn remember<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.code() != Code::ETIMEDOUT
        {
            *self.write_error.lock() = Some(error.flattened());
            self.write_failed.store(true, Ordering::Release);
        }
        result
    }

    pub(super) fn earlier_failure(&self) -> Result<()> {
        if !self.write_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.write_error.lock() {
            Some(error) => Err(error.flattened()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({}, {:?})", self.shown, self.capabilities)
    }
}

impl io::Read for OpenFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(OpenFile::read(self, buf)?)
    }
}

impl io::Write for OpenFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(OpenFile::write(self, buf)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(OpenFile::flush(self, Flush::Push)?)
    }
}

impl io::Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        Ok(OpenFile::seek(self, to)?)
    }
}
