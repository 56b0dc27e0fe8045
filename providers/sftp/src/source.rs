//! A file that is read: its handle, which is opened again when its connection is lost, and ranges of it, requested ahead.

use crate::calls::{Handle, bytes_read};
use crate::packet::{Attributes, open};
use crate::pool::Pool;
use crate::session::Pending;
use crate::settings::Tuning;
use crate::target::Target;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::retry::Budget;
use zvfs_runtime::{Runtime, Task};

/// Pieces that wait for the reader, besides those that are under way.
const READY: usize = 4;

/// How many requests are under way at first: who jumps wants no more.
const DEPTH_FIRST: usize = 2;

/// A file that is read.
pub struct Source {
    pool: Arc<Pool>,
    target: Target,
    handle: Mutex<Arc<Handle>>,
    /// What it was when it was opened.
    known: Attributes,
    size: u64,
    /// It is written too: nothing proves that a file is the same that was changed from here.
    fixed: bool,
    tuning: Tuning,
}

impl Source {
    /// Takes over a file that was opened. `fixed`: it is not opened again.
    pub fn new(
        pool: Arc<Pool>,
        target: Target,
        handle: Arc<Handle>,
        known: Attributes,
        fixed: bool,
        tuning: Tuning,
    ) -> Source {
        let size = known.size.unwrap_or(0);
        Source { pool, target, handle: Mutex::new(handle), known, size, fixed, tuning }
    }

    /// The handle; a new one if the old one's connection was lost.
    ///
    /// # Errors
    /// ESTALE: the file is another one now, or was changed. ECONNRESET: it cannot be opened again.
    pub async fn handle(&self) -> Attempt<Arc<Handle>> {
        let mut handle = self.handle.lock().await;
        if handle.is_lost() && !self.fixed {
            let link = self.pool.link(&self.target.login).await?;
            let opened = link.open(&self.target.path, open::READ, &Attributes::NONE).await?;
            let known = opened.stat().await?;
            if !known.is_same(&self.known) {
                let text = "the connection was lost, and the file has changed meanwhile";
                return Err(Failure::new(Code::ESTALE, text));
            }
            *handle = Arc::new(opened);
        }
        Ok(handle.clone())
    }
}

/// A range of a file, read from its start to its end with several requests under way.
pub struct Range {
    source: Arc<Source>,
    /// Where the next piece begins.
    at: u64,
    /// Up to where it was requested.
    asked: u64,
    end: u64,
    under_way: VecDeque<(u32, Pending)>,
    depth: usize,
    depth_max: usize,
    count: u32,
    budget: Budget,
}

impl Range {
    /// Begins to read; nothing is requested yet. `at_once`: everything that may be under way is requested at once.
    pub fn new(source: Arc<Source>, start: u64, end: u64, at_once: bool, count: u32) -> Range {
        let depth_max = (source.tuning.window / u64::from(count)).max(1) as usize;
        let depth = if at_once { depth_max } else { DEPTH_FIRST.min(depth_max) };
        let budget = Budget::resuming();
        Range {
            source,
            at: start,
            asked: start,
            end,
            under_way: VecDeque::new(),
            depth,
            depth_max,
            count,
            budget,
        }
    }

    /// The next piece; empty: the end of the file, or of the range.
    ///
    /// # Errors
    /// The server's. ESTALE: the file has changed. ECONNRESET, ...: the connection was lost, and could not be replaced.
    pub async fn next(&mut self) -> Attempt<Bytes> {
        loop {
            match self.attempt().await {
                Ok(bytes) => {
                    self.at += bytes.len() as u64;
                    self.budget.progressed(bytes.len() as u64);
                    self.depth = (self.depth * 2).min(self.depth_max);
                    return Ok(bytes);
                }
                Err(failure) => {
                    self.restart();
                    let failure = if self.source.fixed { failure.for_good() } else { failure };
                    let pause = self.budget.pause(failure, self.source.tuning.retries)?;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Attempt<Bytes> {
        self.request().await?;
        let Some((asked, mut pending)) = self.under_way.pop_front() else { return Ok(Bytes::new()) };
        let bytes = bytes_read(pending.reply().await?, asked)?;
        if bytes.is_empty() {
            self.under_way.clear();
            if self.at < self.source.size && !self.source.fixed {
                let size = self.source.size;
                let text =
                    format!("the file ends after {} bytes, and had {size} when it was opened", self.at);
                return Err(Failure::new(Code::ESTALE, text));
            }
        } else if bytes.len() < asked as usize {
            // The server gives less at once, or the file ends here: what was requested behind it leaves a gap.
            let at = self.at + bytes.len() as u64;
            self.restart();
            self.asked = at;
            if at < self.source.size {
                self.count = bytes.len() as u32;
            }
        }
        Ok(bytes)
    }

    /// Requests as much as may be under way. Beyond the size that the file had there is one request: for the end, most likely.
    async fn request(&mut self) -> Attempt<()> {
        let handle = self.source.handle().await?;
        let size = self.source.size;
        while self.under_way.len() < self.depth
            && self.asked < self.end
            && (self.asked <= size || self.under_way.is_empty())
        {
            let bound = if self.asked < size { size.min(self.end) } else { self.end };
            let count = u64::from(self.count).min(bound - self.asked) as u32;
            self.under_way.push_back((count, handle.begin_read(self.asked, count).await?));
            self.asked += u64::from(count);
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.under_way.clear();
        self.asked = self.at;
    }
}

/// What is read ahead of a file's position, by a task. Dropping it ends that.
pub struct Ahead {
    pieces: Arc<Mutex<mpsc::Receiver<Attempt<Bytes>>>>,
    _task: Task<()>,
}

impl Ahead {
    /// Begins to read.
    pub fn begin(runtime: &Runtime, mut range: Range) -> Ahead {
        let (sender, receiver) = mpsc::channel(READY);
        let task = runtime.spawn(async move {
            loop {
                let piece = range.next().await;
                let is_last = piece.as_ref().map_or(true, Bytes::is_empty);
                if sender.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ahead { pieces: Arc::new(Mutex::new(receiver)), _task: task }
    }

    /// The next piece, if it is there already.
    pub fn ready(&self) -> Option<Attempt<Bytes>> {
        self.pieces.try_lock().ok()?.try_recv().ok()
    }

    /// Waits for the next piece: the outer failure is of the wait. Whoever stops waiting loses none.
    pub fn next(&self) -> impl Future<Output = Attempt<Attempt<Bytes>>> + Send + 'static {
        let pieces = self.pieces.clone();
        async move {
            let piece = pieces.lock().await.recv().await;
            Ok(piece.unwrap_or_else(|| Err(Failure::new(Code::EIO, "reading ahead broke"))))
        }
    }
}
