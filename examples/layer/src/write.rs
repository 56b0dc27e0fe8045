//! Writing: compressed into the inner file.

use crate::{Stream, failure, passed_on};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::time::SystemTime;
use vfs_core::{Capabilities, Code, Error, File, Finish, Flush, Result};

pub struct Writer {
    encoder: GzEncoder<Stream>,
    capabilities: Capabilities,
    /// The stream's own end is written: no byte may follow.
    ended: bool,
}

impl Writer {
    pub fn new(inner: Box<dyn File>, level: u32) -> Writer {
        let capabilities = Capabilities::WRITABLE | passed_on(&*inner);
        let stream = Stream { inner, closed: false };
        Writer { encoder: GzEncoder::new(stream, Compression::new(level)), capabilities, ended: false }
    }

    fn inner(&mut self) -> &mut dyn File {
        &mut *self.encoder.get_mut().inner
    }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        if self.ended {
            return Err(Error::new(Code::EPIPE, "write gzip: the stream was ended"));
        }
        self.encoder.write(buf).map_err(|error| failure(error, "write gzip"))
    }

    /// Hands on all that was written so far, so that a reader can have it. Often done, it costs compression.
    fn flush(&mut self, level: Flush) -> Result<()> {
        if !self.ended {
            self.encoder.flush().map_err(|error| failure(error, "flush gzip"))?;
        }
        self.inner().flush(level)
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.inner().set_modified(time)
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        // A failed stream gets no end: DISCARD goes to the inner file as it is.
        if how != Finish::Discard {
            self.encoder.try_finish().map_err(|error| failure(error, "end gzip"))?;
            self.ended = true;
        }
        self.inner().finish(how)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The encoder writes its end when it is dropped; nobody asked for one.
        self.encoder.get_mut().closed = true;
    }
}
