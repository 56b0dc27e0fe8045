//! Connections to be made: address after address.

use super::{Action, Disposition, Failure, Pairing, Timer};
use crate::endpoint::{BrokerAt, Endpoint};
use crate::error::{Error, code};
use crate::handshake::{Established, TIMEOUT};
use crate::hello::Hello;
use crate::values::{Role, Token};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The pause before an introduced peer that went is dialled again.
const AGAIN: Duration = Duration::from_millis(100);

/// Why no broker of the local network is there.
pub(super) const NONE_YET: &str = "none has announced itself yet";

/// What a connection is wanted for.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// None: this pipe listens, at an address that may have to be looked up.
    Listener(u64),
    /// The other end of a direct pipe.
    Peer(u64),
    /// The reader of this writer, which a broker named.
    Introduced(u64, Token),
    /// A broker.
    Broker(BrokerAt),
    /// A broker that is to join this pipe with its other end.
    Relay(u64, Token),
    /// The other end of this pipe, behind the broker that has joined them.
    Relayed(u64, Token),
}

/// A connection to be made, and completed: an introduced reader, or a broker of the local network, whose first address leads to
/// somebody else may be met at the next.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    target: Target,
    left: VecDeque<Endpoint>,
    /// The address that is being tried.
    trying: Option<Endpoint>,
    /// No address is tried after this.
    until: Option<Instant>,
    /// What came of each address.
    tried: Vec<String>,
    /// Somebody took a connection, and went or said nothing: the peer may come yet.
    may_come: bool,
}

/// How the handshake on a connection that was dialled begins.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// What this side says of itself; for a pipe the executor adds its features, its window, and how often it wants a sign of life.
    pub hello: Hello,
    /// For which pipe, if its other end is there and not a broker.
    pub pipe: Option<u64>,
    /// A broker stands between: the peer may be anywhere.
    pub relayed: bool,
    /// How long the handshake may take.
    pub limit: Duration,
}

impl Dial {
    pub(super) fn new(target: Target, addresses: impl IntoIterator<Item = Endpoint>) -> Dial {
        Dial {
            target,
            left: addresses.into_iter().collect(),
            trying: None,
            until: None,
            tried: Vec::new(),
            may_come: false,
        }
    }

    /// Gives up at a point in time.
    pub(super) fn until(self, until: Instant) -> Dial {
        Dial { until: Some(until), ..self }
    }

    /// What came of all addresses, in words.
    fn trouble(&self) -> String {
        match (&self.target, &self.tried[..]) {
            (Target::Broker(BrokerAt::Discovered), []) => NONE_YET.to_owned(),
            (_, []) => "there was no address to try".to_owned(),
            (_, tried) => tried.join("; "),
        }
    }

    /// Whether whoever is at one of its addresses may be somebody else, who says nothing of the one that is meant.
    fn is_guess(&self) -> bool {
        matches!(self.target, Target::Introduced(..) | Target::Broker(BrokerAt::Discovered))
    }
}

impl Pairing {
    /// A name was looked up, or the local network was asked for brokers; or that took too long.
    pub fn resolved(&mut self, now: Instant, dial: u64, found: Result<Vec<SocketAddr>, String>) {
        let Some(mut dial) = self.dials.remove(&dial) else { return };
        match found {
            Ok(addresses) => {
                let addresses = match dial.target {
                    Target::Broker(BrokerAt::Discovered) => self.better(addresses),
                    _ => addresses,
                };
                if let Some(first) = addresses.first() {
                    self.note_announced(&dial.target, *first);
                }
                addresses.into_iter().rev().for_each(|address| dial.left.push_front(address.into()));
            }
            Err(trouble) => dial.tried.push(trouble),
        }
        self.dial(now, dial);
    }

    /// An address was reached; `None`: nobody wants that any more. What came of the handshake goes to
    /// [`established`](Self::established) or [`refused`](Self::refused).
    pub fn connected(&mut self, dial: u64) -> Option<Greeting> {
        let greeting = self.greeting(dial);
        if greeting.is_none() {
            self.dials.remove(&dial);
        }
        greeting
    }

    fn greeting(&self, dial: u64) -> Option<Greeting> {
        let dial = self.dials.get(&dial)?;
        let of_pipe = |id: u64, token| {
            let open = &self.pipes.get(&id)?.open;
            Some((Hello::pipe(open.role, open.name.clone(), token), Some(id)))
        };
        let (hello, pipe) = match &dial.target {
            Target::Listener(_) => None,
            Target::Peer(id) => of_pipe(*id, None),
            Target::Introduced(id, token) | Target::Relayed(id, token) => of_pipe(*id, Some(*token)),
            Target::Broker(_) => Some((Hello::broker(), None)),
            Target::Relay(_, token) => Some((Hello::relay(*token), None)),
        }?;
        let relayed = matches!(dial.target, Target::Relayed(..));
        // Where there are other addresses, none is to take all the time.
        let limit = if dial.left.is_empty() { TIMEOUT } else { self.rules.connect_timeout.min(TIMEOUT) };
        Some(Greeting { hello, pipe, relayed, limit })
    }

    /// An address was not reached: the next one.
    pub fn missed(&mut self, now: Instant, dial: u64, trouble: String) {
        let Some(mut dial) = self.dials.remove(&dial) else { return };
        if let Some(silence) = self.silence(&dial.target) {
            *silence = None;
        }
        dial.tried.push(trouble);
        self.dial(now, dial);
    }

    /// An address may not be talked to. There may be others.
    pub fn denied(&mut self, now: Instant, dial: u64, failure: Failure) {
        match self.dials.remove(&dial) {
            Some(mut dial) if dial.is_guess() => {
                dial.tried.push(failure.text);
                self.dial(now, dial);
            }
            Some(dial) => self.give_up_dial(now, &dial.target, failure),
            None => {}
        }
    }

    /// The system gives no connection: as with any open, whoever needs it is told at once rather than waits.
    pub fn starved(&mut self, now: Instant, dial: u64, failure: Failure) {
        let Some(dial) = self.dials.remove(&dial) else { return };
        match dial.target {
            Target::Relay(id, _) => self.fail(now, id, failure),
            target => self.give_up_dial(now, &target, failure),
        }
    }

    /// The handshake of a dial is complete.
    pub fn established(&mut self, now: Instant, dial: u64, established: &Established) -> Disposition {
        let Some(dial) = self.dials.remove(&dial) else { return Disposition::Close };
        match dial.target {
            Target::Listener(_) => Disposition::Close,
            Target::Peer(id) | Target::Introduced(id, _) | Target::Relayed(id, _) => {
                self.connect(id, established.peer.role)
            }
            Target::Broker(broker) => self.broker_reached(broker, dial.trying),
            Target::Relay(id, token) => match self.pipes.get(&id).map(|pipe| pipe.open.role) {
                // The writer goes on as it would have at the reader's address.
                Some(Role::Writer) => {
                    Disposition::Dial(self.attempt(Dial::new(Target::Relayed(id, token), [])))
                }
                Some(Role::Reader) => {
                    self.expect(now, id, token);
                    Disposition::Accept
                }
                None => Disposition::Close,
            },
        }
    }

    /// The handshake of a dial came to nothing.
    pub fn refused(&mut self, now: Instant, dial: u64, peer: SocketAddr, error: &Error) {
        let Some(mut dial) = self.dials.remove(&dial) else { return };
        let may_come = match error {
            Error::Closed(_) => true,
            // Any process may announce a broker, and each is tried whenever the network is asked.
            _ if matches!(dial.target, Target::Broker(BrokerAt::Discovered)) => true,
            // A process that is stopped, or on a machine with too much to do, goes on some time.
            Error::Timeout | Error::Silent => match self.silent(now, &dial.target) {
                None => true,
                Some(failure) => return self.give_up_dial(now, &dial.target, failure),
            },
            // The reader went between: its next one is waited for. Or it found this side too slow.
            Error::Refused(reason) => matches!(reason.code, code::ECONNRESET | code::ETIMEDOUT),
            _ => false,
        };
        dial.tried.push(format!("{peer}: {error}"));
        if dial.is_guess() {
            // To the next; of an introduced reader, at last the broker's relay.
            dial.may_come |= may_come;
            self.dial(now, dial);
        } else if may_come {
            self.not_reached(now, dial);
        } else {
            self.give_up_dial(now, &dial.target, Failure::new(error.code(), error.to_string()));
        }
    }

    /// Tries the next address of a dial.
    pub(super) fn dial(&mut self, now: Instant, mut dial: Dial) {
        let is_late = dial.until.is_some_and(|until| now >= until);
        let Some(endpoint) = dial.left.pop_front().filter(|_| !is_late) else {
            return self.not_reached(now, dial);
        };
        let action = match (endpoint.literal(), &dial.target) {
            (None, _) => Action::LookUp(self.attempt(dial), endpoint),
            (Some(at), Target::Listener(pipe)) => Action::Listen(*pipe, at),
            (Some(to), target) => {
                if let Some(last) = dial.tried.last() {
                    self.note_search(target, last);
                }
                dial.trying = Some(endpoint);
                let reader = match target {
                    Target::Peer(id) | Target::Relay(id, _) => Some(*id),
                    _ => None,
                };
                let is_reader =
                    |id: &u64| self.pipes.get(id).is_some_and(|pipe| pipe.open.role == Role::Reader);
                let reader = reader.filter(is_reader);
                let limit = now + self.rules.connect_timeout;
                let until = dial.until.map_or(limit, |until| until.min(limit));
                Action::Connect { dial: self.attempt(dial), to, until, reader }
            }
        };
        self.actions.push_back(action);
    }

    /// Keeps a dial under a number of its own, until its next step is done.
    pub(super) fn attempt(&mut self, dial: Dial) -> u64 {
        self.attempts += 1;
        self.dials.insert(self.attempts, dial);
        self.attempts
    }

    /// No address was reached, or nobody there let this side in: what now depends on the target.
    fn not_reached(&mut self, now: Instant, dial: Dial) {
        let trouble = dial.trouble();
        match dial.target {
            Target::Listener(id) => {
                self.fail(
                    now,
                    id,
                    Failure::new(code::EHOSTUNREACH, format!("no such address here: {trouble}")),
                );
            }
            Target::Peer(id) => {
                self.note(id, &trouble);
                let Some(pipe) = self.pipes.get_mut(&id) else { return };
                let at = now + pipe.next_pause();
                self.set_timer(at, Timer::Look(id));
            }
            Target::Introduced(id, token) if dial.may_come && self.may_redial(now, id, token) => {
                // Its machine may have too much to do. The token is good until a handshake is complete; the broker, asked anew,
                // would take this writer for one too many.
                self.note(id, &trouble);
                self.set_timer(now + AGAIN, Timer::Redial(id, token));
            }
            Target::Introduced(id, token) => self.unreachable(now, id, token, &trouble),
            Target::Broker(broker) => self.broker_missed(now, &broker, &trouble),
            Target::Relay(id, _) | Target::Relayed(id, _) => self.register_again(now, id, &trouble),
        }
    }

    /// The other side refused, or broke a rule: for good.
    fn give_up_dial(&mut self, now: Instant, target: &Target, failure: Failure) {
        match target {
            Target::Listener(id) | Target::Peer(id) | Target::Introduced(id, _) | Target::Relayed(id, _) => {
                self.fail(now, *id, failure);
            }
            Target::Relay(id, _) => self.register_again(now, *id, &failure.text),
            Target::Broker(broker) => self.broker_refused(now, broker, None, &failure),
        }
    }

    /// Notes that whoever takes the connections of a target does not answer; why no more are made, once that has lasted.
    fn silent(&mut self, now: Instant, target: &Target) -> Option<Failure> {
        let limit = self.rules.peer_timeout;
        // The handshake's time has passed in silence already.
        let since = *self.silence(target)?.get_or_insert(now.checked_sub(TIMEOUT).unwrap_or(now));
        let silence = now.saturating_duration_since(since);
        (silence >= limit).then(|| {
            let text = format!(
                "it takes connections, and has answered none for {}s: its process may be stopped",
                silence.as_secs()
            );
            Failure::new(code::ETIMEDOUT, text)
        })
    }

    /// Since when a target meets silence.
    fn silence(&mut self, target: &Target) -> Option<&mut Option<Instant>> {
        match target {
            Target::Peer(id) => self.pipes.get_mut(id).map(|pipe| &mut pipe.silent_since),
            Target::Broker(broker) => self.brokers.get_mut(broker).map(|broker| &mut broker.silent_since),
            // The broker's tokens have an end of their own.
            _ => None,
        }
    }
}
