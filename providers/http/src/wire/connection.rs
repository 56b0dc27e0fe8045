//! A connection to a server: plain or TLS, and what was received of it beyond what has been read.

use crate::wire::session::Session;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Events};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::origin::Origin;
use zvfs_net::socket;
use zvfs_net::waiting::Waiting;

/// What is received at once of heads and of small bodies. A head must fit.
const BUFFER: usize = 64 << 10;
/// What is received at first: most heads, with a small body behind them, fit. Smaller reads are served from the buffer.
const FIRST: usize = 16 << 10;

/// A connection to a server.
pub struct Connection {
    socket: OwnedFd,
    tls: Option<Box<Session>>,
    /// What was received: `from..to` has not been read.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    origin: Origin,
    /// Requests are written as for a proxy.
    to_proxy: bool,
    /// A request has been answered on it before.
    reused: bool,
    last_used: Instant,
}

impl Connection {
    /// Wraps a connected socket.
    pub fn new(socket: OwnedFd, tls: Option<Box<Session>>, origin: Origin, to_proxy: bool) -> Connection {
        let buffer = Vec::new();
        let last_used = Instant::now();
        Connection { socket, tls, buffer, from: 0, to: 0, origin, to_proxy, reused: false, last_used }
    }

    /// Whom it leads to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether requests are written as for a proxy.
    pub fn is_to_proxy(&self) -> bool {
        self.to_proxy
    }

    /// Whether a failed request met a kept connection that its server had closed: nothing of an answer came.
    pub fn was_stale(&self, failure: &Failure) -> bool {
        failure.code == Code::ECONNRESET && self.reused && self.buffered().is_empty()
    }

    /// When it was last used.
    pub fn last_used(&self) -> Instant {
        self.last_used
    }

    /// Says that a request has been answered.
    pub fn mark_used(&mut self) {
        self.reused = true;
        self.last_used = Instant::now();
    }

    /// Turns it into TLS with whoever is behind a proxy that has connected us.
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// What it is to the kernel, to be awaited and nothing else.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The socket, if what comes next is there as it was sent: not encrypted, and nothing of it received already.
    pub fn plain(&self) -> Option<BorrowedFd<'_>> {
        (self.tls.is_none() && self.buffered().is_empty()).then(|| self.socket.as_fd())
    }

    /// What was received and not read.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// Says that bytes of the buffer have been read.
    pub fn consume(&mut self, count: usize) {
        self.from += count;
        if self.from >= self.to {
            (self.from, self.to) = (0, 0);
        }
    }

    /// Receives more into the buffer, waiting for it; 0: the end.
    ///
    /// # Errors
    /// The connection's, the caller's, the limit's. EPROTO: the buffer is full.
    pub fn fill(&mut self, waiting: Waiting<'_>) -> Attempt<usize> {
        loop {
            if let Some(count) = self.try_fill()? {
                return Ok(count);
            }
            waiting.ready(&self.socket, Events::READ)?;
        }
    }

    /// Receives what is there into the buffer. `None`: nothing yet.
    ///
    /// # Errors
    /// The connection's. EPROTO: the buffer is full.
    pub fn try_fill(&mut self) -> Attempt<Option<usize>> {
        if self.from > 0 && self.to == self.buffer.len() {
            self.buffer.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        if self.to == self.buffer.len() {
            if self.to >= BUFFER {
                return Err(Failure::protocol(format!(
                    "a head, or a line, of more than {} KiB",
                    BUFFER >> 10
                )));
            }
            self.buffer.resize(if self.to == 0 { FIRST } else { BUFFER }, 0);
        }
        let into = &mut self.buffer[self.to..];
        let count = match &mut self.tls {
            None => socket::receive(&self.socket, into)?,
            Some(tls) => tls.receive(self.socket.as_fd(), into)?,
        };
        self.to += count.unwrap_or(0);
        Ok(count)
    }

    /// Reads, from the buffer first, waiting for one byte; 0: the end.
    ///
    /// # Errors
    /// The connection's, the caller's, the limit's.
    pub fn read(&mut self, buf: &mut [u8], waiting: Waiting<'_>) -> Attempt<usize> {
        loop {
            if let Some(count) = self.try_read(buf)? {
                return Ok(count);
            }
            waiting.ready(&self.socket, Events::READ)?;
        }
    }

    /// Reads what is there, from the buffer first; 0: the end. `None`: nothing yet.
    ///
    /// # Errors
    /// The connection's.
    pub fn try_read(&mut self, buf: &mut [u8]) -> Attempt<Option<usize>> {
        if self.buffered().is_empty() && buf.len() < FIRST {
            match self.try_fill()? {
                Some(0) => return Ok(Some(0)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
        let buffered = self.buffered();
        if !buffered.is_empty() {
            let count = buffered.len().min(buf.len());
            buf[..count].copy_from_slice(&buffered[..count]);
            self.consume(count);
            return Ok(Some(count));
        }
        match &mut self.tls {
            None => Ok(socket::receive(&self.socket, buf)?),
            Some(tls) => tls.receive(self.socket.as_fd(), buf),
        }
    }

    /// Waits until the socket has something to read.
    ///
    /// # Errors
    /// The caller's, the limit's.
    pub fn await_answer(&self, waiting: Waiting<'_>) -> Attempt<()> {
        let has_more = self.tls.as_ref().is_some_and(|tls| tls.has_plain());
        if self.buffered().is_empty() && !has_more {
            waiting.ready(&self.socket, Events::READ)?;
        }
        Ok(())
    }

    /// Sends what fits now. `None`: nothing does.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn try_send(&mut self, pieces: &[IoSlice<'_>]) -> Attempt<Option<usize>> {
        match &mut self.tls {
            None => Ok(socket::send(&self.socket, pieces)?),
            Some(tls) => {
                let first = pieces.iter().find(|piece| !piece.is_empty());
                tls.send(self.socket.as_fd(), first.map_or(&[], |piece| piece))
            }
        }
    }

    /// Sends what was taken before and kept; false: the socket must become writable.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn flush(&mut self) -> Attempt<bool> {
        match &mut self.tls {
            None => Ok(true),
            Some(tls) => tls.flush(self.socket.as_fd()),
        }
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// The connection's, the caller's, the limit's.
    pub fn send_all(&mut self, mut bytes: &[u8], waiting: Waiting<'_>) -> Attempt<()> {
        while !bytes.is_empty() {
            match self.try_send(&[IoSlice::new(bytes)])? {
                Some(count) => bytes = &bytes[count..],
                None => drop(waiting.ready(&self.socket, Events::WRITE)?),
            }
        }
        while !self.flush()? {
            waiting.ready(&self.socket, Events::WRITE)?;
        }
        Ok(())
    }

    /// Waits until the socket is ready.
    ///
    /// # Errors
    /// The caller's, the limit's.
    pub fn ready(&self, events: Events, waiting: Waiting<'_>) -> Attempt<Events> {
        waiting.ready(&self.socket, events)
    }

    /// Waits until the socket is ready, at most so long; nothing: that is over.
    ///
    /// # Errors
    /// The caller's, the limit's.
    pub fn ready_within(&self, events: Events, waiting: Waiting<'_>, limit: Duration) -> Attempt<Events> {
        waiting.ready_within(&self.socket, events, limit)
    }

    /// Whether nothing has come that nobody asked for, and the other side is still there.
    pub fn is_silent(&self) -> bool {
        self.buffered().is_empty()
            && !self.tls.as_ref().is_some_and(|tls| tls.has_plain())
            && socket::is_silent(&self.socket)
    }

    /// Refuses bytes that have come though nothing more was to come: a length that lied.
    ///
    /// # Errors
    /// EPROTO: there are some.
    pub fn refuse_more(&mut self) -> Attempt<()> {
        // What has come is looked at, nothing is waited for, and that the other side is gone does not matter now.
        let more = self.buffered().len().max(self.try_fill().ok().flatten().unwrap_or(0));
        if more == 0 {
            return Ok(());
        }
        Err(Failure::new(Code::EPROTO, "bytes follow the end of the answer: its length is wrong"))
    }
}
