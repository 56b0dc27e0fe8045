//! Last frames on their way: a connection that is closed with unread bytes would take them with it.

use super::{Service, Source, Timer};
use crate::lane::Lane;
use crate::link::{Link, Received};
use crate::outgoing::Outgoing;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a peer may take to close its side.
const PARTING: Duration = Duration::from_secs(5);

/// A connection that nobody uses any more.
#[derive(Debug)]
pub struct Parting {
    end: End,
    ended: bool,
}

#[derive(Debug)]
enum End {
    Reader(Arc<Lane>),
    Writer(Arc<Outgoing>),
}

impl Parting {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.link().as_fd()
    }

    fn link(&self) -> &Link {
        match &self.end {
            End::Reader(lane) => &lane.link,
            End::Writer(outgoing) => &outgoing.link,
        }
    }

    /// Sends what is left, and then that this is all.
    fn flush(&mut self) {
        let sent = match &self.end {
            End::Reader(lane) => lane.report().unwrap_or(true),
            End::Writer(outgoing) => outgoing.push_for_file().unwrap_or(true),
        };
        if sent && !self.ended {
            self.ended = true;
            self.link().end();
        }
    }

    /// Throws away what the peer still sends; false: it has closed its side.
    fn drain(&self) -> bool {
        let mut bytes = [0; 16 << 10];
        // A bounded round: others wait too.
        for _ in 0..16 {
            match self.link().receive(&mut bytes, &mut []) {
                Ok(Received::Bytes(_)) => {}
                Ok(Received::Nothing) => return true,
                Ok(Received::End) | Err(_) => return false,
            }
        }
        true
    }
}

impl Service {
    /// Sees out a reader's connection.
    pub(super) fn see_out_lane(&mut self, lane: Arc<Lane>) {
        self.part(End::Reader(lane));
    }

    /// Breaks a writer's connection: its reader gets what was sent, and then no END.
    pub(super) fn break_off(&mut self, outgoing: Arc<Outgoing>, feedback: Option<u64>) {
        if let Some(key) = feedback {
            self.sources.remove(&key);
            self.reactor.forget(&outgoing.link);
        }
        self.part(End::Writer(outgoing));
    }

    fn part(&mut self, end: End) {
        let mut parting = Parting { end, ended: false };
        parting.flush();
        let writes = !parting.ended;
        if let Some(key) = self.keep(Source::Parting(parting), true, writes) {
            self.reactor.at(Instant::now() + PARTING, Timer::Expire(key));
        }
    }

    /// Leaves the connections that nobody uses to the kernel. What came meanwhile is thrown away first: a close over unread bytes
    /// would be a reset, which may overtake the last frame.
    pub(super) fn part_at_once(&mut self) {
        for source in self.sources.values() {
            if let Source::Parting(parting) = source {
                parting.drain();
            }
        }
    }

    /// Goes on with a connection that nobody uses any more.
    pub(super) fn see_out(&mut self, key: u64, mut parting: Parting) -> Option<Parting> {
        if !parting.ended {
            parting.flush();
            if parting.ended {
                self.reactor.change(parting.link(), key, true, false);
            }
        }
        if parting.drain() {
            return Some(parting);
        }
        self.reactor.forget(parting.link());
        None
    }
}
