//! One writer's stream, on the reader's own thread: payload straight into the caller's buffer.

use crate::failure::{lost, of_protocol, silent};
use crate::link::{Received, Shared};
use crate::upstream::Upstream;
use netpipe::digest::Digest;
use netpipe::frame::HEADER;
use netpipe::hello::FEATURE_CRC;
use netpipe::pipe::{Incoming, Next};
use netpipe::same_host::{Arriving, Step};
use netpipe::{Error, Message};
use parking_lot::Mutex;
use rustix::io::Errno;
use std::sync::Arc;
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// Bytes read ahead of the caller's buffer where frames are not large, so that many of them come in one system call: at
/// first, and once so much has come at one time.
const AHEAD: (usize, usize) = (8 << 10, 64 << 10);
/// From this payload on a frame is large: then only the next header is read ahead, and nothing is copied. To copy less costs
/// less than a system call for each frame.
const LARGE: usize = 16 << 10;

/// What a read of an upstream came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    /// So many bytes, 1 at least.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// The writer ENDed, and everything was read.
    End,
    /// The pipe is broken.
    Broken(Failure),
}

/// One writer's stream.
#[derive(Debug)]
pub struct Inflow {
    /// The way back.
    pub upstream: Arc<Upstream>,
    incoming: Incoming,
    /// Read ahead and not used yet: `ahead[at..end]`.
    ahead: Vec<u8>,
    at: usize,
    end: usize,
    large: bool,
    /// The last receive took all there was: another one would find nothing, as a rule.
    drained: bool,
    /// There are other writers, who have their turn after this one's frame.
    has_others: bool,
    /// Where the writer waits, once it does. In a lock since memory is one thread's at a time; it is never waited for.
    arriving: Mutex<Option<Arriving>>,
    /// It has left the connection since this was asked last.
    moved: bool,
}

impl Inflow {
    /// Begins after the handshake.
    pub fn new(upstream: Arc<Upstream>) -> Inflow {
        let incoming = Incoming::new(upstream.windows.first, upstream.features & FEATURE_CRC != 0)
            .with_features(upstream.features)
            .with_digest(upstream.digest.map(Digest::new));
        Inflow {
            upstream,
            incoming,
            ahead: Vec::new(),
            at: 0,
            end: 0,
            large: false,
            drained: false,
            has_others: false,
            arriving: Mutex::default(),
            moved: false,
        }
    }

    /// Notes that there are other writers. A frame's rest is then received without what follows it: else a writer that is as fast as
    /// this reader would always be within one.
    pub fn note_others(&mut self) {
        self.has_others = true;
    }

    /// Reads as much of the payload as is there, up to `buf`'s end. `waits`: or waits for a moment until some is there.
    pub fn read(&mut self, buf: &mut [u8], mut waits: bool) -> Flow {
        let mut done = 0;
        let flow = loop {
            match self.incoming.next() {
                Ok(Next::End) => break Flow::End,
                Err(error) => break Flow::Broken(of_protocol(&error)),
                Ok(Next::Control(_)) if self.at < self.end => self.control(),
                Ok(Next::Meeting(step)) => match self.follow(step) {
                    Ok(()) => {}
                    Err(failure) => break Flow::Broken(failure),
                },
                Ok(Next::Payload(_)) if done == buf.len() => break Flow::Nothing,
                // What the caller has is more urgent than what may be there.
                Ok(Next::Control(_)) if done > 0 => break Flow::Nothing,
                Ok(_) if done > 0 && self.drained && self.at == self.end => break Flow::Nothing,
                Ok(Next::Payload(left)) => match self.payload(left, &mut buf[done..], &mut waits) {
                    Ok(Received::Bytes(count)) => done += count,
                    Ok(Received::Nothing) => break Flow::Nothing,
                    Ok(Received::End) => break self.cut_off(),
                    Err(failure) => break Flow::Broken(failure),
                },
                Ok(Next::Control(_)) => match self.receive(&mut [], &mut waits) {
                    Ok(Received::Bytes(_)) => {}
                    Ok(Received::Nothing) => break Flow::Nothing,
                    Ok(Received::End) => break self.cut_off(),
                    Err(failure) => break Flow::Broken(failure),
                },
            }
        };
        if done > 0 { Flow::Bytes(done) } else { flow }
    }

    /// Goes where the writer waits, or on with it from there: what it sends comes by another descriptor then.
    fn follow(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Waits => *self.arriving.get_mut() = self.upstream.way.as_ref().and_then(Arriving::new),
            Step::Leaves => {
                let arriving = self.arriving.get_mut().take().filter(|_| self.at == self.end);
                let (way, mut arriving) =
                    self.upstream.way.as_ref().zip(arriving).ok_or_else(|| lost(Errno::PROTO))?;
                // It has shown what it brings before it said so.
                let Ok(Some(theirs)) = arriving.look(way) else { return Err(lost(Errno::PROTO)) };
                let connection = self.upstream.link.connection();
                self.upstream
                    .link
                    .share(Box::new(Shared::with_host(arriving, theirs, connection).map_err(lost)?));
                (self.moved, self.drained) = (true, false);
            }
        }
        self.incoming.followed();
        Ok(())
    }

    /// Whether the writer has left the connection since this was asked last.
    #[inline]
    pub fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether a frame was begun: then its rest comes before other writers' frames.
    pub fn is_within_frame(&self) -> bool {
        matches!(self.incoming.next(), Ok(Next::Payload(_)))
    }

    /// Whether something can be said of the next read without the kernel.
    pub fn is_ready(&self) -> bool {
        self.is_staged() || self.upstream.link.has_more()
    }

    /// Whether that is since something was read ahead, or the stream is over.
    pub fn is_staged(&self) -> bool {
        self.at < self.end || !matches!(self.incoming.next(), Ok(Next::Control(_) | Next::Payload(_)))
    }

    /// As `is_ready`, before a wait.
    pub fn is_ready_or_expects(&self) -> bool {
        self.is_ready() || {
            self.upstream.link.expects();
            self.is_ready()
        }
    }

    /// Gives the writer a larger window, if it waits for one and this side for bytes: then the way is long, and each report of
    /// what was taken comes late.
    pub fn grow(&mut self) {
        if self.incoming.is_full()
            && let Some(window) = self.upstream.grow()
        {
            self.incoming.grow(window);
        }
    }

    /// Whether everything up to END was read.
    pub fn has_ended(&self) -> bool {
        self.incoming.next() == Ok(Next::End)
    }

    /// Looks, without waiting, whether END follows what was read: the owner may close without reading on.
    pub fn look_for_end(&mut self) -> bool {
        // Behind a large frame only a header is received at once: DIGEST and END take several of them.
        loop {
            match self.incoming.next() {
                Ok(Next::Control(_)) => {}
                Ok(Next::Meeting(step)) if self.follow(step).is_ok() => continue,
                _ => break,
            }
            if self.at == self.end && !matches!(self.receive(&mut [], &mut false), Ok(Received::Bytes(_))) {
                break;
            }
            self.control();
        }
        self.has_ended()
    }

    /// The last word to a writer that broke a rule.
    pub fn refusal(&self) -> Option<Message> {
        match self.incoming.next() {
            Err(error @ (Error::Protocol(_) | Error::Checksum | Error::Corrupted)) => {
                error.refusal().map(Message::Refusal)
            }
            _ => None,
        }
    }

    fn control(&mut self) {
        self.incoming.reported(self.upstream.reported());
        let mut staged = &self.ahead[self.at..self.end];
        // What it means is asked of `next`.
        let _ = self.incoming.control(&mut staged);
        self.at = self.end - staged.len();
        if let Ok(Next::Payload(length)) = self.incoming.next() {
            self.large = length >= LARGE;
        }
    }

    /// Moves payload of the frame at hand, `left` bytes at most.
    fn payload(&mut self, left: usize, buf: &mut [u8], waits: &mut bool) -> Result<Received, Failure> {
        let wanted = left.min(buf.len());
        let staged = wanted.min(self.end - self.at);
        if staged > 0 {
            buf[..staged].copy_from_slice(&self.ahead[self.at..self.at + staged]);
            self.at += staged;
            self.incoming.payload(&buf[..staged]);
            return Ok(Received::Bytes(staged));
        }
        let received = self.receive_payload(&mut buf[..wanted], wanted == left, waits)?;
        if let Received::Bytes(count) = received {
            self.incoming.payload(&buf[..count]);
        }
        Ok(received)
    }

    /// Receives payload, and what follows it if this is the frame's end.
    fn receive_payload(
        &mut self,
        buf: &mut [u8],
        to_frame_end: bool,
        waits: &mut bool,
    ) -> Result<Received, Failure> {
        let wanted = buf.len();
        let received = if to_frame_end && !self.has_others {
            self.receive(buf, waits)?
        } else {
            let received = self.receive_into(buf, 0, waits)?;
            self.drained = matches!(received, Received::Bytes(count) if count < wanted);
            received
        };
        Ok(match received {
            Received::Bytes(count) => Received::Bytes(count.min(wanted)),
            other => other,
        })
    }

    /// Receives into `first` and then ahead of it. Nothing is ahead when it is called.
    fn receive(&mut self, first: &mut [u8], waits: &mut bool) -> Result<Received, Failure> {
        if self.ahead.is_empty() {
            self.ahead = vec![0; AHEAD.0];
        } else if !self.large && !self.drained && self.ahead.len() < AHEAD.1 {
            // Frames that are not large filled it the last time.
            self.ahead.resize(AHEAD.1, 0);
        }
        let limit = if self.large { HEADER } else { self.ahead.len() };
        let received = self.receive_into(first, limit, waits)?;
        if let Received::Bytes(count) = received {
            (self.at, self.end) = (0, count.saturating_sub(first.len()));
            self.drained = count < first.len() + limit;
        }
        Ok(received)
    }

    /// Waits at most once in a call of `read`: a peer that sends a byte now and then must not keep it from its cancel.
    fn receive_into(
        &mut self,
        first: &mut [u8],
        limit: usize,
        waits: &mut bool,
    ) -> Result<Received, Failure> {
        let ahead = &mut self.ahead[..limit];
        let link = &self.upstream.link;
        let received = match std::mem::take(waits) {
            true => link.receive_or_wait(first, ahead),
            false => link.receive(first, ahead),
        };
        match received {
            Ok(Received::Bytes(_)) => self.upstream.note_heard(),
            Ok(_) => {}
            Err(errno) => return Err(self.silence().unwrap_or_else(|| lost(errno))),
        }
        received.map_err(lost)
    }

    /// Whether this side has given the writer up.
    fn silence(&self) -> Option<Failure> {
        self.upstream.missed().map(|limit| silent("writer", limit))
    }

    fn cut_off(&self) -> Flow {
        if let Some(failure) = self.silence() {
            return Flow::Broken(failure);
        }
        let failure = self.incoming.closed().map(|error| match error {
            Error::Closed(_) => Failure::new(Code::ECONNRESET, "the writer was lost before the pipe's end"),
            error => of_protocol(&error),
        });
        failure.map_or(Flow::End, Flow::Broken)
    }
}
