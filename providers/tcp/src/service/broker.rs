//! Brokers: one connection to each, kept as long as somebody needs it, and made again when it is lost.

use super::accept::Guest;
use super::dial::{Dial, Errand};
use super::pipes::Writing;
use super::{Service, Source, Timer};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::link::{Link, Received};
use crate::pipe::{Fate, LastWord};
use crate::plan::Route;
use crate::socket;
use netpipe::{Address, Decoder, Match, Message, Register, Role, Sender, Token};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Level};

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
/// Receives made at one time: a broker that talks without end must not keep this thread from everything else.
const ROUNDS: u32 = 16;
/// What a broker may leave unread before it counts as lost.
const OUTPUT_MAX: usize = 4 << 20;

/// A broker, and who needs it.
#[derive(Debug)]
pub struct Broker {
    state: State,
    pause: Duration,
    /// It takes connections, and has not answered since.
    pub silent_since: Option<Instant>,
    members: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It will be dialled.
    Away,
    /// It is being dialled.
    Dialled,
    /// The connection to it.
    Here(u64),
}

/// An introduced writer that is to come.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub pipe: u64,
    pub until: Instant,
}

/// The connection to a broker.
#[derive(Debug)]
pub struct Connection {
    broker: Endpoint,
    link: Link,
    decoder: Decoder,
    output: Vec<u8>,
    writes: bool,
    /// PINGs sent since it was heard.
    pub unanswered: u32,
    /// What this connection has REGISTERed and neither side has ended: an id may not be registered twice at a time.
    registered: BTreeSet<u64>,
}

impl Connection {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Whether something is to be sent yet.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    fn push(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.link.send(&self.output, &[]) {
                Ok(0) => return self.output.len() <= OUTPUT_MAX,
                Ok(count) => drop(self.output.drain(..count)),
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads what has come; `Err`: why nothing more will.
    fn read(&mut self) -> (Vec<Message>, Result<(), String>) {
        let (mut messages, mut bytes) = (Vec::new(), [0; 4096]);
        for _ in 0..ROUNDS {
            let mut input = match self.link.receive(&mut bytes, &mut []) {
                Ok(Received::Bytes(count)) => {
                    self.unanswered = 0;
                    &bytes[..count]
                }
                Ok(Received::Nothing) => return (messages, Ok(())),
                Ok(Received::End) => return (messages, Err("the broker closed the connection".to_owned())),
                Err(errno) => {
                    let why = Code::from_raw(errno.raw_os_error().into()).text();
                    return (messages, Err(format!("the connection to the broker: {why}")));
                }
            };
            loop {
                match self.decoder.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(message)) => messages.push(message),
                    Err(error) => return (messages, Err(error.to_string())),
                }
            }
        }
        (messages, Ok(()))
    }
}

impl Service {
    /// Has a pipe meet its other end through a broker.
    pub(super) fn join_broker(&mut self, endpoint: &Endpoint, id: u64) {
        let known = self.brokers.contains_key(endpoint);
        let broker = self.brokers.entry(endpoint.clone()).or_insert_with(|| Broker {
            state: State::Away,
            pause: PAUSES.0,
            silent_since: None,
            members: BTreeSet::new(),
        });
        broker.members.insert(id);
        match broker.state {
            State::Here(key) => self.register(key, id),
            State::Away if !known => self.dial_broker(endpoint),
            State::Away | State::Dialled => {}
        }
    }

    /// Ends what a broker knows of a pipe; true: there was something, and it was told.
    pub(super) fn leave_broker(&mut self, id: u64, last: Message) -> bool {
        let Some((endpoint, broker)) =
            self.brokers.iter_mut().find(|(_, broker)| broker.members.contains(&id))
        else {
            return false;
        };
        let endpoint = endpoint.clone();
        match broker.state {
            State::Here(key) => {
                broker.members.remove(&id);
                self.tell(key, &last);
                true
            }
            // A DISCARD is told when the broker is back.
            State::Away | State::Dialled if matches!(last, Message::Discarded(_)) => false,
            State::Away | State::Dialled => {
                broker.members.remove(&id);
                if broker.members.is_empty() {
                    self.brokers.remove(&endpoint);
                }
                true
            }
        }
    }

    pub(super) fn dial_broker(&mut self, endpoint: &Endpoint) {
        if let Some(broker) = self.brokers.get_mut(endpoint).filter(|broker| broker.state == State::Away) {
            broker.state = State::Dialled;
            self.dial(Dial::new(Errand::Broker(endpoint.clone()), [endpoint.clone()]));
        }
    }

    /// A broker is not to be reached: who waits goes on waiting. A dial that was overtaken by another means nothing.
    pub(super) fn broker_missed(&mut self, endpoint: &Endpoint, trouble: &str) {
        if self.brokers.get(endpoint).is_some_and(|broker| broker.state == State::Dialled) {
            self.dial_broker_later(endpoint, trouble);
        }
    }

    /// A connection to a broker was lost: who waits goes on waiting. One that another has replaced means nothing.
    fn broker_lost(&mut self, endpoint: &Endpoint, key: u64, trouble: &str) {
        if self.brokers.get(endpoint).is_some_and(|broker| broker.state == State::Here(key)) {
            self.dial_broker_later(endpoint, trouble);
        }
    }

    /// A broker that was here answers nothing any more: it counts as one that takes connections and answers none.
    pub(super) fn broker_silent(&mut self, key: u64, silence: Duration) {
        let Some(Source::Broker(connection)) = self.sources.remove(&key) else { return };
        self.reactor.forget(&connection.link);
        let endpoint = connection.broker;
        let trouble = format!("it has answered nothing for {silence:?}: its process may be stopped");
        self.log(Level::Warning, &format!("netpipe: broker {endpoint}: {trouble}"));
        if let Some(broker) = self.brokers.get_mut(&endpoint) {
            broker.silent_since = Instant::now().checked_sub(silence);
        }
        self.broker_lost(&endpoint, key, &trouble);
    }

    fn dial_broker_later(&mut self, endpoint: &Endpoint, trouble: &str) {
        let Some(broker) = self.brokers.get_mut(endpoint) else { return };
        broker.state = State::Away;
        if broker.members.is_empty() {
            self.brokers.remove(endpoint);
            return;
        }
        let (at, members) = (Instant::now() + broker.pause, broker.members.clone());
        broker.pause = (broker.pause * 2).min(PAUSES.1);
        // The trouble begins with an address; with a name it is worth saying both.
        let shown = endpoint.to_string();
        let whose =
            if trouble.starts_with(&shown) { "broker ".to_owned() } else { format!("broker {shown}: ") };
        for id in members {
            self.note(id, &format!("{whose}{trouble}"));
        }
        self.reactor.at(at, Timer::Broker(endpoint.clone()));
    }

    /// A broker refused this side, or is none: who waits is told. `at` is the connection on which that was said, or none yet: one
    /// that another has replaced means nothing.
    pub(super) fn broker_refused(&mut self, endpoint: &Endpoint, at: Option<u64>, failure: &Failure) {
        let here = |broker: &Broker| if let State::Here(key) = broker.state { Some(key) } else { None };
        if self.brokers.get(endpoint).is_none_or(|broker| here(broker) != at) {
            return;
        }
        let Some(broker) = self.brokers.remove(endpoint) else { return };
        let text = format!("broker {endpoint}: {}", failure.text);
        for id in broker.members {
            if self.route(id).is_some() {
                self.fail_pipe(id, Failure::new(failure.code, text.as_str()));
            }
        }
    }

    /// The handshake with a broker is complete.
    pub(super) fn broker_reached(&mut self, endpoint: Endpoint, link: Link) {
        // One connection at a time: another dial may have been faster.
        if self.brokers.get(&endpoint).is_none_or(|broker| matches!(broker.state, State::Here(_))) {
            return;
        }
        let connection = Connection {
            broker: endpoint.clone(),
            link,
            decoder: Decoder::new(Sender::Broker),
            output: Vec::new(),
            writes: false,
            unanswered: 0,
            registered: BTreeSet::new(),
        };
        let Some(key) = self.keep(Source::Broker(connection), true, false) else {
            return self.broker_missed(&endpoint, "out of memory");
        };
        let Some(broker) = self.brokers.get_mut(&endpoint) else { return };
        (broker.state, broker.pause, broker.silent_since) = (State::Here(key), PAUSES.0, None);
        let members = broker.members.clone();
        self.watch_broker(key);
        for id in members {
            self.register(key, id);
        }
    }

    /// Tells a broker what a pipe waits for; what it was told of it before ends.
    fn register(&mut self, key: u64, id: u64) {
        let Some(Source::Broker(connection)) = self.sources.get(&key) else { return };
        let local = socket::local(&connection.link);
        let message = match (self.readers.get(&id), self.writers.get_mut(&id)) {
            (Some(reading), _) if reading.expects() == Some(0) || reading.over => return,
            (Some(reading), _) => {
                let (name, writers) = (reading.pipe.plan.name.clone(), reading.expects().unwrap_or(0));
                let addresses =
                    match local.map_err(Failure::from_errno).and_then(|local| self.addresses(local)) {
                        Ok(addresses) => addresses,
                        Err(failure) => return self.fail_pipe(id, failure),
                    };
                let takeover = self.config.takeover;
                Register { id, role: Role::Reader, name, addresses, writers: Some(writers), takeover }
            }
            (None, Some(writing)) if writing.is_waiting() => {
                writing.introduced = None;
                let name = writing.pipe.plan.name.clone();
                let addresses = Vec::new();
                Register { id, role: Role::Writer, name, addresses, writers: None, takeover: false }
            }
            _ => return,
        };
        self.tell(key, &Message::Withdraw(id));
        self.tell(key, &Message::Register(message));
        // What was said while the broker was away.
        self.finished(id);
    }

    /// Has a broker tell the reader of a writer, which it has just refused, that this one comes no more.
    pub(super) fn give_up(&mut self, id: u64) {
        let Some(Route::Broker(endpoint)) = self.route(id) else { return };
        if let Some(State::Here(key)) = self.brokers.get(endpoint).map(|broker| broker.state) {
            self.register(key, id);
            self.tell(key, &Message::Discarded(id));
        }
    }

    /// Registers a pipe once more: its introduction led nowhere.
    pub(super) fn register_again(&mut self, id: u64, trouble: &str) {
        self.note(id, trouble);
        self.note_unmet(id, trouble);
        let Some(Route::Broker(endpoint)) = self.route(id) else { return };
        if let Some(State::Here(key)) = self.brokers.get(endpoint).map(|broker| broker.state) {
            self.register(key, id);
        }
    }

    /// Where introduced peers are accepted, in a broker's words.
    fn addresses(&mut self, local: SocketAddr) -> Result<Vec<Address>, Failure> {
        let (address, port) = match self.config.listen {
            None => (local.ip(), 0),
            Some(listen) => (listen.ip(), listen.port()),
        };
        let port = self.meeting(address, port)?;
        let text = match &self.config.advertise[..] {
            [] if self.config.listen.is_some() && !address.is_unspecified() => {
                vec![SocketAddr::new(address, port).to_string()]
            }
            [] => vec![format!(":{port}")],
            given => given
                .iter()
                .map(|endpoint| match endpoint.port() {
                    0 => endpoint.with_port(port).to_string(),
                    _ => endpoint.to_string(),
                })
                .collect(),
        };
        text.iter().map(|text| Address::new(text).map_err(Failure::from)).collect()
    }

    /// The port of the listener for introduced peers at an address.
    fn meeting(&mut self, address: IpAddr, port: u16) -> Result<u16, Failure> {
        if let Some((_, port)) = self.meetings.get(&address) {
            return Ok(*port);
        }
        let at = SocketAddr::new(address, port);
        let listening = socket::listen(at, self.config.window.most).and_then(|socket| {
            let port = socket::local(&socket)?.port();
            Ok((self.serve_listener(socket, Guest::Introduced)?, port))
        });
        let listener = listening.map_err(|errno| {
            let code = Code::from_raw(errno.raw_os_error().into());
            Failure::new(code, format!("listen at {at}: {}", code.text()))
        })?;
        self.meetings.insert(address, listener);
        Ok(listener.1)
    }

    /// Sends a frame to a broker; not the end of what it does not have.
    pub(super) fn tell(&mut self, key: u64, message: &Message) {
        if let Some(Source::Broker(connection)) = self.sources.get_mut(&key) {
            match message {
                Message::Register(registered) => drop(connection.registered.insert(registered.id)),
                Message::Withdraw(id) if !connection.registered.remove(id) => return,
                Message::Discarded(id) => drop(connection.registered.remove(id)),
                _ => {}
            }
            message.append_to(&mut connection.output);
            // A lost connection shows when it is read; one that is stuck is cut, and then does.
            if !connection.push() {
                connection.link.cut();
            }
            let writes = connection.has_output();
            if writes != connection.writes {
                connection.writes = writes;
                self.reactor.change(&connection.link, key, true, writes);
            }
        }
    }

    /// Reads what a broker says, and does it.
    pub(super) fn listen_to_broker(&mut self, key: u64, mut connection: Connection) -> Option<Connection> {
        connection.push();
        if connection.writes && !connection.has_output() {
            connection.writes = false;
            self.reactor.change(&connection.link, key, true, false);
        }
        let (messages, outcome) = connection.read();
        let endpoint = connection.broker.clone();
        let reader = outcome.is_ok();
        if reader {
            // Back in its place first: what it says may be answered on it.
            self.sources.insert(key, Source::Broker(connection));
        } else {
            self.reactor.forget(&connection.link);
        }
        for message in messages {
            self.obey_broker(&endpoint, key, message);
        }
        if let Err(trouble) = outcome {
            self.log(Level::Warning, &format!("netpipe: broker {endpoint}: {trouble}"));
            self.broker_lost(&endpoint, key, &trouble);
        }
        None
    }

    fn obey_broker(&mut self, endpoint: &Endpoint, key: u64, message: Message) {
        match message {
            Message::Ping => self.tell(key, &Message::Pong),
            Message::Match(found) => self.introduced(found),
            Message::Relay { id, token } if self.may_meet(id, token) => {
                let until = Instant::now() + TOKEN;
                self.dial(Dial::new(Errand::Relay(id, token), [endpoint.clone()]).until(until));
            }
            Message::Refused { id, reason } => {
                if let Some(Source::Broker(connection)) = self.sources.get_mut(&key) {
                    connection.registered.remove(&id);
                }
                if let Some(broker) = self.brokers.get_mut(endpoint) {
                    broker.members.remove(&id);
                }
                let mut text = format!("broker {endpoint}: {reason}");
                if self.readers.contains_key(&id) && !self.config.advertise.is_empty() {
                    let told: Vec<_> = self.config.advertise.iter().map(Endpoint::to_string).collect();
                    text = format!("{text} (writers were told to come to {})", told.join(", "));
                }
                self.fail_pipe(id, Failure::new(Code::from_raw(reason.errno().into()), text));
            }
            Message::Refusal(reason) => {
                // The last frame on this connection; the next one to this broker is another.
                self.sources.remove(&key);
                let failure = Failure::new(Code::from_raw(reason.errno().into()), reason.to_string());
                self.broker_refused(endpoint, Some(key), &failure);
            }
            // A pipe that is no more; the decoder lets nothing else through.
            _ => {}
        }
    }

    /// A broker has introduced a pipe to its other end.
    fn introduced(&mut self, found: Match) {
        let Match { id, token, addresses } = found;
        if !self.may_meet(id, token) {
            return;
        }
        if self.readers.contains_key(&id) {
            self.expect(id, token);
        } else {
            // What is no address here is one that cannot be reached.
            let addresses = addresses.iter().filter_map(|at| Endpoint::parse(at.as_str(), None).ok());
            let addresses: Vec<_> = addresses.collect();
            if let Some(writing) = self.writers.get_mut(&id) {
                writing.addresses = addresses;
            }
            self.dial_introduced(id, token);
        }
    }

    /// Tries a reader's addresses, one after the other: a few seconds for each, as far as the token is good for that.
    fn dial_introduced(&mut self, id: u64, token: Token) {
        let Some(writing) = self.writers.get(&id) else { return };
        let addresses = writing.addresses.clone();
        let limit = (REACH * addresses.len().max(1) as u32).min(REDIAL);
        self.dial(Dial::new(Errand::Introduced(id, token), addresses).until(Instant::now() + limit));
    }

    /// Whether a pipe still looks for its other end, and is not about to meet one already: then a broker would say it only to
    /// keep this side busy.
    fn may_meet(&mut self, id: u64, token: Token) -> bool {
        if self.route(id).is_none() {
            return false;
        }
        match self.writers.get_mut(&id) {
            None => self.expected.len() < EXPECTED_MAX,
            Some(Writing { introduced: Some(_), .. }) => false,
            Some(writing) => {
                writing.introduced = Some((token, Instant::now()));
                true
            }
        }
    }

    /// Whether an introduced peer that was reached, and went, is worth another dial. Its process may be gone while something
    /// else takes connections at its address: then the broker must hear of it while the token is good, or no other reader can
    /// be introduced.
    pub(super) fn may_redial(&self, id: u64, token: Token) -> bool {
        let limit = REDIAL.min(self.config.peer_timeout);
        self.writers
            .get(&id)
            .and_then(|writing| writing.tries(token))
            .is_some_and(|since| since.elapsed() < limit)
    }

    /// Dials an introduced peer once more, unless something else has come of it.
    pub(super) fn redial(&mut self, id: u64, token: Token) {
        if self.writers.get(&id).is_some_and(|known| known.is_waiting() && known.tries(token).is_some()) {
            self.dial_introduced(id, token);
        }
    }

    fn expect(&mut self, pipe: u64, token: Token) {
        let until = Instant::now() + TOKEN;
        self.expected.insert(token, Expected { pipe, until });
        self.reactor.at(until, Timer::Token(token));
        self.token_known(token, false);
    }

    /// An introduced writer did not come: the broker looks for another one.
    pub(super) fn token_expired(&mut self, token: Token) {
        if let Some(Expected { pipe, .. }) = self.expected.remove(&token) {
            self.register_again(pipe, "an introduced writer did not come");
        }
    }

    /// A writer reached none of its reader's addresses, or nobody there who let it in.
    pub(super) fn unreachable(&mut self, id: u64, token: Token, trouble: &str) {
        self.note(id, trouble);
        self.note_unmet(id, trouble);
        // The broker that gave it may be gone, and the one that is here now would take this for a broken rule.
        match self.writers.get_mut(&id) {
            Some(writing) if writing.tries(token).is_some() => writing.introduced = None,
            _ => return,
        }
        let Some(Route::Broker(endpoint)) = self.route(id) else { return };
        if let Some(State::Here(key)) = self.brokers.get(endpoint).map(|broker| broker.state) {
            self.tell(key, &Message::Unreachable { id, token });
        }
    }

    /// Notes that a writer did not meet the reader of an introduction, for the error that may come of it.
    fn note_unmet(&mut self, id: u64, trouble: &str) {
        if !self.writers.contains_key(&id) {
            return;
        }
        if let Some(search) = self.search(id) {
            let since = search.unmet.as_ref().map_or_else(Instant::now, |(since, _)| *since);
            search.unmet = Some((since, trouble.to_owned()));
        }
    }

    /// The broker is ready to join a pipe with its other end: the writer goes on as it would have at the reader's address.
    pub(super) fn relay_reached(&mut self, id: u64, token: Token, link: Link) {
        if self.writers.contains_key(&id) {
            self.greet(link, Dial::new(Errand::Joined(id, token), []));
        } else if self.readers.contains_key(&id) {
            self.expect(id, token);
            self.receive(link, Guest::Introduced, true);
        }
    }

    /// Settles a writer whose DISCARD the broker keeps.
    pub(super) fn discarded(&mut self, id: u64) {
        if let Some(writing) = self.writers.get(&id)
            && writing.pipe.early() == Some(LastWord::Discard)
        {
            writing.pipe.settle(Fate::Failed(Failure::new(Code::ECONNRESET, "it was discarded")));
        }
    }
}
