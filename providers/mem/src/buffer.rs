//! The bytes under a name, and the limit on all of them.

use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use vfs_core::{Code, Error, Kind, Result, Stat};

/// How many bytes an instance's buffers may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub fn new(limit: u64) -> Arc<Budget> {
        Arc::new(Budget { limit, used: AtomicU64::new(0) })
    }

    fn take(&self, bytes: u64) -> Result<()> {
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(used) => Err(Error::new(
                Code::ENOSPC,
                format!(
                    "{bytes} more bytes: {used} of the limit of {} are in use; raise the setting `limit`",
                    self.limit
                ),
            )),
        }
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The bytes under a name; shared by all files that are open on it.
#[derive(Debug)]
pub(crate) struct Buffer {
    budget: Arc<Budget>,
    content: RwLock<Content>,
}

#[derive(Debug)]
struct Content {
    bytes: Vec<u8>,
    /// What the budget counts for this buffer: its length, or what PREALLOCATE asked for if that is more.
    charged: u64,
    modified: SystemTime,
    version: u64,
}

/// Numbers each state of each buffer, so that no two contents ever have the same tag.
static VERSIONS: AtomicU64 = AtomicU64::new(1);

fn next_version() -> u64 {
    VERSIONS.fetch_add(1, Ordering::Relaxed)
}

impl Buffer {
    pub fn new(budget: &Arc<Budget>) -> Arc<Buffer> {
        let content =
            Content { bytes: Vec::new(), charged: 0, modified: SystemTime::now(), version: next_version() };
        Arc::new(Buffer { budget: budget.clone(), content: RwLock::new(content) })
    }

    pub fn len(&self) -> u64 {
        self.content.read().bytes.len() as u64
    }

    pub fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let content = self.content.read();
        let rest = usize::try_from(offset).ok().and_then(|offset| content.bytes.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        count
    }

    /// Writes all of `buf`, at an offset or at the end of this moment, and returns where it ended.
    pub fn write(&self, buf: &[u8], offset: Option<u64>) -> Result<u64> {
        let mut content = self.content.write();
        let start = offset.unwrap_or(content.bytes.len() as u64);
        let end = start.checked_add(buf.len() as u64).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or_else(|| {
            Error::new(Code::EFBIG, format!("write {} bytes at {start}: no file is that large", buf.len()))
        })?;
        if end > content.bytes.len() as u64 {
            self.reserve(&mut content, end)?;
            if start >= content.bytes.len() as u64 {
                content.bytes.resize(start as usize, 0);
                content.bytes.extend_from_slice(buf);
                content.changed();
                return Ok(end);
            }
            content.bytes.resize(end as usize, 0);
        }
        content.bytes[start as usize..end as usize].copy_from_slice(buf);
        content.changed();
        Ok(end)
    }

    /// Sets the size; gives back what was reserved beyond it.
    pub fn truncate(&self, size: u64) -> Result<()> {
        let content = &mut *self.content.write();
        self.reserve(content, size)?;
        content.bytes.resize(size as usize, 0);
        content.bytes.shrink_to(content.bytes.len().saturating_mul(2));
        self.budget.give_back(content.charged - size);
        content.charged = size;
        content.changed();
        Ok(())
    }

    /// Makes it ready for a writer: makes sure of the room, and only then empties it. What is reserved stays until the buffer
    /// is truncated or gone; what fails changes nothing.
    pub fn begin(&self, empty: bool, room: u64) -> Result<()> {
        let content = &mut *self.content.write();
        self.reserve(content, room)?;
        if empty {
            content.bytes.clear();
            content.bytes.shrink_to(room as usize);
            self.budget.give_back(content.charged - room);
            content.charged = room;
            content.changed();
        }
        Ok(())
    }

    /// Makes sure of budget and memory for a size. Afterwards `size` fits a `usize`, and growing to it cannot fail.
    fn reserve(&self, content: &mut Content, size: u64) -> Result<()> {
        let Some(wanted) = usize::try_from(size).ok().filter(|_| i64::try_from(size).is_ok()) else {
            return Err(Error::new(Code::EFBIG, format!("{size} bytes: no file is that large")));
        };
        let more = size.saturating_sub(content.charged);
        self.budget.take(more)?;
        let missing = wanted.saturating_sub(content.bytes.len());
        if let Err(error) = content.bytes.try_reserve(missing) {
            self.budget.give_back(more);
            return Err(Error::new(Code::ENOMEM, format!("{size} bytes: out of memory")).with_source(error));
        }
        content.charged += more;
        Ok(())
    }

    pub fn stat(&self) -> Stat {
        let content = self.content.read();
        Stat::of_kind(Kind::Regular)
            .size(content.bytes.len() as u64)
            .modified(content.modified)
            .version(content.version.to_string())
    }
}

impl Content {
    fn changed(&mut self) {
        self.modified = SystemTime::now();
        self.version = next_version();
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let charged = self.content.get_mut().charged;
        self.budget.give_back(charged);
    }
}
