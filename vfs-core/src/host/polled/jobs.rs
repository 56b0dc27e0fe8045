//! Threads for calls that wait, of files whose host has none to let wait.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::lock::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How long a thread without a job stays.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads, each made when it is needed. Its clones share it.
#[derive(Clone)]
pub struct Jobs(Arc<Shared>);

struct Shared {
    limit: AtomicUsize,
    queue: Mutex<Queue>,
    come: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Jobs that are begun, or have a seat.
    seats: usize,
    threads: usize,
}

impl Jobs {
    /// Makes a pool for so many jobs at once, at least one.
    pub fn new(limit: usize) -> Jobs {
        let (queue, come) = (Mutex::default(), Condvar::default());
        Jobs(Arc::new(Shared { limit: AtomicUsize::new(limit.max(1)), queue, come }))
    }

    /// Sets how many jobs there may be at once, at least one; those that are begun go on.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit.max(1), Ordering::Relaxed);
    }

    /// Keeps a thread for one job.
    ///
    /// # Errors
    /// EMFILE: all are in use. ENOMEM, EAGAIN: the system gives no thread.
    pub(super) fn seat(&self) -> Result<Seat> {
        let mut queue = self.0.queue.lock();
        let limit = self.0.limit.load(Ordering::Relaxed);
        if queue.seats >= limit {
            let text = format!(
                "{limit} calls wait already, each on a thread of its own, as one without POLL does: allow more poll threads, or try later"
            );
            return Err(Error::new(Code::EMFILE, text));
        }
        if queue.threads <= queue.seats {
            let shared = self.0.clone();
            let spawned = thread::Builder::new().name("zvfs-poll".to_owned()).spawn(move || shared.work());
            spawned.map_err(|error| Error::no_thread(&error))?;
            queue.threads += 1;
        }
        queue.seats += 1;
        Ok(Seat { shared: self.0.clone(), is_taken: false })
    }
}

impl Shared {
    /// What each thread does.
    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // A job hands its own panic on.
                let _ = catch_unwind(AssertUnwindSafe(job));
                queue = self.queue.lock();
                queue.seats -= 1;
                continue;
            }
            queue = self.come.wait_for(queue, IDLE);
            if queue.jobs.is_empty() && queue.threads > queue.seats {
                queue.threads -= 1;
                return;
            }
        }
    }
}

/// The right to one job.
pub(super) struct Seat {
    shared: Arc<Shared>,
    is_taken: bool,
}

impl Seat {
    /// Begins the job.
    pub(super) fn begin(mut self, job: impl FnOnce() + Send + 'static) {
        self.is_taken = true;
        self.shared.queue.lock().jobs.push_back(Box::new(job));
        self.shared.come.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.is_taken {
            self.shared.queue.lock().seats -= 1;
        }
    }
}
