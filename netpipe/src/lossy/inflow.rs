//! One writer's stream at the reader: what arrives is put in order, what arrives twice or too early is dropped.

use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Reason, code};
use crate::lossy::end::{Inbox, Place, Timing, To, Transmit};
use crate::lossy::frame::{Frame, Nonce, VERSION};
use crate::passage::{Arrival, Look, Moment};
use crate::pipe::Incoming;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// What the owner took is reported after this at the latest.
const REPORT: Duration = Duration::from_millis(50);
/// A gap is told of once, and again after this if nothing fills it.
const GAP: Duration = Duration::from_millis(200);
/// How long the last word is kept for a writer that did not acknowledge it.
const LINGER: Duration = Duration::from_secs(5);

/// One writer, as its reader sees it.
#[derive(Debug)]
pub struct Inflow {
    /// Where it speaks to.
    pub inbox: Inbox,
    /// Where it hears.
    pub writer: Place,
    timing: Timing,
    window: u64,
    digest: Option<Digest>,
    digests: Option<Algorithm>,
    /// This side's part of what the two know, if they may meet on one host; and the way to there.
    nonce: Option<Nonce>,
    arrival: Arrival,
    /// Something lies in memory.
    lies_ready: bool,
    /// In order; the front one may be taken in part.
    queue: VecDeque<Bytes>,
    /// The owner has taken a part of the front.
    within: bool,
    received: u64,
    taken: u64,
    reported: u64,
    report_at: Option<Instant>,
    /// When the gap was told of.
    gap: Option<Instant>,
    /// How many bytes the writer's last word says there are.
    total: Option<u64>,
    /// That word, once everything that goes before it is here.
    ending: Option<Ending>,
    /// This side's last word.
    last: Option<Frame>,
    /// The writer hears nothing more.
    left: bool,
    linger_until: Option<Instant>,
    due: Due,
    tick_at: Instant,
    silence: Duration,
}

/// What is to be sent.
#[derive(Debug, Default)]
struct Due {
    welcome: bool,
    state: bool,
    resend: bool,
    last: bool,
}

/// What the writer said last.
#[derive(Clone, Debug)]
enum Ending {
    End(Option<[u8; 32]>),
    Broken(Reason),
}

/// What a reader gets from a writer.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The writer has ENDed, and all of it was taken.
    End,
    /// The writer broke, and all of it was taken.
    Broken(Reason),
}

impl Inflow {
    /// Lets a writer in.
    pub fn new(
        now: Instant,
        timing: Timing,
        inbox: Inbox,
        writer: Place,
        window: u32,
        digests: Option<Algorithm>,
    ) -> Inflow {
        Inflow {
            inbox,
            writer,
            timing,
            window: window.into(),
            digest: digests.map(Digest::new),
            digests,
            nonce: None,
            arrival: Arrival::default(),
            lies_ready: false,
            queue: VecDeque::new(),
            within: false,
            received: 0,
            taken: 0,
            reported: 0,
            report_at: None,
            gap: None,
            total: None,
            ending: None,
            last: None,
            left: false,
            linger_until: None,
            due: Due { welcome: true, ..Due::default() },
            tick_at: now + timing.interval(),
            silence: Duration::ZERO,
        }
    }

    /// The two may meet on one host; this side's nonce has gone into that.
    pub fn with_arrival(mut self, arrival: Arrival, nonce: Nonce) -> Inflow {
        (self.arrival, self.nonce) = (arrival, Some(nonce));
        self
    }

    /// Takes a frame of its writer.
    pub fn hear(&mut self, now: Instant, frame: Frame) {
        self.silence = Duration::ZERO;
        match frame {
            Frame::Data { offset, payload } => self.arrive(now, offset, payload),
            Frame::End { total, digest } => self.end(now, total, Ending::End(digest)),
            Frame::Discard { total, reason } => {
                let text = format!("the writer discarded the pipe: {reason}");
                self.end(now, total, Ending::Broken(Reason::new(code::ECONNRESET, &text)));
            }
            Frame::Ask { sent } => {
                self.tell_again();
                self.due.resend |= sent > self.received;
            }
            Frame::Bye => {
                self.left = true;
                // In memory its last word may be there.
                if self.ending.is_none() && !self.arrival.is_under_way() {
                    self.ending = Some(Ending::Broken(without_end()));
                }
            }
            Frame::Meeting => self.arrival.go(),
            _ => self.break_up("the writer sent a frame that is not a writer's"),
        }
    }

    /// Its writer asks to be let in again: the answer was lost.
    pub fn greet_again(&mut self) {
        self.due.welcome = true;
    }

    /// What was told last may be lost.
    pub fn tell_again(&mut self) {
        self.due.state = true;
        self.due.last = self.last.is_some();
    }

    fn arrive(&mut self, now: Instant, offset: u64, mut payload: Bytes) {
        let end = offset + payload.len() as u64;
        if self.arrival.from().is_some_and(|from| end > from) {
            self.break_up("the writer sent what it said would come through memory");
        } else if self.last.is_some() || self.ending.is_some() || end <= self.received {
            // The writer sends again what came: it does not know.
            self.due.state |= end <= self.received;
        } else if self.total.is_some_and(|total| end > total) {
            self.break_up("the writer sent more than its last word says");
        } else if offset > self.received {
            if self.gap.is_none_or(|told| now >= told + GAP) {
                self.gap = Some(now);
                self.due.state = true;
                self.due.resend = true;
            }
        } else if end - self.taken > self.window {
            self.break_up("the writer sent more than its window");
        } else {
            payload.advance((self.received - offset) as usize);
            self.received = end;
            self.gap = None;
            self.queue.push_back(payload);
        }
    }

    /// The writer's last word, if all that it sent before has come.
    fn end(&mut self, now: Instant, total: u64, ending: Ending) {
        self.tell_again();
        if self.ending.is_some() {
            return;
        }
        if total < self.received || self.total.is_some_and(|known| known != total) {
            self.break_up("the writer's last word says another number of bytes than it sent");
        } else if total > self.received {
            self.total = Some(total);
            self.gap = Some(now);
            self.due.resend = true;
        } else {
            self.ending = Some(ending);
        }
    }

    /// The writer broke a rule: what it sent is not used.
    fn break_up(&mut self, text: &str) {
        self.queue.clear();
        self.within = false;
        self.ending = Some(Ending::Broken(Reason::new(code::EPROTO, text)));
    }

    /// For its file, before it looks at anything else: whether the writer has left the network, and what is in its memory.
    pub fn look(&mut self) {
        self.lies_ready = false;
        if self.last.is_some() || !self.queue.is_empty() {
            return;
        }
        let (received, taken, digest) = (self.received, self.taken, &mut self.digest);
        let incoming = || Incoming::new(u32::MAX, false).with_digest(digest.take()).after(taken);
        if let Err(why) = self.arrival.go_on(received, taken, incoming) {
            self.ending.get_or_insert(Ending::Broken(why));
        }
        // A writer that left has said its last word there, or none.
        let left = self.left;
        match self.arrival.inlet().map(|inlet| inlet.look(left)) {
            Some(Look::Ready) => self.lies_ready = true,
            Some(Look::End) => drop(self.ending.get_or_insert(Ending::End(None))),
            Some(Look::Broken(why)) => drop(self.ending.get_or_insert(Ending::Broken(why))),
            Some(Look::Nothing) => {}
            // It has gone, and what it sent before it left the network has not come; or it has not left that.
            None if self.left && self.arrival.from().is_none_or(|from| self.received < from) => {
                self.ending.get_or_insert(Ending::Broken(without_end()));
            }
            None => {}
        }
    }

    /// Whether its file waits for nothing but its memory.
    pub fn is_through(&self) -> bool {
        self.arrival.is_through()
    }

    /// Whether nothing is to be sent because of what its file did.
    pub fn is_quiet(&self) -> bool {
        self.is_through() && self.last.is_none() && self.report_at.is_none() && !self.due.state
    }

    /// A moment's wait for its memory.
    pub fn moment(&self) -> Option<Moment> {
        self.arrival.moment()
    }

    /// Asks to be woken by what `watch` is given.
    pub fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        match self.last {
            Some(_) => self.arrival.hush(),
            None => self.arrival.sleep(watch),
        }
    }

    /// Whether a part of a frame was taken: the rest comes before anything of another writer.
    pub fn is_within_frame(&self) -> bool {
        self.within || self.last.is_none() && self.arrival.is_within_frame()
    }

    /// Whether there is something to read.
    pub fn is_ready(&self) -> bool {
        !self.queue.is_empty() || self.lies_ready
    }

    /// Whether this side's last word is said.
    pub fn is_over(&self) -> bool {
        self.last.is_some()
    }

    /// Whether all the writer will ever send is taken, and it ENDed.
    pub fn is_all_taken(&self) -> bool {
        !self.is_ready() && matches!(self.ending, Some(Ending::End(_)))
    }

    /// Gives the owner what there is. After the last byte, [`flow`](Inflow::flow) says how it ended.
    pub fn read(&mut self, now: Instant, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(front) = self.queue.front_mut().filter(|_| done < buf.len()) {
            let count = front.len().min(buf.len() - done);
            buf[done..done + count].copy_from_slice(&front[..count]);
            front.advance(count);
            done += count;
            self.within = !front.is_empty();
            if front.is_empty() {
                self.queue.pop_front();
            }
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&buf[..done]);
        }
        self.taken += done as u64;
        if let (true, Some(inlet)) = (self.lies_ready && done == 0, self.arrival.inlet()) {
            done = inlet.read(buf);
            self.look();
        } else if self.taken - self.reported >= self.window / 4 {
            self.due.state = true;
        } else if self.report_at.is_none() && self.taken > self.reported {
            self.report_at = Some(now + REPORT);
        }
        done
    }

    /// How it goes on after what was taken.
    pub fn flow(&self) -> Flow {
        match &self.ending {
            _ if self.is_ready() => Flow::Nothing,
            None => Flow::Nothing,
            Some(Ending::Broken(why)) => Flow::Broken(why.clone()),
            Some(Ending::End(digest)) => match (&self.digest, digest) {
                (Some(ours), Some(theirs)) if ours.value() != *theirs => {
                    Flow::Broken(Reason::new(code::EBADMSG, &Error::Corrupted.to_string()))
                }
                (Some(_), None) => {
                    Flow::Broken(Reason::new(code::EPROTO, "the writer ended without its digest"))
                }
                _ => Flow::End,
            },
        }
    }

    /// Reports what was taken: the owner waits for more.
    pub fn report(&mut self) {
        self.due.state |= self.taken > self.reported;
    }

    /// This side's last word. Whoever has left does not hear it.
    pub fn say_last(&mut self, now: Instant, word: Frame) {
        self.queue.clear();
        self.within = false;
        self.report_at = None;
        self.due = Due { last: !self.left, ..Due::default() };
        self.last = Some(word);
        self.linger_until = Some(now + LINGER);
    }

    /// The last word of an owner that closes.
    pub fn closing_word(&mut self) -> Frame {
        self.look();
        match self.is_all_taken() {
            true => Frame::Done { taken: self.taken },
            false => Frame::Closed { taken: self.taken },
        }
    }

    /// Whether nothing is owed to the writer any more.
    pub fn is_settled(&self) -> bool {
        self.last.is_some() && self.left
    }

    /// When to call [`tick`](Inflow::tick).
    pub fn deadline(&self) -> Instant {
        [self.report_at, self.linger_until].into_iter().flatten().fold(self.tick_at, Instant::min)
    }

    /// Time has passed; `cut` is why this side has no connection.
    pub fn tick(&mut self, now: Instant, cut: Option<&str>) {
        if self.linger_until.is_some_and(|until| now >= until) {
            self.left = true;
        }
        if self.report_at.take_if(|at| now >= *at).is_some() {
            self.due.state = true;
        }
        if now >= self.tick_at {
            self.tick_at = now + self.timing.interval();
            self.silence += self.timing.interval();
            // A question that crossed with this does not count.
            let is_expected = self.ending.is_none() && self.last.is_none() && !self.left;
            if self.silence > self.timing.peer_timeout && is_expected {
                self.ending = Some(Ending::Broken(self.timing.lost("writer", cut)));
                self.left = true;
            }
        }
    }

    /// The next frame to send.
    pub fn transmit(&mut self) -> Option<Transmit> {
        let to = To::Peer(self.writer.clone());
        if std::mem::take(&mut self.due.welcome) {
            let window = u32::try_from(self.window).unwrap_or(u32::MAX);
            let (digest, nonce) = (self.digests, self.nonce);
            let welcome = Frame::Welcome { version: VERSION, window, digest, nonce };
            return Some(Transmit::new(to, &welcome).answered_to(self.inbox));
        }
        if std::mem::take(&mut self.due.last)
            && let Some(last) = &self.last
        {
            return Some(Transmit::new(to, last));
        }
        if !std::mem::take(&mut self.due.state) || self.last.is_some() {
            return None;
        }
        let resend = std::mem::take(&mut self.due.resend);
        (self.reported, self.report_at) = (self.taken, None);
        let ended = self.ending.is_some();
        let state = Frame::State { received: self.received, taken: self.taken, resend, ended };
        Some(Transmit::new(to, &state))
    }
}

fn without_end() -> Reason {
    Reason::new(code::ECONNRESET, "the writer left the pipe without END")
}
