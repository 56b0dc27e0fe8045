//! The library, its one instance, and every call of the host's.

use super::files::Files;
use super::hosting::Hosting;
use super::link::{Link, broken};
use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use vfs_core::process::Socket;
use vfs_core::process::wire::{self, Call, Reply};
use vfs_core::{
    Code, Descriptor, Error, Host, Info, Instance, Library, OpenFlags, Provider, Request, Result, Settings,
};

/// How long the end waits for calls that were cancelled. The supervisor waits as long, and kills.
const LAST_CALLS: Duration = Duration::from_secs(5);

pub(super) struct Process {
    link: Arc<Link>,
    files: Files,
    /// The library's file, until it is loaded.
    file: Mutex<Option<OwnedFd>>,
    library: OnceLock<Library>,
    /// Held during a start.
    starting: Mutex<()>,
    instance: Mutex<Option<Arc<Box<dyn Instance>>>>,
    /// How many calls are in progress.
    calls: Mutex<usize>,
    no_calls: Condvar,
    /// Readable once the host's stop was answered.
    left: OwnedFd,
}

/// A call in progress, until it is dropped.
pub(super) struct AtWork<'a>(&'a Process);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut calls = self.0.calls.lock();
        *calls -= 1;
        if *calls == 0 {
            self.0.no_calls.notify_all();
        }
    }
}

impl Process {
    /// A process that has loaded nothing yet. `library` is the library's file.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub(super) fn new(control: Socket, library: OwnedFd) -> Result<Process> {
        let left = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from)?;
        Ok(Process {
            link: Arc::new(Link::new(control)?),
            files: Files::new(),
            file: Mutex::new(Some(library)),
            library: OnceLock::new(),
            starting: Mutex::default(),
            instance: Mutex::default(),
            calls: Mutex::default(),
            no_calls: Condvar::new(),
            left,
        })
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Counts a call, for the time that it takes.
    pub(super) fn at_work(&self) -> AtWork<'_> {
        *self.calls.lock() += 1;
        AtWork(self)
    }

    /// Makes any call but those of an open file.
    pub(super) fn call(&self, call: Call) -> Result<Reply> {
        match call {
            Call::Load { path } => self.load(&path).map(Reply::Info),
            Call::Start { host, version, settings } => {
                self.start(host, version, settings).map(|()| Reply::Done)
            }
            Call::Stop => self.stop().map(|()| Reply::Done),
            Call::Open(request) => self.open(&request),
            Call::Name(what, request) => self.name(what, &request),
            Call::Close { file } => self.files.close(file).map(|()| Reply::Done),
            Call::File { .. } => Err(broken("not a call of the process")),
        }
    }

    fn load(&self, path: &Path) -> Result<Info> {
        let again = || Error::new(Code::EINVAL, format!("load {}: a library is loaded", path.display()));
        let file = self.file.lock().take().ok_or_else(again)?;
        let library = Library::from_descriptor(path, file)?;
        Ok(self.library.get_or_init(|| library).info())
    }

    fn start(&self, name: String, version: String, settings: Settings) -> Result<()> {
        let busy = || Error::new(Code::EBUSY, "start: a start is in progress");
        let _starting = self.starting.try_lock().ok_or_else(busy)?;
        let library =
            self.library.get().ok_or_else(|| Error::new(Code::EINVAL, "start: no library is loaded"))?;
        if self.instance.lock().is_some() {
            return Err(Error::new(Code::EINVAL, "start: an instance runs"));
        }
        let host = Host::new(Arc::new(Hosting { name, version, link: self.link.clone() }));
        let instance = library.start(host, settings)?;
        *self.instance.lock() = Some(Arc::new(instance));
        Ok(())
    }

    /// Closes all files, then stops the instance.
    fn stop(&self) -> Result<()> {
        self.files.close_all()?;
        self.let_go()
    }

    /// Stops the instance once no file is open.
    fn let_go(&self) -> Result<()> {
        let Some(instance) = self.instance.lock().take() else { return Ok(()) };
        match Arc::try_unwrap(instance) {
            Ok(instance) => {
                drop(instance);
                Ok(())
            }
            Err(instance) => {
                *self.instance.lock() = Some(instance);
                Err(Error::new(Code::EBUSY, "stop: an open, or a call on a name, is in progress"))
            }
        }
    }

    fn open(&self, asked: &wire::Request) -> Result<Reply> {
        let opened = self.with_request(asked, |instance, request| instance.open(request));
        match opened {
            Ok(file) => {
                let capabilities = file.capabilities().bits();
                self.files.opened(asked.file, file);
                Ok(Reply::Opened { capabilities, inner: 0 })
            }
            Err(error) => Err(error),
        }
    }

    /// Puts what the host asks into a provider's words. The context stays if `call` succeeds.
    pub(super) fn with_request<T>(
        &self,
        asked: &wire::Request,
        call: impl FnOnce(&dyn Instance, &Request<'_>) -> Result<T>,
    ) -> Result<T> {
        let instance = self.instance.lock().clone();
        let instance =
            instance.ok_or_else(|| Error::new(Code::EINVAL, "no instance runs: start comes first"))?;
        let context = self.files.enter(asked.file, asked.control)?;
        let called = Descriptor::parse(&asked.descriptor).and_then(|descriptor| {
            let request = Request::new(context.context(), &asked.scheme, descriptor)
                .with_flags(OpenFlags::from_bits(asked.flags))
                .with_expected_size(asked.expected_size)
                .with_settings(&asked.settings);
            call(&**instance, &request)
        });
        if called.is_err() {
            self.files.leave(asked.file);
        }
        called
    }

    /// The name of the provider, for messages.
    pub(super) fn provider(&self) -> String {
        self.library.get().map(|library| library.info().name).unwrap_or_default()
    }

    /// Says that the host's stop was answered.
    pub(super) fn leave(&self) {
        // It fails when it is readable already.
        let _ = rustix::io::write(&self.left, &1u64.to_ne_bytes());
    }

    pub(super) fn left(&self) -> BorrowedFd<'_> {
        self.left.as_fd()
    }

    /// Ends without a word of the host's: what is in progress is cancelled, files that are written are closed, and the instance
    /// stops. Files that are read end with the process: closed, a pipe's reader would have had enough, and not be lost.
    pub(super) fn end(&self) {
        self.link.end();
        self.files.cancel_all();
        let mut calls = self.calls.lock();
        while *calls > 0 && !self.no_calls.wait_for(&mut calls, LAST_CALLS).timed_out() {}
        drop(calls);
        // What is in progress even so is not waited for: the process goes.
        let _ = self.files.close_written().and_then(|()| self.let_go());
    }
}
