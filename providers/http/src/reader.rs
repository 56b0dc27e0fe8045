//! An object open for reading.

pub mod fill;
pub mod history;
pub mod object;
pub mod polled;
mod positional;
pub mod read_ahead;
mod tries;
pub mod validator;

use crate::client::Client;
use crate::client::caller::Caller;
use crate::client::idle::FileAnswers;
use crate::client::least_rate::{LeastRate, too_slow};
use crate::client::stream::Stream;
use crate::reader::history::ReadHistory;
use crate::reader::object::Object;
use crate::reader::polled::Polled;
use crate::reader::read_ahead::ReadAhead;
use crate::wire::range::Span;
use crate::wire::request::Place;
use parking_lot::Mutex;
use std::io::SeekFrom;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Error, File, Finish, Interest, OpenFlags, Result, Stat, Wanted};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::retry::{Budget, persist};

/// A gap that is read over rather than asked around: less than a round trip brings.
const SKIP_MAX: u64 = 256 << 10;
/// What is asked for after a jump, at least; then twice as much each time, as long as it is read on.
const WINDOW_MIN: u64 = 128 << 10;
/// Even of single bytes so much is asked for: it comes in the same packet.
const EXACT_MIN: u64 = 1 << 10;
/// From here on everything to the end is asked for.
const WINDOW_MAX: u64 = 8 << 20;

/// An object open for reading.
pub struct Reader {
    object: Arc<Object>,
    caller: Caller,
    position: u64,
    /// Where an object whose size nobody said turned out to end.
    found_end: Option<u64>,
    /// Answers that are read on by later calls.
    idle: Arc<FileAnswers>,
    history: ReadHistory,
    /// Why a positional read was short, where another one may not meet the same: the server is slow.
    deferred: Mutex<Option<Failure>>,
    budget: Budget,
    rate: LeastRate,
    window: Window,
    ahead: Option<ReadAhead>,
    /// Once somebody reads without waiting.
    polled: Option<Box<Polled>>,
}

/// How much is asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// What the caller reads, no more.
    Exact,
    /// So much, or what the caller reads.
    Bytes(u64),
    /// Everything to the end.
    Open,
}

impl Reader {
    /// Opens an object.
    ///
    /// # Errors
    /// As [`Object::open`], once no further attempt may help.
    pub fn open(client: &Arc<Client>, place: &Place, caller: Caller, flags: OpenFlags) -> Result<Reader> {
        let random = flags.contains(OpenFlags::RANDOM);
        let (span, window) = match (random, caller.tuning.read_ahead) {
            (true, _) => (Span::PROBE, Window::Exact),
            (false, 0) => (Span::ALL, Window::Open),
            // The other ranges are asked for once it is read.
            (false, _) => (Span { start: 0, end: Some(caller.tuning.read_ahead_size) }, Window::Open),
        };
        let opened = persist(&caller, &mut Budget::new(), || Object::open(client, place, span, &caller));
        let (object, stream) = opened.map_err(|failure| failure.error("open", &caller.shown))?;
        let idle = object.idle();
        let dismissed = match random && object.serves_ranges {
            true => Some(stream),
            false => idle.put(stream),
        };
        dismissed.into_iter().for_each(|stream| stream.dismiss(&caller));
        Ok(Reader {
            object: Arc::new(object),
            caller,
            position: 0,
            found_end: None,
            idle,
            history: ReadHistory::default(),
            deferred: Mutex::default(),
            budget: Budget::resuming(),
            rate: LeastRate::default(),
            window,
            ahead: None,
            polled: None,
        })
    }

    fn failed(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.caller.shown)
    }

    /// The size, for what needs positions.
    fn size_for(&self, doing: &str, code: Code) -> Result<u64> {
        match (self.object.size, self.object.no_positions()) {
            (Some(size), None) => Ok(size),
            (_, why) => {
                let text = format!("{doing} {}: {}", self.caller.shown, why.unwrap_or("it has no positions"));
                Err(Error::new(code, text))
            }
        }
    }

    /// Keeps an answer for a later call.
    fn keep(&self, stream: Stream) {
        keep(&self.idle, stream, &self.caller);
    }

    /// Begins to read ahead, from where the stream ends, if that is wanted and there is something.
    fn look_ahead(&mut self) -> Attempt<()> {
        let Some(size) = self.object.size.filter(|_| self.object.has_positions()) else { return Ok(()) };
        if self.caller.tuning.read_ahead == 0 || self.window != Window::Open || self.ahead.is_some() {
            return Ok(());
        }
        let position = self.position;
        let from = match self.idle.take(|stream| reaches(stream, position)) {
            Some(stream) => {
                let end = stream.end().unwrap_or(size);
                self.keep(stream);
                end
            }
            None => position,
        };
        if from < size {
            self.ahead = Some(ReadAhead::start(&self.object, size, from, &self.caller)?);
        }
        Ok(())
    }

    /// One attempt to read at the position; 0: the end. `None`: it would have to wait, and must not.
    fn attempt(&mut self, buf: &mut [u8], waits: bool) -> Attempt<Option<usize>> {
        self.look_ahead()?;
        let Reader { object, caller, position, found_end, idle, rate, window, ahead, .. } = self;
        let position = *position;
        loop {
            if let Some(ranges) = ahead.as_mut().filter(|ahead| ahead.at() == position) {
                let read = ranges.read(buf, &caller.context);
                // What failed has had its attempts; what only ended the caller's wait goes on.
                if read.is_err() && caller.context.status().is_ok() {
                    *ahead = None;
                }
                return read.map(Some);
            }
            let at_end = object.size.or(*found_end).is_some_and(|size| position >= size);
            let mut stream = match idle.take(|stream| reaches(stream, position)) {
                Some(stream) => stream,
                None if at_end => return Ok(Some(0)),
                None if !waits => return Ok(None),
                None => {
                    let end = match &ahead {
                        Some(ahead) if ahead.at() > position => Some(ahead.at()),
                        _ => window.end(position, buf.len(), object.size),
                    };
                    match object.fetch(Span { start: position, end }, caller)? {
                        Some(stream) => stream,
                        None => return Ok(Some(0)),
                    }
                }
            };
            let from = stream.at();
            rate.begin();
            let count = match waits {
                true => {
                    stream.skip_to(position, caller)?;
                    Some(stream.read(buf, caller)?)
                }
                false => stream.try_read(position, buf, caller)?,
            };
            rate.add(stream.at() - from, &caller.tuning).map_err(too_slow)?;
            match count {
                Some(0) => {}
                _ if waits => {
                    keep(idle, stream, caller);
                    return Ok(count);
                }
                _ => {
                    // It is still waited for.
                    if count.is_none() {
                        rate.begin();
                    }
                    drop(idle.put(stream));
                    return Ok(count);
                }
            }
            // The answer came whole. Was it all there is?
            let whole = match object.size {
                Some(size) => position >= size,
                None => stream.end().is_none(),
            };
            if whole {
                *found_end = Some(position);
                return Ok(Some(0));
            }
            *window = window.wider();
        }
    }
}

/// Keeps an answer for a later call.
fn keep(idle: &FileAnswers, stream: Stream, caller: &Caller) {
    if let Some(dismissed) = idle.put(stream) {
        dismissed.dismiss(caller);
    }
}

/// Whether a stream will come to a position soon enough, or ends there.
fn reaches(stream: &Stream, position: u64) -> bool {
    let ahead = position.checked_sub(stream.at());
    ahead.is_some_and(|gap| gap <= SKIP_MAX) && stream.end().is_none_or(|end| position <= end)
}

/// Why there is no such position.
fn nowhere(to: SeekFrom) -> String {
    let (from, by) = match to {
        SeekFrom::Start(by) => return format!("position {by} is beyond the largest file"),
        SeekFrom::Current(by) => ("the position", by),
        SeekFrom::End(by) => ("the end", by),
    };
    let direction = if by < 0 { "before" } else { "behind" };
    format!("{} bytes {direction} {from} is not a position in a file", by.unsigned_abs())
}

impl Window {
    /// Where a request from a position on ends; `None`: at the object's end.
    fn end(self, position: u64, wanted: usize, size: Option<u64>) -> Option<u64> {
        let size = size?; // without one there are no positions either
        let wanted = wanted as u64;
        let length = match self {
            Window::Open => return None,
            Window::Exact => wanted.max(EXACT_MIN),
            Window::Bytes(bytes) => bytes.max(wanted),
        };
        Some(position.saturating_add(length).min(size))
    }

    fn wider(self) -> Window {
        match self {
            Window::Bytes(bytes) if bytes < WINDOW_MAX => Window::Bytes(bytes * 2),
            Window::Bytes(_) => Window::Open,
            same => same,
        }
    }
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        // What is read ahead comes by threads.
        let poll =
            if self.caller.tuning.read_ahead == 0 { Capabilities::POLL } else { Capabilities::empty() };
        let always = Capabilities::READABLE | Capabilities::STAT | Capabilities::CANCEL | poll;
        match self.object.has_positions() {
            true => always | Capabilities::SEEKABLE | Capabilities::POSITIONAL_READ,
            false => always,
        }
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.next_try(wanted)
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.caller.context.status().map_err(|error| self.failed("read", &error.into()))?;
        let tried = self.read_now(buf).map_err(|failure| self.failed("read", &failure))?;
        Ok(tried.map(|count| self.read_on(count)))
    }

    /// There is nothing to finish.
    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.finish(how).map(Some)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.caller.context.status().map_err(|error| self.failed("read", &error.into()))?;
        self.await_asked().map_err(|failure| self.failed("read", &failure))?;
        loop {
            match self.attempt(buf, true) {
                Ok(count) => return Ok(self.read_on(count.unwrap_or(0))),
                Err(failure) => {
                    if let Err(text) = self.rate.check(&self.caller.tuning) {
                        return Err(self.failed("read", &too_slow(text)));
                    }
                    let waited = self.budget.wait(failure, &self.caller);
                    waited.map_err(|failure| self.failed("read", &failure))?;
                }
            }
        }
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let size = self.size_for("seek", Code::ESPIPE)?;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => size.checked_add_signed(offset),
        };
        let position = position.filter(|position| i64::try_from(*position).is_ok()).ok_or_else(|| {
            Error::new(Code::EINVAL, format!("seek {}: {}", self.caller.shown, nowhere(to)))
        })?;
        let before = std::mem::replace(&mut self.position, position);
        if position == before {
            return Ok(position);
        }
        if let Some(polled) = &mut self.polled {
            polled.moved();
        }
        match self.idle.take(|stream| reaches(stream, position)) {
            Some(stream) => self.keep(stream),
            // It jumps: what would have been read next is not wanted any more.
            None => {
                if let Some(stream) = self.idle.take(|stream| stream.at() == before) {
                    stream.dismiss(&self.caller);
                }
                if self.window != Window::Exact {
                    self.window = Window::Bytes(WINDOW_MIN);
                    self.ahead = None;
                }
            }
        }
        Ok(position)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.caller.context.status().map_err(|error| self.failed("read", &error.into()))?;
        let size = self.size_for("read at a position", Code::ENOTSUP)?;
        let most = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let deferred = self.deferred.lock().take();
        let (count, outcome) = match deferred {
            Some(failure) => (0, Err(failure)),
            None => self.read_positional(&mut buf[..most], offset, size),
        };
        match outcome {
            Err(failure) if count == 0 => Err(self.failed("read", &failure)),
            // The next call tells why it is short: it meets the same, or what is deferred to it.
            Err(failure) if failure.code == Code::ETIMEDOUT && self.caller.context.status().is_ok() => {
                *self.deferred.lock() = Some(failure);
                Ok(count)
            }
            _ => Ok(count),
        }
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(self.object.stat.clone())
    }
}
