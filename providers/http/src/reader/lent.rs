//! The socket of an answer, lent: what came there goes to a pipe or a file without passing through this process.
//!
//! No more is lent than has come. So whoever moves it waits for nothing, and the limits for silence and for the least rate, further
//! attempts and what is read ahead stay here: what there is to wait for, and whatever is wrong, is met in a call of this file.

use crate::client::least_rate::too_slow;
use crate::client::stream::Stream;
use crate::reader::object::Object;
use crate::reader::{Reader, Window};
use crate::settings::Ranges;
use rustix::io::ioctl_fionread;
use vfs_core::{Code, Direction, Error, Lease, Result};
use zvfs_net::failure::{Attempt, Failure};

/// Whether the sockets of an object may be lent at all: one in the clear, read from start to end.
pub(super) fn lends(object: &Object, window: Window, ranges: Ranges) -> bool {
    let by_threads = matches!(ranges, Ranges::Fixed(1..));
    !by_threads && window == Window::Open && object.size.is_some() && !object.is_secure()
}

/// An answer whose socket is lent until the next call.
pub(super) struct Lent {
    stream: Stream,
    /// The bytes of it that have come.
    limit: u64,
}

impl Reader {
    /// Lends what has come, waiting for it.
    pub(super) fn lend(&mut self, direction: Direction) -> Result<Lease<'_>> {
        if !self.lends {
            return Err(self.not_lent(Code::ENOTSUP, "its bytes are not in a socket as they are"));
        }
        if direction == Direction::Write {
            return Err(self.not_lent(Code::EBADF, "not open for writing"));
        }
        match self.find_bare() {
            Ok(found) => self.lent = found,
            // One more attempt is for the next read to make.
            Err(failure) => {
                let waited = self.budget.wait(failure, &self.caller);
                waited.map_err(|failure| self.failed("read", &failure))?;
            }
        }
        let lent = self.lent.as_ref().and_then(|lent| Some((lent.stream.bare()?.0, lent.limit)));
        match lent {
            Some((fd, limit)) => Ok(Lease { fd, offset: None, limit }),
            None => Err(self.not_lent(Code::ENOTSUP, "what comes next is not in a socket as it is")),
        }
    }

    fn not_lent(&self, code: Code, why: &str) -> Error {
        Error::new(code, format!("lease {}: {why}", self.caller.shown))
    }

    fn find_bare(&mut self) -> Attempt<Option<Lent>> {
        let position = self.position;
        if self.polled.is_some() || self.ahead.as_ref().is_some_and(|ahead| ahead.at() == position) {
            return Ok(None);
        }
        let at_hand = |stream: &Stream| stream.at() == position && stream.bare().is_some();
        let Some(stream) = self.idle.take(at_hand) else { return Ok(None) };
        self.look_ahead()?;
        self.rate.begin();
        let mut came = has_come(&stream)?;
        if came == 0 {
            self.await_bytes(&stream)?;
            came = has_come(&stream)?;
        }
        let limit = self.ahead_at().map_or(came, |at| came.min(at - position));
        if limit == 0 {
            // It has ended or broken off, or the next bytes were read ahead meanwhile.
            self.keep(stream);
            return Ok(None);
        }
        // Whoever takes them may have to wait for somebody else first.
        self.rate.pause();
        Ok(Some(Lent { stream, limit }))
    }

    /// Takes an answer back whose socket was lent.
    pub(super) fn take_back(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.keep(lent.stream);
        }
    }

    /// Says that bytes were moved out of the lent socket.
    pub(super) fn moved(&mut self, count: u64) -> Result<()> {
        if !self.lends {
            return Err(Error::new(
                Code::ENOTSUP,
                format!("advance {}: it lends nothing", self.caller.shown),
            ));
        }
        let Some(Lent { mut stream, .. }) = self.lent.take_if(|lent| count <= lent.limit) else {
            let text = format!("advance {}: by {count} bytes, which were not lent", self.caller.shown);
            return Err(Error::new(Code::EINVAL, text));
        };
        stream.advance(count);
        self.keep(stream);
        self.tell(count);
        self.position += count;
        self.budget.progressed(count);
        self.rate.add(count, &self.caller.tuning).map_err(|text| self.failed("read", &too_slow(text)))
    }
}

/// The bytes of an answer that can be read from its socket now.
fn has_come(stream: &Stream) -> Attempt<u64> {
    let Some((socket, left)) = stream.bare() else { return Ok(0) };
    ioctl_fionread(socket).map(|came| came.min(left)).map_err(Failure::system)
}
