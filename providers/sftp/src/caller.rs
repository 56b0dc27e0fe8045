//! Whoever makes a call, and how it waits for what runs on the instance's runtime.

use std::future::Future;
use vfs_core::{Context, Error, Host, Level, Request};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::origin::Origin;
use zvfs_net::retry::{Budget, Retries, Retrying, persist};
use zvfs_net::waiting::Waiting;
use zvfs_runtime::Runtime;

/// Who waits, and for which server.
#[derive(Clone)]
pub struct Caller {
    host: Host,
    runtime: Runtime,
    context: Context,
    origin: Origin,
    retries: Retries,
    shown: Box<str>,
}

impl Caller {
    /// The caller of a request.
    pub fn of(
        request: &Request<'_>,
        host: &Host,
        runtime: &Runtime,
        origin: &Origin,
        retries: Retries,
    ) -> Caller {
        Caller {
            host: host.clone(),
            runtime: runtime.clone(),
            context: request.context().clone(),
            origin: origin.clone(),
            retries,
            shown: request.shown().into(),
        }
    }

    /// Waits for a future; what it waits for is `what`. Whatever ends the wait drops the future.
    ///
    /// # Errors
    /// The future's. ECANCELED, ETIMEDOUT: the caller's.
    pub fn wait<T: Send + 'static>(
        &self,
        what: &str,
        future: impl Future<Output = Attempt<T>> + Send + 'static,
    ) -> Attempt<T> {
        self.runtime.wait(Waiting::as_caller(&self.context, what).on(&self.origin), future)
    }

    /// The same for what can be tried again.
    ///
    /// # Errors
    /// The last attempt's. ECANCELED, ETIMEDOUT: the caller's.
    pub fn persist<T: Send + 'static, F: Future<Output = Attempt<T>> + Send + 'static>(
        &self,
        what: &str,
        future: impl Fn() -> F,
    ) -> Attempt<T> {
        persist(self, &mut Budget::new(), || self.wait(what, future()))
    }

    /// The descriptor for messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The error of a call.
    pub fn error(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.shown)
    }
}

impl Retrying for Caller {
    fn context(&self) -> &Context {
        &self.context
    }

    fn retries(&self) -> Retries {
        self.retries
    }

    fn log(&self, text: &str) {
        self.host.log(Level::Debug, &format!("{}: {text}", self.shown));
    }
}
