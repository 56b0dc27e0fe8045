//! The way of two ends to where they meet on one host: once their pipe has carried so much that it pays, and while it goes on.

use super::meeting::{Meeting, Step};
use super::rendezvous::{self, Offer, Place, Ring, Venue};
use super::ring;
use crate::values::Role;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use vfs_core::Memory;

/// A frame counts as at least so many bytes: what it costs beside what is in it.
const FRAME_LEAST: u64 = 16 << 10;
/// Whether the reader has come is asked after 1, 2, 4, ... frames, and once so many bytes more were sent.
const STRETCH: u64 = 128 << 10;
/// Where words are lost, a reader that has not come is told so often that its writer waits.
const TELLINGS: u32 = 3;

/// Where ends on one host meet, as the operator sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameHost {
    /// The place.
    pub place: Place,
    /// What a pipe carries before its writer sets out, in bytes.
    pub after: u64,
}

/// Where the two ends of one pipe meet.
#[derive(Debug)]
pub struct Way {
    /// For all pipes.
    pub at: SameHost,
    /// What these two know.
    pub meeting: Box<Meeting>,
}

/// How far a writer has come.
#[derive(Debug, Default)]
pub enum Leaving {
    /// It has not set out: so many frames were sent. It tells its reader so often.
    Stays(Way, u64, u32),
    /// It waits at the place.
    Waits(Box<Waiting>),
    /// It goes nowhere, or has gone.
    #[default]
    Over,
}

/// A writer that waits for its reader.
#[derive(Debug)]
pub struct Waiting {
    way: Way,
    venue: Venue,
    /// Who came last.
    guest: Option<OwnedFd>,
    /// What was sent before the reader was told.
    told_at: u64,
    /// How often it may be told again.
    again: u32,
    frames: u32,
    asked_at: u64,
}

impl Leaving {
    /// Begins where the two may meet.
    pub fn new(way: Way) -> Leaving {
        Leaving::Stays(way, 0, 1)
    }

    /// The same, where what the reader is told may be lost.
    pub fn where_words_are_lost(way: Way) -> Leaving {
        Leaving::Stays(way, 0, TELLINGS)
    }

    /// Whether it goes nowhere, or has gone.
    #[inline]
    pub fn is_over(&self) -> bool {
        matches!(self, Leaving::Over)
    }

    /// Before a frame, where `sent` bytes were sent, of which `taken` were taken: a step, if that is one to tell the reader of; with what
    /// `greet` makes of the reader, which shows it this side's memory once nothing can fail any more.
    pub fn go_on<T>(
        &mut self,
        sent: u64,
        taken: u64,
        greet: impl FnMut(Guest<'_>) -> Result<T, Errno>,
    ) -> Option<(Step, Option<T>)> {
        match self {
            Leaving::Over => None,
            Leaving::Stays(way, frames, _) if sent.max(*frames * FRAME_LEAST) < way.at.after => {
                *frames += 1;
                None
            }
            Leaving::Stays(..) => {
                let Leaving::Stays(way, _, tellings) = std::mem::take(self) else { return None };
                // Where it cannot wait it goes on over the connection.
                let venue = way.at.place.listen(&way.meeting).and_then(if_spare).ok()?;
                let mut waiting =
                    Waiting { way, venue, guest: None, told_at: 0, again: tellings, frames: 0, asked_at: 0 };
                waiting.tell(sent);
                *self = Leaving::Waits(Box::new(waiting));
                Some((Step::Waits, None))
            }
            Leaving::Waits(waiting) => {
                // The reader comes before it takes what was sent after it was told, or never; or it was not told.
                let late = taken > waiting.told_at;
                let met = waiting.ask(sent, late, greet);
                if met.is_none() && late && waiting.again > 0 {
                    waiting.tell(sent);
                    return Some((Step::Waits, None));
                }
                if met.is_some() || late {
                    *self = Leaving::Over;
                }
                met.map(|met| (Step::Leaves, Some(met)))
            }
        }
    }
}

impl Waiting {
    /// Notes that the reader is told, where `sent` bytes were sent.
    fn tell(&mut self, sent: u64) {
        (self.told_at, self.asked_at, self.frames) = (sent, sent, 0);
        self.again -= 1;
    }

    /// Asks, now and then, whether the reader has come.
    fn ask<T>(
        &mut self,
        sent: u64,
        last: bool,
        mut greet: impl FnMut(Guest<'_>) -> Result<T, Errno>,
    ) -> Option<T> {
        self.frames = self.frames.wrapping_add(1);
        if !last && !self.frames.is_power_of_two() && sent - self.asked_at < STRETCH {
            return None;
        }
        self.asked_at = sent;
        loop {
            let guest = match self.guest.take() {
                Some(guest) => guest,
                None => self.venue.accept().ok()??,
            };
            let met = match self.look_at(guest) {
                Ok(None) => return None,
                Ok(Some(guest)) => greet(guest),
                Err(errno) => Err(errno),
            };
            // Whoever errs is sent away.
            if let Ok(met) = met {
                return Some(met);
            }
        }
    }

    /// Looks at who came; `None`: it has shown nothing yet.
    fn look_at(&mut self, socket: OwnedFd) -> Result<Option<Guest<'_>>, Errno> {
        let meeting = &self.way.meeting;
        let Some(theirs) = meeting.receive(&socket)? else {
            self.guest = Some(socket);
            return Ok(None);
        };
        let made = Offer::new(meeting).and_then(|offer| offer.join(theirs));
        let (ring, memory) = made.map_err(|_| Errno::NOMEM)?;
        Ok(Some(Guest { meeting, socket, ring, memory }))
    }
}

/// A reader that has come to where this side waits, and has shown what it brings.
#[derive(Debug)]
pub struct Guest<'a> {
    meeting: &'a Meeting,
    /// Where the two met.
    pub socket: OwnedFd,
    /// This side's end.
    pub ring: Ring,
    memory: OwnedFd,
}

impl Guest<'_> {
    /// Shows it this side's memory: then it has met this side.
    ///
    /// # Errors
    /// It is gone.
    pub fn welcome(self) -> Result<(Ring, OwnedFd), Errno> {
        self.meeting.send(&self.socket, self.memory.as_fd())?;
        Ok((self.ring, self.socket))
    }
}

/// A reader that has come to where its writer waits.
#[derive(Debug)]
pub struct Arriving {
    socket: OwnedFd,
    offer: Offer,
    /// As much memory as the writer's will take, and a descriptor: once the writer has shown its own, it is too late to lack either.
    kept: Option<(Memory, OwnedFd)>,
}

impl Arriving {
    /// Goes there, and shows what this side brings. `None`: nobody is there, or this side cannot.
    pub fn new(way: &Way) -> Option<Arriving> {
        let socket = way.at.place.connect(&way.meeting).and_then(if_spare).ok()?;
        let offer = Offer::new(&way.meeting).ok()?;
        let kept = ring::make(Role::Writer, ring::size(way.meeting.window)).ok()?;
        way.meeting.send(&socket, offer.file()).ok()?;
        Some(Arriving { socket, offer, kept: Some(kept) })
    }

    /// The socket where the writer shows what it brings.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes what the writer shows; `None`: nothing yet.
    ///
    /// # Errors
    /// It is gone, or what it shows is none of this meeting.
    pub fn look(&mut self, way: &Way) -> Result<Option<OwnedFd>, Errno> {
        if !rendezvous::is_shown(&self.socket)? {
            return Ok(None);
        }
        self.kept = None;
        way.meeting.receive(&self.socket)
    }

    /// Makes the ring of that.
    ///
    /// # Errors
    /// PROTO: it is no such memory.
    pub fn join(self, theirs: OwnedFd) -> Result<(Ring, OwnedFd), Errno> {
        let (ring, _) = self.offer.join(theirs).map_err(|_| Errno::PROTO)?;
        Ok((ring, self.socket))
    }
}

/// A new descriptor, unless half of the process's limit is in use: two more at each end of a pipe are not to be what a host of many
/// pipes lacks later.
fn if_spare<F: AsFd>(new: F) -> Result<F, Errno> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The kernel gives the lowest number that is free.
    if (new.as_fd().as_raw_fd() as u64) < limit / 2 { Ok(new) } else { Err(Errno::MFILE) }
}
