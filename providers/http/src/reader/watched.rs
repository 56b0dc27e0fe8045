//! Reads that find out whether it pays to read ahead: the tuner's eyes and hands.

use crate::client::stream::Stream;
use crate::reader::Reader;
use crate::reader::read_ahead::ReadAhead;
use crate::reader::tuner::{Advice, Beside, Came, Tuner};
use crate::settings::Ranges;
use std::mem;
use std::time::{Duration, Instant};
use vfs_core::Events;
use zvfs_net::failure::Attempt;
use zvfs_net::retry::Retrying;

/// How many ranges are read ahead where that pays.
const RANGES: usize = 4;
/// A second range begins so far behind the position at least: what the answer brings meanwhile.
const DISTANCE_MIN: u64 = 1 << 20;

/// What a file knows of its own speed.
pub(super) struct Watched {
    /// It is not to be known for good, or not now.
    is_off: bool,
    round_trip: Duration,
    tuner: Option<Tuner>,
    /// When the tuner was told of something last.
    told: Instant,
    /// How long was waited since then.
    waited: Duration,
}

impl Watched {
    /// Of a file that was opened in such a time.
    pub(super) fn new(ranges: Ranges, round_trip: Duration) -> Watched {
        Watched {
            is_off: ranges != Ranges::Auto,
            round_trip,
            tuner: None,
            told: Instant::now(),
            waited: Duration::ZERO,
        }
    }

    /// Begins, if that much is left to be read that it may pay.
    pub(super) fn look(&mut self, left: u64, range: u64) {
        let is_enough = left >= RANGES as u64 * range;
        if self.is_off || !is_enough {
            self.tuner = None;
        } else if self.tuner.is_none() {
            self.tuner = Some(Tuner::new(self.round_trip));
            self.take_time();
        }
    }

    /// What came until now says nothing.
    pub(super) fn pass(&mut self) {
        self.take_time();
    }

    /// The time since this was asked last, and how much of it was waited.
    fn take_time(&mut self) -> (Duration, Duration) {
        let now = Instant::now();
        let time = now - mem::replace(&mut self.told, now);
        (time, mem::take(&mut self.waited).min(time))
    }

    /// What is known is of no use any more.
    pub(super) fn forget(&mut self) {
        self.tuner = None;
    }

    /// Reads one answer from here on, whatever comes.
    pub(super) fn end(&mut self) {
        (self.is_off, self.tuner) = (true, None);
    }

    pub(super) fn is_watching(&self) -> bool {
        self.tuner.is_some()
    }
}

impl Reader {
    /// Reads from an answer at the position, waiting for one byte; 0: it is at its end.
    pub(super) fn read_watched(&mut self, stream: &mut Stream, buf: &mut [u8]) -> Attempt<usize> {
        loop {
            if let Some(count) = stream.try_read(self.position, buf, &self.caller)? {
                self.tell(count as u64);
                return Ok(count);
            }
            self.await_bytes(stream)?;
        }
    }

    /// Waits until something of an answer has come.
    pub(super) fn await_bytes(&mut self, stream: &Stream) -> Attempt<()> {
        let Some(socket) = stream.socket() else { return Ok(()) };
        let stall = self.caller.tuning.stall_timeout;
        let began = Instant::now();
        loop {
            let patience = self.watched.tuner.as_ref().and_then(Tuner::patience);
            let left = stall.saturating_sub(began.elapsed());
            let since = Instant::now();
            let came = match patience.filter(|patience| *patience < left) {
                Some(patience) => self.caller.patiently().ready_within(socket, Events::READ, patience)?,
                None => self.caller.patiently().ready_within(socket, Events::READ, left)?,
            };
            self.watched.waited += since.elapsed();
            if !came.is_empty() {
                return Ok(());
            }
            if began.elapsed() >= stall {
                return Err(self.caller.patiently().expired());
            }
            self.tell(0);
        }
    }

    /// The same from what was read ahead. `None`: it could not be read.
    pub(super) fn read_watched_ahead(&mut self, buf: &mut [u8]) -> Attempt<Option<usize>> {
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        // The answer that came up to here goes on; what it brings is there already.
        let position = self.position;
        if let Some(stream) = self.idle.take(|stream| stream.at() == position) {
            stream.dismiss(&self.caller);
        }
        let since = Instant::now();
        match ahead.read(buf, &self.caller.context) {
            Ok(count) => {
                self.watched.waited += since.elapsed();
                // The last ones, once it was given up, say nothing of one answer.
                match ahead.is_narrowed() {
                    true => self.watched.pass(),
                    false => self.tell(count as u64),
                }
                Ok(Some(count))
            }
            Err(failure) => {
                self.caller.context.status()?;
                // A server that serves so many at a time, perhaps. One answer has attempts of its own.
                self.ahead = None;
                self.watched.end();
                self.caller.log(&format!("{}; reading one answer instead of several", failure.text));
                Ok(None)
            }
        }
    }

    /// Tells the tuner of what came, which is not counted in the position yet, and does what it advises.
    pub(super) fn tell(&mut self, bytes: u64) {
        let (time, waited) = self.watched.take_time();
        let Some(tuner) = &mut self.watched.tuner else { return };
        let position = self.position + bytes;
        let left = self.object.size.unwrap_or(0).saturating_sub(position);
        let beside = self.ahead.as_ref().map(|ahead| {
            let received = ahead.received();
            let is_over = ahead.is_full() || ahead.at() <= position;
            Beside {
                bytes: received.bytes,
                time: received.time(),
                is_reached: ahead.at() <= position,
                is_over,
                has_failed: ahead.has_failed(),
            }
        });
        match tuner.told(Came { bytes, time, waited }, left, beside) {
            Advice::GoOn => {}
            Advice::Try(distance) => self.fetch_beside(position + distance.max(DISTANCE_MIN)),
            Advice::Widen => drop(self.ahead.as_ref().map(|ahead| ahead.widen(RANGES))),
            Advice::GiveUp => self.ahead = None,
            Advice::Narrow => drop(self.ahead.as_ref().map(ReadAhead::narrow)),
        }
    }

    fn fetch_beside(&mut self, from: u64) {
        let size = self.object.size.unwrap_or(0);
        if from >= size || self.object.is_one_at_a_time() {
            self.watched.end();
            return;
        }
        // Without a thread for it, one answer is read.
        self.ahead = ReadAhead::start(&self.object, (from, size), (RANGES, 1), &self.caller).ok();
    }
}
