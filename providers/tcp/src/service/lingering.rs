//! Last frames on their way: a connection that is closed with unread bytes would take them with it.

use super::{Service, Source, Timer};
use crate::link::Link;
use crate::outgoing::Outgoing;
use crate::upstream::Upstream;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a peer may take to close its side.
const LINGER: Duration = Duration::from_secs(5);

/// A connection that nobody uses any more.
#[derive(Debug)]
pub struct Lingering {
    end: End,
    ended: bool,
}

#[derive(Debug)]
enum End {
    Reader(Arc<Upstream>),
    Writer(Arc<Outgoing>),
}

impl Lingering {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.link().connection()
    }

    fn link(&self) -> &Link {
        match &self.end {
            End::Reader(upstream) => &upstream.link,
            End::Writer(outgoing) => &outgoing.link,
        }
    }

    /// Sends what is left, and then that this is all.
    fn flush(&mut self) {
        let sent = match &self.end {
            End::Reader(upstream) => upstream.report().unwrap_or(true),
            End::Writer(outgoing) => outgoing.push_for_file().unwrap_or(true),
        };
        if sent && !self.ended {
            self.ended = true;
            self.link().end();
        }
    }

    /// Throws away what the peer still sends; false: it has closed its side.
    fn drain(&self) -> bool {
        self.link().drain()
    }
}

impl Service {
    /// Sees out a reader's connection.
    pub(super) fn linger_upstream(&mut self, upstream: Arc<Upstream>) {
        self.linger(End::Reader(upstream));
    }

    /// Breaks a writer's connection: its reader gets what was sent, and then no END.
    pub(super) fn break_off(&mut self, outgoing: Arc<Outgoing>, feedback: Option<u64>) {
        if let Some(key) = feedback {
            self.sources.remove(&key);
            self.reactor.forget(&outgoing.link);
        }
        self.linger(End::Writer(outgoing));
    }

    fn linger(&mut self, end: End) {
        let mut lingering = Lingering { end, ended: false };
        lingering.flush();
        let writes = !lingering.ended;
        let shared = lingering.link().is_shared();
        if let Some(key) = self.keep(Source::Lingering(lingering), true, writes && !shared) {
            if let Some(Source::Lingering(lingering)) = self.sources.get(&key)
                && writes
                && shared
            {
                self.reactor.watch_once(lingering.link().writable().0, key, false);
            }
            self.reactor.at(Instant::now() + LINGER, Timer::Expire(key));
        }
    }

    /// Leaves the connections that nobody uses to the kernel. What came meanwhile is thrown away first: a close over unread bytes
    /// would be a reset, which may overtake the last frame.
    pub(super) fn drain_all(&mut self) {
        for source in self.sources.values() {
            if let Source::Lingering(lingering) = source {
                lingering.drain();
            }
        }
    }

    /// Goes on with a connection that nobody uses any more.
    pub(super) fn drain(&mut self, key: u64, mut lingering: Lingering) -> Option<Lingering> {
        if !lingering.ended {
            lingering.flush();
            match lingering.ended {
                true => self.reactor.change(lingering.as_fd(), key, true, false),
                false if lingering.link().is_shared() => {
                    self.reactor.watch_once(lingering.link().writable().0, key, false);
                }
                false => {}
            }
        }
        if lingering.drain() {
            return Some(lingering);
        }
        self.reactor.forget(lingering.as_fd());
        None
    }
}
