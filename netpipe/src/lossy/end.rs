//! One end of a pipe as a state machine without IO: frames, answers about names and the time go in, frames and wishes come out.
//! Who executes it only moves them. What goes through memory, where the two ends are on one host, an end moves itself.

use crate::error::{Reason, code};
use crate::lossy::frame::Frame;
use crate::passage::Moment;
use crate::values::Role;
use bytes::Bytes;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an end that hears nothing goes on asking, where nothing is outstanding. An eighth of the time after which the other side
/// counts as lost: what passes is counted in questions that were asked, so a machine that was busy or asleep loses nobody.
const QUESTIONS: u32 = 8;

/// The times that an end keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// After this much silence the other side is lost.
    pub peer_timeout: Duration,
}

impl Timing {
    /// Between two signs of life.
    pub fn interval(self) -> Duration {
        self.peer_timeout / QUESTIONS
    }

    /// That the other side is lost; `cut` is why this side has no connection itself.
    pub fn lost(self, whom: &str, cut: Option<&str>) -> Reason {
        let seconds = self.peer_timeout.as_secs();
        let text = format!("the {whom} was lost: no word from it for {seconds} s");
        let cut = cut.map_or_else(String::new, |why| format!(", and {why}"));
        Reason::new(code::ECONNRESET, &(text + &cut))
    }
}

/// Where an end hears, in the network's words.
pub type Place = Arc<str>;

/// Which of an end's own inboxes: 0 is its first, a reader has one more for each writer.
pub type Inbox = u32;

/// What one end of a pipe does with what happens.
pub trait End: Send {
    /// Takes a frame that came to `inbox`, or (`None`) to the name; `from` is where an answer goes, if anywhere.
    fn hear(&mut self, now: Instant, inbox: Option<Inbox>, from: Option<Place>, frame: Frame);

    /// Nobody listened where `inbox` is the answer's address.
    fn nobody(&mut self, now: Instant, inbox: Inbox);

    /// Takes the answer to a wish.
    fn answered(&mut self, now: Instant, answer: Answer);

    /// This side has no connection, or could not make it again, and why.
    fn disconnected(&mut self, why: &str);

    /// The connection to the server is back; what was under way may be lost.
    fn reconnected(&mut self, now: Instant);

    /// The network does not let this side do something that pipes need.
    fn forbidden(&mut self, now: Instant, what: &Forbidden, why: &Reason);

    /// The pipe cannot go on.
    fn fail(&mut self, why: Reason);

    /// Its file was closed.
    fn close(&mut self, now: Instant);

    /// The instance stops: what nobody will come for is given up.
    fn stop(&mut self);

    /// When to call [`tick`](End::tick).
    fn deadline(&self) -> Option<Instant>;

    /// Time has passed.
    fn tick(&mut self, now: Instant);

    /// The next frame to send, if there is one.
    fn transmit(&mut self, now: Instant) -> Option<Transmit>;

    /// What it wants beyond that.
    fn wish(&mut self) -> Option<Wish>;

    /// Whether whoever executes this has nothing to do because of what its file did: everything goes through memory.
    fn is_quiet(&self) -> bool;

    /// For its file, before a wait: a moment's wait for memory, without this end's lock; `None`: others are waited for.
    fn moment(&self) -> Option<Moment>;

    /// Before a longer wait: it is to be woken by what `watch` is given, and answers that it will wake it. Look once
    /// more.
    fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool);

    /// Whether it is closed and needs nothing more.
    fn is_settled(&self) -> bool;
}

/// A frame, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub to: To,
    /// The inbox that the answer goes to.
    pub answer: Option<Inbox>,
    /// The encoded frame.
    pub frame: Bytes,
}

impl Transmit {
    /// One that needs no answer.
    pub fn new(to: To, frame: &Frame) -> Transmit {
        Transmit { to, answer: None, frame: frame.encode() }
    }

    /// The same with an address for the answer.
    #[must_use]
    pub fn answered_to(self, inbox: Inbox) -> Transmit {
        Transmit { answer: Some(inbox), ..self }
    }
}

/// Where a frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Whoever reads the pipe's name.
    Reader,
    /// All who wait to write to it.
    Writers,
    /// The other end.
    Peer(Place),
}

/// What a network may forbid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// To speak there.
    Speaking(To),
    /// To hear what is said to a name's reader, or to its writers; `None`: to its own inboxes.
    Hearing(Option<Role>),
    /// To come by a name.
    Claiming,
}

/// What an end wants, beyond sending frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To hear what is said to the name's reader, or to its writers.
    Listen(Role),
    /// No longer.
    Leave,
    /// The name, for a reader; from whoever has it at this revision, if given.
    Claim {
        /// What its holder wrote last.
        over: Option<u64>,
    },
    /// To keep the name.
    Renew,
    /// To give the name back.
    Release,
    /// To know whether a writer discarded before the reader came; the note is removed.
    LookForDiscard,
    /// To leave such a note.
    NoteDiscard,
    /// To remove it.
    ForgetDiscard,
}

/// What came of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// [`Wish::Listen`]: whatever is said from now on is heard.
    Listening,
    /// [`Wish::Claim`], [`Wish::Renew`]: the name is this end's.
    Claimed,
    /// [`Wish::Claim`], [`Wish::Renew`]: somebody else has it, who wrote last at this revision.
    Taken {
        /// Of what its holder wrote last.
        revision: u64,
    },
    /// [`Wish::Claim`]: nobody keeps the names.
    Unkept,
    /// [`Wish::Claim`], [`Wish::Renew`]: no answer came, or none that helps.
    Unknown(String),
    /// [`Wish::Release`].
    Released,
    /// [`Wish::LookForDiscard`].
    Discarded(bool),
}
