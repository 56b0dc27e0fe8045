//! The copy of one file: all of it or nothing.

use crate::below::parent;
use crate::cp::digest::digest;
use crate::cp::pace::Pace;
use crate::descriptors::Assigned;
use crate::mkdir::make_all;
use crate::watch::Watch;
use std::mem;
use vfs_core::{
    Code, Error, Finish, Kind, OpenFile, OpenFlags, Placement, Registry, Result, copy, same_file,
};

/// How files are copied.
pub struct Copier<'a> {
    pub registry: &'a Registry,
    pub watch: &'a Watch,
    pub in_place: bool,
    /// Makes the folders of a target that are missing, where its provider has folders.
    pub make_folders: bool,
    /// `None`: as fast as it can be.
    pub pace: Option<Pace>,
}

/// Both files of a copy, before the first byte.
pub struct Opened<'a> {
    copier: &'a Copier<'a>,
    source: OpenFile,
    /// The source's, before the target was opened; empty: it has none.
    version: String,
    target: OpenFile,
    placement: Placement,
    /// The bytes to come, if the source knows.
    pub size: Option<u64>,
}

impl<'a> Copier<'a> {
    /// Opens both: the source, whose error is what the user asked about, first. A target that turns out to be a folder is
    /// replaced by `inside`.
    pub fn open(
        &'a self,
        from: &Assigned<'_>,
        to: &Assigned<'_>,
        inside: Option<&Assigned<'_>>,
    ) -> Result<Opened<'a>> {
        let how =
            from.open(OpenFlags::READ | OpenFlags::SEQUENTIAL).control(&self.watch.control(from.descriptor));
        let opened = self.registry.open(from.descriptor, &how);
        let mut source = opened.map_err(|error| match error.code() {
            Code::EISDIR => error.context(format!("copy {}: folders are copied with -r", from.shown())),
            _ => error,
        })?;
        let stat = source.stat().ok();
        // A file under /proc says 0 and means that it doesn't know.
        let size = stat.as_ref().and_then(|stat| stat.size).filter(|size| *size > 0);
        let version = stat.map(|stat| stat.version).unwrap_or_default();
        let (mut target, placement) = match (self.open_target(to, size), inside) {
            (Err(error), Some(inside)) if error.code() == Code::EISDIR => self.open_target(inside, size)?,
            (opened, _) => opened?,
        };
        if placement.in_place().is_some() && same_file(&mut source, &mut target) {
            let text = format!("copy {} to {}: they are the same file", source.shown(), target.shown());
            return Err(Error::new(Code::EINVAL, text));
        }
        Ok(Opened { copier: self, source, version, target, placement, size })
    }

    /// Opens the target as complete-or-nothing as its provider can.
    fn open_target(&self, to: &Assigned<'_>, size: Option<u64>) -> Result<(OpenFile, Placement)> {
        let how = to.open(OpenFlags::SEQUENTIAL).control(&self.watch.control(to.descriptor));
        let how = size.iter().fold(how, |how, size| how.expected_size(*size));
        let how = if self.make_folders { how.offer("make-folders", "true") } else { how };
        let open = || self.registry.create(to.descriptor, &how, self.in_place.then_some("--in-place"));
        match open() {
            Err(error) if self.make_folders && self.folder_is_there_now(&error, to) => open(),
            opened => opened,
        }
    }

    /// Whether a target could not be opened for want of its folder, which is there now: made here, or for another file.
    fn folder_is_there_now(&self, refused: &Error, to: &Assigned<'_>) -> bool {
        // Not every server says which name is missing.
        if !matches!(refused.code(), Code::ENOENT | Code::EACCES) {
            return false;
        }
        let Some(folder) = parent(to.descriptor) else { return false };
        let how = to.open(OpenFlags::empty()).control(&self.watch.control(to.descriptor));
        match self.registry.stat_name(&folder, &how) {
            Ok(found) => found.kind == Kind::Directory,
            Err(error) => error.code() == Code::ENOENT && make_all(self.registry, &folder, &how).is_ok(),
        }
    }

    /// Whether both have the same content, by the digests of both. A target that is not there has not.
    pub fn same_content(&self, from: &Assigned<'_>, to: &Assigned<'_>) -> Result<bool> {
        let open = |side: &Assigned<'_>| {
            let how = side.open(OpenFlags::READ | OpenFlags::SEQUENTIAL);
            self.registry.open(side.descriptor, &how.control(&self.watch.control(side.descriptor)))
        };
        let mut source = open(from)?;
        let mut target = match open(to) {
            Err(error) if error.code() == Code::ENOENT => return Ok(false),
            opened => opened?,
        };
        let size = |file: &mut OpenFile| file.stat().ok().and_then(|stat| stat.size);
        if let (Some(source), Some(target)) = (size(&mut source), size(&mut target))
            && source != target
        {
            return Ok(false);
        }
        Ok(digest(&mut source)? == digest(&mut target)?)
    }
}

impl Opened<'_> {
    /// Copies, and gives both files to be closed. `progress` hears the total so far.
    pub fn run(self, progress: &mut dyn FnMut(u64)) -> Result<[OpenFile; 2]> {
        self.run_checked(progress, |_| Ok(()))
    }

    /// The same for a source that others may be writing, which must be found as it was.
    ///
    /// # Errors
    /// ESTALE: it changed meanwhile.
    pub fn run_unchanged(mut self, progress: &mut dyn FnMut(u64)) -> Result<[OpenFile; 2]> {
        let before = mem::take(&mut self.version);
        self.run_checked(progress, |source| {
            if before.is_empty() || source.stat()?.version == before {
                return Ok(());
            }
            Err(Error::new(Code::ESTALE, "the source changed while it was read: copy it again"))
        })
    }

    fn run_checked(
        mut self,
        progress: &mut dyn FnMut(u64),
        check: impl FnOnce(&mut OpenFile) -> Result<()>,
    ) -> Result<[OpenFile; 2]> {
        self.placement.begin(&mut self.target)?;
        let copied = self
            .move_bytes(progress)
            .and_then(|()| check(&mut self.source))
            .and_then(|()| self.target.finish(Finish::Commit));
        match copied {
            Ok(()) => Ok([self.source, self.target]),
            Err(error) => {
                self.copier.watch.tidy();
                Err(failed(&self.source, &mut self.target, error))
            }
        }
    }

    fn move_bytes(&mut self, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let (source, target) = (&mut self.source, &mut self.target);
        let Some(pace) = &self.copier.pace else {
            return copy(source, target, None, progress).map(|_| ());
        };
        let context = target.control().context();
        let mut total = 0;
        loop {
            let moved = copy(source, target, Some(pace.step()), &mut |_| ())?;
            if moved == 0 {
                return Ok(());
            }
            total += moved;
            progress(total);
            pace.moved(moved, &context)?;
        }
    }
}

/// Discards what came of a copy that failed. Returns its error.
fn failed(source: &OpenFile, target: &mut OpenFile, error: Error) -> Error {
    let doing = format!("copy {} to {}", source.shown(), target.shown());
    match target.finish(Finish::Discard) {
        // The copy's own failure is the one to act on; this one says what may be left behind.
        Err(left) if !error.chain().contains(&left.chain()) => {
            error.context(format!("{doing} (and discarding it failed: {})", left.chain()))
        }
        // Or the reason is the same: its provider's process is gone.
        _ => error.context(doing),
    }
}
