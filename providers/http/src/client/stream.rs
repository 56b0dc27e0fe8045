//! Bytes of an object as one answer brings them, from a position on.

use crate::client::answer::Answer;
use crate::client::caller::Caller;
use std::os::fd::BorrowedFd;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;

/// What skipping reads at once.
const SKIP: usize = 64 << 10;

/// The body of an answer, and where in the object it stands.
pub struct Stream {
    answer: Answer,
    at: u64,
    /// The byte behind its last; `None`: it ends where it ends.
    end: Option<u64>,
}

impl Stream {
    /// A stream that begins at a position and ends before another.
    pub fn new(answer: Answer, at: u64, end: Option<u64>) -> Stream {
        Stream { answer, at, end }
    }

    /// The position of its next byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The byte behind its last, if that is known.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Reads, waiting for one byte; 0: it is at its end, as announced.
    ///
    /// # Errors
    /// EPROTO: it is longer or shorter than announced. As [`Answer::read`].
    pub fn read(&mut self, buf: &mut [u8], caller: &Caller) -> Attempt<usize> {
        self.receive(buf, caller.patiently())
    }

    /// Reads what is there from a position on; 0: it is at its end, as announced. `None`: nothing yet. What lies before the position
    /// is dropped, a part of it also then.
    ///
    /// # Errors
    /// As [`skip_to`](Stream::skip_to), but for the limit: that is the caller's to keep.
    pub fn try_read(&mut self, position: u64, buf: &mut [u8], caller: &Caller) -> Attempt<Option<usize>> {
        let waiting = Waiting::for_nothing(&caller.context);
        match self.skip(position, waiting).and_then(|()| self.receive(buf, waiting)) {
            Err(failure) if failure.code == Code::EAGAIN => Ok(None),
            came => came.map(Some),
        }
    }

    /// Where more of it comes in; `None`: all of it came.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.answer.socket()
    }

    /// Where its next bytes come in as they are, and how many; `None`: nowhere, or not now.
    pub fn bare(&self) -> Option<(BorrowedFd<'_>, u64)> {
        let (socket, left) = self.answer.bare()?;
        Some((socket, left.min(self.end.map_or(u64::MAX, |end| end - self.at))))
    }

    /// Says that so much was read from [there](Stream::bare).
    pub fn advance(&mut self, count: u64) {
        self.answer.skip(count);
        self.at += count;
    }

    fn receive(&mut self, buf: &mut [u8], waiting: Waiting<'_>) -> Attempt<usize> {
        let left = self.end.map_or(u64::MAX, |end| end - self.at);
        if left == 0 {
            return self.verify_end(waiting);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let count = self.answer.read(&mut buf[..most], waiting)?;
        if count == 0 && self.end.is_some() {
            return Err(Failure::protocol(format!("the body ends {left} bytes before its announced end")));
        }
        self.at += count as u64;
        Ok(count)
    }

    /// What stands behind the last byte: only the end, in whatever form the framing has it.
    fn verify_end(&mut self, waiting: Waiting<'_>) -> Attempt<usize> {
        match self.answer.read(&mut [0; 1], waiting)? {
            0 => Ok(0),
            _ => Err(Failure::protocol("the body continues after its announced end")),
        }
    }

    /// Reads on to a position, and drops what lies between.
    ///
    /// # Errors
    /// As [`read`](Stream::read); EPROTO: it ends before that.
    pub fn skip_to(&mut self, position: u64, caller: &Caller) -> Attempt<()> {
        self.skip(position, caller.patiently())
    }

    fn skip(&mut self, position: u64, waiting: Waiting<'_>) -> Attempt<()> {
        if self.at >= position {
            return Ok(());
        }
        let mut buf = vec![0; SKIP];
        while self.at < position {
            let most = usize::try_from(position - self.at).unwrap_or(SKIP).min(SKIP);
            if self.receive(&mut buf[..most], waiting)? == 0 {
                let text = format!("the body ends at byte {}, before byte {position}", self.at);
                return Err(Failure::protocol(text));
            }
        }
        Ok(())
    }

    /// Is done with it: keeps its connection if little is left.
    pub fn dismiss(self, caller: &Caller) {
        self.answer.dismiss(caller);
    }
}
