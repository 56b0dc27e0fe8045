//! Relays in the loop: joined by a token, watched at both ends, ended alike at both.

use super::{Service, words};
use crate::Name;
use crate::broker::Client;
use crate::broker::connection::Stage;
use crate::broker::queue::Watched;
use crate::broker::relay::{Flow, Relay, RelayState};
use crate::error::{Reason, code};
use crate::held::{Held, Place, State};
use rustix::event::epoll::EventFlags;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Marks the keys of relays in the event queue and among the deadlines; their lowest bit is the end.
const RELAY: u64 = 1 << 63;

/// A relay, and what the loop knows of it.
#[derive(Debug)]
pub(super) struct Joined {
    relay: Relay,
    since: Instant,
    name: Name,
    peers: [SocketAddr; 2],
    ips: [IpAddr; 2],
    watched: [Watched; 2],
    /// Both directions are shut at this end's socket, which the queue would report for ever.
    hung: [bool; 2],
}

impl Joined {
    /// What is told of it.
    pub(super) fn held(&self, now: Instant, place: Place) -> Held {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        let held = Held::new(place, State::Relay, &self.name, &self.peers, seconds);
        Held { bytes: self.relay.moved(), ..held }
    }
}

/// Whether a key is a relay's.
pub(super) fn is_relay(key: u64) -> bool {
    key & RELAY != 0
}

impl Service {
    /// Joins two connections that wait with the same token.
    pub(super) fn join(&mut self, keys: [Client; 2], name: Name) {
        let mut first = [Vec::new(), Vec::new()];
        for (end, key) in keys.iter().enumerate() {
            // The last bytes of a handshake go ahead of all others; a failure shows as the relay's.
            if let Some(connection) = self.connections.get_mut(key) {
                let _ = connection.flush();
                if let Stage::Waiting { early, .. } = &mut connection.stage {
                    first[end].append(early);
                }
                let rest = connection.take_unsent();
                first[1 - end].splice(..0, rest);
            }
        }
        let flows = Flow::new(&first[0]).and_then(|flow| Ok([flow, Flow::new(&first[1])?]));
        let (flows, ends) = match (flows, keys.map(|key| self.connections.contains_key(&key))) {
            (Ok(flows), [true, true]) => (flows, keys.map(|key| self.connections.remove(&key))),
            (flows, _) => {
                let error = flows.err();
                // What the system does not give (EMFILE, as a rule) is not there in a moment: no word to try again at once.
                let given = error.as_ref().and_then(io::Error::raw_os_error);
                let code = given.and_then(|errno| u32::try_from(errno).ok()).unwrap_or(code::EBUSY);
                let why = error.map_or("an end left".into(), |error| words(&error));
                self.log(&format!("refuse relay {:?}: {why}", name.as_str()));
                let text = format!("the broker cannot relay now: {why}");
                keys.into_iter().for_each(|key| self.dismiss(key, Some(Reason::new(code, &text))));
                return;
            }
        };
        let [Some(mut one), Some(mut two)] = ends else { return };
        for (connection, key) in [&mut one, &mut two].into_iter().zip(keys) {
            // It comes back with the relay's key; if it cannot leave the queue, its old key means nothing there.
            let _ = self.queue.watch(&connection.stream, key, &mut connection.watched, None);
        }
        keys.iter().for_each(|key| {
            self.deadlines.clear(key);
        });
        let peers = [one.peer, two.peer];
        let ips = [one.ip(), two.ip()];
        self.log(&format!("join {:?}: {} and {}", name.as_str(), peers[0], peers[1]));
        let relay = Relay::join([one.stream, two.stream], flows);
        let key = RELAY | (self.fresh() << 1);
        let joined =
            Joined { relay, since: self.now, name, peers, ips, watched: [None; 2], hung: [false; 2] };
        self.relays.insert(key, joined);
        self.advance_relay(key);
    }

    /// Acts on an event at one end.
    pub(super) fn relay_event(&mut self, key: u64, flags: EventFlags) {
        let (key, end) = (key & !1, (key & 1) as usize);
        let Some(joined) = self.relays.get_mut(&key) else { return };
        if flags.contains(EventFlags::ERR) {
            joined.relay.lose(end);
        }
        joined.hung[end] |= flags.contains(EventFlags::HUP);
        self.advance_relay(key);
    }

    /// Resets both ends of a relay.
    pub(super) fn abort_relay(&mut self, key: u64) {
        self.end_relay(key, false);
    }

    fn advance_relay(&mut self, key: u64) {
        let Some(joined) = self.relays.get_mut(&key) else { return };
        match joined.relay.advance() {
            RelayState::Finished => return self.end_relay(key, true),
            RelayState::Broken => return self.end_relay(key, false),
            RelayState::Running => {}
        }
        for end in 0..2 {
            let wanted = joined.relay.interest(end);
            // Without any interest an event queue still reports a reset: that is wanted, but not over and over.
            let idle = wanted.is_empty() && (joined.hung[end] || joined.relay.is_lost(end));
            let wanted = if idle { None } else { Some(wanted) };
            let source = joined.relay.stream(end);
            if self.queue.watch(source, key | end as u64, &mut joined.watched[end], wanted).is_err() {
                return self.end_relay(key, false);
            }
        }
        if joined.relay.has_lost_end() && !self.deadlines.has(&key) {
            self.deadlines.set(key, self.now + self.config.times.closing);
        }
    }

    fn end_relay(&mut self, key: u64, orderly: bool) {
        let Some(joined) = self.relays.remove(&key) else { return };
        self.deadlines.clear(&key);
        joined.ips.into_iter().for_each(|ip| self.admission.release(ip));
        let Joined { relay, name, peers: [one, two], .. } = joined;
        let [there, back] = relay.moved();
        let how = if orderly { "end" } else { "break" };
        self.log(&format!("{how} {:?}: {there} bytes from {one}, {back} bytes from {two}", name.as_str()));
        if !orderly {
            relay.abort();
        }
    }
}
