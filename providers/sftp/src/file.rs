//! An open file: one position, which reading moves through what was requested ahead, and writing through what is on its way.

mod ending;

use crate::caller::Caller;
use crate::calls::{Handle, seconds};
use crate::packet::Attributes;
use crate::pool::Pool;
use crate::settings::Tuning;
use crate::source::{Ahead, Range, Source};
use crate::store::{Store, room};
use crate::target::Target;
use crate::upload::{Upload, set_modified};
use bytes::{Buf, Bytes};
use ending::Ending;
use parking_lot::{Mutex, MutexGuard};
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use vfs_core::{Capabilities, Code, Error, File, Finish, Flush, OpenFlags, Result, Stat, seek_position};
use zvfs_net::failure::{Attempt, Failure, Retry};

/// The largest offset of a file.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// What an open came to.
pub struct Opened {
    /// The file.
    pub handle: Handle,
    /// What it was then.
    pub known: Attributes,
    /// Its names, if it is hidden until COMMIT.
    pub upload: Option<Upload>,
}

/// An open file.
pub struct Remote {
    caller: Caller,
    flags: OpenFlags,
    handle: Arc<Handle>,
    /// The name that it has on the server, hidden or not.
    path: Bytes,
    source: Arc<Source>,
    pool: Arc<Pool>,
    position: u64,
    ahead: Option<Ahead>,
    /// What was read ahead, from the position on.
    piece: Bytes,
    store: Option<Mutex<Store>>,
    /// Where the content ends, as far as it was written here: what a hidden file must have.
    extent: AtomicU64,
    /// The time that it is to have, in seconds.
    modified: Option<u32>,
    ending: Ending,
    finished: Option<Finish>,
}

impl Remote {
    /// Takes over a file that was opened.
    pub fn new(
        pool: &Arc<Pool>,
        target: Target,
        caller: Caller,
        tuning: Tuning,
        flags: OpenFlags,
        opened: Opened,
    ) -> Remote {
        let Opened { handle, known, upload } = opened;
        let handle = Arc::new(handle);
        let is_written = flags.contains(OpenFlags::WRITE);
        let path = upload.as_ref().map_or(&target.path, |upload| &upload.hidden).clone();
        let store =
            is_written.then(|| Mutex::new(Store::begin(pool, handle.clone(), path.clone(), tuning.window)));
        let position = if flags.contains(OpenFlags::APPEND) { known.size.unwrap_or(0) } else { 0 };
        let ending = Ending::new(pool, &handle, upload, !flags.contains(OpenFlags::READ));
        let source = Source::new(pool.clone(), target, handle.clone(), known, is_written, tuning);
        Remote {
            caller,
            flags,
            handle,
            path,
            source: Arc::new(source),
            pool: pool.clone(),
            position,
            ahead: None,
            piece: Bytes::new(),
            store,
            extent: AtomicU64::new(0),
            modified: None,
            ending,
            finished: None,
        }
    }

    fn error(&self, doing: &str) -> impl Fn(Failure) -> Error {
        move |failure| self.caller.error(doing, &failure)
    }

    fn readable(&self) -> Result<()> {
        match self.flags.contains(OpenFlags::READ) {
            true => Ok(()),
            false => Err(self.error("read")(Failure::new(Code::EBADF, "not open for reading"))),
        }
    }

    fn writable(&self, doing: &str) -> Result<MutexGuard<'_, Store>> {
        let refuse = |why: &str| Err(self.error(doing)(Failure::new(Code::EBADF, why)));
        match &self.store {
            Some(store) if self.finished.is_none() => Ok(store.lock()),
            Some(_) => refuse("already finished"),
            None => refuse("not open for writing"),
        }
    }

    /// Waits until everything is written that was taken.
    fn settle(&self) -> Attempt<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let settled = {
            let mut store = store.lock();
            store.push(|jobs| self.caller.wait("room for more", room(jobs)))?;
            store.settled()
        };
        self.caller.wait("what was written", settled)
    }

    /// The size, with what is on its way.
    fn size(&self) -> Attempt<u64> {
        Ok(self.attributes()?.size.unwrap_or(0))
    }

    fn attributes(&self) -> Attempt<Attributes> {
        self.settle()?;
        let source = self.source.clone();
        self.caller.wait("a status", async move { source.handle().await?.stat().await })
    }

    /// Whether what is read may be requested ahead: nobody here changes it, and who reads goes on.
    fn reads_ahead(&self) -> bool {
        self.store.is_none() && !self.flags.contains(OpenFlags::RANDOM)
    }

    fn range(&self, start: u64, end: u64, at_once: bool) -> Range {
        let count = self.handle.link().session.features().read;
        Range::new(self.source.clone(), start, end, at_once, count)
    }

    /// The next bytes from the position on; empty: the end.
    fn piece(&mut self) -> Attempt<&mut Bytes> {
        if self.piece.is_empty() {
            let ahead = match self.ahead.take() {
                Some(ahead) => ahead,
                None => {
                    let at_once = self.flags.contains(OpenFlags::SEQUENTIAL);
                    Ahead::begin(self.pool.runtime(), self.range(self.position, OFFSET_MAX, at_once))
                }
            };
            let piece = match ahead.ready() {
                Some(piece) => piece?,
                None => {
                    let waited = self.caller.wait("bytes", ahead.next());
                    // The caller's time is over, the task's is not.
                    if waited.is_err() {
                        self.ahead = Some(ahead);
                        return waited?.map(|_| &mut self.piece);
                    }
                    waited??
                }
            };
            // After the end, and after a failure, the next read begins anew.
            self.ahead = (!piece.is_empty()).then_some(ahead);
            self.piece = piece;
        }
        Ok(&mut self.piece)
    }

    fn write_from(&self, at: u64, buf: &[u8]) -> Result<usize> {
        let mut store = self.writable("write")?;
        if at.checked_add(buf.len() as u64).is_none_or(|end| end > OFFSET_MAX) {
            return Err(self.error("write")(Failure::new(Code::EFBIG, "beyond what a file can hold")));
        }
        let taken = store.put(at, buf, |jobs| self.caller.wait("room for more", room(jobs)));
        let count = taken.map_err(self.error("write"))?;
        self.extent.fetch_max(at + count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn commit(&mut self) -> Attempt<()> {
        self.settle()?;
        let committed = self.ending.commit(self.extent.load(Ordering::Relaxed), self.modified);
        self.caller.wait("the end of what was written", committed)
    }

    fn discard(&mut self) -> Attempt<()> {
        if let Some(store) = &self.store {
            store.lock().abandon();
        }
        let discarded = self.ending.discard();
        self.caller.wait("a removal", discarded)
    }
}

impl File for Remote {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::STAT | Capabilities::CANCEL;
        if self.flags.contains(OpenFlags::READ) {
            capabilities |= Capabilities::READABLE | Capabilities::POSITIONAL_READ;
        }
        if self.flags.contains(OpenFlags::WRITE) {
            capabilities |= Capabilities::WRITABLE | Capabilities::TIMES;
        }
        if self.flags.contains(OpenFlags::APPEND) {
            return capabilities;
        }
        if self.flags.contains(OpenFlags::WRITE) {
            capabilities |= Capabilities::TRUNCATABLE | Capabilities::POSITIONAL_WRITE;
        }
        capabilities | Capabilities::SEEKABLE
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.readable()?;
        if !self.reads_ahead() {
            let count = self.read_at(buf, self.position)?;
            self.position += count as u64;
            return Ok(count);
        }
        let outcome = self.piece().map(|piece| {
            let count = piece.len().min(buf.len());
            piece.copy_to_slice(&mut buf[..count]);
            count
        });
        let count = outcome.map_err(self.error("read"))?;
        self.position += count as u64;
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let count = self.write_from(self.position, buf)?;
        self.position += count as u64;
        if self.flags.contains(OpenFlags::APPEND) {
            // Where the end is then, others decide too. It was taken: a failure is the next call's.
            let _ = self.settle();
        }
        Ok(count)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        if self.flags.contains(OpenFlags::APPEND) {
            return Err(self.error("seek")(Failure::new(
                Code::ESPIPE,
                "a file that is appended to has no positions",
            )));
        }
        let size = || self.size().map_err(self.error("seek"));
        let offset = seek_position(self.caller.shown(), to, self.position, size)?;
        if offset != self.position {
            self.ahead = None;
            self.piece.clear();
            self.position = offset;
        }
        Ok(offset)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        drop(self.writable("truncate")?);
        if size > OFFSET_MAX {
            return Err(self.error("truncate")(Failure::new(Code::EFBIG, "beyond what a file can hold")));
        }
        self.settle().map_err(self.error("truncate"))?;
        let (handle, path) = (self.handle.clone(), self.path.clone());
        let attributes = Attributes { size: Some(size), ..Attributes::NONE };
        let set = self.caller.wait("a new size", async move {
            match handle.set(&attributes).await {
                Ok(()) => Ok(()),
                Err(failure) => Err(handle.link().explained(failure, &path, size, 0).await),
            }
        });
        set.map_err(self.error("truncate"))?;
        self.extent.store(size, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        if level == Flush::Push {
            store.lock().nudge();
            return Ok(());
        }
        self.settle().map_err(self.error("sync"))?;
        let handle = self.handle.clone();
        self.caller.wait("a disk", async move { handle.sync().await }).map_err(self.error("sync"))
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        if self.finished == Some(Finish::Discard) && how != Finish::Discard {
            return Err(self.error("finish")(Failure::new(Code::EINVAL, "it was discarded")));
        }
        self.finished = Some(how);
        match how {
            Finish::End => {
                store.lock().nudge();
                Ok(())
            }
            Finish::Commit => self.commit().map_err(self.error("commit")),
            Finish::Discard => self.discard().map_err(self.error("discard")),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.readable()?;
        self.settle().map_err(self.error("read"))?;
        let end = offset.saturating_add(buf.len() as u64).min(OFFSET_MAX);
        let mut range = self.range(offset, end, true);
        let read = self.caller.wait("bytes", async move {
            let mut pieces = vec![range.next().await?];
            // What failed behind the first piece is the next call's.
            while let Ok(piece) = range.next().await
                && !piece.is_empty()
            {
                pieces.push(piece);
            }
            Ok(pieces)
        });
        let mut count = 0;
        for piece in read.map_err(self.error("read"))? {
            buf[count..count + piece.len()].copy_from_slice(&piece);
            count += piece.len();
        }
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        if self.flags.contains(OpenFlags::APPEND) {
            let text = "a file that is appended to is written at its end";
            return Err(self.error("write_at")(Failure::new(Code::ENOTSUP, text)));
        }
        self.write_from(offset, buf)
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        drop(self.writable("set the time of")?);
        let seconds = Some(seconds(time).map_err(self.error("set the time of"))?);
        let handle = self.handle.clone();
        // COMMIT sets it once more, after the last write. A server that refuses it is to do so now, when nothing is lost by that.
        let set = self.caller.wait("a new time", async move { set_modified(&handle, seconds).await });
        set.map_err(|failure| self.error("set the time of")(untaken(failure)))?;
        self.modified = seconds;
        Ok(())
    }

    fn stat(&mut self) -> Result<Stat> {
        self.attributes().map(|attributes| attributes.stat()).map_err(self.error("stat"))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(store) = &self.store
            && self.ending.is_hidden()
        {
            store.lock().abandon();
        }
    }
}

/// What a server says that sets no times of files: whatever it calls that, the file goes on without.
fn untaken(failure: Failure) -> Failure {
    match failure.retry {
        Retry::No => Failure {
            code: Code::ENOTSUP,
            text: format!("the server sets no time of what is written: {}", failure.text),
            ..failure
        },
        _ => failure,
    }
}
