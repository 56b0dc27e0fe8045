//! Bytes of an object as one answer brings them, from a position on.

use crate::client::answer::Answer;
use crate::client::caller::Caller;
use zvfs_net::failure::{Attempt, Failure};

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
        let left = self.end.map_or(u64::MAX, |end| end - self.at);
        if left == 0 {
            return self.verify_end(caller);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let count = self.answer.read(&mut buf[..most], caller)?;
        if count == 0 && self.end.is_some() {
            return Err(Failure::protocol(format!("the body ends {left} bytes before its announced end")));
        }
        self.at += count as u64;
        Ok(count)
    }

    /// What stands behind the last byte: only the end, in whatever form the framing has it.
    fn verify_end(&mut self, caller: &Caller) -> Attempt<usize> {
        match self.answer.read(&mut [0; 1], caller)? {
            0 => Ok(0),
            _ => Err(Failure::protocol("the body continues after its announced end")),
        }
    }

    /// Reads on to a position, and drops what lies between.
    ///
    /// # Errors
    /// As [`read`](Stream::read); EPROTO: it ends before that.
    pub fn skip_to(&mut self, position: u64, caller: &Caller) -> Attempt<()> {
        if self.at >= position {
            return Ok(());
        }
        let mut buf = vec![0; SKIP];
        while self.at < position {
            let most = usize::try_from(position - self.at).unwrap_or(SKIP).min(SKIP);
            if self.read(&mut buf[..most], caller)? == 0 {
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
