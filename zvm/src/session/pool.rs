//! How many sessions a host runs at a time, and the threads that are kept for them.
//!
//! Std's locks only, as all that lies on a session's way to its report: see `timer`.

use super::STACK;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;
use vfs_core::{Code, Error, Result};

/// How long a thread is kept that has nothing to do.
const KEPT: Duration = Duration::from_secs(30);

/// What a thread does for one session.
type Work = Box<dyn FnOnce() + Send>;

/// A limit on the sessions that run at a time, and as many threads, which are kept for the next ones. Clones are the same.
///
/// ```
/// # fn of(template: &zvm::Template) -> vfs_core::Result<()> {
/// let pool = zvm::SessionPool::new(100);
/// let running = template.session().permit(pool.permit()?).start();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SessionPool(Arc<Shared>);

/// The right to run one session. It ends with the session's report, or when it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Shared>);

/// What permits and working threads have in common. It ends with the last of them and of the pool's clones, and the idle threads
/// with it.
#[derive(Debug)]
struct Shared {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that are in use.
    permits: usize,
    threads: usize,
    /// The last one has been idle for the shortest time, and works next.
    idle: Vec<Idle>,
    /// For threads that have ended a session and are not idle yet: there are as many as may be.
    queue: VecDeque<Work>,
    /// The next idle thread's.
    number: u64,
}

/// A thread that waits for work.
struct Idle {
    number: u64,
    work: SyncSender<Work>,
}

impl SessionPool {
    /// A pool for so many sessions; it has no threads yet.
    pub fn new(limit: u32) -> SessionPool {
        SessionPool(Arc::new(Shared { limit: limit as usize, state: Mutex::default() }))
    }

    /// Takes the right to run a session.
    ///
    /// # Errors
    /// EMFILE: as many sessions run as may. One that was left behind counts until its thread is free.
    pub fn permit(&self) -> Result<Permit> {
        let mut state = self.0.lock();
        if state.permits == self.0.limit {
            let text = format!(
                "all {} jobs of the host are in use: start it when a session has ended",
                self.0.limit
            );
            return Err(Error::new(Code::EMFILE, text));
        }
        state.permits += 1;
        Ok(Permit(self.0.clone()))
    }

    /// Has a thread do the work of a session that has a permit.
    ///
    /// # Errors
    /// There is no thread for it, and none can be made.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut work: Work = Box::new(work);
        let mut state = self.0.lock();
        while let Some(idle) = state.idle.pop() {
            match idle.work.send(work) {
                Ok(()) => return Ok(()),
                Err(unsent) => work = unsent.0,
            }
        }
        if state.threads == self.0.limit {
            state.queue.push_back(work);
            return Ok(());
        }
        state.threads += 1;
        // Without the lock: where no thread can be made the work is dropped, and its permit with it.
        drop(state);
        let shared = self.0.clone();
        let thread = thread::Builder::new().name("zvm-session".into()).stack_size(STACK);
        let spawned = thread.spawn(move || shared.work(work));
        spawned.map(drop).inspect_err(|_| self.0.lock().threads -= 1)
    }
}

impl Permit {
    /// Whose it is.
    pub(super) fn pool(&self) -> SessionPool {
        SessionPool(self.0.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.lock().permits -= 1;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life: one session after the other, until there is none for a while.
    fn work(self: Arc<Self>, first: Work) {
        let (mut shared, mut work) = (self, first);
        loop {
            work();
            let mut state = shared.lock();
            if let Some(next) = state.queue.pop_front() {
                work = next;
                continue;
            }
            let (sender, given) = sync_channel(1);
            let number = state.number;
            state.number += 1;
            state.idle.push(Idle { number, work: sender });
            drop(state);
            let weak = Arc::downgrade(&shared);
            drop(shared);
            match wait(&weak, number, &given) {
                Some(next) => (shared, work) = next,
                None => return,
            }
        }
    }
}

/// What an idle thread does next; `None`: it ends.
fn wait(shared: &Weak<Shared>, number: u64, given: &Receiver<Work>) -> Option<(Arc<Shared>, Work)> {
    loop {
        match given.recv_timeout(KEPT) {
            // Its permit keeps what is shared.
            Ok(work) => return Some((shared.upgrade()?, work)),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                let shared = shared.upgrade()?;
                let mut state = shared.lock();
                // Else work is on its way.
                if let Some(at) = state.idle.iter().position(|idle| idle.number == number) {
                    state.idle.remove(at);
                    state.threads -= 1;
                    return None;
                }
            }
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { permits, threads, idle, queue, .. } = self;
        let (idle, queue) = (idle.len(), queue.len());
        write!(f, "{permits} permits, {threads} threads, {idle} idle, {queue} queued")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::sync::mpsc::{Sender, channel};

    #[test]
    fn no_more_permits_are_given_than_may_be_in_use() {
        let pool = SessionPool::new(2);
        let (first, _second) = (pool.permit().unwrap(), pool.permit().unwrap());
        assert_eq!(pool.clone().permit().unwrap_err().code(), Code::EMFILE);
        drop(first);
        pool.permit().unwrap();
    }

    /// Work that comes before the only thread is idle waits for it; later work finds it idle. Either way it is the same one.
    #[test]
    fn a_thread_does_one_work_after_the_other() {
        let pool = SessionPool::new(1);
        let (sender, done) = channel();
        let mut ids = Vec::new();
        for _ in 0..100 {
            let (sender, permit) = (sender.clone(), pool.permit().unwrap());
            pool.run(move || {
                drop(permit);
                sender.send(thread::current().id()).unwrap();
            })
            .unwrap();
            ids.push(done.recv().unwrap());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn threads_end_with_their_pool() {
        thread_local! {
            static ALIVE: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
        }
        let (sender, ended) = channel::<()>();
        let pool = SessionPool::new(3);
        for _ in 0..3 {
            let sender = sender.clone();
            pool.run(move || ALIVE.set(Some(sender))).unwrap();
        }
        drop((pool, sender));
        assert!(ended.recv().is_err());
    }
}
