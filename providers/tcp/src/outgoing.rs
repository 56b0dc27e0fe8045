//! A writer's connection to its reader, as the file and the service thread share it.
//!
//! What the reader says is heard by whoever holds the [`Reports`]: the file while it waits for that, so that nobody else is woken;
//! the service thread at other times.

use crate::failure::{Outcome, lost, of_protocol, silent};
use crate::link::{Link, Received, Shared};
use netpipe::digest::{Algorithm, Digest};
use netpipe::frame::ATOMIC;
use netpipe::pairing::LastWord;
use netpipe::pipe::Window;
use netpipe::same_host::{Guest, Leaving, Way};
use netpipe::{Decoder, Error, Message, Reason, Sender};
use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// Signs of life are not piled up behind what does not go out.
const BACKLOG: usize = 1 << 20;
/// A file that waits for nothing has sent its frame by then, on the busiest machine.
const FRAME_SENT: Duration = Duration::from_secs(1);

/// The way to a reader.
#[derive(Debug)]
pub struct Outgoing {
    /// The connection.
    pub link: Link,
    /// What was sent and taken.
    pub window: Window,
    /// Whether payload carries checksums.
    pub crc: bool,
    /// Of all payload, if digests are in use.
    digest: Option<Mutex<Digest>>,
    rest: Mutex<Rest>,
    /// The file is in the midst of a frame, and waits.
    stuck: AtomicBool,
    reports: Mutex<Reports>,
    last: AtomicBool,
    ended: AtomicBool,
    /// What had been sent when FULL was said the last time.
    full_at: AtomicU64,
    since: Instant,
    /// When the reader said something, in milliseconds from `since`.
    heard: AtomicU64,
    missed: AtomicBool,
}

/// The one-frame buffer: what is left of a frame whose caller could not wait, and the last word behind it.
#[derive(Debug, Default)]
pub struct Rest {
    bytes: Vec<u8>,
    at: usize,
    /// How the writer comes to where the two meet.
    leaving: Leaving,
    /// Bytes from here on go through memory: those before that are the last on the connection.
    turn: Option<(usize, Box<Shared>)>,
}

impl Rest {
    /// Keeps what the kernel did not take.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

impl Outgoing {
    /// Begins after the handshake.
    pub fn new(link: Link, window: Window, crc: bool) -> Outgoing {
        link.be_patient();
        Outgoing {
            link,
            window,
            crc,
            digest: None,
            rest: Mutex::default(),
            stuck: AtomicBool::new(false),
            reports: Mutex::new(Reports { decoder: Decoder::new(Sender::Reader) }),
            last: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            full_at: AtomicU64::new(u64::MAX),
            since: Instant::now(),
            heard: AtomicU64::new(0),
            missed: AtomicBool::new(false),
        }
    }

    /// Digests are in use.
    pub fn with_digest(mut self, algorithm: Option<Algorithm>) -> Outgoing {
        self.digest = algorithm.map(|algorithm| Mutex::new(Digest::new(algorithm)));
        self
    }

    /// The two may meet on this host.
    pub fn with_way(self, way: Option<Way>) -> Outgoing {
        if let Some(way) = way {
            self.sending().leaving = Leaving::new(way);
        }
        self
    }

    /// The file's, between two frames: goes a step towards where the two meet, if the pipe has carried enough for that to pay.
    #[inline]
    pub fn approach(&self, rest: &mut Rest) {
        if !rest.leaving.is_over() {
            self.go_on(rest);
        }
    }

    fn go_on(&self, rest: &mut Rest) {
        let (sent, taken) = (self.window.sent(), self.window.taken());
        let greet = |guest: Guest<'_>| Shared::with_guest(guest, self.link.connection()).map(Box::new);
        if let Some((step, shared)) = rest.leaving.go_on(sent, taken, greet) {
            Message::Meeting(step).append_to(&mut rest.bytes);
            rest.turn = shared.map(|shared| (rest.bytes.len(), shared));
        }
    }

    /// Whether digests are in use.
    pub fn has_digest(&self) -> bool {
        self.digest.is_some()
    }

    /// Counts payload that goes out.
    pub fn count(&self, payload: &[u8]) {
        self.window.send(payload.len() as u64);
        if let Some(digest) = &self.digest {
            digest.lock().update(payload);
        }
    }

    /// Takes the right to send. Whoever leaves something in it asks the service thread to flush.
    pub fn sending(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock()
    }

    /// Sends what is left of earlier frames; false: the kernel takes no more now.
    ///
    /// # Errors
    /// The connection's.
    pub fn push(&self, rest: &mut Rest) -> Result<bool, Errno> {
        loop {
            let end = rest.turn.as_ref().map_or(rest.bytes.len(), |(turn, _)| *turn);
            while rest.at < end {
                match self.link.send(&rest.bytes[rest.at..end], &[])? {
                    0 => return Ok(false),
                    count => rest.at += count,
                }
            }
            let Some((_, shared)) = rest.turn.take() else { break };
            self.link.share(shared);
        }
        // Frees a large one: most pipes never need it again.
        (rest.bytes, rest.at) = (Vec::new(), 0);
        self.link.flush()
    }

    /// The service thread's: sends what is left, unless the file is about to do so itself.
    ///
    /// # Errors
    /// The connection's.
    pub fn push_for_file(&self) -> Result<bool, Errno> {
        match self.rest.try_lock() {
            Some(mut rest) => self.push(&mut rest),
            // It flushes, or asks again.
            None => Ok(true),
        }
    }

    /// Says the last word, behind what is left of earlier frames. False: some of it is left. Only the first word counts.
    pub fn say_last(&self, word: LastWord) -> bool {
        let mut rest = self.sending();
        if !self.last.swap(true, Ordering::SeqCst) {
            if word == LastWord::End {
                self.window.end();
                self.ended.store(true, Ordering::SeqCst);
                if let Some(digest) = &self.digest {
                    Message::Digest(digest.lock().value()).append_to(&mut rest.bytes);
                }
            }
            word.message(self.window.sent()).append_to(&mut rest.bytes);
        }
        // The service thread learns of a lost connection by itself.
        self.push(&mut rest).unwrap_or(true)
    }

    /// The file's, before it waits for the reader to take something: says FULL where a larger window would spare it that, once
    /// for each time that the window is full. True: some of it is left.
    pub fn say_full(&self) -> bool {
        let sent = self.window.sent();
        let is_full = self.window.can_grow() && !self.is_finished() && self.window.room() < ATOMIC as u64;
        if !is_full || self.full_at.swap(sent, Ordering::SeqCst) == sent {
            return false;
        }
        !self.append(&Message::Full)
    }

    /// The service thread's: gives a sign of life. A file that sends something gives one itself; what the kernel does not take now
    /// goes with that, or with the next one.
    pub fn say_alive(&self) {
        self.append(&Message::Alive);
    }

    /// Sends a frame behind what is left of earlier ones, unless somebody is about to send; false: some of it is left.
    fn append(&self, message: &Message) -> bool {
        match self.rest.try_lock() {
            Some(mut rest) if !self.is_finished() && rest.bytes.len() - rest.at < BACKLOG => {
                message.append_to(&mut rest.bytes);
                // A lost connection shows when it is read.
                self.push(&mut rest).unwrap_or(true)
            }
            _ => true,
        }
    }

    /// How long the reader has said nothing.
    pub fn silence(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::SeqCst)))
    }

    /// Notes that the reader gives no sign of life.
    pub fn miss(&self) {
        self.missed.store(true, Ordering::SeqCst);
    }

    /// The file's, with the right to send: waits for the other side in the midst of a frame.
    pub fn while_stuck<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.stuck.store(true, Ordering::SeqCst);
        let waited = wait();
        self.stuck.store(false, Ordering::SeqCst);
        waited
    }

    /// Tells the reader that it broke a rule, unless the file is in the midst of a frame that does not go out.
    fn refuse(&self, reason: Reason) {
        let until = Instant::now() + FRAME_SENT;
        while !self.stuck.load(Ordering::SeqCst) && Instant::now() < until {
            let Some(mut rest) = self.rest.try_lock_for(Duration::from_millis(1)) else { continue };
            if !self.last.swap(true, Ordering::SeqCst) {
                Message::Refusal(reason).append_to(&mut rest.bytes);
                // What the kernel does not take is not worth a wait.
                let _ = self.push(&mut rest);
            }
            return;
        }
    }

    /// Whether the last word was said.
    pub fn is_finished(&self) -> bool {
        self.last.load(Ordering::SeqCst)
    }

    /// Whether that was END.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Whether that was END, and the reader has taken everything before it. It may not have looked for END itself yet, and
    /// need not ever.
    pub fn is_all_taken(&self) -> bool {
        self.has_ended() && self.window.taken() == self.window.sent()
    }

    /// The file's: takes the right to hear what the reader says, for as long as it waits for that.
    pub fn listen(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock()
    }

    /// The service thread's: the same, unless the file has it.
    pub fn listen_for_file(&self) -> Option<MutexGuard<'_, Reports>> {
        self.reports.try_lock()
    }
}

/// Receives made at one time: a reader that goes on and on must not keep its hearer from everything else.
const ROUNDS: u32 = 16;

/// Follows what the reader says.
#[derive(Debug)]
pub struct Reports {
    decoder: Decoder,
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Something came; else whoever wants more has to wait.
    pub came: bool,
    /// The pipe's end, if it was that.
    pub outcome: Option<Outcome>,
    /// The connection is over with it.
    pub over: bool,
}

impl Reports {
    /// Reads what has come; `waits`: or waits for a moment until something does.
    pub fn receive(&mut self, outgoing: &Outgoing, waits: bool) -> Heard {
        let (mut bytes, mut heard) = ([0; 256], Heard::default());
        for round in 0..ROUNDS {
            let received = match waits && round == 0 {
                true => outgoing.link.receive_or_wait(&mut bytes, &mut []),
                false => outgoing.link.receive(&mut bytes, &mut []),
            };
            let count = match received {
                Ok(Received::Bytes(count)) => count,
                Ok(Received::Nothing) => return heard,
                Ok(Received::End) | Err(_) if outgoing.missed.load(Ordering::SeqCst) => {
                    return over(silent("reader", outgoing.silence()));
                }
                Ok(Received::End) => return over(Failure::new(Code::ECONNRESET, "the reader was lost")),
                Err(errno) => return over(lost(errno)),
            };
            heard.came = true;
            outgoing.heard.store(outgoing.since.elapsed().as_millis() as u64, Ordering::SeqCst);
            let mut input = &bytes[..count];
            while let Some(message) = match self.decoder.next(&mut input) {
                Ok(message) => message,
                Err(error) => return outgoing.broken(&error),
            } {
                if let Err(error) = outgoing.window.hear(&message) {
                    return outgoing.broken(&error);
                }
                (heard.outcome, heard.over) = match message {
                    Message::Done => (Some(Outcome::Done), true),
                    Message::Closed(_) if outgoing.is_all_taken() => (Some(Outcome::Done), true),
                    Message::Closed(_) => (Some(Outcome::Closed), true),
                    Message::Taken(_) if outgoing.is_all_taken() => (Some(Outcome::Done), false),
                    _ => continue,
                };
                if heard.over {
                    return heard;
                }
            }
            if count < bytes.len() && !outgoing.link.has_more() {
                break;
            }
        }
        heard
    }
}

impl Outgoing {
    /// The reader broke a rule, or refuses to go on.
    fn broken(&self, error: &Error) -> Heard {
        if let Some(reason) = error.refusal() {
            self.refuse(reason);
        }
        over(of_protocol(error))
    }
}

fn over(failure: Failure) -> Heard {
    Heard { came: true, outcome: Some(Outcome::Failed(failure)), over: true }
}
