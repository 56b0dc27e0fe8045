//! One writer's stream at the reader.

use crate::side::{Wish, of_protocol, of_reason};
use bytes::{Buf, BufMut, BytesMut};
use netpipe::digest::{Algorithm, Digest};
use netpipe::frame::ATOMIC;
use netpipe::handshake::Established;
use netpipe::passage::{Arrival, Look, Moment};
use netpipe::pipe::{Incoming, Next, REPORT_DELAY, Report};
use netpipe::same_host::{SameHost, Step, Way};
use netpipe::{Message, Reason};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// One writer, as its reader sees it.
pub struct Inflow {
    /// Unique within the pipe.
    pub id: u64,
    /// Told when the file has changed it.
    pub news: Arc<Notify>,
    incoming: Incoming,
    report: Report,
    /// When what was taken is reported; `None`: all was.
    report_at: Option<Instant>,
    /// The frame that is arriving.
    arriving: BytesMut,
    /// Whole frames, in order; small ones are joined. The front one may be taken in part.
    queue: VecDeque<BytesMut>,
    /// The owner has taken a part of the front.
    within: bool,
    /// The way to the writer's memory, if the two are on one host.
    arrival: Arrival,
    /// Something lies there.
    lies_ready: bool,
    /// The stream ended, and the writer's last word may be in memory: why it is broken if there is none.
    left_for: Option<Failure>,
    /// How it came to its end, once it has: what follows the queue.
    ending: Option<Ending>,
    /// Something of the writer's came.
    has_spoken: bool,
    /// Another reader of the name has the writer: it did not come.
    withdrawn: bool,
    out: BytesMut,
    /// The last word was said: nothing of the writer's counts any more.
    over: bool,
    /// Nothing more is sent.
    left: bool,
}

/// What comes after everything that a writer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    End,
    Broken(Failure),
}

/// What a reader gets from a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The writer has ENDed, and all of it was taken.
    End,
    /// The writer broke, and all of it was taken.
    Broken(Failure),
}

impl Inflow {
    /// Lets a writer in, whose stream begins as the two have agreed.
    pub fn new(id: u64, window: u32, established: Established, at: Option<SameHost>) -> Inflow {
        let way = at.zip(established.meeting).map(|(at, meeting)| Way { at, meeting });
        let digest = Algorithm::of(established.features).map(Digest::new);
        Inflow {
            id,
            news: Arc::default(),
            incoming: Incoming::new(window, false).with_digest(digest).with_features(established.features),
            report: Report::new(window),
            report_at: None,
            arriving: BytesMut::new(),
            queue: VecDeque::new(),
            within: false,
            arrival: Arrival::new(way),
            lies_ready: false,
            left_for: None,
            ending: None,
            has_spoken: false,
            withdrawn: false,
            out: BytesMut::new(),
            over: false,
            left: false,
        }
    }

    /// Takes bytes of the writer's.
    pub fn hear(&mut self, mut bytes: &[u8]) {
        self.has_spoken |= !bytes.is_empty();
        if self.arrival.is_through() && !bytes.is_empty() && !self.over {
            let error = netpipe::Error::Protocol("a frame beside the memory where the two met".into());
            return self.broken(&error);
        }
        while self.ending.is_none() && !self.over {
            match self.incoming.next() {
                Ok(Next::End) => self.ending = Some(Ending::End),
                Err(error) => self.broken(&error),
                Ok(_) if bytes.is_empty() => return,
                // A broken rule is what is next.
                Ok(Next::Control(_)) => drop(self.incoming.control(&mut bytes)),
                Ok(Next::Meeting(Step::Waits)) => {
                    self.arrival.go();
                    self.incoming.followed();
                }
                // The memory itself says where it begins.
                Ok(Next::Meeting(Step::Leaves)) => {
                    let error = netpipe::Error::Protocol("a step to a meeting out of turn".into());
                    self.broken(&error);
                }
                Ok(Next::Payload(left)) => {
                    let (payload, rest) = bytes.split_at(left.min(bytes.len()));
                    self.incoming.payload(payload);
                    self.arriving.put_slice(payload);
                    bytes = rest;
                    if payload.len() == left {
                        self.arrived();
                    }
                }
            }
        }
    }

    /// The stream ended. Without a word of the writer's it did not come: another reader took it.
    pub fn ended(&mut self, failure: Option<Failure>) {
        if self.over || self.ending.is_some() {
            return;
        }
        self.withdrawn |= !self.has_spoken && failure.is_none();
        let left = || Failure::new(Code::ECONNRESET, "the writer left the pipe without END");
        let failure = failure.unwrap_or_else(left);
        match self.arrival.is_under_way() {
            true => self.left_for = Some(failure),
            false => self.ending = Some(Ending::Broken(failure)),
        }
    }

    /// For its file, before it looks at anything else: whether the writer has left the stream, and what is in its memory.
    pub fn look(&mut self) {
        self.lies_ready = false;
        if self.over || !self.queue.is_empty() {
            return;
        }
        let (received, taken) = (self.incoming.received(), self.report.taken());
        let incoming = &mut self.incoming;
        let gone_on =
            self.arrival.go_on(received, taken, || std::mem::replace(incoming, Incoming::new(0, false)));
        if let Err(why) = gone_on {
            self.ending.get_or_insert(Ending::Broken(of_reason(&why)));
        }
        let left = self.left_for.is_some();
        match self.arrival.inlet().map(|inlet| inlet.look(left)) {
            Some(Look::Ready) => self.lies_ready = true,
            Some(Look::End) => drop(self.ending.get_or_insert(Ending::End)),
            Some(Look::Broken(why)) => drop(self.ending.get_or_insert(Ending::Broken(of_reason(&why)))),
            Some(Look::Nothing) => {}
            // What it sent before it left the stream has not come; or it has not left that.
            None if self.arrival.from().is_none_or(|from| received < from) => {
                if let Some(failure) = self.left_for.take() {
                    self.ending.get_or_insert(Ending::Broken(failure));
                }
            }
            None => {}
        }
    }

    /// A moment's wait for its memory.
    pub fn moment(&self) -> Option<Moment> {
        self.arrival.moment()
    }

    /// Asks to be woken by what `watch` is given.
    pub fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        match self.over {
            true => self.arrival.hush(),
            false => self.arrival.sleep(watch),
        }
    }

    /// Whether its writer did not come after all.
    pub fn has_withdrawn(&self) -> bool {
        self.withdrawn
    }

    /// Notes that nothing more is sent, or could be.
    pub fn leave(&mut self) {
        self.left = true;
    }

    /// Whether it is of no use to anybody.
    pub fn is_settled(&self) -> bool {
        self.over && self.left
    }

    /// Reads what is there.
    pub fn read(&mut self, now: Instant, buf: &mut [u8]) -> usize {
        let mut count = 0;
        while let Some(front) = self.queue.front_mut().filter(|_| count < buf.len()) {
            let part = front.len().min(buf.len() - count);
            front.copy_to_slice(&mut buf[count..count + part]);
            count += part;
            self.within = !front.is_empty();
            if !self.within {
                self.queue.pop_front();
            }
        }
        if let (true, Some(inlet)) = (self.lies_ready && count == 0, self.arrival.inlet()) {
            count = inlet.read(buf);
            self.look();
            return count;
        }
        if count > 0 && self.report.take(count as u64) {
            self.report();
        } else if count > 0 {
            self.report_at.get_or_insert(now + REPORT_DELAY);
            if self.queue.is_empty() && self.ending.is_some() {
                self.report();
            }
            self.news.notify_one();
        }
        count
    }

    /// What comes after the bytes that were read.
    pub fn flow(&self) -> Flow {
        match &self.ending {
            _ if self.is_ready() => Flow::Nothing,
            None => Flow::Nothing,
            Some(Ending::End) => Flow::End,
            Some(Ending::Broken(failure)) => Flow::Broken(failure.clone()),
        }
    }

    /// Whether something can be read.
    pub fn is_ready(&self) -> bool {
        !self.queue.is_empty() || self.lies_ready
    }

    /// Whether its owner is within a frame, which arrives whole.
    pub fn is_within_frame(&self) -> bool {
        self.within || !self.over && self.arrival.is_within_frame()
    }

    /// Whether this side has said its last word.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Says the last word.
    pub fn say_last(&mut self, word: &Message) {
        if self.over {
            return;
        }
        if *word == Message::Done {
            // Which is what DONE is about.
            self.report();
        }
        self.out.put_slice(&word.to_bytes());
        self.over = true;
        self.queue.clear();
        self.arriving.clear();
        self.news.notify_one();
    }

    /// The last word of a reader that closes.
    pub fn closing_word(&mut self) -> Message {
        self.look();
        match self.flow() {
            Flow::End => Message::Done,
            _ => Message::Closed(self.report.taken()),
        }
    }

    /// The last word to a writer that broke the pipe, or whose pipe another one broke.
    pub fn breaking_word(&self) -> Message {
        let reason = match &self.ending {
            Some(Ending::Broken(failure)) => Reason::new(failure.code.raw().unsigned_abs(), &failure.text),
            _ => Reason::new(netpipe::code::ECONNRESET, "another writer broke the pipe"),
        };
        Message::Refusal(reason)
    }

    /// What it wants now.
    pub fn wish(&mut self, now: Instant) -> Wish {
        if self.report_at.is_some_and(|at| at <= now) {
            self.report();
        }
        match self.over {
            _ if !self.out.is_empty() => Wish::Send(self.out.split().freeze()),
            true => Wish::End,
            false => Wish::Wait(self.report_at),
        }
    }

    /// Tells the writer what was taken.
    fn report(&mut self) {
        self.report_at = None;
        if self.report.is_pending() {
            let message = self.report.message();
            self.incoming.reported(self.report.taken());
            self.out.put_slice(&message.to_bytes());
            self.news.notify_one();
        }
    }

    /// A frame is whole. Small ones are joined: what a byte costs in memory is bounded.
    fn arrived(&mut self) {
        match self.queue.back_mut() {
            Some(back) if back.len() + self.arriving.len() <= ATOMIC => back.unsplit(self.arriving.split()),
            _ => self.queue.push_back(self.arriving.split()),
        }
    }

    /// The writer discarded, or broke a rule.
    fn broken(&mut self, error: &netpipe::Error) {
        self.ending = Some(Ending::Broken(of_protocol(error)));
    }
}
