//! An object open for reading.

use crate::ahead::Ahead;
use crate::caller::{Asker, Caller};
use crate::client::Client;
use crate::failure::{Attempt, Failure};
use crate::fill::fill;
use crate::object::Object;
use crate::range::Span;
use crate::request::Place;
use crate::retry::{Budget, persist};
use crate::stream::Stream;
use std::io::SeekFrom;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Error, File, OpenFlags, Result, Stat};

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
    asker: Asker,
    position: u64,
    /// Where an object whose size nobody said turned out to end.
    found_end: Option<u64>,
    stream: Option<Stream>,
    budget: Budget,
    window: Window,
    ahead: Option<Ahead>,
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
    pub fn open(client: &Arc<Client>, place: &Place, asker: Asker, flags: OpenFlags) -> Result<Reader> {
        let random = flags.contains(OpenFlags::RANDOM);
        let (span, window) = match (random, asker.tuning.read_ahead) {
            (true, _) => (Span::PROBE, Window::Exact),
            (false, 0) => (Span::ALL, Window::Open),
            // The other ranges are asked for once it is read.
            (false, _) => (Span { start: 0, end: Some(asker.tuning.read_ahead_size) }, Window::Open),
        };
        let caller = asker.caller();
        let opened = persist(caller, &mut Budget::new(), || Object::open(client, place, span, caller));
        let (object, stream) = opened.map_err(|failure| failure.error("open", &asker.shown))?;
        let stream = match random && object.serves_ranges {
            true => {
                stream.dismiss(caller);
                None
            }
            false => Some(stream),
        };
        Ok(Reader {
            object: Arc::new(object),
            asker,
            position: 0,
            found_end: None,
            stream,
            budget: Budget::resuming(),
            window,
            ahead: None,
        })
    }

    fn caller(&self) -> Caller<'_> {
        self.asker.caller()
    }

    fn failed(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.asker.shown)
    }

    /// Begins to read ahead, from where the stream ends, if that is wanted and there is something.
    fn look_ahead(&mut self) -> Attempt<()> {
        let Some(size) = self.object.size.filter(|_| self.object.has_positions()) else { return Ok(()) };
        if self.asker.tuning.read_ahead == 0 || self.window != Window::Open || self.ahead.is_some() {
            return Ok(());
        }
        let from = match &self.stream {
            Some(stream) if reaches(stream, self.position) => stream.end().unwrap_or(size),
            _ => self.position,
        };
        if from < size {
            self.ahead = Some(Ahead::start(&self.object, size, from, &self.asker)?);
        }
        Ok(())
    }

    /// One attempt to read at the position; 0: the end.
    fn attempt(&mut self, buf: &mut [u8]) -> Attempt<usize> {
        self.look_ahead()?;
        let Reader { object, asker, .. } = self;
        let caller = asker.caller();
        loop {
            let position = self.position;
            if let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.at() == position) {
                let read = ahead.read(buf, caller.context);
                // What failed has had its attempts; what only ended the caller's wait goes on.
                if read.is_err() && caller.context.status().is_ok() {
                    self.ahead = None;
                }
                return read;
            }
            let at_end = object.size.or(self.found_end).is_some_and(|size| position >= size);
            let mut stream = match self.stream.take() {
                Some(stream) if reaches(&stream, position) => stream,
                other => {
                    if let Some(stream) = other {
                        stream.dismiss(caller);
                    }
                    if at_end {
                        return Ok(0);
                    }
                    let end = match &self.ahead {
                        Some(ahead) if ahead.at() > position => Some(ahead.at()),
                        _ => self.window.end(position, buf.len(), object.size),
                    };
                    match object.fetch(Span { start: position, end }, caller)? {
                        Some(stream) => stream,
                        None => return Ok(0),
                    }
                }
            };
            stream.skip_to(position, caller)?;
            let count = stream.read(buf, caller)?;
            let ended = count == 0;
            if !ended {
                self.stream = Some(stream);
                return Ok(count);
            }
            // The answer came whole. Was it all there is?
            let whole = match object.size {
                Some(size) => position >= size,
                None => stream.end().is_none(),
            };
            if whole {
                self.found_end = Some(position);
                return Ok(0);
            }
            self.window = self.window.wider();
        }
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
        let always = Capabilities::READABLE | Capabilities::STAT | Capabilities::CANCEL;
        match self.object.has_positions() {
            true => always | Capabilities::SEEKABLE | Capabilities::POSITIONAL_READ,
            false => always,
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.asker.context.status().map_err(|error| self.failed("read", &error.into()))?;
        loop {
            match self.attempt(buf) {
                Ok(count) => {
                    self.position += count as u64;
                    if count > 0 {
                        self.budget.progressed(count as u64);
                    }
                    return Ok(count);
                }
                Err(failure) => {
                    let again = self.budget.again(failure, self.asker.caller());
                    again.map_err(|failure| self.failed("read", &failure))?;
                }
            }
        }
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let Some(size) = self.object.size.filter(|_| self.object.has_positions()) else {
            return Err(Error::new(
                Code::ESPIPE,
                format!("seek {}: the server serves no ranges", self.asker.shown),
            ));
        };
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => size.checked_add_signed(offset),
        };
        let position = position.filter(|position| i64::try_from(*position).is_ok()).ok_or_else(|| {
            Error::new(Code::EINVAL, format!("seek {}: no such position as {to:?}", self.asker.shown))
        })?;
        let jumps =
            position != self.position && self.stream.as_ref().is_none_or(|stream| !reaches(stream, position));
        if jumps && self.window != Window::Exact {
            self.window = Window::Bytes(WINDOW_MIN);
            self.ahead = None;
        }
        self.position = position;
        Ok(position)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.asker.context.status().map_err(|error| self.failed("read", &error.into()))?;
        let Some(size) = self.object.size.filter(|_| self.object.has_positions()) else {
            let text = format!("read at {offset} {}: the server serves no ranges", self.asker.shown);
            return Err(Error::new(Code::ENOTSUP, text));
        };
        let most = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..most];
        let (count, outcome) = fill(&self.object, buf, offset, self.caller());
        match outcome {
            Err(failure) if count == 0 => Err(self.failed("read", &failure)),
            _ => Ok(count), // the next call tells why it is short
        }
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(self.object.stat.clone())
    }
}
