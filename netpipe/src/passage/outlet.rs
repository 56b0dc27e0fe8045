//! The writer's end of the memory through which the rest of a pipe goes: what it was told is in the ring whole, or not at all.

use crate::error::{Error, Reason, Result, code};
use crate::frame::{ATOMIC, HEADER, Header};
use crate::message::Message;
use crate::same_host::{Bell, Consumer, Guest, Heard, Producer, Ring};
use parking_lot::Mutex;
use rustix::io::Errno;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
use vfs_core::Spin;

/// How long to wait for the other end's count, where a cancel does not end the wait.
const MOMENT: Duration = Duration::from_millis(5);
/// Room that payload leaves in a ring, so that last words never wait: for DISCARD with the longest text, or DIGEST and END.
const LAST: usize = HEADER + 4 + Reason::TEXT_MAX;

/// What one end has of the ring; only its file's thread takes the lock, and one that stops the pipe.
pub(super) struct End<R> {
    pub ring: R,
    pub spin: Spin,
}

/// A writer that has left the network.
pub struct Outlet {
    end: Arc<Mutex<End<Producer>>>,
    bell: Bell,
    /// Of payload.
    written: u64,
    /// The bytes of last words, which a reader need not look for.
    last: usize,
    /// The room that was missing last.
    wants: usize,
    /// Some of that is the network's to make.
    held_up: bool,
    /// It waits: what comes by the bell is to be heard.
    expects: bool,
    watched: bool,
    lost: bool,
}

impl Outlet {
    /// Welcomes a reader to where this side waits. `from`: the payload bytes that went before.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn new(mut guest: Guest<'_>, from: u64) -> Result<Outlet, Errno> {
        if let Ring::Producer(ring) = &mut guest.ring {
            ring.begin_at(from);
        }
        let (Ring::Producer(ring), socket) = guest.welcome()? else { return Err(Errno::PROTO) };
        Ok(Outlet {
            end: Arc::new(Mutex::new(End { ring, spin: Spin::default() })),
            bell: Bell::new(socket),
            written: 0,
            last: 0,
            wants: 1,
            held_up: false,
            expects: false,
            watched: false,
            lost: false,
        })
    }

    /// The payload bytes that went this way.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes what there is room for: up to 64 KiB whole, or not now (`None`). `beside`: so many bytes are still on their way through the
    /// network; the two together stay within the ring's size.
    ///
    /// # Errors
    /// ECONNRESET: the reader lies.
    pub fn write(&mut self, bytes: &[u8], beside: u64) -> Result<Option<usize>, Reason> {
        let beside = usize::try_from(beside).unwrap_or(usize::MAX);
        let mut end = self.end.lock();
        let mut done = 0;
        while done < bytes.len() {
            let payload = &bytes[done..bytes.len().min(done + ATOMIC)];
            let needed = (HEADER + payload.len() + LAST).saturating_add(beside);
            if end.ring.room().map_err(broke)? < needed {
                (self.wants, self.held_up) = (needed, beside > 0);
                break;
            }
            let header = Header::data(payload, false).encode();
            end.ring.put([&header, payload]).map_err(broke)?;
            if end.ring.wake() {
                self.bell.ring();
            }
            done += payload.len();
            self.expects = false;
        }
        self.written += done as u64;
        Ok((done > 0).then_some(done))
    }

    /// Says last words: DIGEST and END, or DISCARD. There is room for them, once.
    ///
    /// # Errors
    /// ECONNRESET: the reader lies.
    pub fn say(&mut self, words: &[Message]) -> Result<(), Reason> {
        let bytes: Vec<u8> = words.iter().flat_map(Message::to_bytes).collect();
        let mut end = self.end.lock();
        end.ring.put([&bytes, &[]]).map_err(broke)?;
        self.last = bytes.len();
        if end.ring.wake() {
            self.bell.ring();
        }
        Ok(())
    }

    /// Whether the reader has taken all of it; it need not have looked for the last words.
    ///
    /// # Errors
    /// ECONNRESET: the reader lies.
    pub fn is_taken(&mut self) -> Result<bool, Reason> {
        let mut end = self.end.lock();
        let all = end.ring.size() - self.last;
        let is_taken = end.ring.room().map_err(broke)? >= all;
        if !is_taken {
            (self.wants, self.held_up) = (all, false);
        }
        Ok(is_taken)
    }

    /// Hears whether the reader is still there, where this side waits for it; false: it is gone.
    ///
    /// # Errors
    /// ECONNRESET: it rings for nothing.
    pub fn hear(&mut self) -> Result<bool, Reason> {
        if self.expects && !self.lost {
            let mut end = self.end.lock();
            self.lost = self.bell.hear(|| end.ring.rang()).map_err(|_| rang())? == Heard::End;
        }
        Ok(!self.lost)
    }

    /// A moment's wait for what was missing, without the pipe's lock; `None`: others are waited for.
    pub fn moment(&self) -> Option<Moment> {
        (!self.held_up && !self.lost).then(|| Moment(Waits::Writer(self.end.clone(), self.wants)))
    }

    /// Says that this side waits: it is to be rung. Look once more. `watch` is given the bell until it
    /// says that this will wake this side.
    pub fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        self.end.lock().ring.sleep_for(self.wants);
        self.expects = true;
        self.watched = self.watched || watch(self.bell.as_fd());
    }
}

/// A moment's wait for the other end's count.
pub struct Moment(pub(super) Waits);

pub(super) enum Waits {
    Writer(Arc<Mutex<End<Producer>>>, usize),
    Reader(Arc<Mutex<End<Consumer>>>),
}

impl Moment {
    /// Waits. An end that lies is found out by who looks then.
    pub fn pass(self) {
        match self.0 {
            Waits::Writer(end, room) => {
                let End { ring, spin } = &mut *end.lock();
                let lacks = |ring: &mut Producer| ring.room().is_ok_and(|there| there < room);
                if spin.ask(|| (!lacks(ring)).then_some(())).is_none() {
                    let _ = ring.doze_for(room, MOMENT);
                }
            }
            Waits::Reader(end) => {
                let End { ring, spin } = &mut *end.lock();
                if spin.ask(|| (ring.there() != Ok(0)).then_some(())).is_none() {
                    let _ = ring.doze(MOMENT);
                }
            }
        }
    }
}

/// The other end broke the rules of the memory: nobody is told, for that is no way to tell it.
pub(super) fn broke(error: Error) -> Reason {
    Reason::new(
        code::ECONNRESET,
        &format!("the other end broke the rules of the memory that both share: {error}"),
    )
}

/// It did so with its bell.
pub(super) fn rang() -> Reason {
    broke(Error::protocol("it rings for nothing"))
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outlet({} bytes written)", self.written)
    }
}
