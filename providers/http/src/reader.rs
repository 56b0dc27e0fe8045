//! An object open for reading.

use crate::client::{Caller, Client};
use crate::failure::{Attempt, Failure};
use crate::object::Object;
use crate::range::Span;
use crate::request::Place;
use crate::retry::{Budget, persist};
use crate::settings::Tuning;
use crate::stream::Stream;
use std::io::SeekFrom;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Context, Error, File, OpenFlags, Request, Result, Stat};

/// A gap that is read over rather than asked around: less than a round trip brings.
const SKIP_MAX: u64 = 256 << 10;
/// What is asked for after a jump, at least; then twice as much each time, as long as it is read on.
const WINDOW_MIN: u64 = 128 << 10;
/// From here on everything to the end is asked for.
const WINDOW_MAX: u64 = 8 << 20;
/// How much a server that ignores ranges may send before the bytes that were asked for.
const PREFIX_MAX: u64 = 1 << 20;

/// An object open for reading.
pub struct Reader {
    object: Object,
    context: Context,
    tuning: Tuning,
    shown: String,
    position: u64,
    /// Where an object whose size nobody said turned out to end.
    found_end: Option<u64>,
    stream: Option<Stream>,
    budget: Budget,
    window: Window,
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
    pub fn open(
        client: &Arc<Client>,
        place: &Place,
        tuning: Tuning,
        request: &Request<'_>,
    ) -> Result<Reader> {
        let random = request.flags().contains(OpenFlags::RANDOM);
        let (span, window) = match random {
            true => (Span::FIRST_BYTE, Window::Exact),
            false => (Span::ALL, Window::Open),
        };
        let context = request.context().clone();
        let caller = Caller { context: &context, tuning: &tuning };
        let opened = persist(caller, &mut Budget::new(), || Object::open(client, place, span, caller));
        let (object, stream) = opened.map_err(|failure| failure.error("open", request.shown()))?;
        let stream = match random && object.serves_ranges {
            true => {
                stream.dismiss(caller);
                None
            }
            false => Some(stream),
        };
        let shown = request.shown().to_owned();
        let budget = Budget::resuming();
        Ok(Reader { object, shown, position: 0, found_end: None, stream, budget, window, context, tuning })
    }

    fn failed(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.shown)
    }

    /// One attempt to read at the position; 0: the end.
    fn attempt(&mut self, buf: &mut [u8]) -> Attempt<usize> {
        let Reader { object, context, tuning, .. } = self;
        let caller = Caller { context, tuning };
        loop {
            let position = self.position;
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
                    let end = self.window.end(position, buf.len(), object.size);
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

    /// One attempt to fill a buffer from an offset; returns what came before it failed, too.
    fn attempt_at(&self, buf: &mut [u8], offset: u64, done: &mut usize) -> Attempt<()> {
        let caller = Caller { context: &self.context, tuning: &self.tuning };
        let end = offset + buf.len() as u64;
        while *done < buf.len() {
            let start = offset + *done as u64;
            let Some(mut stream) = self.object.fetch(Span { start, end: Some(end) }, caller)? else {
                return Ok(());
            };
            if start - stream.at() > PREFIX_MAX {
                let text = format!("read at {offset}: the server ignores ranges");
                return Err(Failure::new(Code::ENOTSUP, text));
            }
            stream.skip_to(start, caller)?;
            loop {
                match stream.read(&mut buf[*done..], caller)? {
                    0 => break,
                    count => *done += count,
                }
                if *done == buf.len() {
                    // The end is looked at here too, but for an answer that began before the range.
                    if stream.end() == Some(end) {
                        stream.read(&mut [0; 1], caller)?;
                    }
                    break;
                }
            }
        }
        Ok(())
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
            Window::Exact => wanted,
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
        self.context.status().map_err(|error| self.failed("read", &error.into()))?;
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
                    let again = self.budget.again(failure, &self.tuning, &self.context);
                    again.map_err(|failure| self.failed("read", &failure))?;
                }
            }
        }
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let Some(size) = self.object.size.filter(|_| self.object.has_positions()) else {
            return Err(Error::new(
                Code::ESPIPE,
                format!("seek {}: the server serves no ranges", self.shown),
            ));
        };
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => size.checked_add_signed(offset),
        };
        let position = position.filter(|position| i64::try_from(*position).is_ok()).ok_or_else(|| {
            Error::new(Code::EINVAL, format!("seek {}: no such position as {to:?}", self.shown))
        })?;
        let jumps = self.stream.as_ref().is_none_or(|stream| !reaches(stream, position));
        if jumps && position != self.position && self.window != Window::Exact {
            self.window = Window::Bytes(WINDOW_MIN);
        }
        self.position = position;
        Ok(position)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.context.status()?;
        let Some(size) = self.object.size.filter(|_| self.object.has_positions()) else {
            let text = format!("read at {offset} {}: the server serves no ranges", self.shown);
            return Err(Error::new(Code::ENOTSUP, text));
        };
        let most = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..most];
        let (mut budget, mut done) = (Budget::resuming(), 0);
        while done < buf.len() {
            let before = done;
            let Err(failure) = self.attempt_at(buf, offset, &mut done) else { break };
            if done > before {
                budget.progressed((done - before) as u64);
            }
            if let Err(failure) = budget.again(failure, &self.tuning, &self.context) {
                if done > 0 {
                    break; // the next call tells
                }
                return Err(self.failed("read", &failure));
            }
        }
        Ok(done)
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(self.object.stat.clone())
    }
}
