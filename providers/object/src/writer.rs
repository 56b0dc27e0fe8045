//! An object open for writing. The store sees it at COMMIT: as one request if it fits into a part, or is known to be small enough, else as
//! the parts that were sent meanwhile, completed.

mod cleanup;
mod upload;

pub use cleanup::Cleanups;

use crate::failure;
use crate::mtime;
use crate::reader::patient;
use crate::settings::Tuning;
use crate::started::Started;
use crate::stores::Store;
use crate::target::Kind;
use crate::writer::upload::Upload;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attributes, PutMode, PutOptions};
use std::sync::Arc;
use std::time::SystemTime;
use vfs_core::{Capabilities, Code, Context, Error, File, Finish, Result};
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_runtime::Runtime;

/// The most parts that an object has, of each kind of store the least.
const PARTS_MAX: u64 = 10_000;
/// What is reserved for a part at once; a longer one grows.
const RESERVED: usize = 1 << 20;

/// Where an object is written to.
#[derive(Clone)]
pub struct Destination {
    /// The store's client.
    pub store: Arc<dyn Store>,
    /// The kind of store.
    pub kind: Kind,
    /// The key.
    pub path: Path,
    /// Only if there is none.
    pub exclusive: bool,
}

/// An object open for writing.
pub struct Writer {
    destination: Destination,
    context: Context,
    runtime: Runtime,
    cleanups: Cleanups,
    shown: String,
    tuning: Tuning,
    /// What it has beside its bytes: the time that it was given.
    attributes: Attributes,
    takes_times: bool,
    /// What goes as one request.
    at_once: usize,
    /// The part that is being filled.
    part: Vec<u8>,
    /// `None`: all of it is in `part` so far.
    upload: Option<Upload>,
    stage: Stage,
}

enum Stage {
    /// Takes bytes.
    Open,
    /// COMMIT was asked for, and goes on while nobody waits.
    Committing(Started<()>),
    Done,
    Broken(Failure),
}

impl Writer {
    /// Begins an object. Nothing is sent yet. `size`: bytes that will be written, if that is known.
    ///
    /// # Errors
    /// EFBIG: it would have more parts than there may be.
    pub fn new(
        destination: Destination,
        context: &Context,
        runtime: &Runtime,
        cleanups: &Cleanups,
        shown: &str,
        tuning: Tuning,
        size: Option<u64>,
    ) -> Attempt<Writer> {
        if size.is_some_and(|size| size.div_ceil(tuning.part_size as u64) > PARTS_MAX) {
            return Err(too_many_parts(tuning));
        }
        let known = size.and_then(|size| usize::try_from(size).ok());
        let known = known.filter(|size| *size <= tuning.put_size.max(tuning.part_size));
        Ok(Writer {
            // Azure's blocks are given attributes when they are put together, which the library cannot do.
            takes_times: destination.kind != Kind::Azure || known.is_some(),
            at_once: known.unwrap_or_default().max(tuning.part_size),
            attributes: Attributes::new(),
            destination,
            context: context.clone(),
            runtime: runtime.clone(),
            cleanups: cleanups.clone(),
            shown: shown.to_owned(),
            tuning,
            part: Vec::new(),
            upload: None,
            stage: Stage::Open,
        })
    }

    /// Ends the upload for a failure that is not just the caller's time.
    fn broken(&mut self, failure: Failure, doing: &str) -> Error {
        if is_callers(&failure) {
            return failure.error(doing, &self.shown);
        }
        // ETIMEDOUT would say that the call may be repeated.
        let code = if failure.code == Code::ETIMEDOUT { Code::ECONNRESET } else { failure.code };
        let failure = Failure { code, ..failure };
        let error = failure.error(doing, &self.shown);
        self.stage = Stage::Broken(failure);
        error
    }

    /// Takes as much as there is room for, after sending what is full.
    fn take(&mut self, buf: &[u8]) -> Attempt<usize> {
        while self.part.len() >= self.room() {
            self.send_part()?;
        }
        let count = buf.len().min(self.room() - self.part.len());
        if self.part.is_empty() {
            self.part.reserve(count.max(RESERVED.min(self.tuning.part_size)));
        }
        self.part.extend_from_slice(&buf[..count]);
        Ok(count)
    }

    /// How much is kept before anything is sent.
    fn room(&self) -> usize {
        if self.upload.is_some() { self.tuning.part_size } else { self.at_once }
    }

    /// Sends a part on its way, when fewer than may be are under way.
    fn send_part(&mut self) -> Attempt<()> {
        if self.destination.exclusive && self.destination.kind == Kind::Azure {
            let text = "an exclusive object of Azure is sent at once: set `part-size` to its size or more";
            return Err(Failure::new(Code::EFBIG, text));
        }
        if !self.attributes.is_empty() && self.destination.kind == Kind::Azure {
            let text = "an object of Azure with a time is sent at once: set `part-size` to its size or more";
            return Err(Failure::new(Code::EFBIG, text));
        }
        let upload = match &mut self.upload {
            Some(upload) if upload.count() as u64 == PARTS_MAX => return Err(too_many_parts(self.tuning)),
            Some(upload) => upload,
            none => none.insert(Upload::start(
                &self.destination,
                &self.attributes,
                &self.runtime,
                self.tuning.parallel,
            )),
        };
        let slot = self.runtime.wait(patient(&self.context, "parts that are being sent"), upload.slot())?;
        // More than a part is there where more comes than the size that was told.
        let rest = self.part.split_off(self.tuning.part_size.min(self.part.len()));
        upload.send(slot, std::mem::replace(&mut self.part, rest).into());
        Ok(())
    }

    /// Begins to make the object visible.
    fn begin_commit(&mut self) -> Attempt<Started<()>> {
        while self.upload.is_some() && !self.part.is_empty() {
            self.send_part()?;
        }
        Ok(match &self.upload {
            Some(upload) => Started::new(&self.runtime, upload.complete()),
            None => {
                let bytes = std::mem::take(&mut self.part).into();
                let put = put(self.destination.clone(), self.attributes.clone(), bytes);
                Started::new(&self.runtime, put)
            }
        })
    }

    fn commit(&mut self) -> Result<()> {
        if let Stage::Open = self.stage {
            let begun = self.begin_commit();
            self.stage = Stage::Committing(begun.map_err(|failure| self.broken(failure, "commit"))?);
        }
        match &self.stage {
            Stage::Done => Ok(()),
            Stage::Broken(failure) => Err(failure.error("commit", &self.shown)),
            Stage::Open => Err(Error::new(Code::EIO, "commit: nothing was begun")),
            Stage::Committing(commit) => {
                let waiting = patient(&self.context, "the store's word that it has the object");
                match self.runtime.wait(waiting, commit.outcome()) {
                    Ok(()) => {
                        (self.stage, self.upload) = (Stage::Done, None);
                        Ok(())
                    }
                    Err(failure) => Err(self.broken(failure, "commit")),
                }
            }
        }
    }

    /// Begins to remove what was sent; `None`: nothing was.
    fn clean_up(&mut self) -> Option<Started<()>> {
        self.part = Vec::new();
        let upload = self.upload.take()?;
        Some(self.cleanups.start(&self.runtime, &self.shown, upload.abort()))
    }

    fn discard(&mut self) -> Result<()> {
        // Dropped, a request may still reach the store.
        let is_unclear = matches!(&self.stage, Stage::Committing(commit) if commit.now().is_none());
        if !matches!(self.stage, Stage::Broken(_)) {
            self.stage = Stage::Broken(Failure::new(Code::EBADF, "it was discarded"));
        }
        if let Some(cleanup) = self.clean_up() {
            let waiting = patient(&self.context, "the store to drop the parts");
            let cleaned = self.runtime.wait(waiting, cleanup.outcome());
            self.cleanups.keep(cleanup);
            cleaned.map_err(|failure| failure.error("discard", &self.shown))?;
        }
        match is_unclear {
            false => Ok(()),
            true => {
                let text = format!(
                    "discard {}: it was sent, and the store has not confirmed or refused it",
                    self.shown
                );
                Err(Error::new(Code::EIO, text))
            }
        }
    }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        let always = Capabilities::WRITABLE | Capabilities::CANCEL;
        if self.takes_times { always | Capabilities::TIMES } else { always }
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        match &self.stage {
            Stage::Open => self.take(buf).map_err(|failure| self.broken(failure, "write")),
            Stage::Broken(failure) => Err(failure.error("write", &self.shown)),
            _ => Err(Error::new(Code::EBADF, format!("write {}: the object has ended", self.shown))),
        }
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        let refuse =
            |code: Code, why: &str| Err(Error::new(code, format!("set the time of {}: {why}", self.shown)));
        match &self.stage {
            Stage::Open if self.upload.is_some() => {
                refuse(Code::ENOTSUP, "its first bytes were sent, and the time goes before them")
            }
            Stage::Open if !self.takes_times => refuse(Code::ENOTSUP, "it is sent in parts"),
            Stage::Open => {
                self.attributes = mtime::attributes(time, self.destination.kind);
                Ok(())
            }
            Stage::Broken(failure) => Err(failure.error("set the time of", &self.shown)),
            _ => refuse(Code::EBADF, "the object has ended"),
        }
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match how {
            // The store learns it from COMMIT.
            Finish::End => Ok(()),
            Finish::Commit => self.commit(),
            Finish::Discard => self.discard(),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(cleanup) = self.clean_up() {
            self.cleanups.keep(cleanup);
        }
    }
}

/// One request that makes the object.
async fn put(destination: Destination, attributes: Attributes, bytes: Bytes) -> Attempt<()> {
    let Destination { store, path, exclusive, .. } = destination;
    let mode = if exclusive { PutMode::Create } else { PutMode::Overwrite };
    let options = PutOptions { mode, attributes, ..PutOptions::default() };
    let put = store.put_opts(&path, bytes.into(), options).await;
    put.map(drop).map_err(|error| refused(&error, exclusive))
}

/// The failure of what makes an object visible.
fn refused(error: &object_store::Error, exclusive: bool) -> Failure {
    match failure::status(error) {
        // S3 answers 409 where two are at it at the same time, Azure where there is one.
        Some(409 | 412) if exclusive => Failure::new(Code::EEXIST, "it exists already"),
        _ => failure::meaning(error),
    }
}

fn too_many_parts(tuning: Tuning) -> Failure {
    let text =
        format!("more than {PARTS_MAX} parts of {} MiB: set a larger `part-size`", tuning.part_size >> 20);
    Failure::new(Code::EFBIG, text)
}

/// The caller's own time or cancel: the upload itself is well.
fn is_callers(failure: &Failure) -> bool {
    failure.retry == Retry::No && matches!(failure.code, Code::ETIMEDOUT | Code::ECANCELED)
}
