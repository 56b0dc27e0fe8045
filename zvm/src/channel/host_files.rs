//! Channels that the host fills by itself: its own readers and writers in the place of what the manifest names.

use crate::exit::{ExitCode, Failure};
use crate::manifest::Manifest;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;
use vfs_core::{
    Capabilities, Code, Configuration, Context, Error, File, Finish, Flush, Host, Info, Instance, OpenFlags,
    Provider, Registry, Request, Result, Settings,
};

/// The provider's name and its scheme, which shows in messages.
const NAME: &str = "host";

/// Makes a file when its channel is opened. Dropped instead, it closes what stands behind the file.
type Make = Box<dyn FnOnce(&Context) -> Box<dyn File> + Send>;

/// The files by alias, until each is opened.
#[derive(Clone, Default)]
pub(crate) struct HostFiles(Arc<Mutex<BTreeMap<String, Make>>>);

impl HostFiles {
    pub(crate) fn reader(&self, alias: &str, reader: impl Read + Send + 'static) {
        self.file(alias, |context| Box::new(Reader { reader: Mutex::new(reader), context: context.clone() }));
    }

    pub(crate) fn writer(&self, alias: &str, writer: impl Write + Send + 'static) {
        self.file(alias, |context| Box::new(Writer { writer: Mutex::new(writer), context: context.clone() }));
    }

    pub(crate) fn file(&self, alias: &str, make: impl FnOnce(&Context) -> Box<dyn File> + Send + 'static) {
        self.0.lock().insert(alias.to_owned(), Box::new(make));
    }

    /// Closes what was not opened, which nobody can open any more: a registry's thread may hold the rest of this for longer.
    pub(crate) fn close(&self) {
        // Out of the lock: a close is the host's code.
        let files = mem::take(&mut *self.0.lock());
        drop(files);
    }

    /// A registry that opens them, and only them.
    ///
    /// # Errors
    /// [`ExitCode::Manifest`]: one is for a channel that the manifest doesn't have.
    pub(super) fn registry(&self, manifest: &Manifest) -> std::result::Result<Option<Registry>, Failure> {
        let files = self.0.lock();
        if files.is_empty() {
            return Ok(None);
        }
        if let Some(alias) =
            files.keys().find(|alias| !manifest.channels.iter().any(|spec| spec.alias == **alias))
        {
            let text =
                format!("the host gives a channel {}, which is not in the manifest", vfs_core::Shown(alias));
            return Err(Failure::new(ExitCode::Manifest, text));
        }
        let registry = Registry::new(Configuration::default());
        let registered = registry.register_started(Box::new(self.clone()), Box::new(self.clone()));
        registered.map_err(|error| Failure::new(ExitCode::Io, error.chain()))?;
        Ok(Some(registry))
    }

    pub(super) fn has(&self, alias: &str) -> bool {
        self.0.lock().contains_key(alias)
    }

    /// The descriptor of one in the registry.
    pub(super) fn descriptor(alias: &str) -> String {
        format!("{NAME}:{alias}")
    }
}

impl fmt::Debug for HostFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

impl Provider for HostFiles {
    fn info(&self) -> Info {
        let summary = "the host's own readers and writers";
        Info::new(NAME, env!("CARGO_PKG_VERSION"), summary)
            .supported_flags(OpenFlags::READ | OpenFlags::WRITE)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

impl Instance for HostFiles {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let make = self.0.lock().remove(request.rest());
        let make = make.ok_or_else(|| Error::new(Code::ENOENT, "the host gave no such file"))?;
        Ok(make(request.context()))
    }
}

/// The lock is never taken: it makes the reader `Sync`, which a file is, while only one call at a time can reach it.
struct Reader<R> {
    reader: Mutex<R>,
    context: Context,
}

impl<R: Read + Send> File for Reader<R> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        uninterrupted(&self.context, || self.reader.get_mut().read(buf))
    }
}

/// As [`Reader`].
struct Writer<W> {
    writer: Mutex<W>,
    context: Context,
}

impl<W: Write + Send> File for Writer<W> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::WRITABLE
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        uninterrupted(&self.context, || self.writer.get_mut().write(buf))
    }

    fn flush(&mut self, _: Flush) -> Result<()> {
        uninterrupted(&self.context, || self.writer.get_mut().flush())
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match how {
            Finish::End | Finish::Commit => self.flush(Flush::Push),
            Finish::Discard => Ok(()),
        }
    }
}

/// Repeats what a signal interrupted, as long as the session is not stopped.
fn uninterrupted<T>(context: &Context, mut call: impl FnMut() -> io::Result<T>) -> Result<T> {
    loop {
        context.status()?;
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Ok(result?),
        }
    }
}
