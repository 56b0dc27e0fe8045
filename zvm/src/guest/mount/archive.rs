//! The bytes of an archive: a channel with positions, or one that was loaded.

use super::{LOADED_MAX, MountLimits};
use crate::channel::{CallError, Channel};
use crate::exit::Failure;
use crate::guest::tree::Content;
use std::sync::Arc;
use vfs_core::Code;

/// How much is read at once.
const BUFFER: usize = 64 << 10;

/// Why an archive cannot be read.
pub(super) enum Problem {
    /// What is wrong with it.
    Text(String),
    /// The channel failed.
    Failed(Failure),
}

impl Problem {
    /// The session's failure.
    pub(super) fn failure(self, failed: impl FnOnce(String) -> Failure) -> Failure {
        match self {
            Problem::Text(text) => failed(text),
            Problem::Failed(failure) => failure,
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Problem {
        match error {
            CallError::Failed(failure) => Problem::Failed(failure),
            CallError::Refused(Code::EDQUOT) => {
                Problem::Text("the channel's quota ends before the archive".into())
            }
            CallError::Refused(code) => Problem::Text(format!("read: {}", code.text())),
        }
    }
}

/// An archive.
pub(super) struct Archive<'a> {
    channel: &'a mut Channel,
    number: usize,
    /// `None`: it is read where its bytes are.
    loaded: Option<Arc<Vec<u8>>>,
    size: u64,
    /// What was read last, and where it began.
    buffer: Vec<u8>,
    start: u64,
    /// Where the next member's header is.
    pub(super) next: u64,
}

impl<'a> Archive<'a> {
    /// Prepares to read; loads what has no positions.
    pub(super) fn open(
        channel: &'a mut Channel,
        number: usize,
        limits: &mut MountLimits<'_>,
    ) -> Result<Archive<'a>, Problem> {
        let mut archive =
            Archive { number, loaded: None, size: 0, buffer: Vec::new(), start: 0, next: 0, channel };
        if archive.channel.random_read() {
            archive.size = archive.channel.size()?;
        } else {
            let loaded = archive.load(limits)?;
            archive.size = loaded.len() as u64;
            archive.loaded = Some(loaded.into());
        }
        Ok(archive)
    }

    fn load(&mut self, limits: &mut MountLimits<'_>) -> Result<Vec<u8>, Problem> {
        let mut loaded = Vec::new();
        loop {
            limits.go_on().map_err(Problem::Failed)?;
            let used = loaded.len();
            loaded.resize(used + BUFFER, 0);
            let count = self.channel.read_at(&mut loaded[used..], 0)?;
            loaded.truncate(used + count);
            if count == 0 {
                limits.loadable -= loaded.len();
                loaded.shrink_to_fit();
                return Ok(loaded);
            }
            if loaded.len() > limits.loadable {
                let text = format!(
                    "the archives to be loaded are over {} MiB: a channel of type 1, which has positions, need not be loaded",
                    LOADED_MAX >> 20
                );
                return Err(Problem::Text(text));
            }
        }
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// So many bytes at a place, at most 64 KiB; fewer only at its end.
    pub(super) fn read(&mut self, at: u64, count: u64) -> Result<&[u8], Problem> {
        let count = usize::try_from(count).unwrap_or(BUFFER).min(BUFFER);
        if let Some(loaded) = &self.loaded {
            let from = usize::try_from(at).unwrap_or(usize::MAX).min(loaded.len());
            return Ok(&loaded[from..loaded.len().min(from + count)]);
        }
        let end = self.start + self.buffer.len() as u64;
        if at < self.start || at + count as u64 > end {
            self.buffer.resize(BUFFER, 0);
            let offset = i64::try_from(at).map_err(|_| Problem::Text("an offset beyond any file".into()))?;
            let read = self.channel.read_at(&mut self.buffer, offset)?;
            self.buffer.truncate(read);
            self.start = at;
        }
        let from = (at - self.start) as usize;
        Ok(&self.buffer[from..self.buffer.len().min(from + count)])
    }

    /// A member's bytes, as a file's content.
    pub(super) fn content(&self, offset: u64, size: u64) -> Content {
        match &self.loaded {
            // Both are within what was loaded.
            Some(archive) => {
                Content::Loaded { archive: archive.clone(), range: offset as usize..(offset + size) as usize }
            }
            None => Content::Packed { channel: self.number, offset, size },
        }
    }
}
