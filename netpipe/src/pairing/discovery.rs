//! Brokers of the local network: whoever waits at one for long looks whether another's name comes first. So both ends of a pipe come
//! to the same one, whichever was there when they began.

use super::dial::{Dial, Target};
use super::{Action, Pairing, Timer};
use crate::endpoint::{BrokerAt, Endpoint};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Pauses before a pipe that waits has the network asked again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

impl Pairing {
    /// Has a pipe doubt its broker once it has waited for some time.
    pub(super) fn doubt_later(&mut self, now: Instant, id: u64) {
        if let Some(pipe) = self.pipes.get_mut(&id)
            && pipe.doubt.is_none()
        {
            pipe.doubt = Some(PAUSES.0);
            self.set_timer(now + PAUSES.0, Timer::Doubt(id));
        }
    }

    /// A pipe has waited: the network is asked again, once for all that wait.
    pub(super) fn doubt(&mut self, now: Instant, id: u64) {
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_looking()) else { return };
        let pause = pipe.doubt.map_or(PAUSES.0, |pause| (pause * 2).min(PAUSES.1));
        pipe.doubt = Some(pause);
        self.set_timer(now + pause, Timer::Doubt(id));
        if let Some(broker) = self.brokers.get_mut(&BrokerAt::Discovered)
            && broker.connection().is_some()
            && !broker.is_doubted
        {
            broker.is_doubted = true;
            self.discover();
        }
    }

    /// Has the local network asked for brokers.
    pub(super) fn discover(&mut self) {
        let dial = self.attempt(Dial::new(Target::Broker(BrokerAt::Discovered), []));
        self.actions.push_back(Action::Discover(dial));
    }

    /// The addresses that come before that of the broker which is there; all if none is. One that the answer lacks, though it is
    /// there, has no place in the order, and is kept.
    pub(super) fn better(&self, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if let Some(current) =
            self.brokers.get(&BrokerAt::Discovered).filter(|broker| broker.connection().is_some())
        {
            let at = current.reached_at.as_ref().and_then(Endpoint::literal);
            found.truncate(found.iter().position(|address| Some(*address) == at).unwrap_or(0));
        }
        found
    }
}
