//! Reads that need no call: as long as nothing else is done with a regular file, its host reads what the process lent.

use crate::error::Result;
use rustix::io::{pread, retry_on_intr};
use std::mem;
use std::os::fd::OwnedFd;

/// A kernel's file as a process lent it, from the file's position on.
pub(super) struct Loan {
    pub(super) fd: OwnedFd,
    /// Where the position stands in it; `None`: it has no offsets.
    pub(super) offset: Option<u64>,
    /// The most bytes that may be moved.
    pub(super) limit: u64,
}

/// How the reads of a file go on.
pub(super) enum Reads {
    /// The last call was another one.
    None,
    /// The last call was a read: with the next one it pays to borrow.
    One,
    /// They are done here. What was lent is good until the next call on the file, so none is made.
    Here(Window),
    /// It lends no regular file.
    Never,
}

/// What was lent, from the next byte on.
pub(super) struct Window {
    fd: OwnedFd,
    offset: u64,
    left: u64,
    /// Bytes read of which the provider does not know.
    unknown: u64,
}

impl Reads {
    /// Of a file that may lend.
    pub(super) fn new(may_lend: bool) -> Reads {
        if may_lend { Reads::None } else { Reads::Never }
    }

    /// Reads without a call. `None`: a call is to read, after the provider was told of the bytes that [`Reads::end`] returns; it also
    /// has the words for an error.
    pub(super) fn read(&mut self, buf: &mut [u8], borrow: impl FnOnce() -> Result<Loan>) -> Option<usize> {
        if matches!(self, Reads::One) {
            *self = match borrow() {
                Ok(Loan { fd, offset: Some(offset), limit: left }) => {
                    Reads::Here(Window { fd, offset, left, unknown: 0 })
                }
                _ => Reads::Never,
            };
        }
        let Reads::Here(window) = self else { return None };
        let most = usize::try_from(window.left).map_or(buf.len(), |left| left.min(buf.len()));
        if most == 0 {
            return None;
        }
        let count = retry_on_intr(|| pread(&window.fd, &mut buf[..most], window.offset)).ok()?;
        window.offset = window.offset.checked_add(count as u64)?;
        window.left -= count as u64;
        window.unknown += count as u64;
        Some(count)
    }

    /// Ends them before a call, which is a read or another one. Returns how many bytes the provider does not know of.
    pub(super) fn end(&mut self, by_read: bool) -> u64 {
        let next = match self {
            Reads::Never => Reads::Never,
            _ if by_read => Reads::One,
            _ => Reads::None,
        };
        match mem::replace(self, next) {
            Reads::Here(window) => window.unknown,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::error::Error;
    use std::io::Write as _;

    fn loan(text: &str, limit: u64) -> Loan {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Loan { fd: file.into(), offset: Some(1), limit }
    }

    fn not_asked() -> Result<Loan> {
        panic!("nothing is borrowed for one read, and nothing twice");
    }

    #[test]
    fn the_second_read_borrows_and_the_next_call_tells_how_far_they_came() {
        let (mut reads, mut buf) = (Reads::new(true), [0; 3]);
        assert_eq!(reads.read(&mut buf, not_asked), None);
        assert_eq!(reads.end(true), 0);
        assert_eq!(reads.read(&mut buf, || Ok(loan("abcdef", 9))), Some(3));
        assert_eq!(&buf, b"bcd");
        assert_eq!(reads.read(&mut buf, not_asked), Some(2));
        assert_eq!(reads.read(&mut buf, not_asked), Some(0));
        assert_eq!(reads.end(false), 5);
        assert_eq!(reads.end(false), 0);
        assert_eq!(reads.read(&mut buf, not_asked), None);
    }

    #[test]
    fn a_limit_and_an_error_are_the_providers() {
        let (mut reads, mut buf) = (Reads::One, [0; 3]);
        assert_eq!(reads.read(&mut buf, || Ok(loan("abcdef", 2))), Some(2));
        assert_eq!(reads.read(&mut buf, not_asked), None);
        assert_eq!(reads.end(true), 2);
        let folder = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        assert_eq!(reads.read(&mut buf, || Ok(Loan { fd: folder, offset: Some(0), limit: 9 })), None);
        assert_eq!(reads.end(true), 0);
    }

    #[test]
    fn who_lends_nothing_is_asked_once() {
        let (mut reads, mut buf) = (Reads::One, [0; 3]);
        assert_eq!(reads.read(&mut buf, || Err(Error::from(Code::ENOTSUP))), None);
        assert_eq!(reads.end(true) + reads.end(false), 0);
        assert_eq!(reads.read(&mut buf, not_asked), None);
    }
}
