//! The tasks of an instance, and those among them that its stop waits for.

use parking_lot::Mutex;
use std::convert::Infallible;
use tokio::sync::mpsc;
use zvfs_runtime::{Runtime, Task};

/// Runs tasks.
pub struct Tasks {
    runtime: Runtime,
    /// Tasks that have something to say hold a clone.
    living: Mutex<Option<mpsc::Sender<Infallible>>>,
}

impl Tasks {
    /// For tasks of a runtime. The receiver ends after [`end`](Tasks::end), once no task has anything to say.
    pub fn new(runtime: Runtime) -> (Tasks, mpsc::Receiver<Infallible>) {
        let (living, lives) = mpsc::channel(1);
        (Tasks { runtime, living: Mutex::new(Some(living)) }, lives)
    }

    /// Runs a task as long as the instance.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.handle().spawn(task);
    }

    /// Runs a task until the result is dropped.
    pub fn spawn_held(&self, task: impl Future<Output = ()> + Send + 'static) -> Task<()> {
        self.runtime.spawn(task)
    }

    /// Runs a task that the instance's stop waits for; none any more after [`end`](Tasks::end).
    pub fn spawn_living(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(living) = self.living.lock().clone() else { return };
        self.spawn(async move {
            let _living = living;
            task.await;
        });
    }

    /// Takes no task any more that would have something to say.
    pub fn end(&self) {
        self.living.lock().take();
    }
}
