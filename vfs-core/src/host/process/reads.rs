//! Reads that need no call: as long as nothing else is done with a regular file, its host reads what the process lent.

use crate::error::Result;
use rustix::io::{pread, retry_on_intr};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

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
    /// The last call was a read at an offset: with the next one it pays to borrow, too.
    OneAt,
    /// Reads at offsets are done here. They may overlap.
    At(Arc<Part>),
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

/// What was lent for reads at offsets: the part of the provider's file that begins at its position.
pub(super) struct Part {
    position: u64,
    loan: Loan,
}

impl Part {
    pub(super) fn new(position: u64, loan: Loan) -> Part {
        Part { position, loan }
    }

    /// Reads at an offset of the provider's file. `None`: that is not in this part, or it fails, for which a call has the words.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> Option<usize> {
        let from = offset.checked_sub(self.position)?;
        let left = self.loan.limit.checked_sub(from).filter(|left| *left > 0)?;
        let most = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let at = self.loan.offset?.checked_add(from)?;
        retry_on_intr(|| pread(&self.loan.fd, &mut buf[..most], at)).ok()
    }
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

    /// What reads at offsets need no call for. `quiet`: none is in progress, so that it may be borrowed.
    pub(super) fn part(&mut self, quiet: bool, borrow: impl FnOnce() -> Result<Part>) -> Option<Arc<Part>> {
        if matches!(self, Reads::OneAt) && quiet {
            *self = match borrow() {
                Ok(part) if part.loan.offset.is_some() => Reads::At(Arc::new(part)),
                _ => Reads::Never,
            };
        }
        match self {
            Reads::At(part) => Some(part.clone()),
            _ => None,
        }
    }

    /// Ends them before a call, which leaves this. Returns how many bytes the provider does not know of.
    pub(super) fn end(&mut self, then: Reads) -> u64 {
        let next = if matches!(self, Reads::Never) { Reads::Never } else { then };
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
        assert_eq!(reads.end(Reads::One), 0);
        assert_eq!(reads.read(&mut buf, || Ok(loan("abcdef", 9))), Some(3));
        assert_eq!(&buf, b"bcd");
        assert_eq!(reads.read(&mut buf, not_asked), Some(2));
        assert_eq!(reads.read(&mut buf, not_asked), Some(0));
        assert_eq!(reads.end(Reads::None), 5);
        assert_eq!(reads.end(Reads::None), 0);
        assert_eq!(reads.read(&mut buf, not_asked), None);
    }

    #[test]
    fn the_second_read_at_an_offset_borrows_unless_one_is_in_progress() {
        let mut reads = Reads::new(true);
        let none = || -> Result<Part> { panic!("nothing is borrowed here") };
        assert!(reads.part(true, none).is_none());
        assert_eq!(reads.end(Reads::OneAt), 0);
        assert!(reads.part(false, none).is_none());
        // The provider's file is the lent one from its byte 1 on, and its position 10 is there.
        let part = reads.part(true, || Ok(Part::new(10, loan("abcdef", 4)))).unwrap();
        let mut buf = [0; 3];
        assert_eq!(part.read(&mut buf, 11), Some(3));
        assert_eq!(&buf, b"cde");
        assert_eq!(part.read(&mut buf, 13), Some(1), "up to the limit");
        assert_eq!((part.read(&mut buf, 9), part.read(&mut buf, 14)), (None, None));
        assert!(reads.part(false, none).is_some());
        assert_eq!(reads.end(Reads::None), 0);
        assert!(reads.part(true, none).is_none());
    }

    #[test]
    fn a_limit_and_an_error_are_the_providers() {
        let (mut reads, mut buf) = (Reads::One, [0; 3]);
        assert_eq!(reads.read(&mut buf, || Ok(loan("abcdef", 2))), Some(2));
        assert_eq!(reads.read(&mut buf, not_asked), None);
        assert_eq!(reads.end(Reads::One), 2);
        let folder = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        assert_eq!(reads.read(&mut buf, || Ok(Loan { fd: folder, offset: Some(0), limit: 9 })), None);
        assert_eq!(reads.end(Reads::One), 0);
    }

    #[test]
    fn who_lends_nothing_is_asked_once() {
        let (mut reads, mut buf) = (Reads::One, [0; 3]);
        assert_eq!(reads.read(&mut buf, || Err(Error::from(Code::ENOTSUP))), None);
        assert_eq!(reads.end(Reads::One) + reads.end(Reads::None), 0);
        assert_eq!(reads.read(&mut buf, not_asked), None);
    }
}
