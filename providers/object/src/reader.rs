//! An object open for reading.

mod ahead;
mod object;

pub use object::{describe, head, patient};

use crate::reader::ahead::{Ahead, FIRST};
use crate::reader::object::Object;
use crate::settings::Tuning;
use crate::stores::Store;
use bytes::Bytes;
use object_store::path::Path;
use parking_lot::Mutex;
use rustix::io::{pwritev, retry_on_intr};
use std::collections::VecDeque;
use std::io::{IoSlice, SeekFrom};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vfs_core::{Capabilities, Code, Context, Error, File, Result, Stat, seek_position};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_runtime::Runtime;

/// What is fetched even for a single byte: it comes in the same packet.
const EXACT_MIN: usize = 1 << 10;
/// What is written to another file at once, so that a cancel is met soon.
const WRITE_MAX: usize = 256 << 10;
/// Pieces that are written at once: far fewer than any system takes.
const SLICES_MAX: usize = 64;

/// An object open for reading.
pub struct Reader {
    object: Arc<Object>,
    shown: String,
    position: u64,
    /// For reads at the position.
    ahead: Ahead,
    /// For positional reads that go on where another one ended: one of them at a time.
    along: Mutex<Ahead>,
    /// Where the last positional read ended.
    ended: AtomicU64,
    tuning: Tuning,
    /// Whoever opened it will read here and there.
    is_random: bool,
}

impl Reader {
    /// Opens an object. Unless it will be read here and there, its first bytes come with it.
    ///
    /// # Errors
    /// As [`Object::open`].
    pub fn open(
        store: &Arc<dyn Store>,
        path: &Path,
        context: &Context,
        runtime: &Runtime,
        shown: &str,
        tuning: Tuning,
        is_random: bool,
    ) -> Attempt<Reader> {
        // Of what is read here and there, little tells all that there is to know.
        let first = if is_random { EXACT_MIN as u64 } else { FIRST };
        let (object, first) = Object::open(store, path, first, context, runtime)?;
        let (object, first) = (Arc::new(object), Arc::new(first));
        let ahead = || Ahead::new(&object, &first, tuning);
        Ok(Reader {
            position: 0,
            ahead: ahead(),
            along: Mutex::new(ahead()),
            ended: AtomicU64::new(0),
            shown: shown.to_owned(),
            tuning,
            is_random,
            object,
        })
    }

    fn failed(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.shown)
    }

    /// Reads at an offset within the object, with the ranges that are read ahead if it goes on where another read ended.
    fn positional(&self, buf: &mut [u8], offset: u64) -> Attempt<usize> {
        let goes_on = self.ended.swap(offset.saturating_add(buf.len() as u64), Ordering::Relaxed) == offset;
        if goes_on
            && !self.is_random
            && let Some(mut along) = self.along.try_lock()
        {
            along.go_to(offset);
            let count = along.read(buf)?;
            self.ended.store(offset + count as u64, Ordering::Relaxed);
            return Ok(count);
        }
        self.exactly(buf, offset)
    }

    /// Fetches what fits into the buffer and no more.
    fn exactly(&self, buf: &mut [u8], offset: u64) -> Attempt<usize> {
        let length = buf.len().clamp(EXACT_MIN, self.tuning.part_size) as u64;
        let end = offset.saturating_add(length).min(self.object.size);
        let mut count = 0;
        for piece in self.object.fetch_and_wait(offset..end)? {
            let fits = piece.len().min(buf.len() - count);
            buf[count..count + fits].copy_from_slice(&piece[..fits]);
            count += fits;
        }
        Ok(count)
    }
}

/// So many bytes of these, or fewer.
fn beginning(pieces: &VecDeque<Bytes>, count: usize) -> Vec<IoSlice<'_>> {
    let mut left = count;
    let fit = |piece| {
        let fits = Bytes::len(piece).min(left);
        left -= fits;
        (fits > 0).then(|| IoSlice::new(&piece[..fits]))
    };
    pieces.iter().take(SLICES_MAX).map_while(fit).collect()
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        let always = Capabilities::READABLE
            | Capabilities::SEEKABLE
            | Capabilities::POSITIONAL_READ
            | Capabilities::STAT
            | Capabilities::CANCEL;
        if self.is_random { always } else { always | Capabilities::SPLICE }
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.position >= self.object.size {
            return Ok(0);
        }
        let read = match self.is_random {
            true => self.exactly(buf, self.position),
            false => {
                self.ahead.go_to(self.position);
                self.ahead.read(buf)
            }
        };
        let count = read.map_err(|failure| self.failed("read", &failure))?;
        self.position += count as u64;
        Ok(count)
    }

    /// The pieces go from where they arrived to the file, without a copy between.
    fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        if self.position >= self.object.size {
            return Ok(0);
        }
        self.ahead.go_to(self.position);
        let pieces = self.ahead.pieces().map_err(|failure| failure.error("read", &self.shown))?;
        let slices = beginning(pieces, count.min(WRITE_MAX));
        // Why the file takes nothing, its own provider says when the host writes.
        let written = retry_on_intr(|| pwritev(to, &slices, offset))
            .map_err(|_| Error::new(Code::ENOTSUP, "the file takes nothing"))?;
        self.ahead.advance(written);
        self.position += written as u64;
        Ok(written)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.position = seek_position(&self.shown, to, self.position, || Ok(self.object.size))?;
        Ok(self.position)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        if offset >= self.object.size {
            return Ok(0);
        }
        self.positional(buf, offset).map_err(|failure| self.failed("read", &failure))
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(self.object.stat())
    }
}
