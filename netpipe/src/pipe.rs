//! What the two ends of a pipe count and check, without any IO.
//!
//! The writer's end: [`Window`] says how much may be sent, and checks what the reader reports. The reader's end:
//! [`Incoming`] follows the writer's stream, [`Report`] says when to send TAKEN.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::frame::{self, Crc, Gather, HEADER, Header, Kind};
use crate::hello::{FEATURE_ALIVE, FEATURE_SAME_HOST, FEATURE_WINDOWS};
use crate::message::{Message, Sender};
use crate::same_host::Step;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Send TAKEN as soon as half the window was taken, or so many bytes if that is less: 512 KiB.
///
/// Half the window keeps the writer busy while the report is on its way; a report for less costs both sides a packet more.
pub const REPORT_BYTES: u64 = 512 << 10;
/// Send TAKEN at the latest so long after bytes were taken.
pub const REPORT_DELAY: Duration = Duration::from_millis(50);

/// The writer's account: what was sent, what was taken, what may still be sent.
///
/// One thread sends, another hears of what was taken.
#[derive(Debug)]
pub struct Window {
    size: AtomicU64,
    features: u64,
    sent: AtomicU64,
    taken: AtomicU64,
    ended: AtomicBool,
}

impl Window {
    /// Begins with the reader's window in bytes, [`Hello::window`](crate::hello::Hello::window).
    pub fn new(size: u32) -> Window {
        Window {
            size: AtomicU64::new(u64::from(size)),
            features: 0,
            sent: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// The features in use on the connection: which further frames the reader may send.
    pub fn with_features(mut self, features: u64) -> Window {
        self.features = features;
        self
    }

    /// The window in bytes.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Whether the reader can make it larger.
    pub fn can_grow(&self) -> bool {
        self.features & FEATURE_WINDOWS != 0
    }

    /// How many payload bytes may be sent now.
    pub fn room(&self) -> u64 {
        // `taken` first: it never passes `sent`, so an old one with a new `sent` errs to less room, never to more.
        let taken = self.taken.load(Ordering::Acquire);
        self.size().saturating_sub(self.sent().saturating_sub(taken))
    }

    /// Counts payload bytes; called before they go out, so that their TAKEN cannot come earlier.
    pub fn send(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::AcqRel);
    }

    /// The payload bytes sent so far: END's total.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// The payload bytes taken as far as is known.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Notes that END goes out; called before it does.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Checks and notes a frame of the reader.
    ///
    /// # Errors
    /// A total that falls or exceeds what was sent, or DONE before END or before all was taken: [`Error::Protocol`]. A
    /// REFUSAL: [`Error::Refused`].
    pub fn hear(&self, message: &Message) -> Result<()> {
        match message {
            Message::Taken(total) | Message::Closed(total) => {
                let (taken, sent) = (self.taken(), self.sent());
                if *total < taken || *total > sent {
                    return Err(Error::protocol(format!(
                        "{total} bytes taken, after {taken}, of {sent} that were sent"
                    )));
                }
                self.taken.store(*total, Ordering::Release);
                Ok(())
            }
            Message::Done if self.ended.load(Ordering::Acquire) && self.taken() == self.sent() => Ok(()),
            Message::Done => Err(Error::protocol("DONE before all was sent and taken")),
            Message::Window(size) if self.can_grow() => {
                let size = u64::from(*size);
                if self.size.fetch_max(size, Ordering::AcqRel) > size {
                    return Err(Error::protocol("a window that shrinks"));
                }
                Ok(())
            }
            Message::Alive if self.features & FEATURE_ALIVE != 0 => Ok(()),
            Message::Refusal(reason) => Err(Error::Refused(reason.clone())),
            other => Err(other.kind().out_of_turn()),
        }
    }
}

/// The reader's account: what was taken, what was reported.
#[derive(Debug, Clone)]
pub struct Report {
    step: u64,
    taken: u64,
    reported: u64,
}

impl Report {
    /// Begins with this reader's own window in bytes.
    pub fn new(window: u32) -> Report {
        Report { step: REPORT_BYTES.min(u64::from(window) / 2), taken: 0, reported: 0 }
    }

    /// Counts bytes that the owner has taken; true: send TAKEN now.
    pub fn take(&mut self, bytes: u64) -> bool {
        self.taken += bytes;
        self.taken - self.reported >= self.step
    }

    /// Whether something was taken and not reported: send TAKEN within [`REPORT_DELAY`].
    pub fn is_pending(&self) -> bool {
        self.taken != self.reported
    }

    /// The bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The bytes reported so far.
    pub fn reported(&self) -> u64 {
        self.reported
    }

    /// Makes the TAKEN frame of now, and notes that it goes out.
    pub fn message(&mut self) -> Message {
        self.reported = self.taken;
        Message::Taken(self.taken)
    }
}

/// What comes next in a writer's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// So many bytes of a header or a small frame; more may be given to [`Incoming::control`], which takes no more.
    Control(usize),
    /// So many payload bytes of the DATA frame at hand, for [`Incoming::payload`]. A header's 12 bytes follow.
    Payload(usize),
    /// The writer is on its way to where the two meet: [`Incoming::followed`] goes on.
    Meeting(Step),
    /// Nothing: the pipe has ended well, and all payload was read.
    End,
}

/// Follows a writer's stream: what comes next, and whether it may.
///
/// Payload does not pass through it: its owner reads that straight into its buffer, and shows it. A broken rule and a
/// wrong CRC are for good: every later [`next`](Incoming::next) returns them.
#[derive(Debug)]
pub struct Incoming {
    window: u64,
    crc: bool,
    features: u64,
    /// The last frame was FULL.
    full: bool,
    /// How far the writer has come to where the two meet, and whether the reader is still to follow.
    step: Option<(Step, bool)>,
    gather: Gather,
    /// Of the DATA frame at hand: the bytes to come, its CRC so far, and the CRC to reach.
    left: u32,
    running: Option<(Crc, u32)>,
    /// Of all payload, if digests are in use, and what the writer says.
    digest: Option<Digest>,
    told: Option<[u8; 32]>,
    received: u64,
    reported: u64,
    state: Result<bool>,
}

impl Incoming {
    /// Begins with this reader's own window in bytes, and whether CRCs are in use.
    pub fn new(window: u32, crc: bool) -> Incoming {
        Incoming {
            window: u64::from(window),
            crc,
            features: 0,
            full: false,
            step: None,
            gather: Gather::default(),
            left: 0,
            running: None,
            digest: None,
            told: None,
            received: 0,
            reported: 0,
            state: Ok(false),
        }
    }

    /// Expects a digest before END, and holds the payload against it.
    pub fn with_digest(mut self, digest: Option<Digest>) -> Incoming {
        self.digest = digest;
        self
    }

    /// Goes on where so many payload bytes have come another way, and were digested.
    pub fn after(mut self, received: u64) -> Incoming {
        (self.received, self.reported) = (received, received);
        self
    }

    /// The features in use on the connection: which further frames the writer may send.
    pub fn with_features(mut self, features: u64) -> Incoming {
        self.features = features;
        self
    }

    /// Whether the last frame said that the writer has more, and no room for it. A reader that has nothing left to read then has
    /// the writer wait for its reports: a larger window would keep both at work.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Notes that WINDOW with this size goes out.
    pub fn grow(&mut self, window: u32) {
        self.window = self.window.max(u64::from(window));
        self.full = false;
    }

    /// Notes that the reader has done what a step of the writer asks of it.
    pub fn followed(&mut self) {
        if let Some((_, pending)) = &mut self.step {
            *pending = false;
        }
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`Error::Protocol`], [`Error::Checksum`], [`Error::Corrupted`], [`Error::Discarded`], [`Error::Refused`].
    pub fn next(&self) -> Result<Next> {
        if self.state.clone()? {
            return Ok(Next::End);
        }
        if self.left > 0 {
            return Ok(Next::Payload(self.left as usize));
        }
        if let Some((step, true)) = self.step {
            return Ok(Next::Meeting(step));
        }
        let total = match self.gather.header().map(Header::decode) {
            Some(Ok(header)) => HEADER + header.length as usize,
            _ => HEADER,
        };
        Ok(Next::Control(total - self.gather.bytes().len()))
    }

    /// Takes bytes off `input` up to the next payload, a step, or the end.
    ///
    /// # Errors
    /// As [`next`](Incoming::next).
    pub fn control(&mut self, input: &mut &[u8]) -> Result<Next> {
        while !input.is_empty() && matches!(self.next()?, Next::Control(_)) {
            if let Err(error) = self.step(input) {
                self.state = Err(error);
            }
        }
        self.next()
    }

    /// Counts and checks payload: at most the bytes that [`next`](Incoming::next) said. More is not counted.
    pub fn payload(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.left as usize)];
        self.left -= bytes.len() as u32;
        self.received += bytes.len() as u64;
        if let Some((crc, _)) = &mut self.running {
            crc.update(bytes);
        }
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.settle();
    }

    /// Counts payload that was not seen, as splice moves it: a frame with a CRC cannot be read so.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a frame with a CRC: use [`payload`](Incoming::payload).
    pub fn unseen(&mut self, bytes: u64) -> Result<()> {
        if self.running.is_some() || self.digest.is_some() {
            return Err(Error::Invalid("the CRC of this frame, or the digest, needs its payload".into()));
        }
        let bytes = bytes.min(u64::from(self.left));
        self.left -= bytes as u32;
        self.received += bytes;
        Ok(())
    }

    /// Whether the frame at hand has a CRC to check.
    pub fn has_crc(&self) -> bool {
        self.running.is_some()
    }

    /// The payload bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Notes that TAKEN with this total goes out; the window is counted from it.
    pub fn reported(&mut self, total: u64) {
        self.reported = total;
    }

    /// What it means that the connection ended now: never a good end.
    pub fn closed(&self) -> Option<Error> {
        match &self.state {
            Ok(true) => None,
            Ok(false) => Some(Error::Closed("before the pipe's end")),
            Err(error) => Some(error.clone()),
        }
    }

    fn settle(&mut self) {
        if self.left == 0
            && let Some((crc, expected)) = self.running.take()
            && crc.value() != expected
        {
            self.state = Err(Error::Checksum);
        }
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<()> {
        self.gather.fill(input, HEADER);
        let Some(bytes) = self.gather.header() else { return Ok(()) };
        let header = Header::decode(bytes)?;
        if !Sender::Writer.sends(header.kind) {
            return Err(header.kind.out_of_turn());
        }
        if header.kind == Kind::Data {
            self.gather.clear();
            return self.begin(&header);
        }
        if !self.gather.fill(input, HEADER + header.length as usize) {
            return Ok(());
        }
        frame::check(&header, self.gather.body())?;
        let message = Message::parse(header.kind, self.gather.body())?;
        self.gather.clear();
        match message {
            Message::Digest(told) if self.digest.is_some() && self.told.is_none() => {
                self.told = Some(told);
                Ok(())
            }
            Message::End(total) if total == self.received => {
                match (&self.digest, self.told) {
                    (Some(digest), Some(told)) if digest.value() != told => return Err(Error::Corrupted),
                    (Some(_), None) => {
                        return Err(Error::protocol("END without a DIGEST, though they are in use"));
                    }
                    _ => {}
                }
                self.state = Ok(true);
                Ok(())
            }
            Message::End(total) => {
                Err(Error::protocol(format!("END after {} bytes says {total}", self.received)))
            }
            Message::Full if self.features & FEATURE_WINDOWS != 0 => {
                self.full = true;
                Ok(())
            }
            Message::Alive if self.features & FEATURE_ALIVE != 0 => Ok(()),
            Message::Meeting(step) if self.features & FEATURE_SAME_HOST != 0 => match (self.step, step) {
                (None, Step::Waits) | (Some((Step::Waits, _)), Step::Leaves) => {
                    self.step = Some((step, true));
                    Ok(())
                }
                _ => Err(Error::protocol("a step to a meeting out of turn")),
            },
            Message::Discard(reason) => Err(Error::Discarded(reason)),
            Message::Refusal(reason) => Err(Error::Refused(reason)),
            other => Err(other.kind().out_of_turn()),
        }
    }

    /// Begins a DATA frame.
    fn begin(&mut self, header: &Header) -> Result<()> {
        if self.told.is_some() {
            return Err(Error::protocol("a DATA frame after DIGEST"));
        }
        if self.received - self.reported.min(self.received) + u64::from(header.length) > self.window {
            return Err(Error::protocol(format!("a DATA frame of {} bytes, over the window", header.length)));
        }
        if self.crc && header.crc.is_none() {
            return Err(Error::protocol("a DATA frame without a CRC, though CRCs are in use"));
        }
        self.full = false;
        self.left = header.length;
        self.running = header.crc.map(|crc| (Crc::new(header.kind, header.length), crc));
        Ok(())
    }
}
