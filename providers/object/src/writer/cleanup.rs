//! What goes on after a file is closed: removing the parts of objects that were not committed.

use crate::started::Started;
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use zvfs_net::failure::Attempt;

/// The clean-ups of an instance. Clones are the same.
#[derive(Clone, Default)]
pub struct Cleanups(Arc<Mutex<Vec<Started<()>>>>);

impl Cleanups {
    /// Lets one go on by itself.
    pub fn keep(&self, cleanup: Started<()>) {
        let mut running = self.0.lock();
        running.retain(|cleanup| cleanup.now().is_none());
        running.push(cleanup);
    }

    /// Waits until all have ended.
    pub fn ended(&self) -> impl Future<Output = Attempt<()>> + Send + use<> {
        let running = std::mem::take(&mut *self.0.lock());
        async move {
            for cleanup in running {
                // Whoever closed the file is not there any more to hear of it.
                let _ = cleanup.outcome().await;
            }
            Ok(())
        }
    }
}
