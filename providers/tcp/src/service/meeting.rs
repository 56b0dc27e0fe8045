//! Where the two sides of a handshake meet, if they are on one host: within it, so that it is known before the first payload.

use super::handshake::PendingPeer;
use super::way::Way;
use super::{Service, Source, Timer};
use netpipe::Progress;
use netpipe::same_host::Meeting;
use std::time::{Duration, Instant};

/// How long a dialler waits for the acceptor, which is at the place before anybody can come.
const LIMIT: Duration = Duration::from_millis(50);

impl Service {
    /// Sets out for the place, or waits there.
    pub(super) fn set_out(&mut self, key: u64, peer: &mut PendingPeer, meeting: Box<Meeting>) {
        let Some(place) = &self.config.same_host else { return };
        let way = Way::new(place, meeting, peer.has_dialled(), &self.reactor, key);
        if way.is_there() {
            self.reactor.at(Instant::now() + LIMIT, Timer::Meeting(key));
        }
        peer.way = Some(way);
    }

    /// Goes on as far as the other side has come. What comes of it is a dialler's to say, once: the handshake is complete with it.
    pub(super) fn walk_on(&self, key: u64, peer: &mut PendingPeer) -> Option<Progress> {
        let mut way = peer.way.take()?;
        let outcome = way.go_on(&self.reactor, key, peer.as_fd());
        peer.way = Some(way);
        let outcome = outcome.filter(|_| peer.has_dialled())?;
        peer.handshake_mut()?.met(outcome).ok()
    }

    /// A dialler has waited for long enough: the connection carries everything.
    pub(super) fn meeting_timed_out(&mut self, key: u64) {
        let Some(Source::Pending(mut peer)) = self.sources.remove(&key) else { return };
        if let Some(way) = &mut peer.way {
            way.give_up();
        }
        if let Some(peer) = self.shake_hands(key, *peer) {
            self.sources.insert(key, Source::Pending(Box::new(peer)));
        }
    }
}
