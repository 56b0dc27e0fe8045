//! The reading end: it comes by its name, lets writers in, and joins what they send.

use crate::digest::Algorithm;
use crate::error::{Reason, code};
use crate::lossy::claim::Claim;
use crate::lossy::end::{Answer, End, Forbidden, Inbox, Place, Timing, To, Transmit, Wish};
use crate::lossy::frame::{Frame, Nonce, VERSION};
use crate::lossy::inflow::{Flow, Inflow};
use crate::passage::{Arrival, Moment};
use crate::same_host::{Meeting, SameHost, Way};
use crate::values::{Role, random};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// Answers that wait to be sent to those who are not let in. Whoever gets none asks again.
const ANSWERS_MAX: usize = 64;
/// Writers of one pipe that are remembered, whatever `writers` says: each costs memory.
const WRITERS_MAX: usize = 1024;

/// The reading end of a pipe.
pub struct ReaderEnd {
    timing: Timing,
    window: u32,
    digest: Option<Algorithm>,
    /// Where writers on this host are met.
    same_host: Option<SameHost>,
    /// How many writers come; `None`: any number.
    expected: Option<u32>,
    arrived: u32,
    claim: Claim,
    /// Those that are not settled, the ones that are over too.
    inflows: Vec<Inflow>,
    /// Whose turn it is, in `inflows`.
    turn: usize,
    state: State,
    answers: VecDeque<Transmit>,
    wishes: VecDeque<Wish>,
    /// Why this side has no connection.
    cut: Option<String>,
    /// The name is being given back.
    releasing: bool,
    closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Broken(Reason),
}

impl ReaderEnd {
    /// A reader that expects so many writers, and digests as those do that digest the same way.
    pub fn new(timing: Timing, window: u32, expected: Option<u32>, digest: Option<Algorithm>) -> ReaderEnd {
        ReaderEnd {
            timing,
            window,
            digest,
            same_host: None,
            expected,
            arrived: 0,
            claim: Claim::new(timing),
            inflows: Vec::new(),
            turn: 0,
            state: State::Open,
            answers: VecDeque::new(),
            wishes: VecDeque::new(),
            cut: None,
            releasing: false,
            closed: false,
        }
    }

    /// Writers on this host are met there.
    #[must_use]
    pub fn with_same_host(mut self, at: Option<SameHost>) -> ReaderEnd {
        self.same_host = at;
        self
    }

    /// Whether the name is this reader's.
    pub fn is_held(&self) -> bool {
        self.claim.is_held()
    }

    /// Why what it waits for does not come: this side is cut off, or the name is another's.
    pub fn refusal(&self) -> Option<String> {
        self.cut.clone().or_else(|| self.claim.refusal())
    }

    /// Whether a writer is there.
    pub fn has_writers(&self) -> bool {
        self.inflows.iter().any(|inflow| !inflow.is_over())
    }

    /// Reads from one writer after the other, until one gives something.
    pub fn read(&mut self, now: Instant, buf: &mut [u8]) -> Flow {
        match &self.state {
            State::Ended => return Flow::End,
            State::Broken(why) => return Flow::Broken(why.clone()),
            State::Open => {}
        }
        while let Some(at) = self.look_and_choose() {
            let count = self.inflows[at].read(now, buf);
            let flow = self.inflows[at].flow();
            match flow {
                Flow::End => self.ended(now, at),
                // After bytes, a break is the next call's.
                Flow::Broken(why) if count == 0 => return self.broken(now, why),
                _ => {}
            }
            if count > 0 {
                return Flow::Bytes(count);
            }
        }
        self.inflows.iter_mut().for_each(Inflow::report);
        match &self.state {
            State::Ended => Flow::End,
            _ => Flow::Nothing,
        }
    }

    fn look_and_choose(&mut self) -> Option<usize> {
        self.inflows.iter_mut().for_each(Inflow::look);
        self.choose()
    }

    /// Whose turn it is: of the writer whose frame was begun, for a frame arrives whole; else of the next that has something.
    fn choose(&mut self) -> Option<usize> {
        let count = self.inflows.len();
        let has_news = |inflow: &Inflow| {
            !inflow.is_over() && (inflow.is_ready() || !matches!(inflow.flow(), Flow::Nothing))
        };
        if let Some(at) = self.inflows.iter().position(Inflow::is_within_frame) {
            return Some(at).filter(|at| has_news(&self.inflows[*at]));
        }
        let at = (0..count).map(|step| (self.turn + step) % count).find(|at| has_news(&self.inflows[*at]))?;
        self.turn = at + 1;
        Some(at)
    }

    /// A writer has ENDed, and everything of it was taken.
    fn ended(&mut self, now: Instant, at: usize) {
        let word = self.inflows[at].closing_word();
        self.inflows[at].say_last(now, word);
        let all_came = self.expected.is_none_or(|expected| self.arrived >= expected);
        if all_came && self.inflows.iter().all(Inflow::is_over) {
            self.state = State::Ended;
            self.leave();
        }
        self.forget_settled();
    }

    /// One writer broke the pipe: it is broken for the others as well.
    fn broken(&mut self, now: Instant, why: Reason) -> Flow {
        for inflow in self.inflows.iter_mut().filter(|inflow| !inflow.is_over()) {
            // Whoever broke it hears why, the others that it broke.
            let word = match inflow.flow() {
                Flow::Broken(own) => Frame::Refused(own),
                _ => Frame::Refused(Reason::new(code::ECONNRESET, "another writer broke the pipe")),
            };
            inflow.say_last(now, word);
        }
        self.state = State::Broken(why.clone());
        self.leave();
        self.forget_settled();
        Flow::Broken(why)
    }

    /// Gives the name back.
    fn leave(&mut self) {
        if self.claim.is_held() {
            self.wishes.push_back(Wish::Leave);
        }
        self.releasing |= self.claim.release();
    }

    /// A writer asks to be let in.
    fn greet(
        &mut self,
        now: Instant,
        writer: Place,
        version: u16,
        digest: Option<Algorithm>,
        nonce: Option<Nonce>,
    ) {
        if let Some(known) = self.inflows.iter_mut().find(|inflow| inflow.writer == writer) {
            return known.greet_again();
        }
        let expected = self.expected.unwrap_or(u32::MAX);
        let refusal = if version != VERSION {
            let text = format!("the reader speaks version {VERSION} of netpipes over NATS");
            Some(Reason::new(code::EPROTO, &text))
        } else if self.arrived >= expected {
            let text = match expected {
                1 => "the pipe has a writer already".to_owned(),
                _ => format!("the pipe has its {expected} writers already"),
            };
            Some(Reason::new(code::EBUSY, &text))
        } else if self.inflows.len() >= WRITERS_MAX {
            Some(Reason::new(code::EBUSY, "the pipe has as many writers as its reader can serve"))
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.answer(Transmit::new(To::Peer(writer), &Frame::Refused(reason)));
        }
        self.arrived += 1;
        let digests = self.digest.filter(|ours| digest == Some(*ours));
        let inflow = Inflow::new(now, self.timing, self.arrived, writer, self.window, digests);
        self.inflows.push(match nonce.and_then(|theirs| self.way(&theirs)) {
            Some((way, ours)) => inflow.with_arrival(Arrival::new(Some(way)), ours),
            None => inflow,
        });
    }

    /// Where a writer on this host may be met, and this side's part of what the two know.
    fn way(&self, theirs: &Nonce) -> Option<(Way, Nonce)> {
        let at = self.same_host.clone()?;
        // Without a random number there is no place.
        let ours = random().ok()?;
        let meeting = Meeting::of_nonces(theirs, &ours, Role::Reader, self.window).ok()?;
        Some((Way { at, meeting: Box::new(meeting) }, ours))
    }

    fn answer(&mut self, answer: Transmit) {
        if self.answers.len() < ANSWERS_MAX {
            self.answers.push_back(answer);
        }
    }

    /// The name is this reader's.
    fn hold(&mut self) {
        self.wishes.push_back(Wish::Listen(Role::Reader));
    }

    fn forget_settled(&mut self) {
        self.inflows.retain(|inflow| !inflow.is_settled());
    }
}

impl End for ReaderEnd {
    fn hear(&mut self, now: Instant, inbox: Option<Inbox>, from: Option<Place>, frame: Frame) {
        match (inbox, frame, from) {
            (None, Frame::Hello { version, digest, nonce }, Some(writer)) if self.claim.is_held() => {
                self.greet(now, writer, version, digest, nonce);
            }
            (None, Frame::Who, Some(other)) if self.claim.is_held() => {
                self.answer(Transmit::new(To::Peer(other), &Frame::Held));
            }
            (Some(0), Frame::Held, _) => {
                if let Err(why) = self.claim.contradicted() {
                    self.state = State::Broken(why);
                }
            }
            (Some(inbox), frame, _) => {
                if let Some(inflow) = self.inflows.iter_mut().find(|inflow| inflow.inbox == inbox) {
                    inflow.hear(now, frame);
                    // An END whose bytes are taken already is the last word, whether anybody reads or not.
                    let at = self.inflows.iter().position(|inflow| inflow.inbox == inbox);
                    match at.filter(|at| !self.inflows[*at].is_over()) {
                        Some(at) if self.inflows[at].flow() == Flow::End => self.ended(now, at),
                        _ => {}
                    }
                }
                self.forget_settled();
            }
            _ => {}
        }
    }

    fn nobody(&mut self, _: Instant, inbox: Inbox) {
        if inbox == 0 && self.claim.uncontradicted() {
            self.hold();
        }
    }

    fn answered(&mut self, now: Instant, answer: Answer) {
        match answer {
            Answer::Listening if self.claim.is_held() => {
                self.answer(Transmit::new(To::Writers, &Frame::Here));
                self.wishes.push_back(Wish::LookForDiscard);
            }
            Answer::Released => self.releasing = false,
            Answer::Discarded(true) if self.state == State::Open => {
                let text = "the writer discarded the pipe before its reader came";
                self.broken(now, Reason::new(code::ECONNRESET, text));
            }
            answer => match self.claim.answered(now, answer) {
                Ok(true) => self.hold(),
                Ok(false) => {}
                Err(why) => drop(self.broken(now, why)),
            },
        }
    }

    fn disconnected(&mut self, why: &str) {
        self.cut = Some(why.to_owned());
    }

    fn reconnected(&mut self, _: Instant) {
        self.cut = None;
        if self.claim.is_held() {
            self.answer(Transmit::new(To::Writers, &Frame::Here));
        }
        self.inflows.iter_mut().for_each(Inflow::tell_again);
    }

    fn forbidden(&mut self, now: Instant, what: &Forbidden, why: &Reason) {
        let is_needed = match what {
            Forbidden::Speaking(To::Peer(writer)) => {
                let at = self.inflows.iter().position(|inflow| inflow.writer == *writer);
                at.is_some_and(|at| !self.inflows.remove(at).is_over())
            }
            Forbidden::Speaking(To::Writers) => true,
            // Only who has no name yet asks whoever has it.
            Forbidden::Speaking(To::Reader) | Forbidden::Claiming => !self.claim.is_held(),
            Forbidden::Hearing(role) => *role != Some(Role::Writer),
        };
        if is_needed && self.state == State::Open {
            self.broken(now, why.clone());
        }
    }

    fn fail(&mut self, why: Reason) {
        if self.state == State::Open {
            self.state = State::Broken(why);
        }
        self.inflows.clear();
        self.leave();
    }

    fn close(&mut self, now: Instant) {
        self.closed = true;
        for inflow in self.inflows.iter_mut().filter(|inflow| !inflow.is_over()) {
            let word = inflow.closing_word();
            inflow.say_last(now, word);
        }
        self.leave();
        self.forget_settled();
    }

    fn stop(&mut self) {}

    fn deadline(&self) -> Option<Instant> {
        self.inflows.iter().map(Inflow::deadline).chain(self.claim.deadline()).min()
    }

    fn tick(&mut self, now: Instant) {
        if self.claim.tick(now) {
            self.hold();
        }
        let cut = self.cut.as_deref();
        self.inflows.iter_mut().for_each(|inflow| inflow.tick(now, cut));
        self.forget_settled();
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        if self.claim.asks() {
            return Some(Transmit::new(To::Reader, &Frame::Who).answered_to(0));
        }
        self.inflows.iter_mut().find_map(Inflow::transmit)
    }

    fn wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front().or_else(|| self.claim.wish())
    }

    fn is_quiet(&self) -> bool {
        self.state == State::Open && !self.inflows.is_empty() && self.inflows.iter().all(Inflow::is_quiet)
    }

    fn moment(&self) -> Option<Moment> {
        match &self.inflows[..] {
            [inflow] if !inflow.is_over() => inflow.moment(),
            _ => None,
        }
    }

    fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        self.inflows.iter_mut().for_each(|inflow| inflow.sleep(watch));
    }

    fn is_settled(&self) -> bool {
        // Every writer has acknowledged the last word, and the name is given back.
        let nobody_waits = self.inflows.is_empty() && self.answers.is_empty();
        self.closed && nobody_waits && !self.releasing && self.wishes.is_empty()
    }
}
