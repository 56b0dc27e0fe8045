//! The third noun: an open [`File`], and what its calls speak of.
//!
//! `include/zvfs_provider.h` is the authority on what each call does; these are its words in Rust.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::{Capabilities, Events, Wanted};
use std::io::SeekFrom;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

/// The most bytes that one read or write moves: 2 GiB less a page, as Linux's own calls.
pub const COUNT_MAX: usize = 0x7fff_f000;

/// The position that a [`seek`](File::seek) leads to, for whoever implements one: `position` is the one before it, and `size` is asked for
/// only where the seek counts from the end. Beyond the end is allowed. `shown` is the file, for the error's text.
///
/// # Errors
/// EINVAL: before the start, or beyond 2^63 - 1. What `size` returned.
pub fn seek_position(
    shown: &str,
    to: SeekFrom,
    position: u64,
    size: impl FnOnce() -> Result<u64>,
) -> Result<u64> {
    let (base, by) = match to {
        SeekFrom::Start(position) => (position, 0),
        SeekFrom::Current(by) => (position, by),
        SeekFrom::End(by) => (size()?, by),
    };
    base.checked_add_signed(by).filter(|sought| i64::try_from(*sought).is_ok()).ok_or_else(|| {
        let text = format!("seek {shown}: to {base}{by:+}: before the start, or beyond 2^63 - 1");
        Error::new(Code::EINVAL, text)
    })
}

/// An open descriptor. Dropping it closes it: what needs a COMMIT and had none leaves no trace.
///
/// Every method but `capabilities` has a default that answers as a file without that capability.
pub trait File: Send + Sync {
    /// What this file can do; the same for all of its life.
    fn capabilities(&self) -> Capabilities;

    /// Reads into `buf` (1 to [`COUNT_MAX`] bytes): waits for one byte, the end (0, again at each call) or an error.
    /// Bytes beyond the count stay as they were.
    ///
    /// # Errors
    /// EBADF: not readable. A failed call moved no byte.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let _ = buf;
        Err(Error::new(Code::EBADF, "read: not open for reading"))
    }

    /// Writes from `buf` (1 to [`COUNT_MAX`] bytes): takes at least one byte.
    ///
    /// # Errors
    /// EBADF: not writable. A failed call took no byte. ETIMEDOUT may be repeated; any other is final.
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let _ = buf;
        Err(Error::new(Code::EBADF, "write: not open for writing"))
    }

    /// Moves the one position that read and write share, and returns it. Beyond the end is allowed.
    ///
    /// # Errors
    /// ESPIPE: no positions. EINVAL: before the start.
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let _ = to;
        Err(Error::new(Code::ESPIPE, "seek: the file has no positions"))
    }

    /// The position.
    ///
    /// # Errors
    /// ESPIPE: no positions.
    fn tell(&mut self) -> Result<u64> {
        self.seek(SeekFrom::Current(0))
    }

    /// Sets the size in bytes; zeros fill a longer one; the position stays.
    ///
    /// # Errors
    /// ENOTSUP: not truncatable.
    fn truncate(&mut self, size: u64) -> Result<()> {
        let _ = size;
        Err(Error::new(Code::ENOTSUP, "truncate: the file cannot change its size"))
    }

    /// Hands on what is buffered, or makes it durable.
    ///
    /// # Errors
    /// The provider's own; `SYNC` reports what earlier writes left.
    fn flush(&mut self, level: Flush) -> Result<()> {
        let _ = level;
        Ok(())
    }

    /// Ends the writing side.
    ///
    /// # Errors
    /// `COMMIT`: it is not complete.
    fn finish(&mut self, how: Finish) -> Result<()> {
        let _ = how;
        Ok(())
    }

    /// Like `read`, at an offset; does not move the position. May overlap other positional calls.
    ///
    /// # Errors
    /// ENOTSUP: not POSITIONAL_READ.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let _ = (buf, offset);
        Err(Error::new(Code::ENOTSUP, "read_at: the file has no positional reads"))
    }

    /// Like `write`, at an offset; a gap is filled with zeros. May overlap other positional calls.
    ///
    /// # Errors
    /// ENOTSUP: not POSITIONAL_WRITE.
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        let _ = (buf, offset);
        Err(Error::new(Code::ENOTSUP, "write_at: the file has no positional writes"))
    }

    /// Status of the open file.
    ///
    /// # Errors
    /// ENOTSUP: not STAT.
    fn stat(&mut self) -> Result<Stat> {
        Err(Error::new(Code::ENOTSUP, "stat: the file has no status"))
    }

    /// Sets the time that the file has once its COMMIT has succeeded, in place of that of its last write. Rounded down to what
    /// the store holds.
    ///
    /// # Errors
    /// ENOTSUP: not TIMES, or the store is told before the first write only. EOVERFLOW: the store cannot hold it. The file goes on
    /// without.
    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        let _ = time;
        Err(Error::new(Code::ENOTSUP, "set_modified: the file takes no time"))
    }

    /// Lends the kernel file behind this one, until the next call.
    ///
    /// # Errors
    /// ENOTSUP: none, or not now.
    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        let _ = direction;
        Err(Error::new(Code::ENOTSUP, "lease: no kernel file behind this one"))
    }

    /// Says that `count` bytes were moved through the lease: the position goes on by it.
    ///
    /// # Errors
    /// ENOTSUP: not FD.
    fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        let _ = (direction, count);
        Err(Error::new(Code::ENOTSUP, "advance: no kernel file behind this one"))
    }

    /// Writes up to `count` bytes (1 to [`COUNT_MAX`]) from a regular file at an offset, without passing them through user
    /// space. Returns 0 at that file's end.
    ///
    /// # Errors
    /// ENOTSUP: not SPLICE, or not now. Else as `write`.
    fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        let _ = (from, offset, count);
        Err(Error::new(Code::ENOTSUP, "send_from: not supported by this file"))
    }

    /// Reads up to `count` bytes into a regular file at an offset. Returns 0 at this file's end.
    ///
    /// # Errors
    /// ENOTSUP: not SPLICE, or not now. Else as `read`.
    fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        let _ = (to, offset, count);
        Err(Error::new(Code::ENOTSUP, "receive_into: not supported by this file"))
    }

    /// What must happen before the wanted calls are worth trying. Waits for nothing, as the three calls after it.
    ///
    /// # Errors
    /// ENOTSUP: not POLL.
    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        let _ = wanted;
        Err(without_poll("interest"))
    }

    /// Like `read`; `None` where that would wait. The next call may come with another buffer.
    ///
    /// # Errors
    /// ENOTSUP: not POLL. Else as `read`.
    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        let _ = buf;
        Err(without_poll("try_read"))
    }

    /// Like `write`; `None` where that would wait: it took nothing.
    ///
    /// # Errors
    /// ENOTSUP: not POLL. Else as `write`.
    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        let _ = buf;
        Err(without_poll("try_write"))
    }

    /// Like `finish`, of END and COMMIT; `None`: the COMMIT goes on, and is to be repeated. END is never `None`.
    ///
    /// # Errors
    /// ENOTSUP: not POLL. Else as `finish`.
    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        let _ = how;
        Err(without_poll("try_finish"))
    }
}

fn without_poll(verb: &str) -> Error {
    Error::new(Code::ENOTSUP, format!("{verb}: not POLL: this file has only calls that wait"))
}

/// How the writing side ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub enum Finish {
    /// No more data follows: tell the other side and return at once.
    End = 1,
    /// `End`, then wait until it is complete (visible under its name, uploaded, taken), and report.
    Commit = 2,
    /// The writer failed: no trace, and a pipe breaks instead of ending.
    Discard = 3,
}

#[cfg(feature = "host")]
impl Finish {
    /// What messages call it.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Finish::End => "end",
            Finish::Commit => "commit",
            Finish::Discard => "discard",
        }
    }
}

/// How far a flush goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub enum Flush {
    /// Hand on what is buffered; wait for no disk and no peer.
    Push = 1,
    /// Durable on the medium, or taken by the reader.
    Sync = 2,
}

/// Which way a lease is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub enum Direction {
    /// Bytes come out of the file.
    Read,
    /// Bytes go into it.
    Write,
}

/// A kernel file lent until the next call on the file. The borrower changes neither its position nor its modes.
#[derive(Debug)]
pub struct Lease<'a> {
    /// The provider's descriptor.
    pub fd: BorrowedFd<'a>,
    /// Where the file's position stands in it; `None`: a pipe or device, without offsets.
    pub offset: Option<u64>,
    /// The most bytes that may be moved; `u64::MAX`: no limit.
    pub limit: u64,
}

/// What to wait for before a `try_` call. Valid until the next call on the file.
#[derive(Clone, Copy, Debug)]
pub struct Interest<'a> {
    /// What to try now, without a wait; a subset of what is wanted.
    pub ready: Wanted,
    /// What to await the events on: one number and one kernel file for the file's life. `None`: only the time counts.
    pub fd: Option<BorrowedFd<'a>>,
    /// `READ`, `WRITE` or both, not always the direction that is wanted. Empty: only an error or a hang-up is awaited.
    pub events: Events,
    /// When to ask again, whatever has occurred; `None`: no need.
    pub after: Option<Duration>,
}

impl<'a> Interest<'a> {
    /// What is wanted can be tried now.
    pub fn ready(wanted: Wanted) -> Interest<'static> {
        Interest { ready: wanted, fd: None, events: Events::empty(), after: None }
    }

    /// It can be tried after an event.
    pub fn event(fd: BorrowedFd<'a>, events: Events) -> Interest<'a> {
        Interest { ready: Wanted::empty(), fd: Some(fd), events, after: None }
    }

    /// It can be tried after a time.
    pub fn time(after: Duration) -> Interest<'static> {
        Interest { ready: Wanted::empty(), fd: None, events: Events::empty(), after: Some(after) }
    }

    /// The same, to be asked again after a time at the latest.
    pub fn within(self, after: Duration) -> Interest<'a> {
        Interest { after: Some(after), ..self }
    }
}

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// Not known.
    Unknown,
    /// Bytes with a size and positions.
    Regular,
    /// Has entries to list.
    Directory,
    /// A pipe, a socket.
    Stream,
    /// A character device.
    Device,
    /// A device that a person may sit at.
    Terminal,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// Its kind.
    pub kind: Kind,
    /// Bytes; `None`: not known.
    pub size: Option<u64>,
    /// When it was last changed; `None`: not known.
    pub modified: Option<SystemTime>,
    /// Equal tags mean equal content (an ETag, a generation); at most 127 bytes; empty: none.
    pub version: String,
}

impl Stat {
    /// Only the kind is known.
    pub fn of_kind(kind: Kind) -> Stat {
        Stat { kind, size: None, modified: None, version: String::new() }
    }

    /// Adds the size in bytes.
    pub fn size(mut self, size: u64) -> Stat {
        self.size = Some(size);
        self
    }

    /// Adds the time of the last change.
    pub fn modified(mut self, time: SystemTime) -> Stat {
        self.modified = Some(time);
        self
    }

    /// Adds a version tag.
    pub fn version(mut self, version: impl Into<String>) -> Stat {
        self.version = version.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_leads_to_what_a_position_can_be_and_nowhere_else() {
        const LAST: u64 = i64::MAX as u64;
        for (to, expected) in [
            (SeekFrom::Start(0), Some(0)),
            (SeekFrom::Start(LAST), Some(LAST)),
            (SeekFrom::Start(LAST + 1), None),
            (SeekFrom::Current(-10), Some(0)),
            (SeekFrom::Current(-11), None),
            (SeekFrom::Current(i64::MIN), None),
            (SeekFrom::Current(i64::MAX), None),
            (SeekFrom::End(5), Some(105)),
            (SeekFrom::End(-101), None),
        ] {
            let sought = seek_position("f", to, 10, || Ok(100));
            assert_eq!(sought.as_ref().ok().copied(), expected, "{to:?}");
            assert!(sought.err().is_none_or(|error| error.code() == Code::EINVAL), "{to:?}");
        }
        let unknown = || Err(Error::new(Code::ESPIPE, "it has no size"));
        assert_eq!(seek_position("f", SeekFrom::Current(1), 10, unknown).unwrap(), 11);
        assert_eq!(seek_position("f", SeekFrom::End(1), 10, unknown).unwrap_err().code(), Code::ESPIPE);
    }
}
