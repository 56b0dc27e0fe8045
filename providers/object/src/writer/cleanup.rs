//! What goes on after a file is closed: removing the parts of objects that were not committed.

use crate::started::Started;
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use vfs_core::{Host, Level};
use zvfs_net::failure::Attempt;
use zvfs_runtime::Runtime;

/// The clean-ups of an instance. Clones are the same.
#[derive(Clone)]
pub struct Cleanups {
    host: Host,
    running: Arc<Mutex<Vec<Started<()>>>>,
}

impl Cleanups {
    /// None yet. The host is told of those that fail.
    pub fn new(host: Host) -> Cleanups {
        Cleanups { host, running: Arc::default() }
    }

    /// Begins one of an object, whose writer may have left before it ends.
    pub fn start(
        &self,
        runtime: &Runtime,
        shown: &str,
        cleanup: impl Future<Output = Attempt<()>> + Send + 'static,
    ) -> Started<()> {
        let (host, shown) = (self.host.clone(), shown.to_owned());
        Started::new(runtime, async move {
            let cleaned = cleanup.await;
            cleaned.inspect_err(|left| host.log(Level::Warning, &format!("{shown}: {}", left.text)))
        })
    }

    /// Lets one go on by itself.
    pub fn keep(&self, cleanup: Started<()>) {
        let mut running = self.running.lock();
        running.retain(|cleanup| cleanup.now().is_none());
        running.push(cleanup);
    }

    /// Waits until all have ended.
    pub fn ended(&self) -> impl Future<Output = Attempt<()>> + Send + use<> {
        let running = std::mem::take(&mut *self.running.lock());
        async move {
            for cleanup in running {
                // Whoever closed the file is not there any more; the host was told.
                let _ = cleanup.outcome().await;
            }
            Ok(())
        }
    }
}
