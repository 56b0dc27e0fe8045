//! A file without POLL, whose calls a thread makes: one buffer stands between it and its host.

use super::errand::{Bell, Errand};
use super::jobs::{Jobs, Seat};
use crate::code::Code;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::file::{Finish, Interest};
use crate::flags::{Capabilities, Events, Wanted};
use crate::host::open::OpenFile;
use std::sync::Arc;

/// What is read ahead, or taken before it is written.
const BUFFER: usize = 64 << 10;

pub(super) struct Worked {
    jobs: Jobs,
    bell: Bell,
    control: Control,
    /// The descriptor for messages.
    shown: Arc<str>,
    capabilities: Capabilities,
    place: Place,
    /// The first try decides: what was read ahead, and what is not written yet, share one position.
    direction: Option<Wanted>,
    /// Bytes for the host, or of it, at `at..end`. With the thread while the file is.
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    is_at_end: bool,
    failure: Option<Error>,
    finished: Option<Result<()>>,
}

enum Place {
    Here(OpenFile),
    Away(Errand<Back>),
    /// A call panicked outside its provider.
    Lost,
}

/// What comes back from a thread.
struct Back {
    file: OpenFile,
    buffer: Vec<u8>,
    came: Came,
}

enum Came {
    Read(Result<usize>),
    /// So many bytes were written before it failed, or all.
    Wrote(usize, Result<()>),
    Finished(Result<()>),
}

impl Worked {
    pub(super) fn new(file: OpenFile, jobs: Jobs, bell: Bell) -> Worked {
        Worked {
            jobs,
            bell,
            control: file.control().clone(),
            shown: file.shown_shared().clone(),
            capabilities: file.capabilities(),
            place: Place::Here(file),
            direction: None,
            buffer: Vec::new(),
            at: 0,
            end: 0,
            is_at_end: false,
            failure: None,
            finished: None,
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    pub(super) fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.begin("wait for")?;
        let mut ready = Wanted::empty();
        if self.is_here() {
            if wanted.contains(Wanted::READ) {
                match self.direct(Wanted::READ).is_err() || self.has_read() {
                    true => ready |= Wanted::READ,
                    false => self.read_ahead()?,
                }
            }
            let writes = wanted & (Wanted::WRITE | Wanted::FINISH);
            if !writes.is_empty() && matches!(self.place, Place::Here(_)) {
                match self.direction == Some(Wanted::WRITE) && self.at < self.end && self.failure.is_none() {
                    true => self.write_on()?,
                    false => ready |= writes,
                }
            }
        }
        if !ready.is_empty() {
            return Ok(Interest::ready(ready));
        }
        Ok(Interest::event(self.bell.as_fd(), Events::READ))
    }

    pub(super) fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.begin("read")?;
        self.direct(Wanted::READ)?;
        if !self.is_here() {
            return Ok(None);
        }
        if self.at < self.end {
            let count = buf.len().min(self.end - self.at);
            buf[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
            self.at += count;
            if self.at == self.end {
                // Without a thread for it now, the next try begins it.
                let _ = self.read_ahead();
            }
            return Ok(Some(count));
        }
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        if self.is_at_end || buf.is_empty() {
            return Ok(Some(0));
        }
        self.read_ahead()?;
        Ok(None)
    }

    pub(super) fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.begin("write")?;
        self.direct(Wanted::WRITE)?;
        if !self.is_here() {
            return Ok(None);
        }
        self.earlier_failure()?;
        if self.at < self.end {
            self.write_on()?;
            return Ok(None);
        }
        if let Place::Here(file) = &self.place {
            // Before it is taken: nobody may ask again.
            file.begin_writing("write")?;
        }
        let count = buf.len().min(BUFFER);
        if count > 0 {
            let seat = self.jobs.seat()?;
            self.buffer.clear();
            self.buffer.extend_from_slice(&buf[..count]);
            (self.at, self.end) = (0, count);
            self.write_in(seat);
        }
        Ok(Some(count))
    }

    pub(super) fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.begin(how.verb())?;
        if !self.capabilities.contains(Capabilities::WRITABLE) {
            return Ok(Some(()));
        }
        self.direct(Wanted::WRITE)?;
        if !self.is_here() {
            return Ok(None);
        }
        if let Some(answer) = self.finished.take() {
            return answer.map(Some);
        }
        self.earlier_failure()?;
        if self.at < self.end {
            self.write_on()?;
            return Ok(None);
        }
        let seat = self.jobs.seat()?;
        self.away(seat, move |file, _| Came::Finished(file.finish(how)));
        Ok(None)
    }

    /// Refuses what the control has ended.
    fn begin(&self, verb: &str) -> Result<()> {
        self.control.call_begins(verb, &self.shown)
    }

    /// Refuses the direction that the first try did not have.
    fn direct(&mut self, direction: Wanted) -> Result<()> {
        let (capability, verb, text) = match direction {
            Wanted::READ => (Capabilities::READABLE, "read", "not open for reading"),
            _ => (Capabilities::WRITABLE, "write", "not open for writing"),
        };
        let refused =
            |code: Code, text: &str| Err(Error::new(code, format!("{verb} {}: {text}", self.shown)));
        if !self.capabilities.contains(capability) {
            return refused(Code::EBADF, text);
        }
        if *self.direction.get_or_insert(direction) == direction {
            return Ok(());
        }
        refused(Code::ENOTSUP, "a file without POLL is tried in one direction: open it once for each")
    }

    /// What failed, for the host; again and again, unless it may be repeated.
    fn earlier_failure(&mut self) -> Result<()> {
        match self.failure.take() {
            None => Ok(()),
            Some(error) => {
                if !matches!(error.code(), Code::ETIMEDOUT | Code::ECANCELED) {
                    self.failure = Some(error.flattened());
                }
                Err(error)
            }
        }
    }

    fn has_read(&self) -> bool {
        self.at < self.end || self.is_at_end || self.failure.is_some()
    }

    /// Whether the file is here, and not with a thread.
    fn is_here(&mut self) -> bool {
        let Place::Away(errand) = &self.place else { return true };
        let Some(came) = errand.take() else { return false };
        match came {
            Ok(Back { file, buffer, came }) => {
                self.place = Place::Here(file);
                self.buffer = buffer;
                self.take_in(came);
            }
            Err(error) => {
                self.place = Place::Lost;
                self.failure = Some(error);
            }
        }
        true
    }

    fn take_in(&mut self, came: Came) {
        match came {
            Came::Read(Ok(count)) => {
                (self.at, self.end) = (0, count);
                self.is_at_end = count == 0;
            }
            Came::Read(Err(error)) => self.failure = Some(error),
            Came::Wrote(count, result) => {
                self.at += count;
                self.failure = result.err();
            }
            Came::Finished(result) => self.finished = Some(result),
        }
    }

    fn read_ahead(&mut self) -> Result<()> {
        let seat = self.jobs.seat()?;
        (self.at, self.end) = (0, 0);
        self.away(seat, |file, buffer| {
            buffer.resize(BUFFER, 0);
            Came::Read(file.read(buffer))
        });
        Ok(())
    }

    fn write_on(&mut self) -> Result<()> {
        let seat = self.jobs.seat()?;
        self.write_in(seat);
        Ok(())
    }

    fn write_in(&mut self, seat: Seat) {
        let (at, end) = (self.at, self.end);
        self.away(seat, move |file, buffer| {
            let mut done = at;
            while done < end {
                match file.write(&buffer[done..end]) {
                    Ok(count) => done += count,
                    Err(error) => return Came::Wrote(done - at, Err(error)),
                }
            }
            Came::Wrote(done - at, Ok(()))
        });
    }

    /// Gives the file to a thread, for one call.
    fn away(&mut self, seat: Seat, call: impl FnOnce(&mut OpenFile, &mut Vec<u8>) -> Came + Send + 'static) {
        match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Here(mut file) => {
                let mut buffer = std::mem::take(&mut self.buffer);
                self.place = Place::Away(Errand::begin(seat, &self.bell, move || {
                    let came = call(&mut file, &mut buffer);
                    Back { file, buffer, came }
                }));
            }
            other => self.place = other,
        }
    }
}

impl Drop for Worked {
    fn drop(&mut self) {
        if matches!(self.place, Place::Away(_)) {
            // The thread closes the file as soon as its call has ended.
            self.control.cancel();
        }
    }
}
