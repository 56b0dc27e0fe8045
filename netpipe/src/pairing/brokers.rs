//! Brokers: one connection to each, kept as long as somebody needs it, and made again when it is lost.

use super::dial::{Dial, NONE_YET, Target};
use super::pipe::Pipe;
use super::{Action, Disposition, Failure, Pairing, PipeState, Route, Timer};
use crate::endpoint::{BrokerAt, Endpoint};
use crate::message::{Match, Message, Register};
use crate::values::{Role, Token};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Pauses between attempts to reach a broker: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long a writer tries each of its reader's addresses before it asks for a relay.
const REACH: Duration = Duration::from_secs(3);
/// How long a reader that was reached, and went, is dialled again: one handshake may time out, and the last one does so
/// before the token ends.
const REDIAL: Duration = Duration::from_secs(12);
/// How long a token is good.
const TOKEN: Duration = Duration::from_secs(30);
/// Writers that are to come, at one time.
const EXPECTED_MAX: usize = 16_384;

/// A broker, and who needs it.
#[derive(Debug)]
pub(super) struct KnownBroker {
    link: Link,
    pause: Duration,
    /// It takes connections, and has not answered since.
    pub(super) silent_since: Option<Instant>,
    /// The address of the connection, or of the last one.
    pub(super) reached_at: Option<Endpoint>,
    /// It is on the local network, which is being asked for one that comes first.
    pub(super) is_doubted: bool,
    /// It is on the local network, where somebody has announced one.
    is_announced: bool,
    members: BTreeSet<u64>,
}

/// The connection to a broker.
#[derive(Debug)]
enum Link {
    /// It will be dialled.
    Away,
    /// It is being dialled.
    Dialled,
    /// It is there, by the executor's number. What was REGISTERed on it and neither side has ended: an id may not be
    /// registered twice at a time.
    Here(u64, BTreeSet<u64>),
}

/// An introduced writer that is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) pipe: u64,
    pub(super) until: Instant,
}

impl KnownBroker {
    /// The executor's number of the connection, if that is there.
    pub(super) fn connection(&self) -> Option<u64> {
        match self.link {
            Link::Here(connection, _) => Some(connection),
            Link::Away | Link::Dialled => None,
        }
    }
}

impl Pairing {
    /// A connection to a broker is there, under the executor's number.
    pub fn broker_connected(&mut self, at: &BrokerAt, connection: u64) {
        let Some(broker) = self.brokers.get_mut(at) else { return };
        (broker.link, broker.pause) = (Link::Here(connection, BTreeSet::new()), PAUSES.0);
        broker.silent_since = None;
        for id in broker.members.clone() {
            self.actions.push_back(Action::Note(id, None));
            self.register(at, id);
        }
    }

    /// The connection to a broker was lost: who waits goes on waiting. `silence`: it was given up, for that answered nothing
    /// for so long, and counts as a broker that takes connections and answers none.
    pub fn broker_lost(&mut self, now: Instant, connection: u64, trouble: &str, silence: Option<Duration>) {
        // One that another has replaced means nothing.
        let mut brokers = self.brokers.iter_mut();
        let Some((at, broker)) = brokers.find(|(_, broker)| broker.connection() == Some(connection)) else {
            return;
        };
        broker.silent_since = silence.and_then(|silence| now.checked_sub(silence));
        let at = at.clone();
        self.dial_broker_later(now, &at, trouble);
    }

    /// A broker said something.
    pub fn broker_said(&mut self, now: Instant, at: &BrokerAt, connection: u64, message: Message) {
        match message {
            Message::Match(found) => self.introduced(now, found),
            Message::Relay { id, token } => self.relayed(now, at, id, token),
            Message::Refused { id, reason } => {
                let Some(broker) = self.brokers.get_mut(at) else { return };
                broker.members.remove(&id);
                if let Link::Here(_, registered) = &mut broker.link {
                    registered.remove(&id);
                }
                let mut text = format!("broker {at}: {reason}");
                let is_reader = self.pipes.get(&id).is_some_and(|pipe| pipe.open.role == Role::Reader);
                if is_reader && !self.rules.advertise.is_empty() {
                    let told: Vec<_> = self.rules.advertise.iter().map(Endpoint::to_string).collect();
                    text = format!("{text} (writers were told to connect to {})", told.join(", "));
                }
                self.fail(now, id, Failure::new(reason.errno(), text));
            }
            Message::Refusal(reason) => {
                let failure = Failure::new(reason.errno(), reason.to_string());
                self.broker_refused(now, at, Some(connection), &failure);
            }
            // A pipe that is no more; the decoder lets nothing else through.
            _ => {}
        }
    }

    /// Has a pipe meet its other end through a broker.
    pub(super) fn join_broker(&mut self, now: Instant, at: &BrokerAt, id: u64) {
        let known = self.brokers.contains_key(at);
        let broker = self.brokers.entry(at.clone()).or_insert_with(|| KnownBroker {
            link: Link::Away,
            pause: PAUSES.0,
            silent_since: None,
            reached_at: None,
            is_doubted: false,
            is_announced: false,
            members: BTreeSet::new(),
        });
        broker.members.insert(id);
        let is_sought = *at == BrokerAt::Discovered && broker.connection().is_none();
        if is_sought {
            self.note(id, &format!("broker {at}: {NONE_YET}"));
        }
        if *at == BrokerAt::Discovered {
            self.doubt_later(now, id);
        }
        if known { self.register(at, id) } else { self.dial_broker(now, at) }
    }

    /// Ends what a broker knows of a pipe; true: there was something, and it was told.
    pub(super) fn leave_broker(&mut self, id: u64, last: Message) -> bool {
        let mut brokers = self.brokers.iter_mut();
        let Some((at, broker)) = brokers.find(|(_, broker)| broker.members.contains(&id)) else {
            return false;
        };
        let is_here = broker.connection().is_some();
        if !is_here && matches!(last, Message::Discarded(_)) {
            // It is told when the broker is back.
            return false;
        }
        broker.members.remove(&id);
        let at = at.clone();
        if is_here {
            self.tell(&at, last);
        } else if broker.members.is_empty() {
            self.brokers.remove(&at);
        }
        true
    }

    pub(super) fn dial_broker(&mut self, now: Instant, at: &BrokerAt) {
        let Some(broker) = self.brokers.get_mut(at).filter(|broker| matches!(broker.link, Link::Away)) else {
            return;
        };
        broker.link = Link::Dialled;
        match at {
            BrokerAt::Named(endpoint) => {
                self.dial(now, Dial::new(Target::Broker(at.clone()), [endpoint.clone()]));
            }
            BrokerAt::Discovered => self.discover(),
        }
    }

    /// The handshake with a broker is complete. One connection at a time: another dial may have been faster, unless this one was for
    /// a broker that comes first.
    pub(super) fn broker_reached(&mut self, at: BrokerAt, address: Option<Endpoint>) -> Disposition {
        let Some(broker) = self.brokers.get_mut(&at) else { return Disposition::Close };
        let is_doubted = std::mem::take(&mut broker.is_doubted);
        match broker.connection() {
            Some(connection) if is_doubted => self.actions.push_back(Action::HangUp(connection)),
            Some(_) => return Disposition::Close,
            None => {}
        }
        (broker.link, broker.reached_at) = (Link::Dialled, address);
        Disposition::Broker(at)
    }

    /// A broker is not to be reached: who waits goes on waiting. A dial that was overtaken by another means nothing.
    pub fn broker_missed(&mut self, now: Instant, at: &BrokerAt, trouble: &str) {
        let Some(broker) = self.brokers.get_mut(at) else { return };
        broker.is_doubted = false;
        if matches!(broker.link, Link::Dialled) {
            self.dial_broker_later(now, at, trouble);
        }
    }

    /// An announcement was heard: whoever waits is told once, and then of what comes of each address.
    pub(super) fn note_announced(&mut self, target: &Target, first: SocketAddr) {
        let broker = self.brokers.get_mut(&BrokerAt::Discovered);
        if broker.is_some_and(|broker| !std::mem::replace(&mut broker.is_announced, true)) {
            self.note_search(target, &format!("{first} is announced, and has not answered yet"));
        }
    }

    /// Tells whoever waits for a broker of the local network how the search for it goes.
    pub(super) fn note_search(&mut self, target: &Target, trouble: &str) {
        let Target::Broker(at @ BrokerAt::Discovered) = target else { return };
        let Some(broker) = self.brokers.get(at).filter(|broker| broker.connection().is_none()) else {
            return;
        };
        for id in &broker.members {
            self.actions.push_back(Action::Note(*id, Some(format!("broker {at}: {trouble}"))));
        }
    }

    fn dial_broker_later(&mut self, now: Instant, at: &BrokerAt, trouble: &str) {
        let Some(broker) = self.brokers.get_mut(at) else { return };
        broker.link = Link::Away;
        if broker.members.is_empty() {
            self.brokers.remove(at);
            return;
        }
        let (again, members) = (now + broker.pause, broker.members.clone());
        broker.pause = (broker.pause * 2).min(PAUSES.1);
        // The trouble begins with an address; with a name it is worth saying both.
        let shown = at.to_string();
        let whose =
            if trouble.starts_with(&shown) { "broker ".to_owned() } else { format!("broker {shown}: ") };
        for id in members {
            self.note(id, &format!("{whose}{trouble}"));
        }
        self.set_timer(again, Timer::Broker(at.clone()));
    }

    /// A broker refused this side, or is none: who waits is told. `connection` is the one on which that was said, or none
    /// yet: one that another has replaced means nothing.
    pub(super) fn broker_refused(
        &mut self,
        now: Instant,
        at: &BrokerAt,
        connection: Option<u64>,
        failure: &Failure,
    ) {
        let Some(broker) = self.brokers.get_mut(at) else { return };
        broker.is_doubted = false;
        if broker.connection() != connection {
            return;
        }
        let Some(broker) = self.brokers.remove(at) else { return };
        let text = format!("broker {at}: {}", failure.text);
        for id in broker.members {
            self.fail(now, id, Failure::new(failure.code, text.as_str()));
        }
    }

    /// Tells a broker what a pipe waits for, if it is there; what it was told of it before ends.
    fn register(&mut self, at: &BrokerAt, id: u64) {
        if self.brokers.get(at).and_then(KnownBroker::connection).is_none() {
            return;
        }
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_looking()) else { return };
        pipe.state = PipeState::Registered;
        let is_reader = pipe.open.role == Role::Reader;
        let register = Register {
            id,
            role: pipe.open.role,
            name: pipe.open.name.clone(),
            addresses: Vec::new(),
            writers: is_reader.then_some(pipe.room.unwrap_or(0)),
            takeover: is_reader && self.rules.takeover,
        };
        self.tell(at, Message::Withdraw(id));
        self.tell(at, Message::Register(register));
        // What was said while the broker was away.
        self.discard(id);
    }

    /// The broker of a pipe that still looks for its other end.
    fn broker_of(&self, id: u64) -> Option<BrokerAt> {
        let pipe = self.pipes.get(&id).filter(|pipe| pipe.is_looking())?;
        match &pipe.open.route {
            Route::Broker(at) => Some(at.clone()),
            Route::Listen(_) | Route::Dial(_) => None,
        }
    }

    /// Has a broker tell the reader of a writer, which it has just refused, that this one comes no more.
    pub(super) fn give_up(&mut self, id: u64) {
        if let Some(at) = self.broker_of(id) {
            self.register(&at, id);
            self.tell(&at, Message::Discarded(id));
        }
    }

    /// Registers a pipe once more: its introduction led nowhere.
    pub(super) fn register_again(&mut self, now: Instant, id: u64, trouble: &str) {
        self.note_unmet(now, id, trouble);
        if let Some(at) = self.broker_of(id) {
            self.register(&at, id);
        }
    }

    /// Sends a frame to a broker that is there; not the end of what it does not have.
    fn tell(&mut self, at: &BrokerAt, message: Message) {
        let broker = self.brokers.get_mut(at);
        let Some(Link::Here(connection, registered)) = broker.map(|broker| &mut broker.link) else { return };
        match &message {
            Message::Register(register) => drop(registered.insert(register.id)),
            Message::Withdraw(id) if !registered.remove(id) => return,
            Message::Discarded(id) => drop(registered.remove(id)),
            _ => {}
        }
        self.actions.push_back(Action::Tell(*connection, message));
    }

    /// A broker has introduced a pipe to its other end.
    fn introduced(&mut self, now: Instant, found: Match) {
        let Match { id, token, addresses } = found;
        if !self.may_meet(id) {
            return;
        }
        match self.pipes.get_mut(&id) {
            Some(Pipe { state, open, .. }) if open.role == Role::Writer => {
                // What is no address here is one that cannot be reached.
                let addresses = addresses.iter().filter_map(|at| Endpoint::parse(at.as_str(), None).ok());
                *state = PipeState::Introduced { token, since: now, addresses: addresses.collect() };
                self.dial_introduced(now, id, token);
            }
            _ => self.expect(now, id, token),
        }
    }

    /// A broker is ready to join a pipe with its other end: it, and nobody else who may be behind its name.
    fn relayed(&mut self, now: Instant, at: &BrokerAt, id: u64, token: Token) {
        if !self.may_meet(id) {
            return;
        }
        if let Some(Pipe { state, open, .. }) = self.pipes.get_mut(&id)
            && open.role == Role::Writer
        {
            *state = PipeState::Relayed(token);
        }
        let address = self.brokers.get(at).and_then(|broker| broker.reached_at.clone());
        self.dial(now, Dial::new(Target::Relay(id, token), address).until(now + TOKEN));
    }

    /// Whether a pipe waits for a broker's word, and is not about to meet its other end already: then a broker would say it only
    /// to keep this side busy.
    fn may_meet(&self, id: u64) -> bool {
        let pipe = self.pipes.get(&id).filter(|pipe| pipe.state == PipeState::Registered);
        pipe.is_some_and(|pipe| pipe.open.role == Role::Writer || self.expected.len() < EXPECTED_MAX)
    }

    /// Tries a reader's addresses, one after the other, as long as its token is the one that counts: a few seconds for each, as
    /// far as the token is good for that.
    pub(super) fn dial_introduced(&mut self, now: Instant, id: u64, token: Token) {
        let pipe = self.pipes.get(&id).filter(|pipe| pipe.tries(token).is_some());
        if let Some(Pipe { state: PipeState::Introduced { addresses, .. }, .. }) = pipe {
            let limit = (REACH * addresses.len().max(1) as u32).min(REDIAL);
            self.dial(now, Dial::new(Target::Introduced(id, token), addresses.clone()).until(now + limit));
        }
    }

    /// Whether an introduced peer that was reached, and went, is worth another dial. Its process may be gone while something
    /// else takes connections at its address: then the broker must hear of it while the token is good, or no other reader can
    /// be introduced.
    pub(super) fn may_redial(&self, now: Instant, id: u64, tried: Token) -> bool {
        let limit = REDIAL.min(self.rules.peer_timeout);
        let since = self.pipes.get(&id).and_then(|pipe| pipe.tries(tried));
        since.is_some_and(|since| now.saturating_duration_since(since) < limit)
    }

    /// Has a writer that comes with a token let in.
    pub(super) fn expect(&mut self, now: Instant, pipe: u64, token: Token) {
        let until = now + TOKEN;
        self.expected.insert(token, Expected { pipe, until });
        self.set_timer(until, Timer::Token(token));
        self.actions.push_back(Action::Expect(token));
    }

    /// An introduced writer did not come: the broker looks for another one.
    pub(super) fn token_expired(&mut self, now: Instant, token: Token) {
        if let Some(Expected { pipe, .. }) = self.expected.remove(&token) {
            self.register_again(now, pipe, "an introduced writer did not come");
        }
    }

    /// A writer reached none of its reader's addresses, or nobody there who let it in.
    pub(super) fn unreachable(&mut self, now: Instant, id: u64, tried: Token, trouble: &str) {
        self.note_unmet(now, id, trouble);
        // The broker that gave it may be gone, and the one that is here now would take this for a broken rule.
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if pipe.tries(tried).is_none() {
            return;
        }
        pipe.state = PipeState::Registered;
        if let Some(at) = self.broker_of(id) {
            self.tell(&at, Message::Unreachable { id, token: tried });
        }
    }

    /// Notes why a pipe did not meet the other end of an introduction; a writer's, for the error that may come of it.
    fn note_unmet(&mut self, now: Instant, id: u64, trouble: &str) {
        self.note(id, trouble);
        if let Some(pipe) = self.pipes.get_mut(&id)
            && pipe.open.role == Role::Writer
        {
            let since = pipe.unmet.as_ref().map_or(now, |(since, _)| *since);
            pipe.unmet = Some((since, trouble.to_owned()));
        }
    }
}
