//! One configuration: its stores, its runtime, and what its opens become.

use crate::namespace;
use crate::reader::{Reader, head, patient};
use crate::settings::Config;
use crate::stores::{Store, Stores};
use crate::target::Target;
use crate::writer::{Cleanups, Destination, Writer};
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{
    Code, Control, Entry, Error, File, Host, Instance, Level, Namespace, OpenFlags, Request, Result,
    Settings, Stat,
};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;
use zvfs_net::whole;
use zvfs_runtime::Runtime;

/// What clean-ups may take when the instance stops; its runtime takes a second more.
const STOP_MAX: Duration = Duration::from_secs(4);

/// An instance.
pub struct Objects {
    host: Host,
    stores: Stores,
    runtime: Runtime,
    cleanups: Cleanups,
}

impl Objects {
    /// Makes an instance.
    ///
    /// # Errors
    /// As [`Config::new`] and [`Runtime::start`].
    pub fn new(host: Host, settings: &Settings) -> Result<Objects> {
        let stores = Stores::new(Config::new(settings)?);
        let runtime = Runtime::start(settings, "zvfs-object")?;
        let cleanups = Cleanups::new(host.clone());
        Ok(Objects { host, stores, runtime, cleanups })
    }

    fn target(&self, request: &Request<'_>) -> Result<Target> {
        Target::of(request, self.stores.config().kind)
    }

    /// The object that a request names.
    fn object(&self, request: &Request<'_>) -> Result<Target> {
        let target = self.target(request)?;
        match target.is_folder {
            false => Ok(target),
            true => Err(Error::new(Code::EISDIR, format!("open {}: it is a folder", request.shown()))),
        }
    }

    fn read(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let target = self.object(request)?;
        let opened = self.stores.get(&target, false).and_then(|store| {
            let tuning = self.stores.config().tuning.with(request.settings());
            let is_random = request.flags().contains(OpenFlags::RANDOM);
            Reader::open(
                &store,
                &target.key,
                request.context(),
                &self.runtime,
                request.shown(),
                tuning,
                is_random,
            )
        });
        Ok(Box::new(opened.map_err(|failure| failure.error("open", request.shown()))?))
    }

    fn write(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let target = self.object(request)?;
        let exclusive =
            whole::is_exclusive(request, || self.stat_object(request, &target).map(|stat| stat.size))?;
        let opened = self.stores.get(&target, exclusive).and_then(|store| {
            let destination = Destination { store, kind: target.kind, path: target.key, exclusive };
            let tuning = self.stores.config().tuning.with(request.settings());
            let (context, size) = (request.context(), request.expected_size());
            Writer::new(destination, context, &self.runtime, &self.cleanups, request.shown(), tuning, size)
        });
        Ok(Box::new(opened.map_err(|failure| failure.error("open", request.shown()))?))
    }

    fn stat_object(&self, request: &Request<'_>, target: &Target) -> Attempt<Stat> {
        let (store, key) = (self.stores.get(target, false)?, target.key.clone());
        self.wait(request, async move { head(&*store, &key).await })
    }

    /// Passes on what lies below a folder, page by page, and counts what cannot be.
    fn pages(
        &self,
        request: &Request<'_>,
        left_out: &mut u64,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let target = self.target(request)?;
        let (mut from, mut is_empty) = (None, true);
        loop {
            let page =
                self.work(request, "list", &target, |store, target| namespace::page(store, target, from))?;
            *left_out += namespace::left_out(&page);
            // An object that marks its folder makes it one, too.
            is_empty &= namespace::is_empty(&page);
            for (name, stat) in namespace::entries(&target, &page) {
                if each(Entry { name, stat: Some(&stat) }).is_break() {
                    return Ok(());
                }
            }
            match page.page_token {
                Some(token) => from = Some(token),
                None if is_empty => return self.work(request, "list", &target, namespace::nothing_below),
                None => return Ok(()),
            }
        }
    }

    /// Works on a name, as the caller.
    fn work<T: Send + 'static, F: Future<Output = Attempt<T>> + Send + 'static>(
        &self,
        request: &Request<'_>,
        doing: &str,
        target: &Target,
        work: impl FnOnce(Arc<dyn Store>, Target) -> F,
    ) -> Result<T> {
        let done =
            self.stores.get(target, false).and_then(|store| self.wait(request, work(store, target.clone())));
        done.map_err(|failure: Failure| failure.error(doing, request.shown()))
    }

    fn wait<T: Send + 'static>(
        &self,
        request: &Request<'_>,
        work: impl Future<Output = Attempt<T>> + Send + 'static,
    ) -> Attempt<T> {
        self.runtime.wait(patient(request.context(), "answer of the store"), work)
    }
}

impl Instance for Objects {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        if whole::is_writers(request)? {
            return self.write(request);
        }
        self.read(request)
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Objects {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        self.work(request, "stat", &self.target(request)?, namespace::stat)
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        let mut left_out = 0;
        let listed = self.pages(request, &mut left_out, each);
        if left_out > 0 {
            let shown = request.shown();
            let text = format!(
                "list {shown}: left out {left_out} of its entries, which no descriptor can name: with an empty part, `.`, `..` or a control character"
            );
            self.host.log(Level::Warning, &text);
        }
        listed
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        self.work(request, "remove", &self.target(request)?, namespace::remove)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        let context = Control::new().context();
        let waiting = Waiting::until(&context, STOP_MAX, "end of the clean-ups");
        // What is left then, the store's own rule removes.
        let _ = self.runtime.wait(waiting, self.cleanups.ended());
        self.runtime.stop();
    }
}
