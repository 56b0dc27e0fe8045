//! The way of two ends to where they meet on one host: once their pipe has carried so much that it pays, and while it goes on.

use crate::link::Shared;
use netpipe::same_host::{Meeting, Offer, Place, Step, Venue};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A frame counts as at least so many bytes: what it costs beside what is in it.
const FRAME_LEAST: u64 = 16 << 10;
/// Whether the reader has come is asked after 1, 2, 4, ... frames, and once so many bytes more were sent.
const STRETCH: u64 = 128 << 10;

/// Where the two ends of a connection meet.
#[derive(Debug)]
pub struct Way {
    pub place: Place,
    /// What the pipe carries before its writer sets out, in bytes.
    pub after: u64,
    pub meeting: Box<Meeting>,
}

/// How far a writer has come.
#[derive(Debug, Default)]
pub enum Leaving {
    /// It has not set out: so many frames were sent.
    Stays(Way, u64),
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
    frames: u32,
    asked_at: u64,
}

impl Leaving {
    /// Begins where the two may meet.
    pub fn new(way: Way) -> Leaving {
        Leaving::Stays(way, 0)
    }

    /// Before a frame, where `sent` bytes were sent, of which `taken` were taken: a step, if that is one to tell the reader of; with the
    /// memory that everything goes through after that.
    pub fn go_on(
        &mut self,
        sent: u64,
        taken: u64,
        connection: BorrowedFd<'_>,
    ) -> Option<(Step, Option<Box<Shared>>)> {
        match self {
            Leaving::Over => None,
            Leaving::Stays(way, frames) if sent.max(*frames * FRAME_LEAST) < way.after => {
                *frames += 1;
                None
            }
            Leaving::Stays(..) => {
                let Leaving::Stays(way, _) = std::mem::take(self) else { return None };
                // Where it cannot wait it goes on over the connection.
                let venue = way.place.listen(&way.meeting).and_then(if_spare).ok()?;
                let waiting = Waiting { way, venue, guest: None, told_at: sent, frames: 0, asked_at: sent };
                *self = Leaving::Waits(Box::new(waiting));
                Some((Step::Waits, None))
            }
            Leaving::Waits(waiting) => {
                // The reader comes before it takes what was sent after it was told, or never.
                let late = taken > waiting.told_at;
                let shared = waiting.ask(sent, late, connection);
                if shared.is_some() || late {
                    *self = Leaving::Over;
                }
                shared.map(|shared| (Step::Leaves, Some(shared)))
            }
        }
    }
}

impl Waiting {
    /// Asks, now and then, whether the reader has come.
    fn ask(&mut self, sent: u64, last: bool, connection: BorrowedFd<'_>) -> Option<Box<Shared>> {
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
            match self.greet(guest, connection) {
                Ok(shared) => return shared,
                // Whoever errs is sent away.
                Err(_) => continue,
            }
        }
    }

    /// Looks at who came, and shows it what this side brings, once nothing can fail any more.
    fn greet(&mut self, guest: OwnedFd, connection: BorrowedFd<'_>) -> Result<Option<Box<Shared>>, Errno> {
        let meeting = &self.way.meeting;
        let Some(theirs) = meeting.receive(&guest)? else {
            self.guest = Some(guest);
            return Ok(None);
        };
        let made = Offer::new(meeting).and_then(|offer| offer.join(theirs));
        let (ring, ours) = made.map_err(|_| Errno::NOMEM)?;
        let shared = Shared::new(ring, guest, connection)?;
        meeting.send(shared.socket(), ours.as_fd())?;
        Ok(Some(Box::new(shared)))
    }
}

/// A reader that has come to where its writer waits.
#[derive(Debug)]
pub struct Arriving {
    socket: OwnedFd,
    offer: Offer,
}

impl Arriving {
    /// Goes there, and shows what this side brings. `None`: nobody is there, or this side cannot.
    pub fn new(way: &Way) -> Option<Arriving> {
        let socket = way.place.connect(&way.meeting).and_then(if_spare).ok()?;
        let offer = Offer::new(&way.meeting).ok()?;
        way.meeting.send(&socket, offer.file()).ok()?;
        Some(Arriving { socket, offer })
    }

    /// Goes on with the writer, which has shown what it brings before it said so.
    ///
    /// # Errors
    /// PROTO: it has not. EMFILE, ENFILE, ENOMEM.
    pub fn join(self, way: &Way, connection: BorrowedFd<'_>) -> Result<Box<Shared>, Errno> {
        let theirs = match way.meeting.receive(&self.socket) {
            Ok(Some(theirs)) => theirs,
            // What it has shown is none of this meeting.
            Ok(None) | Err(_) => return Err(Errno::PROTO),
        };
        let (ring, _) = self.offer.join(theirs).map_err(|_| Errno::PROTO)?;
        Shared::new(ring, self.socket, connection).map(Box::new)
    }
}

/// A new descriptor, unless half of the process's limit is in use: two more at each end of a pipe are not to be what a host of many
/// pipes lacks later.
fn if_spare<F: AsFd>(new: F) -> Result<F, Errno> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The kernel gives the lowest number that is free.
    if (new.as_fd().as_raw_fd() as u64) < limit / 2 { Ok(new) } else { Err(Errno::MFILE) }
}
