//! The writing end: it seeks a reader, sends what it is given, sends it again where it was lost, and brings its last word home.

mod met;

use crate::digest::Algorithm;
use crate::error::{Reason, code};
use crate::lossy::end::{Answer, End, Forbidden, Inbox, Place, Timing, To, Transmit, Wish};
use crate::lossy::frame::{Frame, Nonce, VERSION, WINDOW_LEAST};
use crate::passage::Moment;
use crate::same_host::{Meeting, SameHost, Way};
use crate::values::{Role, random};
use met::{Host, LastWord, Met};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Between two attempts to find a reader, at first and at most. One that comes says so itself; that word can be lost.
const SEEK_FIRST: Duration = Duration::from_millis(100);
const SEEK_MOST: Duration = Duration::from_secs(2);
/// How long a writer that failed before it met its reader waits to say so.
const DISCARD_KEPT: Duration = Duration::from_secs(60);

/// How a pipe came to its end for its writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reader has taken everything.
    Done,
    /// The reader closed before that.
    Closed,
    /// It broke, or this writer was refused.
    Failed(Reason),
}

/// The writing end of a pipe.
pub struct WriterEnd {
    timing: Timing,
    digest: Option<Algorithm>,
    /// Where readers on this host are met, and this side's part of what the two know.
    same_host: Option<(SameHost, Nonce)>,
    phase: Phase,
    last_word: Option<LastWord>,
    /// What is owed to the other side, or to whoever executes this.
    bye: Option<Place>,
    wishes: Vec<Wish>,
    /// Why this side has no connection.
    cut: Option<String>,
    /// A COMMIT failed: a close takes its END back.
    abandoned: bool,
    /// The reader closed, and had taken all that was written: an END adds nothing.
    closed_with_all: bool,
    closed: bool,
}

enum Phase {
    /// No reader is known. `again` is the time of the next attempt; `None`: as soon as answers can be heard.
    Seeking { again: Option<Instant>, pause: Duration, due: bool, until: Option<Instant>, noted: bool },
    /// A reader has let this writer in.
    Met(Box<Met>),
    /// Nothing more is sent but a farewell.
    Over(Outcome),
}

impl WriterEnd {
    /// A writer that digests if its reader does too.
    pub fn new(timing: Timing, digest: Option<Algorithm>) -> WriterEnd {
        let phase = Phase::Seeking { again: None, pause: SEEK_FIRST, due: false, until: None, noted: false };
        let wishes = vec![Wish::Listen(Role::Writer)];
        WriterEnd {
            timing,
            digest,
            same_host: None,
            phase,
            last_word: None,
            bye: None,
            wishes,
            cut: None,
            abandoned: false,
            closed_with_all: false,
            closed: false,
        }
    }

    /// Readers on this host are met there.
    #[must_use]
    pub fn with_same_host(mut self, at: Option<SameHost>) -> WriterEnd {
        // Without a random number there is no place.
        self.same_host = at.and_then(|at| Some((at, random().ok()?)));
        self
    }

    /// Whether a reader has let this writer in.
    pub fn has_met(&self) -> bool {
        !matches!(self.phase, Phase::Seeking { .. })
    }

    /// How it ended.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Why what it waits for does not come, where that is this side.
    pub fn refusal(&self) -> Option<String> {
        self.cut.clone()
    }

    /// Whether the last word was said.
    pub fn is_finished(&self) -> bool {
        self.last_word.is_some()
    }

    /// Takes bytes in; `None`: there is no reader yet, or no room.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        let Phase::Met(met) = &mut self.phase else { return None };
        match met.write(bytes) {
            Ok(count) => count,
            Err(why) => {
                self.over(Outcome::Failed(why));
                None
            }
        }
    }

    /// For its file, before it looks at anything else: what the memory tells, where everything goes through that.
    pub fn look(&mut self) {
        let Phase::Met(met) = &mut self.phase else { return };
        match met.look(matches!(self.last_word, Some(LastWord::End))) {
            Ok(true) => self.over(Outcome::Done),
            Ok(false) => {}
            Err(why) => self.over(Outcome::Failed(why)),
        }
    }

    /// Says the last word through memory, where everything goes through that.
    fn say_last(&mut self) {
        let (Phase::Met(met), Some(word)) = (&mut self.phase, &self.last_word) else { return };
        match met.say_last(word) {
            Ok(true) => self.leave_behind(),
            Ok(false) => {}
            Err(why) => self.over(Outcome::Failed(why)),
        }
    }

    /// Whoever waits for nothing more leaves, once the last word is in memory and the network has brought all that went before.
    fn leave_behind(&mut self) {
        match self.last_word {
            _ if !matches!(&self.phase, Phase::Met(met) if met.is_left_behind()) => {}
            Some(LastWord::Discard(_)) => self.over(discarded()),
            Some(LastWord::End) if self.closed => self.over(Outcome::Done),
            _ => {}
        }
    }

    /// Sends what was written at once.
    pub fn push(&mut self) {
        if let Phase::Met(met) = &mut self.phase {
            met.push();
        }
    }

    /// Whether the reader has taken all that was written.
    pub fn is_taken(&mut self) -> bool {
        match &mut self.phase {
            Phase::Seeking { .. } | Phase::Over(Outcome::Done) => true,
            Phase::Met(met) => met.is_taken(),
            Phase::Over(_) => false,
        }
    }

    /// No more bytes follow.
    pub fn end(&mut self) {
        let word = self.last_word.get_or_insert(LastWord::End);
        if self.closed_with_all && matches!(word, LastWord::End) {
            self.phase = Phase::Over(Outcome::Done);
        }
        self.push();
        self.say_last();
    }

    /// A COMMIT failed. Another may follow; if the file is closed instead, the pipe is discarded.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// The writer failed. Takes back an END that the reader does not know of.
    pub fn discard(&mut self, now: Instant, why: &str) {
        if matches!(&self.phase, Phase::Met(met) if met.has_said_in_memory()) {
            return; // an END in memory is there
        }
        let reason = Reason::new(code::ECONNRESET, why);
        self.last_word = Some(LastWord::Discard(reason));
        self.push();
        match &mut self.phase {
            Phase::Met(met) => {
                met.unsay();
                self.say_last();
            }
            Phase::Seeking { until, noted, .. } if until.is_none() => {
                *until = Some(now + DISCARD_KEPT);
                *noted = true;
                self.wishes.push(Wish::NoteDiscard);
            }
            _ => {}
        }
    }

    fn over(&mut self, outcome: Outcome) {
        let reader = match &self.phase {
            Phase::Met(met) => Some(met.reader().clone()),
            Phase::Seeking { .. } => {
                self.wishes.push(Wish::Leave);
                None
            }
            Phase::Over(_) => return,
        };
        self.bye = reader;
        self.phase = Phase::Over(outcome);
    }

    /// A reader lets this writer in.
    fn meet(
        &mut self,
        now: Instant,
        reader: Place,
        window: u32,
        digest: Option<Algorithm>,
        nonce: Option<Nonce>,
    ) {
        let Phase::Seeking { noted, .. } = self.phase else { return };
        self.wishes.push(Wish::Leave);
        if noted {
            self.wishes.push(Wish::ForgetDiscard);
        }
        let way = self.same_host.clone().zip(nonce).and_then(|((at, ours), theirs)| {
            let meeting = Meeting::of_nonces(&ours, &theirs, Role::Writer, window).ok()?;
            Some(Way { at, meeting: Box::new(meeting) })
        });
        let digest = digest.filter(|algorithm| self.digest == Some(*algorithm));
        let host = Host { place: reader, window, digest, way };
        self.phase = Phase::Met(Box::new(Met::new(now, host, self.timing.interval())));
    }

    /// The reader tells how far it is.
    fn report(&mut self, now: Instant, received: u64, taken: u64, resend: bool) {
        let Phase::Met(met) = &mut self.phase else { return };
        match met.report(now, received, taken, resend) {
            Ok(()) => self.leave_behind(),
            Err(why) => self.over(Outcome::Failed(why)),
        }
    }

    /// The reader's last word but DONE: everything it took counts.
    fn reader_closed(&mut self, taken: u64) {
        let Phase::Met(met) = &mut self.phase else { return };
        let ended = matches!(self.last_word, Some(LastWord::End));
        self.closed_with_all = met.has_all(taken);
        self.over(if ended && self.closed_with_all { Outcome::Done } else { Outcome::Closed });
    }
}

/// How a pipe that this side discarded comes to its end.
fn discarded() -> Outcome {
    Outcome::Failed(Reason::new(code::ECONNRESET, "the pipe was discarded"))
}

impl End for WriterEnd {
    fn hear(&mut self, now: Instant, inbox: Option<Inbox>, from: Option<Place>, frame: Frame) {
        let is_peer = inbox.is_some();
        if let (true, Phase::Met(met)) = (is_peer, &mut self.phase) {
            met.hear();
        }
        match (frame, &mut self.phase) {
            (Frame::Here, Phase::Seeking { due, .. }) => *due = true,
            (Frame::Welcome { version: VERSION, window, .. }, Phase::Seeking { .. })
                if is_peer && window < WINDOW_LEAST =>
            {
                let text =
                    format!("the reader grants a window of {window} bytes, and {WINDOW_LEAST} is the least");
                self.over(Outcome::Failed(Reason::new(code::EPROTO, &text)));
                self.bye = from;
            }
            (Frame::Welcome { version: VERSION, window, digest, nonce }, phase) if is_peer => {
                match (phase, from) {
                    (Phase::Seeking { .. }, Some(reader)) => self.meet(now, reader, window, digest, nonce),
                    // It has met another one, or is over: this one is not to wait for it.
                    (Phase::Met(met), Some(reader)) if *met.reader() != reader => self.bye = Some(reader),
                    (Phase::Over(_), Some(reader)) => self.bye = Some(reader),
                    _ => {}
                }
            }
            (Frame::Welcome { version, .. }, Phase::Seeking { .. }) if is_peer => {
                let text =
                    format!("the reader speaks version {version} of netpipes over NATS, this side {VERSION}");
                self.over(Outcome::Failed(Reason::new(code::EPROTO, &text)));
            }
            (Frame::Refused(reason), Phase::Seeking { .. } | Phase::Met(_)) if is_peer => {
                let text = format!("the reader refused: {reason}");
                self.over(Outcome::Failed(Reason::new(reason.errno(), &text)));
            }
            (Frame::State { received, taken, resend, ended }, Phase::Met(_)) if is_peer => {
                self.report(now, received, taken, resend);
                match &self.last_word {
                    Some(LastWord::Discard(_)) if ended => self.over(discarded()),
                    // The reader has everything, and nobody here waits for what becomes of it.
                    Some(LastWord::End) if ended && self.closed => self.over(Outcome::Done),
                    _ => {}
                }
            }
            (Frame::Done { taken }, Phase::Met(_)) if is_peer => self.reader_closed(taken),
            (Frame::Closed { taken }, Phase::Met(_)) if is_peer => self.reader_closed(taken),
            _ => {}
        }
    }

    /// A reader that comes says so, and attempts are repeated.
    fn nobody(&mut self, _: Instant, _: Inbox) {}

    fn answered(&mut self, now: Instant, answer: Answer) {
        if let (Answer::Listening, Phase::Seeking { again, .. }) = (answer, &mut self.phase) {
            *again = Some(now);
        }
    }

    fn disconnected(&mut self, why: &str) {
        self.cut = Some(why.to_owned());
    }

    fn reconnected(&mut self, now: Instant) {
        self.cut = None;
        match &mut self.phase {
            Phase::Seeking { again: Some(again), pause, .. } => (*again, *pause) = (now, SEEK_FIRST),
            Phase::Met(met) => met.doubt(),
            _ => {}
        }
    }

    fn forbidden(&mut self, _: Instant, what: &Forbidden, why: &Reason) {
        let is_needed = match (what, &self.phase) {
            (Forbidden::Speaking(To::Peer(reader)), Phase::Met(met)) => met.reader() == reader,
            (Forbidden::Speaking(To::Reader) | Forbidden::Hearing(Some(Role::Writer)), phase) => {
                matches!(phase, Phase::Seeking { .. })
            }
            (Forbidden::Hearing(None), phase) => !matches!(phase, Phase::Over(_)),
            _ => false,
        };
        if is_needed {
            self.fail(why.clone());
        }
    }

    fn fail(&mut self, why: Reason) {
        self.over(Outcome::Failed(why));
        self.bye = None;
    }

    fn close(&mut self, now: Instant) {
        self.closed = true;
        if self.outcome().is_none() {
            match (&self.last_word, self.abandoned) {
                (None, _) => self.discard(now, "it closed without END"),
                (Some(LastWord::End), true) => self.discard(now, "its commit failed"),
                _ => {}
            }
        }
        if let Phase::Met(met) = &mut self.phase {
            met.ask(); // whether the reader has everything already
        }
        self.leave_behind();
    }

    fn stop(&mut self) {
        // The note of it stays where names are kept.
        if matches!((&self.phase, &self.last_word), (Phase::Seeking { .. }, Some(LastWord::Discard(_)))) {
            self.over(Outcome::Closed);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Seeking { again, until, .. } => [*again, *until].into_iter().flatten().min(),
            Phase::Met(met) => Some(met.deadline()),
            Phase::Over(_) => None,
        }
    }

    fn tick(&mut self, now: Instant) {
        let timing = self.timing;
        match &mut self.phase {
            Phase::Seeking { until: Some(until), .. } if now >= *until => self.over(Outcome::Closed),
            Phase::Seeking { again: Some(again), pause, due, .. } if now >= *again => {
                *due = true;
                *again = now + *pause;
                *pause = (*pause * 2).min(SEEK_MOST);
            }
            Phase::Met(met) => {
                let silence = met.tick(now);
                if silence >= timing.peer_timeout {
                    self.over(Outcome::Failed(timing.lost("reader", self.cut.as_deref())));
                }
            }
            _ => {}
        }
    }

    fn transmit(&mut self, now: Instant) -> Option<Transmit> {
        if let Some(reader) = self.bye.take() {
            return Some(Transmit::new(To::Peer(reader), &Frame::Bye));
        }
        match &mut self.phase {
            Phase::Seeking { due, .. } => {
                let nonce = self.same_host.as_ref().map(|(_, nonce)| *nonce);
                let hello = Frame::Hello { version: VERSION, digest: self.digest, nonce };
                std::mem::take(due).then(|| Transmit::new(To::Reader, &hello).answered_to(0))
            }
            Phase::Met(met) => met.transmit(now, self.last_word.as_ref()),
            Phase::Over(_) => None,
        }
    }

    fn wish(&mut self) -> Option<Wish> {
        (!self.wishes.is_empty()).then(|| self.wishes.remove(0))
    }

    fn is_quiet(&self) -> bool {
        match &self.phase {
            Phase::Met(met) => met.is_quiet(),
            _ => false,
        }
    }

    fn moment(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Met(met) => met.moment(),
            _ => None,
        }
    }

    fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        if let Phase::Met(met) = &mut self.phase {
            met.sleep(watch);
        }
    }

    fn is_settled(&self) -> bool {
        self.closed && matches!(self.phase, Phase::Over(_)) && self.bye.is_none() && self.wishes.is_empty()
    }
}
