//! One connection: its stage, what waits to be sent, and its place in the event queue.

use super::queue::Watched;
use super::relay::abort;
use crate::Token;
use crate::handshake::Handshake;
use crate::message::{Decoder, Message};
use rustix::event::epoll::EventFlags;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

/// What may still arrive from a peer that was told to go, before it is cut off.
const DRAIN_MAX: usize = 64 * 1024;

/// A connection that is not joined with another.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// The address at which the peer reached the broker.
    pub(super) local: IpAddr,
    pub(super) stage: Stage,
    /// When it came.
    pub(super) since: Instant,
    /// What the event queue was told to wait for.
    pub(super) watched: Watched,
    output: Vec<u8>,
    sent: usize,
}

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The handshake is not complete.
    Handshake(Box<Handshake>),
    /// It carries registrations; `pinged`: a PONG is awaited; `asks`: STATUS is in use.
    Instance { decoder: Decoder, pinged: bool, asks: bool },
    /// It waits to be joined; `early` came with the end of its handshake.
    Waiting { token: Token, early: Vec<u8> },
    /// It gets its last words. What still comes is thrown away: to close over unread bytes would take them back.
    Closing { shut: bool, thrown: usize, counted: bool },
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum Arrival {
    Bytes(usize),
    Nothing,
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, stage: Stage, since: Instant) -> Self {
        // Only a connection that is gone has none; nobody will be told of it.
        let local = stream.local_addr().map_or(peer.ip(), |local| local.ip());
        Self { stream, peer, local, stage, since, watched: None, output: Vec::new(), sent: 0 }
    }

    /// The address that limits count by.
    pub(super) fn ip(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Whether it counts for the limits; those turned away over a limit don't.
    pub(super) fn is_counted(&self) -> bool {
        !matches!(self.stage, Stage::Closing { counted: false, .. })
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> EventFlags {
        let mut flags = match self.stage {
            // Its bytes belong to the peer it waits for; but it may leave.
            Stage::Waiting { .. } => EventFlags::RDHUP,
            _ => EventFlags::IN,
        };
        if self.unsent() > 0 {
            flags |= EventFlags::OUT;
        }
        flags
    }

    /// Tells how many bytes wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Takes what waits to be sent.
    pub(super) fn take_unsent(&mut self) -> Vec<u8> {
        let rest = self.output.split_off(self.sent);
        self.output.clear();
        self.sent = 0;
        rest
    }

    /// Queues bytes to send.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
        self.output.extend_from_slice(bytes);
    }

    /// Queues a frame, and returns whether no more than `limit` bytes then wait although the peer could take some.
    pub(super) fn tell(&mut self, message: &Message, limit: usize) -> io::Result<bool> {
        self.push(&message.to_bytes());
        if self.unsent() > limit {
            self.flush()?;
        }
        Ok(self.unsent() <= limit)
    }

    /// Sends what the peer takes now. A peer that is told to go gets an end once it has its last words.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.unsent() > 0 {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A peer that takes a little now and then must not keep what it has.
                    self.output.drain(..self.sent);
                    self.sent = 0;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if let Stage::Closing { shut: shut @ false, .. } = &mut self.stage {
            *shut = true;
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Reads what is there, up to the buffer's size.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<Arrival> {
        loop {
            return match self.stream.read(buf) {
                Ok(0) => Ok(Arrival::End),
                Ok(count) => Ok(Arrival::Bytes(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Arrival::Nothing),
                Err(error) => Err(error),
            };
        }
    }

    /// Counts bytes thrown away, and returns whether the peer may go on.
    pub(super) fn throw(&mut self, count: usize) -> bool {
        match &mut self.stage {
            Stage::Closing { thrown, .. } => {
                *thrown += count;
                *thrown <= DRAIN_MAX
            }
            _ => false,
        }
    }

    /// Goes on to the last stage.
    pub(super) fn dismiss(&mut self) {
        self.stage = Stage::Closing { shut: false, thrown: 0, counted: self.is_counted() };
    }

    /// Makes the coming close a reset.
    pub(super) fn abort(&self) {
        abort(&self.stream);
    }
}
