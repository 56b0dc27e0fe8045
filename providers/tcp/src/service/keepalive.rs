//! Signs of life on a pipe: given as often as the peer asks for them, and missed where this side has a limit; and a broker's, which
//! is asked for them. The kernel of a peer's machine answers for a process that is stopped; this thread does not.

use super::{Service, Source, Timer};
use crate::link::Link;
use crate::outgoing::Outgoing;
use crate::upstream::Upstream;
use netpipe::hello::FEATURE_ALIVE;
use netpipe::{Established, Message};
use std::sync::Weak;
use std::time::{Duration, Instant};

/// Signs of life that must be missed before a peer is given up, so that one that is late is not.
const SIGNS: u32 = 4;
/// However often a peer asks for signs of life, it gets no more of them.
const LEAST: Duration = Duration::from_millis(100);

/// How often a side with this limit wants a sign of life, in the protocol's milliseconds.
pub fn alive(limit: Option<Duration>) -> Option<u32> {
    limit.map(|limit| u32::try_from((limit / SIGNS).as_millis()).unwrap_or(u32::MAX))
}

/// One end of a pipe, as long as it is in use.
#[derive(Debug)]
pub enum Watched {
    Reader(Weak<Upstream>),
    Writer(Weak<Outgoing>),
}

/// What is done for a connection from time to time.
#[derive(Debug)]
pub struct Keepalive {
    watched: Watched,
    every: Duration,
    /// The peer asked for signs of life.
    gives: bool,
    /// How long it may send nothing.
    limit: Option<Duration>,
}

/// What a connection's two ends agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    asked: Option<Duration>,
    pub limit: Option<Duration>,
}

impl Terms {
    /// Of a handshake; `limit` is this side's.
    pub fn new(established: &Established, limit: Option<Duration>) -> Terms {
        let in_use = established.features & FEATURE_ALIVE != 0;
        let asked = established.peer.alive.filter(|alive| in_use && *alive > 0);
        Terms {
            asked: asked.map(|alive| Duration::from_millis(alive.into()).max(LEAST)),
            limit: limit.filter(|_| in_use),
        }
    }
}

impl Service {
    /// Keeps watch over a connection, if either side wants that.
    pub(super) fn keep_alive(&mut self, watched: Watched, terms: Terms) {
        let Terms { asked, limit } = terms;
        let looks = limit.map(|limit| limit / SIGNS);
        let Some(every) = [asked, looks].into_iter().flatten().min() else { return };
        let keepalive = Keepalive { watched, every, gives: asked.is_some(), limit };
        self.reactor.at(Instant::now() + every, Timer::Keepalive(keepalive));
    }

    /// Gives a sign of life, and looks for the peer's.
    pub(super) fn keepalive(&mut self, keepalive: Keepalive) {
        let goes_on = match &keepalive.watched {
            Watched::Reader(upstream) => upstream.upgrade().is_some_and(|upstream| {
                let is_over = !upstream.say_alive(keepalive.gives);
                !is_over && keepalive.hears(upstream.silence(), &upstream.link, || upstream.miss())
            }),
            Watched::Writer(outgoing) => outgoing.upgrade().is_some_and(|outgoing| {
                let is_over = keepalive.limit.is_none() && outgoing.is_finished();
                if keepalive.gives {
                    outgoing.say_alive();
                }
                !is_over && keepalive.hears(outgoing.silence(), &outgoing.link, || outgoing.miss())
            }),
        };
        if goes_on {
            self.reactor.at(Instant::now() + keepalive.every, Timer::Keepalive(keepalive));
        }
    }
}

impl Service {
    /// Keeps watch over a connection to a broker.
    pub(super) fn watch_broker(&mut self, key: u64) {
        self.reactor.at(Instant::now() + self.broker_limit() / SIGNS, Timer::Ping(key));
    }

    /// Asks a broker for a sign of life, or gives it up. What counts is how often it was asked in vain: a clock would count the time
    /// as well for which this process was stopped.
    pub(super) fn ping_broker(&mut self, key: u64) {
        let Some(Source::Broker(connection)) = self.sources.get_mut(&key) else { return };
        connection.unanswered += 1;
        if connection.unanswered < SIGNS {
            self.tell(key, &Message::Ping);
            self.watch_broker(key);
        } else {
            self.broker_silent(key, self.broker_limit());
        }
    }

    fn broker_limit(&self) -> Duration {
        self.config.silence.unwrap_or(self.config.peer_timeout)
    }
}

impl Keepalive {
    /// Gives a peer up that has been silent for too long: whoever waits for it wakes up. What lies in the kernel, unread, is a sign
    /// of life too: it is this side that has not looked.
    fn hears(&self, silence: Duration, link: &Link, miss: impl Fn()) -> bool {
        let is_silent = self.limit.is_some_and(|limit| silence >= limit) && !link.has_arrived();
        if is_silent {
            miss();
            link.cut();
        }
        !is_silent
    }
}
