//! An open name.

use crate::buffer::Buffer;
use crate::names::{Claim, Names};
use std::io::SeekFrom;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Error, File, Finish, OpenFlags, Result, Stat, seek_position};

/// A position in a buffer. It never blocks.
pub(crate) struct MemFile {
    buffer: Arc<Buffer>,
    capabilities: Capabilities,
    append: bool,
    position: u64,
    unpublished: Option<Unpublished>,
    /// How the writing side ended.
    finished: Option<Finish>,
    /// The name, for the run that writes it.
    _claim: Option<Claim>,
}

/// Where an atomic file's buffer goes at COMMIT; dropped with the buffer if none comes.
struct Unpublished {
    name: String,
    names: Arc<Names>,
    exclusive: bool,
}

impl MemFile {
    /// With neither READ nor WRITE a name goes both ways.
    pub fn new(buffer: Arc<Buffer>, claim: Option<Claim>, flags: OpenFlags) -> MemFile {
        let both = !flags.intersects(OpenFlags::READ | OpenFlags::WRITE);
        let append = flags.contains(OpenFlags::APPEND);
        let mut capabilities = Capabilities::SEEKABLE | Capabilities::STAT | Capabilities::CANCEL;
        if both || flags.contains(OpenFlags::READ) {
            capabilities |= Capabilities::READABLE | Capabilities::POSITIONAL_READ;
        }
        if both || flags.contains(OpenFlags::WRITE) {
            capabilities |= Capabilities::WRITABLE | Capabilities::TRUNCATABLE;
            if !append {
                capabilities |= Capabilities::POSITIONAL_WRITE; // an appending file writes at the end only
            }
        }
        MemFile {
            buffer,
            capabilities,
            append,
            position: 0,
            unpublished: None,
            finished: None,
            _claim: claim,
        }
    }

    /// Marks that the buffer has no name yet.
    pub fn unpublished(mut self, name: &str, names: Arc<Names>, exclusive: bool) -> MemFile {
        self.unpublished = Some(Unpublished { name: name.to_owned(), names, exclusive });
        self
    }

    fn needs(&self, capability: Capabilities, code: Code, text: &'static str) -> Result<()> {
        if self.capabilities.contains(capability) { Ok(()) } else { Err(Error::new(code, text)) }
    }

    /// What was published, or ended, stays as it is.
    fn unfinished(&self, doing: &str) -> Result<()> {
        match self.finished {
            None => Ok(()),
            Some(_) => Err(Error::new(Code::EBADF, format!("{doing}: already finished"))),
        }
    }
}

impl File for MemFile {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.needs(Capabilities::READABLE, Code::EBADF, "read: not open for reading")?;
        let count = self.buffer.read(buf, self.position);
        self.position += count as u64;
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.needs(Capabilities::WRITABLE, Code::EBADF, "write: not open for writing")?;
        self.unfinished("write")?;
        let offset = (!self.append).then_some(self.position);
        self.position = self.buffer.write(buf, offset)?;
        Ok(buf.len())
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.position = seek_position("mem", to, self.position, || Ok(self.buffer.len()))?;
        Ok(self.position)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.needs(Capabilities::TRUNCATABLE, Code::EBADF, "truncate: not open for writing")?;
        self.unfinished("truncate")?;
        self.buffer.truncate(size)
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        if !self.capabilities.contains(Capabilities::WRITABLE) {
            return Ok(());
        }
        if self.finished == Some(Finish::Discard) && how != Finish::Discard {
            return Err(Error::new(Code::EINVAL, "finish: it was discarded"));
        }
        self.finished = Some(how);
        match (how, self.unpublished.take()) {
            (Finish::Commit, Some(waiting)) => {
                waiting.names.publish(&waiting.name, self.buffer.clone(), waiting.exclusive)
            }
            (Finish::End, waiting) => {
                self.unpublished = waiting;
                Ok(())
            }
            (Finish::Commit | Finish::Discard, _) => Ok(()),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.needs(Capabilities::POSITIONAL_READ, Code::EBADF, "read_at: not open for reading")?;
        Ok(self.buffer.read(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.needs(Capabilities::POSITIONAL_WRITE, Code::ENOTSUP, "write_at: read-only, or appending")?;
        self.unfinished("write_at")?;
        self.buffer.write(buf, Some(offset))?;
        Ok(buf.len())
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(self.buffer.stat())
    }
}
