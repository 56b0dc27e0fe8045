//! Work that goes on while nobody waits for it.

use std::future::Future;
use tokio::sync::watch;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_runtime::{Runtime, Task};

/// Work on the runtime, whose outcome may be asked for any number of times. It ends when this is dropped.
pub struct Started<T> {
    outcome: watch::Receiver<Option<Attempt<T>>>,
    task: Task<()>,
}

impl<T: Clone + Send + Sync + 'static> Started<T> {
    /// Starts a future.
    pub fn new(runtime: &Runtime, future: impl Future<Output = Attempt<T>> + Send + 'static) -> Started<T> {
        let (sender, outcome) = watch::channel(None);
        let task = runtime.spawn(async move {
            // Nobody may want it any more.
            let _ = sender.send(Some(future.await));
        });
        Started { outcome, task }
    }

    /// The outcome; `None`: it goes on. One that broke has none, and never will: [`outcome`](Started::outcome) says so.
    pub fn now(&self) -> Option<Attempt<T>> {
        self.outcome.borrow().clone()
    }

    /// Waits for the outcome.
    pub fn outcome(&self) -> impl Future<Output = Attempt<T>> + Send + use<T> {
        let mut outcome = self.outcome.clone();
        async move {
            let broke = || Failure::new(Code::EIO, "a task of the provider broke");
            let came = outcome.wait_for(Option::is_some).await.map_err(|_| broke())?;
            came.clone().unwrap_or_else(|| Err(broke()))
        }
    }

    /// Ends it, and waits until it has ended.
    pub async fn stop(self) {
        let Started { mut outcome, task } = self;
        drop(task);
        // Its sender goes last.
        while outcome.changed().await.is_ok() {}
    }
}
