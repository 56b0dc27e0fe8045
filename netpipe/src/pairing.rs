//! How the ends of an instance's pipes find each other, without any IO: directly, or through brokers.
//!
//! Each pipe is in one [`PipeState`]. Events go in as calls, with the time at which they came; what is to be done comes out of
//! [`poll`](Pairing::poll) as [`Action`]s. Their executor has the sockets, the resolver and the timers, and makes the
//! [`Handshake`](crate::Handshake)s; [`Disposition`] says what becomes of a connection whose handshake is complete.
//!
//! | Module | What |
//! |---|---|
//! | `pipe` | one pipe, and its states |
//! | `action` | what comes out |
//! | `dial` | connections to be made, address after address |
//! | `brokers` | registrations and introductions |
//! | `discovery` | which broker of the local network |

mod action;
mod brokers;
mod dial;
mod discovery;
mod pipe;

pub use action::{Action, Disposition, Timer};
pub use dial::Greeting;
pub use pipe::{LastWord, Open, PipeState, Route};

use crate::endpoint::{BrokerAt, Endpoint};
use crate::error::{Reason, code};
use crate::handshake::Established;
use crate::hello::{Hello, Purpose};
use crate::message::Message;
use crate::values::{Role, Token};
use brokers::{Expected, KnownBroker};
use dial::{Dial, Target};
use pipe::Pipe;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long, and how often, what is busy is tried again: the pipe of that name may have ended a moment ago, and word of it
/// may still be on its way.
const BUSY: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(25));
/// The same of a reader that would take another's place: the broker gives that one 3 s to show that it lives.
const TAKEOVER: (Duration, Duration) = (Duration::from_secs(6), Duration::from_millis(500));
/// The pause before a broker is asked again whether a reader that was not met has registered anew.
const UNMET: Duration = Duration::from_millis(500);
/// How long a DISCARD waits for a reader; a broker does so as well.
const DISCARD: Duration = Duration::from_secs(60);

/// What holds for all pipes of an instance.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long one address is tried before the next.
    pub connect_timeout: Duration,
    /// How long a peer may take connections and answer none.
    pub peer_timeout: Duration,
    /// Readers take the names of those that are gone.
    pub takeover: bool,
    /// Where brokers send writers, if the operator says so.
    pub advertise: Vec<Endpoint>,
}

/// Why a pipe never meets its other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// An errno number.
    pub code: u32,
    /// The words, without operation and object.
    pub text: String,
}

/// Whom a listener waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The other end of a direct pipe.
    Pipe(u64),
    /// Whomever a broker introduced.
    Introduced,
}

/// The pipes of an instance, and the brokers that it knows.
#[derive(Debug)]
pub struct Pairing {
    rules: Rules,
    pipes: HashMap<u64, Pipe>,
    brokers: BTreeMap<BrokerAt, KnownBroker>,
    /// Introduced writers that are to come.
    expected: HashMap<Token, Expected>,
    /// Connections that are being made, by a number that each attempt has for itself.
    dials: HashMap<u64, Dial>,
    attempts: u64,
    actions: VecDeque<Action>,
}

impl Failure {
    /// Makes one.
    pub fn new(code: u32, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }
}

impl Pairing {
    /// Makes one without pipes.
    pub fn new(rules: Rules) -> Pairing {
        Pairing {
            rules,
            pipes: HashMap::new(),
            brokers: BTreeMap::new(),
            expected: HashMap::new(),
            dials: HashMap::new(),
            attempts: 0,
            actions: VecDeque::new(),
        }
    }

    /// Takes the next thing to do, in the order in which they came up.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// How far a pipe is; `None`: it is not known, or no more.
    pub fn state(&self, id: u64) -> Option<&PipeState> {
        self.pipes.get(&id).map(|pipe| &pipe.state)
    }

    /// Begins to look for the other end of a pipe.
    pub fn open(&mut self, now: Instant, id: u64, open: Open) {
        self.pipes.insert(id, Pipe::new(open));
        self.look(now, id);
    }

    /// A writer said its last word before its reader came.
    pub fn last_word(&mut self, id: u64, word: LastWord) {
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_looking()) else { return };
        pipe.last_word = Some(word);
        self.discard(id);
    }

    /// A reader's pipe is over: nobody else is to come.
    pub fn over(&mut self, id: u64) {
        self.end(id, PipeState::Ended, Message::Withdraw(id));
    }

    /// Nobody uses a pipe any more. A writer's last word is still to be delivered.
    pub fn close(&mut self, now: Instant, id: u64) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.closed = true;
        match pipe.last_word {
            Some(LastWord::End) if pipe.is_looking() => {}
            Some(LastWord::Discard) if pipe.is_looking() => self.set_timer(now + DISCARD, Timer::Forget(id)),
            _ => self.forget(id),
        }
    }

    /// Ends a pipe that has not met its other end; one that is busy not before that has lasted.
    pub fn fail(&mut self, now: Instant, id: u64, mut failure: Failure) {
        let patience = self.rules.peer_timeout;
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_looking()) else { return };
        let is_busy = failure.code == code::EBUSY;
        if is_busy {
            let takes_over = self.rules.takeover
                && pipe.open.role == Role::Reader
                && matches!(pipe.open.route, Route::Broker(_));
            let (since, (limit, pause)) = match &pipe.unmet {
                Some((since, _)) => (*since, (patience, UNMET)),
                None => (*pipe.busy_since.get_or_insert(now), if takes_over { TAKEOVER } else { BUSY }),
            };
            if now.saturating_duration_since(since) < limit {
                return self.set_timer(now + pause, Timer::Look(id));
            }
        }
        let trouble = pipe.unmet.as_ref().map(|(_, trouble)| trouble.clone());
        // Its reader waits for this writer, and would wait for ever.
        let introduced = matches!(pipe.state, PipeState::Introduced { .. } | PipeState::Relayed(_));
        let last = if introduced && !is_busy { Message::Discarded(id) } else { Message::Withdraw(id) };
        match trouble {
            Some(trouble) if is_busy => {
                let text = format!(
                    "its reader was introduced, and not met for {patience:?}: {trouble}; at last: {}",
                    failure.text
                );
                failure = Failure::new(code::ETIMEDOUT, text);
                self.give_up(id);
            }
            Some(trouble) => failure.text = format!("{} (before that: {trouble})", failure.text),
            None => {}
        }
        self.actions.push_back(Action::Fail(id, failure));
        self.end(id, PipeState::Ended, last);
    }

    /// Notes a trouble for all whom a listener serves.
    pub fn note_awaited(&mut self, awaited: Awaited, trouble: &str) {
        match awaited {
            Awaited::Pipe(id) => self.note(id, trouble),
            Awaited::Introduced => {
                let pipes: Vec<_> = self.expected.values().map(|expected| expected.pipe).collect();
                pipes.into_iter().for_each(|id| self.note(id, trouble));
            }
        }
    }

    /// Decides for which pipe a peer comes, by its HELLO; `None`: its token may still be told by a broker.
    ///
    /// # Errors
    /// What to tell the peer.
    pub fn judge(&self, now: Instant, awaited: Awaited, hello: &Hello) -> Result<Option<u64>, Reason> {
        let refuse = |code, text: &str| Err(Reason::new(code, text));
        let (Purpose::Pipe, Some(role), Some(name)) = (hello.purpose, hello.role, &hello.name) else {
            return refuse(code::EPROTO, "this is no broker: it takes pipes only");
        };
        let id = match (awaited, &hello.token) {
            (Awaited::Pipe(id), None) => id,
            (Awaited::Pipe(_), Some(_)) => {
                return refuse(code::EACCES, "no broker introduces to a direct pipe");
            }
            (Awaited::Introduced, None) => {
                return refuse(code::EACCES, "only whom a broker introduces is served here");
            }
            (Awaited::Introduced, Some(token)) => match self.expected.get(token) {
                Some(expected) if expected.until > now => expected.pipe,
                Some(_) => return refuse(code::ECONNRESET, "the broker's token has expired"),
                // The broker told both sides, and the other one was faster.
                None => return Ok(None),
            },
        };
        let Some(pipe) = self.pipes.get(&id) else { return refuse(code::ECONNRESET, "the pipe was closed") };
        if *name != pipe.open.name {
            return refuse(code::EPROTO, "this is another pipe");
        }
        if role == pipe.open.role {
            return refuse(code::EBUSY, "both sides have the same direction");
        }
        match role {
            _ if pipe.is_looking() => Ok(Some(id)),
            Role::Writer => refuse(code::EBUSY, ALL_THERE),
            Role::Reader => refuse(code::EBUSY, "the pipe has a reader already"),
        }
    }

    /// The handshake of a peer that came for a pipe is complete.
    pub fn accepted(&mut self, id: u64, established: &Established) -> Disposition {
        if let Some(token) = &established.peer.token {
            self.expected.remove(token);
        }
        self.connect(id, established.peer.role)
    }

    /// A timer's time has come. It may have lost its meaning since it was set.
    pub fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Look(id) => self.look(now, id),
            Timer::Broker(broker) => self.dial_broker(now, &broker),
            Timer::Doubt(id) => self.doubt(now, id),
            Timer::Redial(id, token) => self.dial_introduced(now, id, token),
            Timer::Token(token) => self.token_expired(now, token),
            Timer::Forget(id) => self.forget(id),
        }
    }

    /// Looks for the other end of a pipe, at first or anew.
    fn look(&mut self, now: Instant, id: u64) {
        let Some(pipe) = self.pipes.get(&id).filter(|pipe| pipe.is_looking()) else { return };
        match pipe.open.route.clone() {
            Route::Listen(at) => self.dial(now, Dial::new(Target::Listener(id), [at])),
            Route::Dial(to) => self.dial(now, Dial::new(Target::Peer(id), [to])),
            Route::Broker(broker) => self.join_broker(now, &broker, id),
        }
    }

    /// Gives a pipe a connection, if it wants one.
    fn connect(&mut self, id: u64, peer: Option<Role>) -> Disposition {
        let refuse = |text| Message::Refusal(Reason::new(code::EBUSY, text));
        match (self.pipes.get_mut(&id), peer) {
            (Some(pipe), Some(Role::Writer)) if pipe.is_looking() => {
                pipe.room = pipe.room.map(|room| room.saturating_sub(1));
                if pipe.room == Some(0) {
                    // Listener and registration stay until the pipe is over: one writer more is refused, not left to wait.
                    pipe.state = PipeState::Connected;
                }
                Disposition::Connect(id)
            }
            (Some(pipe), _) if pipe.is_looking() => {
                self.end(id, PipeState::Connected, Message::Withdraw(id));
                Disposition::Connect(id)
            }
            (Some(_), Some(Role::Writer)) => Disposition::Dismiss(refuse(ALL_THERE)),
            (None, Some(Role::Writer)) => Disposition::Dismiss(Message::Closed(0)),
            (_, _) => Disposition::Close,
        }
    }

    /// Tells a broker of a writer that was discarded before its reader came.
    fn discard(&mut self, id: u64) {
        let is_discarded = |pipe: &Pipe| pipe.is_looking() && pipe.last_word == Some(LastWord::Discard);
        if self.pipes.get(&id).is_some_and(is_discarded) && self.leave_broker(id, Message::Discarded(id)) {
            let failure = Failure::new(code::ECONNRESET, "it was discarded");
            self.actions.push_back(Action::Fail(id, failure));
            self.end(id, PipeState::Ended, Message::Withdraw(id));
        }
    }

    /// Gives up a pipe that nobody uses.
    fn forget(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get(&id).filter(|pipe| pipe.closed) else { return };
        if pipe.is_looking() {
            let failure = Failure::new(code::ECONNRESET, "it was closed before its other end came");
            self.actions.push_back(Action::Fail(id, failure));
        }
        self.end(id, PipeState::Ended, Message::Withdraw(id));
    }

    /// Nobody else is to come to a pipe: its listener and its registration end.
    fn end(&mut self, id: u64, state: PipeState, last: Message) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.state = state;
        if pipe.closed {
            self.pipes.remove(&id);
        }
        self.actions.push_back(Action::StopListening(id));
        self.leave_broker(id, last);
    }

    fn note(&mut self, pipe: u64, trouble: &str) {
        self.actions.push_back(Action::Note(pipe, Some(trouble.to_owned())));
    }

    fn set_timer(&mut self, at: Instant, timer: Timer) {
        self.actions.push_back(Action::SetTimer(at, timer));
    }
}

const ALL_THERE: &str = "the pipe has all the writers that its reader expects";

#[cfg(test)]
mod tests;
