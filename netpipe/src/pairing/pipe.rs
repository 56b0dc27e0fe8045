//! One end of a pipe, and how far it is.

use crate::endpoint::{BrokerAt, Endpoint};
use crate::error::{Reason, code};
use crate::message::Message;
use crate::values::{Name, Role, Token};
use std::time::{Duration, Instant};

/// Pauses between attempts to reach the other end of a direct pipe, which may open later: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// How the two ends of a pipe meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The peer dials this address.
    Listen(Endpoint),
    /// This side dials it.
    Dial(Endpoint),
    /// A broker introduces them.
    Broker(BrokerAt),
}

/// One end of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which end.
    pub role: Role,
    /// The pipe.
    pub name: Name,
    /// How to meet.
    pub route: Route,
    /// Reader: the writers that it expects; `None`: any number.
    pub writers: Option<u32>,
}

/// How far a pipe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipeState {
    /// Its other end comes to an address of this machine.
    Listening,
    /// Its other end is dialled, again and again, since it may open later.
    Dialling,
    /// A broker is to introduce it, as soon as that can be reached.
    Registered,
    /// Writer: a broker has named its reader, whose addresses are dialled.
    Introduced {
        /// What the reader knows it by.
        token: Token,
        /// When it was told.
        since: Instant,
        /// Where the reader is.
        addresses: Vec<Endpoint>,
    },
    /// Writer: a broker is to join it with its reader, by this token.
    Relayed(Token),
    /// Everybody whom it expects is there.
    Connected,
    /// Nobody else is to come.
    Ended,
}

/// One pipe, and how the search for its other end goes.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) open: Open,
    pub(super) state: PipeState,
    /// Reader: how many more writers it expects; `None`: any number.
    pub(super) room: Option<u32>,
    /// Writer: what it said before its reader came.
    pub(super) last_word: Option<LastWord>,
    pub(super) closed: bool,
    /// Before a direct pipe is dialled again.
    pause: Duration,
    pub(super) busy_since: Option<Instant>,
    /// Somebody takes connections, and has not answered since.
    pub(super) silent_since: Option<Instant>,
    /// Its broker was found on the local network: how long it waits there until that is asked again.
    pub(super) doubt: Option<Duration>,
    /// An introduction led nowhere: since when, and why. The broker counts it until the reader registers again.
    pub(super) unmet: Option<(Instant, String)>,
}

/// A writer's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastWord {
    /// Everything was written.
    End,
    /// What was written is worthless.
    Discard,
}

impl LastWord {
    /// The frame that says it after `total` bytes.
    pub fn message(self, total: u64) -> Message {
        match self {
            LastWord::End => Message::End(total),
            LastWord::Discard => Message::Discard(Reason::new(code::ECANCELED, "the writer failed")),
        }
    }
}

impl Pipe {
    /// Begins.
    pub(super) fn new(open: Open) -> Pipe {
        let state = match open.route {
            Route::Listen(_) => PipeState::Listening,
            Route::Dial(_) => PipeState::Dialling,
            Route::Broker(_) => PipeState::Registered,
        };
        let room = open.writers;
        Pipe {
            open,
            state,
            room,
            last_word: None,
            closed: false,
            pause: PAUSES.0,
            busy_since: None,
            silent_since: None,
            doubt: None,
            unmet: None,
        }
    }

    /// The pause before the other end is dialled again.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSES.1);
        pause
    }

    /// Whether it still looks for its other end, or for another writer.
    pub(super) fn is_looking(&self) -> bool {
        !matches!(self.state, PipeState::Connected | PipeState::Ended)
    }

    /// Since when it tries the introduction of this token, if it does.
    pub(super) fn tries(&self, tried: Token) -> Option<Instant> {
        match &self.state {
            PipeState::Introduced { token, since, .. } if *token == tried => Some(*since),
            _ => None,
        }
    }
}
