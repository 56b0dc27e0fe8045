//! The reading end: it lets writers in, and joins what they send.

use crate::inflow::{Flow, Inflow};
use crate::peers::Parties;
use crate::plan::Plan;
use crate::side::Wish;
use crate::troubles::Troubles;
use iroh::PublicKey;
use netpipe::digest::Algorithm;
use netpipe::handshake::Established;
use netpipe::passage::Moment;
use netpipe::same_host::SameHost;
use netpipe::{Message, Reason, code};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use zvfs_net::failure::Failure;

/// Writers of one pipe that are there at once, whatever `writers` says: each costs memory.
const WRITERS_MAX: usize = 1024;

/// The reading end of a pipe.
pub struct ReaderEnd {
    /// Why no writer is there yet.
    pub troubles: Troubles,
    others: Parties,
    window: u32,
    digest: Option<Algorithm>,
    /// Where writers on this host are met.
    same_host: Option<SameHost>,
    /// How many writers come; `None`: any number.
    expected: Option<u32>,
    arrived: u32,
    /// Those that are not settled.
    inflows: Vec<Inflow>,
    /// Whose turn it is, in `inflows`.
    turn: usize,
    next_id: u64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Broken(Failure),
    Closed,
}

impl ReaderEnd {
    /// A reader that expects so many writers, and digests as those do that digest the same way.
    pub fn new(others: Parties, window: u32, expected: Option<u32>, digest: Option<Algorithm>) -> ReaderEnd {
        ReaderEnd {
            troubles: Troubles::default(),
            others,
            window,
            digest,
            same_host: None,
            expected,
            arrived: 0,
            inflows: Vec::new(),
            turn: 0,
            next_id: 0,
            state: State::Open,
        }
    }

    /// Writers on this host are met there.
    pub fn with_same_host(mut self, at: Option<SameHost>) -> ReaderEnd {
        self.same_host = at;
        self
    }

    /// The most bytes that each writer may have on their way.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// What it would have in use on a writer's stream.
    pub fn features(&self) -> u64 {
        Plan::features(self.digest, self.same_host.as_ref())
    }

    /// Whether it has the pipe's name: until the end, a break or a close.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether a writer is there.
    pub fn has_writers(&self) -> bool {
        self.inflows.iter().any(|inflow| !inflow.is_over())
    }

    /// Whether one more writer may come, from this peer.
    ///
    /// # Errors
    /// What to tell it.
    pub fn admits(&self, from: PublicKey) -> Result<(), Reason> {
        if !self.others.contains(from) {
            return Err(Reason::new(code::EACCES, "the pipe's reader expects another peer"));
        }
        match self.expected {
            Some(expected) if self.arrived >= expected => {
                let text = match expected {
                    1 => "the pipe has a writer already".to_owned(),
                    _ => format!("the pipe has its {expected} writers already"),
                };
                Err(Reason::new(code::EBUSY, &text))
            }
            _ if self.inflows.len() >= WRITERS_MAX => {
                Err(Reason::new(code::EBUSY, "the pipe has as many writers as its reader can serve"))
            }
            _ => Ok(()),
        }
    }

    /// Lets a writer in; returns what it is known by, and what is told whenever the file has changed it.
    pub fn join(&mut self, established: Established) -> (u64, Arc<Notify>) {
        let inflow = Inflow::new(self.next_id, self.window, established, self.same_host.clone());
        let known = (inflow.id, inflow.news.clone());
        self.next_id += 1;
        self.arrived += 1;
        self.inflows.push(inflow);
        known
    }

    /// One of the writers.
    fn inflow(&mut self, id: u64) -> Option<&mut Inflow> {
        self.inflows.iter_mut().find(|inflow| inflow.id == id)
    }

    /// Reads from one writer after the other, until one gives something.
    pub fn read(&mut self, now: Instant, buf: &mut [u8]) -> Flow {
        while self.is_open()
            && let Some(at) = self.look_and_choose()
        {
            let count = self.inflows[at].read(now, buf);
            match self.inflows[at].flow() {
                Flow::End => self.writer_ended(at),
                // After bytes, a break is the next call's.
                Flow::Broken(failure) if count == 0 => self.writer_broke(failure),
                _ => {}
            }
            if count > 0 {
                return Flow::Bytes(count);
            }
        }
        match &self.state {
            State::Open => Flow::Nothing,
            State::Ended | State::Closed => Flow::End,
            State::Broken(failure) => Flow::Broken(failure.clone()),
        }
    }

    /// Takes bytes of a writer's.
    pub fn hear(&mut self, id: u64, bytes: &[u8]) {
        let Some(at) = self.inflows.iter().position(|inflow| inflow.id == id) else { return };
        self.inflows[at].hear(bytes);
        // An END whose bytes are taken already is the last word, whether anybody reads or not.
        if self.state == State::Open && !self.inflows[at].is_over() && self.inflows[at].flow() == Flow::End {
            self.writer_ended(at);
        }
    }

    /// A writer's stream ended.
    pub fn ended(&mut self, id: u64, failure: Option<Failure>) {
        let Some(at) = self.inflows.iter().position(|inflow| inflow.id == id) else { return };
        self.inflows[at].ended(failure);
        if self.inflows[at].has_withdrawn() {
            self.arrived -= 1;
            self.inflows.remove(at);
        }
    }

    /// Nothing more is said to a writer, or could be. What it sent before it was lost is still to be read.
    pub fn leave(&mut self, id: u64) {
        if let Some(inflow) = self.inflow(id) {
            inflow.leave();
        }
        self.forget_settled();
    }

    /// What a writer's side wants now.
    pub fn wish(&mut self, id: u64, now: Instant) -> Wish {
        self.inflow(id).map_or(Wish::End, |inflow| inflow.wish(now))
    }

    /// Another reader has the name, or the instance ends.
    pub fn fail(&mut self, failure: Failure) {
        if self.state == State::Open {
            self.state = State::Broken(failure);
        }
    }

    /// Its file was closed.
    pub fn close(&mut self) {
        for inflow in &mut self.inflows {
            let word = inflow.closing_word();
            inflow.say_last(&word);
        }
        self.state = State::Closed;
        self.forget_settled();
    }

    fn forget_settled(&mut self) {
        self.inflows.retain(|inflow| !inflow.is_settled());
    }

    /// For its file, before a wait: a moment's wait for memory, without this end's lock; `None`: others are waited for.
    pub fn moment(&self) -> Option<Moment> {
        match &self.inflows[..] {
            [inflow] if !inflow.is_over() => inflow.moment(),
            _ => None,
        }
    }

    /// Before a longer wait: it is to be woken by what `watch` is given, and answers that it will wake it. Look once more.
    pub fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        self.inflows.iter_mut().for_each(|inflow| inflow.sleep(watch));
    }

    fn look_and_choose(&mut self) -> Option<usize> {
        self.inflows.iter_mut().for_each(Inflow::look);
        self.choose()
    }

    /// Whose turn it is: of the writer whose frame was begun, for a frame arrives whole; else of the next that has something.
    fn choose(&mut self) -> Option<usize> {
        let count = self.inflows.len();
        let has_news =
            |inflow: &Inflow| !inflow.is_over() && (inflow.is_ready() || inflow.flow() != Flow::Nothing);
        if let Some(at) = self.inflows.iter().position(Inflow::is_within_frame) {
            return Some(at).filter(|at| has_news(&self.inflows[*at]));
        }
        let at = (0..count).map(|step| (self.turn + step) % count).find(|at| has_news(&self.inflows[*at]))?;
        self.turn = at + 1;
        Some(at)
    }

    /// A writer has ENDed, and everything of it was taken.
    fn writer_ended(&mut self, at: usize) {
        self.inflows[at].say_last(&Message::Done);
        let all_came = self.expected.is_none_or(|expected| self.arrived >= expected);
        if all_came && self.inflows.iter().all(Inflow::is_over) {
            self.state = State::Ended;
        }
        self.forget_settled();
    }

    /// One writer broke the pipe: it is broken for the others as well.
    fn writer_broke(&mut self, failure: Failure) {
        for inflow in &mut self.inflows {
            let word = inflow.breaking_word();
            inflow.say_last(&word);
        }
        self.state = State::Broken(failure);
        self.forget_settled();
    }
}
