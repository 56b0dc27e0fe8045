//! A file of a torrent, open for reading.

use crate::download::Urge;
use crate::swarms::Membership;
use std::io::SeekFrom;
use std::time::Duration;
use vfs_core::{Capabilities, Context, Error, File, Result, Stat, seek_position};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;
use zvfs_runtime::Runtime;

/// A file open for reading.
pub struct Reader {
    /// Has what comes next fetched first; `None`: it is read at random, or is empty.
    pub ahead: Option<Urge>,
    /// `None`: it is empty.
    pub download: Option<Membership>,
    /// Who waits, and where.
    pub caller: Caller,
    /// Its bytes.
    pub size: u64,
    /// What never changes of it.
    pub stat: Stat,
    /// Of the next byte.
    pub position: u64,
}

/// Who waits for bytes, and how long.
#[derive(Clone)]
pub struct Caller {
    /// The host's.
    pub context: Context,
    /// Where the waiting is done.
    pub runtime: Runtime,
    /// The longest time without a byte of the torrent.
    pub stall: Duration,
    /// The descriptor, for messages.
    pub shown: String,
}

impl Reader {
    /// Reads what is there from an offset, and waits for the first byte of it.
    fn read_from(&self, buf: &mut [u8], offset: u64) -> Attempt<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buf.len());
        let Some(download) = self.download.as_ref().filter(|_| count > 0) else { return Ok(0) };
        let buf = &mut buf[..count];
        loop {
            if let Some(count) = download.read(buf, offset)? {
                return Ok(count);
            }
            self.caller.wait_for(download, offset)?;
        }
    }

    fn error(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.caller.shown)
    }

    fn check(&self) -> Result<()> {
        self.caller.context.status().map_err(|error| self.error("read", &error.into()))
    }
}

impl Caller {
    /// Waits until the piece that has an offset is there.
    fn wait_for(&self, download: &Membership, offset: u64) -> Attempt<()> {
        let what = format!("piece {} of the torrent", download.piece_of(offset));
        let peers = || Some(download.peers().to_string());
        let waiting = Waiting::as_caller(&self.context, &what).refused_by(&peers);
        self.runtime.wait(waiting, download.arrival(offset, self.stall))
    }
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE
            | Capabilities::SEEKABLE
            | Capabilities::POSITIONAL_READ
            | Capabilities::STAT
            | Capabilities::CANCEL
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.check()?;
        let read = self.read_from(buf, self.position);
        let count = read.map_err(|failure| self.error("read", &failure))?;
        self.position += count as u64;
        if let Some(ahead) = &mut self.ahead {
            ahead.move_to(self.position);
        }
        Ok(count)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.position = seek_position(&self.caller.shown, to, self.position, || Ok(self.size))?;
        if let Some(ahead) = &mut self.ahead {
            ahead.move_to(self.position);
        }
        Ok(self.position)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.check()?;
        self.read_from(buf, offset).map_err(|failure| self.error("read", &failure))
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(self.stat.clone())
    }
}
