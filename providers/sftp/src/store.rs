//! What is written, on its way: taken into a buffer, sent in pieces of the server's size, several of them under way at once. A
//! failure is met by the call after it, and by COMMIT.

use crate::calls::{Handle, done};
use crate::failure::of_writing;
use crate::packet::Reply;
use crate::pool::Pool;
use crate::session::Pending;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, mpsc, oneshot};
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

/// Pieces that wait for their turn, besides those that are under way.
const QUEUE: usize = 4;

/// The writing side of a file. Dropping it sends what it holds, unless it was abandoned.
pub struct Store {
    pool: Arc<Pool>,
    jobs: mpsc::Sender<Job>,
    outcome: Arc<Outcome>,
    /// What is not sent yet, and where it goes. Never full between two calls.
    buffer: BytesMut,
    at: u64,
    count: usize,
}

/// A place in the queue.
pub type Place = mpsc::OwnedPermit<Job>;

/// What the task does, in order.
pub enum Job {
    Write {
        at: u64,
        bytes: Bytes,
    },
    /// Says when all before it is done.
    Settle(oneshot::Sender<()>),
}

/// What the task came to.
#[derive(Default)]
struct Outcome {
    failure: OnceLock<Failure>,
    abandoned: Notify,
}

impl Store {
    /// Begins to write a file, which has this path.
    pub fn begin(pool: &Arc<Pool>, handle: Arc<Handle>, path: Bytes, window: u64) -> Store {
        let count = handle.link().session.features().write as usize;
        let depth = (window as usize / count).max(1);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let outcome = Arc::new(Outcome::default());
        let task = Writing {
            handle,
            path,
            outcome: outcome.clone(),
            under_way: VecDeque::new(),
            depth,
            failed: (0, 0),
        };
        pool.background(task.run(queue));
        Store { pool: pool.clone(), jobs, outcome, buffer: BytesMut::new(), at: 0, count }
    }

    /// Takes bytes for an offset, as many as fit. `room` waits for a place in the queue.
    ///
    /// # Errors
    /// What an earlier write failed with; `room`'s. Nothing was taken.
    pub fn put(
        &mut self,
        at: u64,
        bytes: &[u8],
        room: impl Fn(mpsc::Sender<Job>) -> Attempt<Place>,
    ) -> Attempt<usize> {
        self.check()?;
        if self.at + self.buffer.len() as u64 != at {
            self.push(&room)?;
            self.at = at;
        }
        let taken = bytes.len().min(self.count - self.buffer.len());
        if self.buffer.len() + taken < self.count {
            self.buffer.extend_from_slice(&bytes[..taken]);
            return Ok(taken);
        }
        let place = self.place(&room)?;
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.send(place);
        Ok(taken)
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn push(&mut self, room: impl Fn(mpsc::Sender<Job>) -> Attempt<Place>) -> Attempt<()> {
        if !self.buffer.is_empty() {
            let place = self.place(&room)?;
            self.send(place);
        }
        Ok(())
    }

    /// Hands on what is buffered, if that needs no wait.
    pub fn nudge(&mut self) {
        if let Ok(place) = self.jobs.clone().try_reserve_owned()
            && !self.buffer.is_empty()
        {
            self.send(place);
        }
    }

    /// Waits until all that was pushed is written.
    ///
    /// # Errors
    /// What a write failed with.
    pub fn settled(&self) -> impl Future<Output = Attempt<()>> + Send + 'static {
        let (jobs, outcome) = (self.jobs.clone(), self.outcome.clone());
        async move {
            let (sender, receiver) = oneshot::channel();
            // A task that has ended has failed.
            if jobs.send(Job::Settle(sender)).await.is_ok() {
                let _ = receiver.await;
            }
            outcome.check()
        }
    }

    /// Drops what is under way and what was not sent.
    pub fn abandon(&mut self) {
        self.outcome.abandoned.notify_one();
        self.buffer.clear();
    }

    fn check(&self) -> Attempt<()> {
        self.outcome.check()
    }

    fn place(&self, room: &impl Fn(mpsc::Sender<Job>) -> Attempt<Place>) -> Attempt<Place> {
        match self.jobs.clone().try_reserve_owned() {
            Ok(place) => Ok(place),
            Err(_) => room(self.jobs.clone()).map_err(|failure| self.check().err().unwrap_or(failure)),
        }
    }

    fn send(&mut self, place: Place) {
        let bytes = self.buffer.split().freeze();
        let at = self.at;
        self.at += bytes.len() as u64;
        place.send(Job::Write { at, bytes });
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.buffer.is_empty() || self.outcome.failure.get().is_some() {
            return;
        }
        let (jobs, at, bytes) = (self.jobs.clone(), self.at, self.buffer.split().freeze());
        self.pool.background(async move { drop(jobs.send(Job::Write { at, bytes }).await) });
    }
}

impl Outcome {
    fn check(&self) -> Attempt<()> {
        self.failure.get().cloned().map_or(Ok(()), Err)
    }
}

/// Waits for a place in a queue, on the runtime.
///
/// # Errors
/// The task has ended: it failed.
pub async fn room(jobs: mpsc::Sender<Job>) -> Attempt<Place> {
    jobs.reserve_owned().await.map_err(|_| Failure::new(Code::EIO, "an earlier write failed"))
}

/// The task that writes.
struct Writing {
    handle: Arc<Handle>,
    path: Bytes,
    outcome: Arc<Outcome>,
    under_way: VecDeque<Write>,
    depth: usize,
    /// Which write failed: where, and how many bytes.
    failed: (u64, u64),
}

/// A write under way.
struct Write {
    at: u64,
    count: u64,
    pending: Pending,
}

impl Writing {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let outcome = self.outcome.clone();
        let worked = tokio::select! {
            worked = self.work(&mut queue) => worked,
            // Whatever the server leaves without a word.
            () = outcome.abandoned.notified() => return,
        };
        let Err(mut failure) = worked else { return };
        let (at, count) = self.failed;
        failure = self.handle.link().explained(failure, &self.path, at, count).await;
        // Before the queue closes, which tells whoever waits for a place in it.
        let _ = outcome.failure.set(of_writing(failure));
    }

    async fn work(&mut self, queue: &mut mpsc::Receiver<Job>) -> Attempt<()> {
        loop {
            let job = tokio::select! {
                job = queue.recv(), if self.under_way.len() < self.depth => job,
                outcome = first(&mut self.under_way), if !self.under_way.is_empty() => {
                    self.written(outcome)?;
                    continue;
                }
            };
            match job {
                Some(Job::Write { at, bytes }) => {
                    let count = bytes.len() as u64;
                    self.under_way.push_back(Write {
                        at,
                        count,
                        pending: self.handle.begin_write(at, bytes).await?,
                    });
                }
                Some(Job::Settle(done)) => {
                    self.settle().await?;
                    // Whoever asked may have left.
                    let _ = done.send(());
                }
                None => return self.settle().await,
            }
        }
    }

    async fn settle(&mut self) -> Attempt<()> {
        while !self.under_way.is_empty() {
            let outcome = first(&mut self.under_way).await;
            self.written(outcome)?;
        }
        Ok(())
    }

    fn written(&mut self, outcome: Attempt<Reply>) -> Attempt<()> {
        self.failed = self.under_way.pop_front().map_or((0, 0), |Write { at, count, .. }| (at, count));
        done(outcome?)
    }
}

/// The reply to the first of several writes, which stays where it is: whoever stops waiting loses nothing.
async fn first(under_way: &mut VecDeque<Write>) -> Attempt<Reply> {
    match under_way.front_mut() {
        Some(write) => write.pending.reply().await,
        None => std::future::pending().await,
    }
}
