//! Reading: the inner file's bytes, decompressed.

use crate::{Stream, failure, passed_on};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use vfs_core::{Capabilities, Code, Error, File, Result, Stat};

pub struct Reader {
    decoder: MultiGzDecoder<Stream>,
    capabilities: Capabilities,
    /// What broke the stream: what comes after that is not what was written.
    broken: Option<Error>,
}

impl Reader {
    pub fn new(inner: Box<dyn File>) -> Reader {
        let stat = inner.capabilities() & Capabilities::STAT;
        let capabilities = Capabilities::READABLE | stat | passed_on(&*inner);
        Reader { decoder: MultiGzDecoder::new(Stream { inner, closed: false }), capabilities, broken: None }
    }
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if let Some(error) = &self.broken {
            return Err(error.flattened());
        }
        self.decoder.read(buf).map_err(|error| {
            let error = failure(error, "read gzip");
            // After a deadline the same call may be made again.
            if error.code() != Code::ETIMEDOUT {
                self.broken = Some(error.flattened());
            }
            error
        })
    }

    /// The inner file's, but for the size: how much it holds decompressed is not known before it is read.
    fn stat(&mut self) -> Result<Stat> {
        let mut stat = self.decoder.get_mut().inner.stat()?;
        stat.size = None;
        Ok(stat)
    }
}
