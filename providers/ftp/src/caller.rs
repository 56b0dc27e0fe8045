//! The caller of an operation: until when, how patiently, and where an operator is told of it.

use crate::client::Client;
use crate::settings::Tuning;
use std::future::Future;
use std::sync::Arc;
use vfs_core::{Context, Host, Level};
use zvfs_net::failure::Attempt;
use zvfs_net::origin::Origin;
use zvfs_net::retry::{Retries, Retrying};
use zvfs_net::waiting::Waiting;

/// The caller of an operation, as a file keeps it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Cancel and deadline.
    pub context: Context,
    /// Limits.
    pub tuning: Tuning,
    /// The log.
    pub host: Host,
    /// The descriptor for messages.
    pub shown: String,
    /// Whom it is about.
    pub origin: Origin,
}

impl Caller {
    /// Waits for something that runs on the client's runtime, as long as the caller does; limits are the future's own. Whatever
    /// ends the wait drops the future.
    ///
    /// # Errors
    /// The future's. ECANCELED, ETIMEDOUT: the caller's.
    pub fn wait<T: Send + 'static>(
        &self,
        client: &Arc<Client>,
        what: &str,
        future: impl Future<Output = Attempt<T>> + Send + 'static,
    ) -> Attempt<T> {
        client.runtime().wait(Waiting::as_caller(&self.context, what).on(&self.origin), future)
    }
}

impl Retrying for Caller {
    fn context(&self) -> &Context {
        &self.context
    }

    fn retries(&self) -> Retries {
        self.tuning.retries
    }

    fn log(&self, text: &str) {
        self.host.log(Level::Info, &format!("{}: {text}", self.shown));
    }
}
