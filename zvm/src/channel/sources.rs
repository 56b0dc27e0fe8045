//! The open files behind a channel: one, or several of which reads take one after the other and writes go to each.

use super::outputs::{Output, OutputState};
use crate::exit::ExitCode;
use crate::manifest::ChannelSpec;
use std::io::SeekFrom;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Descriptor, Error, Flush, Kind, OpenFile, Placement, Result};

/// The files of a channel, in the manifest's order. Empty after they were closed.
#[derive(Debug)]
pub(super) struct Sources {
    list: Vec<Source>,
    /// Where sequential reads are; past the last one at the end.
    current: usize,
}

/// One open file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: OpenFile,
    pub(super) kind: Kind,
    /// A write gave EPIPE: there is nobody left to write, end or commit to.
    pub(super) reader_closed: bool,
    /// What becomes of it, if it is written.
    pub(super) output: Option<Target>,
}

/// A source that is written.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) output: Arc<Output>,
    pub(super) placement: Placement,
    /// What was there before is touched.
    pub(super) begun: bool,
    pub(super) committed: bool,
    /// COMMIT failed in a way that does not tell whether it is complete.
    pub(super) unsure: bool,
    /// A pipe with an END of its own: its reader takes what comes before that for the whole.
    pub(super) ends_whole: bool,
}

/// Schemes that stay on this machine, for the report's two kinds of counters.
const LOCAL_SCHEMES: [&str; 3] = ["file", "mem", "null"];

/// How far a call came that may take several of the provider's.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) count: usize,
    pub(super) error: Option<Error>,
}

impl Sources {
    pub(super) fn new(list: Vec<Source>) -> Sources {
        Sources { list, current: 0 }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.list.iter_mut()
    }

    /// All of them, secrets hidden.
    pub(super) fn shown(&self) -> Arc<str> {
        match self.list.as_slice() {
            [only] => only.file.shown_shared().clone(),
            list => {
                let shown: Vec<&str> = list.iter().map(|source| source.file.shown()).collect();
                shown.join(";").into()
            }
        }
    }

    /// What becomes of those that are written.
    pub(super) fn outputs(&self) -> Box<[Arc<Output>]> {
        self.list.iter().filter_map(|source| Some(source.output.as_ref()?.output.clone())).collect()
    }

    pub(super) fn close(&mut self) {
        self.list.clear();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.list.iter().any(|source| source.file.control().is_cancelled())
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.list.iter().any(|source| source.kind == Kind::Terminal)
    }

    pub(super) fn seekable(&self) -> bool {
        self.all_can(Capabilities::SEEKABLE)
    }

    pub(super) fn truncatable(&self) -> bool {
        self.all_can(Capabilities::TRUNCATABLE)
    }

    fn all_can(&self, capability: Capabilities) -> bool {
        self.list.iter().all(|source| source.can(capability))
    }

    /// Whether sequential reads have seen the end of the last source.
    pub(super) fn at_end(&self) -> bool {
        self.current >= self.list.len()
    }

    pub(super) fn all_readers_closed(&self) -> bool {
        self.list.iter().all(|source| source.reader_closed)
    }

    /// Fills `buf`, unless the last source ends before.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Moved {
        let mut count = 0;
        while count < buf.len()
            && let Some(source) = self.list.get_mut(self.current)
        {
            match source.file.read(&mut buf[count..]) {
                Ok(0) => self.current += 1,
                Ok(read) => count += read,
                Err(error) => return Moved { count, error: Some(source.while_doing("read", error)) },
            }
        }
        Moved { count, error: None }
    }

    /// Reads what the next source that is not at its end gives at once.
    pub(super) fn read_some(&mut self, buf: &mut [u8]) -> Moved {
        while let Some(source) = self.list.get_mut(self.current) {
            match source.file.read(buf) {
                Ok(0) => self.current += 1,
                Ok(count) => return Moved { count, error: None },
                Err(error) => return Moved { count: 0, error: Some(source.while_doing("read", error)) },
            }
        }
        Moved { count: 0, error: None }
    }

    /// Fills `buf` from `offset` of the only source, unless that ends before.
    pub(super) fn read_at(&mut self, buf: &mut [u8], offset: u64) -> Moved {
        let mut count = 0;
        while count < buf.len()
            && let Some(source) = self.list.first_mut()
        {
            match source.read_at(&mut buf[count..], offset.saturating_add(count as u64)) {
                Ok(0) => break,
                Ok(read) => count += read,
                Err(error) => return Moved { count, error: Some(source.while_doing("read", error)) },
            }
        }
        Moved { count, error: None }
    }

    /// Writes all of `buf` to each source, at an offset or at the place where each stands.
    pub(super) fn write(&mut self, buf: &[u8], at: Option<u64>, notes: &mut Vec<String>) -> Moved {
        let (mut count, mut closed) = (0, None);
        for source in self.list.iter_mut().filter(|source| !source.reader_closed) {
            let moved = source.write(buf, at);
            count = count.max(moved.count);
            match moved.error {
                None => {}
                Some(error) if error.code() == Code::EPIPE => {
                    source.note_closed_reader(notes);
                    closed = Some(error);
                }
                Some(error) => return Moved { count, error: Some(source.while_doing("write", error)) },
            }
        }
        // While a source is left, it took everything, and the count is what matters.
        Moved { count, error: closed }
    }

    /// Whether sequential reads have more to come. May swallow a byte, so nothing may be read afterwards.
    pub(super) fn more(&mut self) -> Result<bool> {
        while let Some(source) = self.list.get_mut(self.current) {
            if source.more().map_err(|error| source.while_doing("read", error))? {
                return Ok(true);
            }
            self.current += 1;
        }
        Ok(false)
    }

    /// Whether there is a byte at `offset`.
    pub(super) fn more_at(&mut self, offset: u64) -> Result<bool> {
        let Some(source) = self.list.first_mut() else { return Ok(false) };
        if source.size()?.is_some_and(|size| offset < size) {
            return Ok(true);
        }
        let read = source.read_at(&mut [0], offset).map_err(|error| source.while_doing("read", error))?;
        Ok(read > 0)
    }

    /// The size of the first source, 0 if it is not known.
    pub(super) fn size(&mut self) -> Result<u64> {
        match self.list.first_mut() {
            Some(source) => Ok(source.size()?.unwrap_or(0)),
            None => Ok(0),
        }
    }

    pub(super) fn truncate(&mut self, size: u64) -> Result<()> {
        for source in &mut self.list {
            source.file.truncate(size).map_err(|error| source.while_doing("set the size of", error))?;
        }
        Ok(())
    }

    /// Flushes each source; EPIPE if the readers of all of them closed.
    pub(super) fn sync(&mut self, notes: &mut Vec<String>) -> Result<()> {
        for source in self.list.iter_mut().filter(|source| !source.reader_closed) {
            match source.file.flush(Flush::Sync) {
                Ok(()) => {}
                Err(error) if error.code() == Code::EPIPE => source.note_closed_reader(notes),
                Err(error) => return Err(source.while_doing("sync", error)),
            }
        }
        if self.all_readers_closed() { Err(Code::EPIPE.into()) } else { Ok(()) }
    }
}

impl Source {
    /// `placement`: how it is written, if it is.
    pub(super) fn new(file: OpenFile, kind: Kind, placement: Option<(Placement, Output)>) -> Source {
        let output = placement.map(|(placement, output)| Target {
            output: Arc::new(output),
            placement,
            begun: false,
            committed: false,
            unsure: false,
            ends_whole: false,
        });
        Source { file, kind, reader_closed: false, output }
    }

    /// What is worth telling of a file that was to appear as a whole, and is written in place.
    pub(super) fn note_in_place(&self, spec: &ChannelSpec) -> Option<String> {
        let target = self.output.as_ref().filter(|target| target.output.stays())?;
        let why = target.placement.in_place()?;
        Some(format!("{}: {} is written in place: {why}", spec.shown_alias(), self.file.shown()))
    }

    /// Whether it appears at COMMIT, all at once.
    pub(super) fn is_whole(&self) -> bool {
        self.output.as_ref().is_some_and(|target| target.output.is_whole())
    }

    /// Whether somebody will take what is in it for all that there is: it appears at COMMIT, or its reader hears END.
    pub(super) fn must_be_whole(&self) -> bool {
        self.is_whole() || self.output.as_ref().is_some_and(|target| target.ends_whole)
    }

    /// Whether nothing but a rename is left to do at COMMIT. An upload appears as a whole too, by the word of its server.
    pub(super) fn is_renamed(&self) -> bool {
        self.is_whole() && self.kind == Kind::Regular
    }

    pub(super) fn set_state(&self, state: OutputState) {
        if let Some(target) = &self.output {
            target.output.set(state);
        }
    }

    pub(super) fn can(&self, capability: Capabilities) -> bool {
        self.file.capabilities().contains(capability)
    }

    /// Remembers EPIPE and tells of it once: as with `head`, it is no failure.
    pub(super) fn note_closed_reader(&mut self, notes: &mut Vec<String>) {
        if !self.reader_closed {
            self.reader_closed = true;
            self.set_state(OutputState::Partial);
            notes.push(format!("{}: its reader closed before it took everything", self.file.shown()));
        }
    }

    pub(super) fn while_doing(&self, verb: &str, error: Error) -> Error {
        error.context(format!("{verb} {}", self.file.shown()))
    }

    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> Result<usize> {
        if self.can(Capabilities::POSITIONAL_READ) {
            return self.file.read_at(buf, offset);
        }
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read(buf)
    }

    fn write(&mut self, buf: &[u8], at: Option<u64>) -> Moved {
        let mut count = 0;
        while count < buf.len() {
            let rest = &buf[count..];
            let result = match at {
                None => self.file.write(rest),
                Some(offset) => self.write_at(rest, offset.saturating_add(count as u64)),
            };
            match result {
                Ok(0) => {
                    let error = Error::new(Code::EIO, "the provider took no byte");
                    return Moved { count, error: Some(error) };
                }
                Ok(written) => count += written,
                Err(error) => return Moved { count, error: Some(error) },
            }
        }
        Moved { count, error: None }
    }

    fn write_at(&mut self, buf: &[u8], offset: u64) -> Result<usize> {
        if self.can(Capabilities::POSITIONAL_WRITE) {
            return self.file.write_at(buf, offset);
        }
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write(buf)
    }

    /// Whether a read would give a byte. A size is believed only where it says that there is more: files in /proc are
    /// larger than they say. A terminal is never asked: a person would have to type.
    fn more(&mut self) -> Result<bool> {
        if self.kind == Kind::Terminal {
            return Ok(true);
        }
        if self.can(Capabilities::SEEKABLE)
            && let Some(size) = self.size()?
            && self.file.tell()? < size
        {
            return Ok(true);
        }
        Ok(self.file.read(&mut [0])? > 0)
    }

    /// The size now, if it is known.
    fn size(&mut self) -> Result<Option<u64>> {
        if self.can(Capabilities::STAT) {
            let stat = self.file.stat().map_err(|error| self.while_doing("stat", error))?;
            return Ok(stat.size);
        }
        if !self.can(Capabilities::SEEKABLE) {
            return Ok(None);
        }
        let here = self.file.tell()?;
        let size = self.file.seek(SeekFrom::End(0))?;
        self.file.seek(SeekFrom::Start(here))?;
        Ok(Some(size))
    }
}

/// Whether a descriptor's scheme stays on this machine.
pub(crate) fn is_local(source: &str) -> bool {
    Descriptor::parse(source).is_ok_and(|descriptor| {
        LOCAL_SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(descriptor.scheme()))
    })
}

/// The exit code of what cannot be opened.
pub(super) fn failed_exit(error: &Error, cancelled: bool) -> ExitCode {
    match error.code() {
        // No provider was asked: the scheme or the configuration is at fault, not what the descriptor names.
        _ if error.refusal().is_some() => ExitCode::Manifest,
        Code::EISDIR | Code::EPROTONOSUPPORT => ExitCode::SourceKind,
        Code::EMFILE | Code::ENFILE => ExitCode::TooManyChannels,
        Code::ECANCELED if cancelled => ExitCode::Stopped,
        Code::EIO | Code::ECANCELED => ExitCode::Io,
        _ => ExitCode::Manifest,
    }
}
