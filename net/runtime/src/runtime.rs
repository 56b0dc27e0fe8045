//! The runtime of an instance.

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vfs_core::{Code, Error, Events, Result, Settings};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;

/// What tasks may take to end when the instance does. A task ends where it next waits; only one that computes lasts.
const STOP: Duration = Duration::from_secs(1);

/// Between two looks whether tasks have ended.
const LOOK: Duration = Duration::from_millis(1);

/// Threads for what the libraries do on threads of their own, such as reading files.
const BLOCKING_MAX: usize = 8;

/// Bells that are kept: calls of one instance that wait at once, in the main.
const BELLS_MAX: usize = 64;

/// A tokio runtime that belongs to one instance. Clones are the same runtime.
#[derive(Clone)]
pub struct Runtime {
    handle: Handle,
    inner: Arc<Inner>,
}

struct Inner {
    /// `None`: stopped.
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
    /// Descriptors that nobody waits for now.
    bells: Mutex<Vec<OwnedFd>>,
}

impl Runtime {
    /// Starts the threads that the setting `threads` says; they are called `name`.
    ///
    /// # Errors
    /// EMFILE, EAGAIN, ...: the system has no descriptors or threads left.
    pub fn start(settings: &Settings, name: &str) -> Result<Runtime> {
        let threads =
            settings.integer("threads").and_then(|number| usize::try_from(number).ok()).unwrap_or(2);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name(name)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::from(error).context("start threads"))?;
        let handle = runtime.handle().clone();
        let inner = Inner { runtime: Mutex::new(Some(runtime)), bells: Mutex::new(Vec::new()) };
        Ok(Runtime { handle, inner: Arc::new(inner) })
    }

    /// Runs a future on the runtime and waits for it as a caller. Whatever ends the wait drops the future.
    ///
    /// # Errors
    /// The future's. ECANCELED, ETIMEDOUT: the caller's, or by the limit. EIO: it panicked, or the instance ends.
    pub fn wait<T: Send + 'static>(
        &self,
        waiting: Waiting<'_>,
        future: impl Future<Output = Attempt<T>> + Send + 'static,
    ) -> Attempt<T> {
        let bell = self.inner.bell()?;
        let (sender, mut receiver) = oneshot::channel();
        let ring = Ring(bell.clone());
        let _task = self.spawn(async move {
            let _ring = ring;
            // Whoever waited may have left.
            let _ = sender.send(future.await);
        });
        waiting.ready(&bell, Events::READ)?;
        let outcome = receiver.try_recv();
        self.inner.keep(bell);
        outcome.unwrap_or_else(|_| Err(Failure::new(Code::EIO, "the provider's instance ends, or broke")))
    }

    /// Runs a future on the runtime until its task is dropped.
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(self.handle.spawn(future))
    }

    /// The library's own way in.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until all tasks have ended by themselves, for those of a library that was told to end: a task that blocks its thread
    /// while the runtime ends finds none afterwards, and panics at its next timer. `false`: some have not, within the limit.
    pub fn drain(&self, limit: Duration) -> bool {
        let metrics = self.handle.metrics();
        let until = Instant::now() + limit;
        while metrics.num_alive_tasks() > 0 {
            if Instant::now() >= until {
                return false;
            }
            // Nothing tells of the last one.
            thread::sleep(LOOK);
        }
        true
    }

    /// Ends all tasks, and waits a second for that. Nothing runs afterwards: a wait fails.
    pub fn stop(&self) {
        let runtime = self.inner.runtime.lock().take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(STOP);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime(...)")
    }
}

impl Inner {
    fn bell(&self) -> Attempt<Arc<OwnedFd>> {
        if let Some(bell) = self.bells.lock().pop() {
            return Ok(Arc::new(bell));
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Failure::system(errno).context("wait"))?;
        Ok(Arc::new(bell))
    }

    /// Keeps a bell for the next wait. One that its task still holds is not: it would ring for somebody else.
    fn keep(&self, bell: Arc<OwnedFd>) {
        let Ok(bell) = Arc::try_unwrap(bell) else { return };
        let mut bells = self.bells.lock();
        if bells.len() < BELLS_MAX && rustix::io::read(&bell, &mut [0_u8; 8]).is_ok() {
            bells.push(bell);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last holder may be a task: there nothing may wait.
        if let Some(runtime) = self.runtime.get_mut().take() {
            runtime.shutdown_background();
        }
    }
}

/// Rings when its task ends, however it does.
struct Ring(Arc<OwnedFd>);

impl Drop for Ring {
    fn drop(&mut self) {
        // A counter of 64 bits does not overflow by ones.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// A future that runs until this is dropped.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::mpsc::{Sender, channel};
    use vfs_core::{Context, Control, Scope};

    /// Far beyond what any of these takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn runtime() -> Runtime {
        let settings = Settings::check(&[crate::threads()], Scope::OPERATOR, &[]).unwrap();
        Runtime::start(&settings, "test").unwrap()
    }

    fn wait<T: Send + 'static>(
        runtime: &Runtime,
        context: &Context,
        future: impl Future<Output = Attempt<T>> + Send + 'static,
    ) -> Attempt<T> {
        runtime.wait(Waiting::as_caller(context, "an answer"), future)
    }

    /// Says so when it is dropped.
    struct Dropped(Sender<()>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn what_comes_of_a_future_is_the_callers() {
        let (runtime, context) = (runtime(), Control::new().context());
        for number in 0..1000 {
            assert_eq!(wait(&runtime, &context, async move { Ok(number) }), Ok(number));
        }
        let failure = Failure::new(Code::ENOENT, "none");
        let theirs = failure.clone();
        assert_eq!(wait::<()>(&runtime, &context, async move { Err(theirs) }), Err(failure));
    }

    #[test]
    fn a_cancel_ends_the_wait_and_drops_the_future() {
        let (runtime, control) = (runtime(), Control::new());
        let (started, starts) = channel();
        let (dropped, drops) = channel();
        let canceller = {
            let control = control.clone();
            thread::spawn(move || {
                starts.recv().unwrap();
                control.cancel();
            })
        };
        let failure = wait::<()>(&runtime, &control.context(), async move {
            let _dropped = Dropped(dropped);
            started.send(()).unwrap();
            pending().await
        })
        .unwrap_err();
        assert_eq!(failure.code, Code::ECANCELED);
        drops.recv_timeout(PATIENCE).unwrap();
        canceller.join().unwrap();
    }

    #[test]
    fn a_limit_ends_the_wait() {
        let (runtime, context) = (runtime(), Control::new().context());
        let waiting = Waiting::until(&context, Duration::from_millis(1), "answer");
        let failure = runtime.wait::<()>(waiting, pending()).unwrap_err();
        assert_eq!(failure.code, Code::ETIMEDOUT);
        assert_eq!(failure.text, "no answer within 1ms");
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_call_works() {
        let (runtime, context) = (runtime(), Control::new().context());
        let failure = wait::<()>(&runtime, &context, async { panic!("on purpose") }).unwrap_err();
        assert_eq!(failure.code, Code::EIO);
        assert_eq!(wait(&runtime, &context, async { Ok(1) }), Ok(1));
    }

    #[test]
    fn a_stop_ends_who_waits_and_who_comes_later() {
        let (runtime, context) = (runtime(), Control::new().context());
        let (started, starts) = channel();
        let stopper = {
            let runtime = runtime.clone();
            thread::spawn(move || {
                starts.recv().unwrap();
                runtime.stop();
            })
        };
        let failure = wait::<()>(&runtime, &context, async move {
            started.send(()).unwrap();
            pending().await
        })
        .unwrap_err();
        assert_eq!(failure.code, Code::EIO);
        stopper.join().unwrap();
        assert_eq!(wait(&runtime, &context, async { Ok(1) }).unwrap_err().code, Code::EIO);
    }

    #[test]
    fn a_drain_waits_for_the_last_task_and_not_for_ever() {
        let runtime = runtime();
        let (release, released) = channel::<()>();
        let (done, is_done) = channel();
        let _task = runtime.spawn(async move {
            // Whoever comes back from this and finds no timers panics.
            tokio::task::block_in_place(|| released.recv())?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let _ = done.send(());
            Ok::<_, std::sync::mpsc::RecvError>(())
        });
        assert!(!runtime.drain(Duration::from_millis(10)));
        let releasing = thread::spawn(move || release.send(()));
        assert!(runtime.drain(PATIENCE));
        runtime.stop();
        releasing.join().unwrap().unwrap();
        is_done.try_recv().unwrap();
    }

    #[test]
    fn a_task_ends_when_it_is_dropped() {
        let runtime = runtime();
        let (dropped, drops) = channel();
        let dropped = Dropped(dropped);
        let task = runtime.spawn(async move {
            let _dropped = dropped;
            pending::<()>().await;
        });
        assert!(!task.is_finished());
        drop(task);
        drops.recv_timeout(PATIENCE).unwrap();
    }
}
