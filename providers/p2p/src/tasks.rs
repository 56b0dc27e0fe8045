//! The tasks of an instance, and those among them that its stop waits for.

use parking_lot::Mutex;
use std::convert::Infallible;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Runs tasks.
pub struct Tasks {
    runtime: Handle,
    /// Tasks that have something to say hold a clone.
    living: Mutex<Option<mpsc::Sender<Infallible>>>,
}

impl Tasks {
    /// For tasks of the runtime that this is called on. The receiver ends after [`end`](Tasks::end), once no task has anything to say.
    pub fn new() -> (Tasks, mpsc::Receiver<Infallible>) {
        let (living, lives) = mpsc::channel(1);
        (Tasks { runtime: Handle::current(), living: Mutex::new(Some(living)) }, lives)
    }

    /// Runs a task as long as the instance.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Runs a task that the instance's stop waits for; none any more after [`end`](Tasks::end).
    pub fn spawn_living(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(living) = self.living.lock().clone() else { return };
        self.runtime.spawn(async move {
            let _living = living;
            task.await;
        });
    }

    /// Takes no task any more that would have something to say.
    pub fn end(&self) {
        self.living.lock().take();
    }
}
