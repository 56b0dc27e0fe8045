//! Channels that the host fills by itself: its own readers and writers in the place of what the manifest names.

use crate::exit::{ExitCode, Failure};
use crate::manifest::Manifest;
use parking_lot::Mutex;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, LazyLock};
use vfs_core::{Capabilities, Context, File, Finish, Flush, OpenFile, OpenOptions, Result, Shown};

/// What each is called in messages, which name the channel before.
static SHOWN: LazyLock<Arc<str>> = LazyLock::new(|| "the host's file".into());

/// Makes a file when its channel is opened. Dropped instead, it closes what stands behind the file.
type Make = Box<dyn FnOnce(&Context) -> Box<dyn File> + Send>;

/// The files by alias, until each is opened: a few, so that a list is the fastest map.
#[derive(Default)]
pub(crate) struct HostFiles(Vec<(Arc<str>, Make)>);

impl HostFiles {
    pub(crate) fn reader(&mut self, alias: impl Into<Arc<str>>, reader: impl Read + Send + 'static) {
        self.file(alias, |context| Box::new(Reader { reader: Mutex::new(reader), context: context.clone() }));
    }

    pub(crate) fn writer(&mut self, alias: impl Into<Arc<str>>, writer: impl Write + Send + 'static) {
        self.file(alias, |context| Box::new(Writer { writer: Mutex::new(writer), context: context.clone() }));
    }

    /// Puts a file in the place of one that was given before.
    pub(crate) fn file(
        &mut self,
        alias: impl Into<Arc<str>>,
        make: impl FnOnce(&Context) -> Box<dyn File> + Send + 'static,
    ) {
        let alias = alias.into();
        self.0.retain(|(known, _)| *known != alias);
        self.0.push((alias, Box::new(make)));
    }

    pub(crate) fn has(&self, alias: &str) -> bool {
        self.0.iter().any(|(known, _)| &**known == alias)
    }

    /// Finds a channel for each.
    ///
    /// # Errors
    /// [`ExitCode::Manifest`]: one is for a channel that the manifest doesn't have.
    pub(super) fn check(&self, manifest: &Manifest) -> std::result::Result<(), Failure> {
        let known = |alias: &str| manifest.channels.iter().any(|spec| &*spec.alias == alias);
        match self.0.iter().find(|(alias, _)| !known(alias)) {
            None => Ok(()),
            Some((alias, _)) => {
                let text = format!("the host gives a channel {}, which is not in the manifest", Shown(alias));
                Err(Failure::new(ExitCode::Manifest, text))
            }
        }
    }

    /// Opens the file of a channel; `None`: the host gave none.
    ///
    /// # Errors
    /// As [`OpenFile::own`].
    pub(super) fn open(&mut self, alias: &str, options: &OpenOptions) -> Option<Result<OpenFile>> {
        let at = self.0.iter().position(|(known, _)| &**known == alias)?;
        let (_, make) = self.0.swap_remove(at);
        Some(OpenFile::own(SHOWN.clone(), options, make))
    }
}

impl fmt::Debug for HostFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(alias, _)| alias)).finish()
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
