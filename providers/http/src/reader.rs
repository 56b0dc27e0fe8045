//! An object open for reading.

pub mod fill;
pub mod history;
mod lent;
pub mod object;
pub mod polled;
mod positional;
pub mod read_ahead;
mod sequential;
mod tries;
pub mod tuner;
pub mod validator;
mod watched;

use crate::client::Client;
use crate::client::caller::Caller;
use crate::client::idle::FileAnswers;
use crate::client::least_rate::{LeastRate, too_slow};
use crate::client::stream::Stream;
use crate::reader::history::ReadHistory;
use crate::reader::lent::Lent;
use crate::reader::object::Object;
use crate::reader::polled::Polled;
use crate::reader::read_ahead::ReadAhead;
use crate::reader::watched::Watched;
use crate::settings::Ranges;
use crate::wire::range::Span;
use crate::wire::request::Place;
use parking_lot::Mutex;
use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{
    Capabilities, Code, Direction, Error, File, Finish, Interest, Lease, OpenFlags, Result, Stat, Wanted,
    seek_position,
};
use zvfs_net::failure::Failure;
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
    /// Finds out whether it pays to read ahead.
    watched: Watched,
    lends: bool,
    /// The answer whose socket is lent until the next call.
    lent: Option<Lent>,
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
            // The other ranges are asked for once it is read.
            (false, Ranges::Fixed(1..)) => {
                (Span { start: 0, end: Some(caller.tuning.read_ahead_size) }, Window::Open)
            }
            (false, _) => (Span::ALL, Window::Open),
        };
        let asked = Instant::now();
        let opened = persist(&caller, &mut Budget::new(), || Object::open(client, place, span, &caller));
        let (object, stream) = opened.map_err(|failure| failure.error("open", &caller.shown))?;
        let watched = Watched::new(caller.tuning.read_ahead, asked.elapsed());
        let lends = lent::lends(&object, window, caller.tuning.read_ahead);
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
            watched,
            lends,
            lent: None,
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

    /// What each call that reads on begins with.
    fn begin(&mut self) -> Result<()> {
        self.take_back();
        self.caller.context.status().map_err(|error| self.failed("read", &error.into()))
    }

    /// Keeps an answer for a later call.
    fn keep(&self, stream: Stream) {
        keep(&self.idle, stream, &self.caller);
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
        // What is read ahead in any case comes by threads.
        let by_threads = matches!(self.caller.tuning.read_ahead, Ranges::Fixed(1..));
        let poll = if by_threads { Capabilities::empty() } else { Capabilities::POLL };
        let lent = if self.lends { Capabilities::FD } else { Capabilities::empty() };
        let always = Capabilities::READABLE | Capabilities::STAT | Capabilities::CANCEL | poll | lent;
        match self.object.has_positions() {
            true => always | Capabilities::SEEKABLE | Capabilities::POSITIONAL_READ,
            false => always,
        }
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.next_try(wanted)
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.begin()?;
        let tried = self.read_now(buf).map_err(|failure| self.failed("read", &failure))?;
        Ok(tried.map(|count| self.read_on(count)))
    }

    /// There is nothing to finish.
    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.finish(how).map(Some)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.begin()?;
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
        let position = seek_position(&self.caller.shown, to, self.position, || Ok(size))?;
        let before = std::mem::replace(&mut self.position, position);
        if position == before {
            return Ok(position);
        }
        self.take_back();
        if let Some(polled) = &mut self.polled {
            polled.moved();
        }
        match self.idle.take(|stream| reaches(stream, position)) {
            Some(stream) => {
                self.keep(stream);
                // Past what was fetched beside it.
                if self.ahead.as_ref().is_some_and(|ahead| ahead.at() < position) {
                    self.ahead = None;
                    self.watched.forget();
                }
            }
            // It jumps: what would have been read next is not wanted any more.
            None => {
                if let Some(stream) = self.idle.take(|stream| stream.at() == before) {
                    stream.dismiss(&self.caller);
                }
                if self.window != Window::Exact {
                    self.window = Window::Bytes(WINDOW_MIN);
                    self.ahead = None;
                    self.watched.forget();
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

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        self.begin()?;
        self.lend(direction)
    }

    fn advance(&mut self, _direction: Direction, count: u64) -> Result<()> {
        self.moved(count)
    }
}
