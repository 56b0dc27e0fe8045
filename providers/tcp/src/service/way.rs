//! One side's way to where two ends on one host meet.

use super::Timer;
use crate::link::Shared;
use crate::reactor::Reactor;
use netpipe::same_host::{Meeting, Offer, Outcome, Place, Ring, Venue};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How far one side has come.
#[derive(Debug)]
pub struct Way {
    meeting: Box<Meeting>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// A dialler is there, and has shown what it brings.
    There(OwnedFd, Offer),
    /// An acceptor waits.
    Waits(Venue),
    /// Somebody came.
    Greets(Venue, OwnedFd),
    /// The two have met.
    Met(Box<Shared>),
    /// They have not, and will not.
    Missed,
}

impl Way {
    /// Goes there, or waits there; each event of that has the key.
    pub fn new(place: &Place, meeting: Box<Meeting>, dials: bool, reactor: &Reactor<Timer>, key: u64) -> Way {
        let stage = match dials {
            true => dialled(place, &meeting).map(|(socket, offer)| Stage::There(socket, offer)),
            // Where it cannot wait nobody finds the place.
            false => place.listen(&meeting).and_then(if_spare).map(Stage::Waits),
        };
        let watched = match &stage {
            Ok(Stage::There(socket, _)) => reactor.watch(socket, key, true, false),
            Ok(Stage::Waits(venue)) => reactor.watch(venue, key, true, false),
            _ => Ok(()),
        };
        let stage = stage.ok().filter(|_| watched.is_ok()).unwrap_or(Stage::Missed);
        Way { meeting, stage }
    }

    /// Goes on as far as the other side has come: what a dialler can say of it then.
    pub fn go_on(
        &mut self,
        reactor: &Reactor<Timer>,
        key: u64,
        connection: BorrowedFd<'_>,
    ) -> Option<Outcome> {
        let meeting = &self.meeting;
        let stage = match std::mem::replace(&mut self.stage, Stage::Missed) {
            Stage::There(socket, offer) => match meeting.receive(&socket) {
                Ok(None) => Stage::There(socket, offer),
                Ok(Some(theirs)) => {
                    reactor.forget(&socket);
                    offer.join(theirs).map_or(Stage::Missed, |(ring, _)| met(ring, socket, connection))
                }
                Err(_) => Stage::Missed,
            },
            Stage::Waits(venue) => match venue.accept() {
                Ok(Some(socket)) if reactor.watch(&socket, key, true, false).is_ok() => {
                    Stage::Greets(venue, socket)
                }
                Ok(_) => Stage::Waits(venue),
                Err(_) => Stage::Missed,
            },
            stage => stage,
        };
        self.stage = match stage {
            Stage::Greets(venue, socket) => match greeted(meeting, &socket) {
                Ok(None) => Stage::Greets(venue, socket),
                Ok(Some(ring)) => {
                    reactor.forget(&socket);
                    met(ring, socket, connection)
                }
                // Whoever errs is sent away.
                Err(_) => Stage::Waits(venue),
            },
            stage => stage,
        };
        match self.stage {
            Stage::Met(_) => Some(Outcome::Met),
            Stage::Missed => Some(Outcome::Missed),
            _ => None,
        }
    }

    /// A dialler has waited for long enough.
    pub fn give_up(&mut self) {
        if self.is_there() {
            self.stage = Stage::Missed;
        }
    }

    /// Whether a dialler waits for the acceptor's answer: nothing comes on the connection meanwhile.
    pub fn is_there(&self) -> bool {
        matches!(self.stage, Stage::There(..))
    }

    /// Whether the two have met.
    pub fn has_met(&self) -> bool {
        matches!(self.stage, Stage::Met(_))
    }

    /// The memory of the two, once they have met.
    pub fn into_shared(self) -> Option<Box<Shared>> {
        match self.stage {
            Stage::Met(shared) => Some(shared),
            _ => None,
        }
    }
}

fn dialled(place: &Place, meeting: &Meeting) -> Result<(OwnedFd, Offer), Errno> {
    let socket = place.connect(meeting).and_then(if_spare)?;
    let offer = Offer::new(meeting).map_err(|_| Errno::NOMEM)?;
    meeting.send(&socket, offer.file())?;
    Ok((socket, offer))
}

/// A new descriptor, unless half of the process's limit is in use: two more at each end of a pipe are not to be what a host of many
/// pipes lacks later.
fn if_spare<F: AsFd>(new: F) -> Result<F, Errno> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The kernel gives the lowest number that is free.
    if (new.as_fd().as_raw_fd() as u64) < limit / 2 { Ok(new) } else { Err(Errno::MFILE) }
}

/// Looks at who came, and shows him what this side brings, once nothing can fail any more.
fn greeted(meeting: &Meeting, socket: impl AsFd) -> Result<Option<Ring>, Errno> {
    let Some(theirs) = meeting.receive(&socket)? else { return Ok(None) };
    let made = Offer::new(meeting).and_then(|offer| offer.join(theirs));
    let (ring, ours) = made.map_err(|_| Errno::NOMEM)?;
    meeting.send(socket, ours.as_fd())?;
    Ok(Some(ring))
}

fn met(ring: Ring, socket: OwnedFd, connection: BorrowedFd<'_>) -> Stage {
    match Shared::new(ring, socket, connection) {
        Ok(shared) => Stage::Met(Box::new(shared)),
        Err(_) => Stage::Missed,
    }
}
