//! The copy of one file: all of it or nothing.

mod times;

pub use times::Times;

use crate::cp::digest::{BUFFER, digest};
use crate::cp::grown;
use crate::cp::pace::Pace;
use crate::cp::part::{Keep, Part};
use crate::descriptors::Assigned;
use crate::doing;
use crate::watch::Watch;
use std::cmp::Reverse;
use std::io::SeekFrom;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use vfs_core::{
    Capabilities, Code, Error, Expected, Finish, Kind, OpenFile, OpenFlags, Placement, Registry, Result,
    Stat, copy, hole, parent, same_file,
};

/// How files are copied.
pub struct Copier<'a> {
    pub registry: &'a Registry,
    pub watch: &'a Watch,
    pub in_place: bool,
    /// What is kept of a copy that breaks.
    pub keep: &'a Keep,
    pub times: Times,
    /// Makes the folders of a target that are missing, where its provider has folders.
    pub make_folders: bool,
    /// `None`: as fast as it can be.
    pub pace: Option<Pace>,
    /// A file of the target takes no time, so that none there does.
    pub takes_no_times: AtomicBool,
    /// Folders that were made for files which could not have their times.
    pub needless: Mutex<Vec<String>>,
}

/// Both files of a copy, before the first byte.
pub struct Opened<'a> {
    copier: &'a Copier<'a>,
    source: OpenFile,
    /// The source's, before the target was opened; empty: it has none.
    version: String,
    /// How much there was of it then.
    expected: Option<Expected>,
    target: OpenFile,
    placement: Placement,
    /// The target has all of it already, and may be the source: it is open to be read.
    pub is_same: bool,
    /// What the target had of the source already; `None`: it is not what is kept if this copy breaks.
    grown: Option<u64>,
    part: Option<Part>,
    /// The bytes to come, if the source knows.
    pub size: Option<u64>,
}

impl<'a> Copier<'a> {
    /// Opens both: the source, whose error is what the user asked about, first. A target that turns out to be a folder is
    /// replaced by `inside`. `is_new`: nothing has the target's name, so that it cannot be the source.
    pub fn open(
        &'a self,
        from: &Assigned<'_>,
        (to, is_new): (&Assigned<'_>, bool),
        inside: Option<&Assigned<'_>>,
    ) -> Result<Opened<'a>> {
        let how =
            from.open(OpenFlags::READ | OpenFlags::SEQUENTIAL).control(&self.watch.control(from.descriptor));
        let opened = self.registry.open(from.descriptor, &how);
        let mut source = opened.map_err(|error| match error.code() {
            Code::EISDIR => {
                let text = format!("copy {}: is a directory: folders are copied with -r", from.shown());
                Error::new(Code::EISDIR, text)
            }
            _ => error,
        })?;
        let stat = source.stat().ok();
        // A file under /proc says 0 and means that it doesn't know.
        let size = stat.as_ref().and_then(|stat| stat.size).filter(|size| *size > 0);
        let modified = stat.as_ref().and_then(|stat| stat.modified);
        let expected = stat.as_ref().map(|stat| Expected::by(&mut source, stat));
        // A stream that was read to be compared would be at its end.
        let can_be_compared = source.capabilities().contains(Capabilities::SEEKABLE);
        let grows = self.in_place && self.keep.is_wanted() && self.keep.is_beside();
        let mut is_same = false;
        let mut open = |to: &Assigned<'_>| {
            if !is_new {
                self.check_other(from, (&mut source, stat.as_ref()), to)?;
            }
            self.check_times(&source, modified, to)?;
            // Before anything is cut off there.
            let prepare =
                |source: &OpenFile, target: &mut OpenFile| self.keep_time(source, modified, to, target);
            if grows
                && let Some((target, had)) =
                    grown::open(self.registry, self.watch, (from, &mut source, size), to, prepare)?
            {
                return Ok((target, Placement::in_its_place("--in-place"), had));
            }
            let mut guard = || {
                is_same = !is_new && can_be_compared && self.has_all_of(from, stat.as_ref(), to)?;
                if is_same { Err(one_file(from, to)) } else { Ok(()) }
            };
            let may_be_left = self.times == Times::Kept && self.is_made_in_place(to);
            let mut made = Vec::new();
            let (mut target, placement) = match self.open_target(to, size, &mut guard, &mut made) {
                Err(_) if is_same => return Ok((self.open_same(modified, to)?, Placement::default(), 0)),
                opened => opened?,
            };
            // Before what waits for the reader of a pipe.
            if let Err(error) = self.keep_time(&source, modified, to, &mut target) {
                // A pipe that is in the place of one file says nothing of others.
                if placement.in_place().is_none() && !target.capabilities().contains(Capabilities::TIMES) {
                    self.takes_no_times.store(true, Ordering::Relaxed);
                }
                self.needless.lock().unwrap_or_else(PoisonError::into_inner).append(&mut made);
                self.undo(to, target, may_be_left);
                return Err(error);
            }
            // A standard stream, which has no name to be looked at.
            if placement.in_place().is_some() && same_file(&mut source, &mut target) {
                return Err(one_file(from, to));
            }
            Ok((target, placement, 0))
        };
        let (to, opened) = match (open(to), inside) {
            (Err(error), Some(inside)) if error.code() == Code::EISDIR => (inside, open(inside)),
            (opened, _) => (to, opened),
        };
        let (mut target, placement, had) = opened?;
        let part = if self.keep.is_wanted() && !grows && !is_same {
            let (from, to) = ((from, &source, stat.as_ref()), (to, &mut target));
            self.keep.open(self.registry, self.watch, from, to)?
        } else {
            None
        };
        let version = stat.map(|stat| stat.version).unwrap_or_default();
        let grown = grows.then_some(had);
        Ok(Opened { copier: self, source, version, expected, target, placement, is_same, grown, part, size })
    }

    /// Whether a target that its open empties at once has the source's content, and so may be the source by a name that is not known for
    /// one of it.
    ///
    /// # Errors
    /// It cannot be known.
    fn has_all_of(&self, from: &Assigned<'_>, stat: Option<&Stat>, to: &Assigned<'_>) -> Result<bool> {
        let Some(stat) = stat.filter(|stat| stat.kind == Kind::Regular) else { return Ok(false) };
        let how = to.open(OpenFlags::empty()).control(&self.watch.control(to.descriptor));
        let Ok(there) = self.registry.stat_name(to.descriptor, &how) else { return Ok(false) };
        let sizes = stat.size.zip(there.size);
        if there.kind != Kind::Regular || sizes.is_some_and(|(one, other)| one != other) {
            return Ok(false);
        }
        match self.same_content(from, to) {
            // A standard stream, which its open does not empty: it is looked at when it is open.
            Err(error) if error.code() == Code::EBADF => Ok(false),
            found => found.map_err(|error| {
                let more = ": find out whether they are one file, which this would empty";
                doing::between(error, "copy", &from.shown(), &to.shown(), more)
            }),
        }
    }

    /// Opens a target that has the source's content, and gives it the source's time if it is to have that.
    fn open_same(&self, modified: Option<SystemTime>, to: &Assigned<'_>) -> Result<OpenFile> {
        let how = to.open(OpenFlags::READ).control(&self.watch.control(to.descriptor));
        if let (Times::Kept, Some(modified)) = (self.times, modified) {
            let how = how.clone().with_flags(OpenFlags::empty());
            self.registry.set_modified(to.descriptor, &how, modified)?;
        }
        self.registry.open(to.descriptor, &how)
    }

    /// Makes sure that a target is not the file that is read, by whatever name. Opens nothing to be written, and nothing that may be a
    /// pipe.
    ///
    /// # Errors
    /// EINVAL.
    fn check_other(
        &self,
        from: &Assigned<'_>,
        (source, stat): (&mut OpenFile, Option<&Stat>),
        to: &Assigned<'_>,
    ) -> Result<()> {
        let Some(stat) = stat.filter(|stat| stat.kind == Kind::Regular) else { return Ok(()) };
        if (from.descriptor, &from.settings) == (to.descriptor, &to.settings) {
            return Err(one_file(from, to));
        }
        let provider = |side: &Assigned<'_>| self.registry.leads_to(side.descriptor);
        if !source.capabilities().contains(Capabilities::FD) || provider(from) != provider(to) {
            return Ok(());
        }
        let how = to.open(OpenFlags::READ).control(&self.watch.control(to.descriptor));
        let there = self.registry.stat_name(to.descriptor, &how.clone().with_flags(OpenFlags::empty()));
        // Equal tags alone prove nothing: they may be of the content.
        if there.is_ok_and(|there| there.kind == Kind::Regular && there.version == stat.version)
            && let Ok(mut there) = self.registry.open(to.descriptor, &how)
            && same_file(source, &mut there)
        {
            return Err(one_file(from, to));
        }
        Ok(())
    }

    /// Opens the target as complete-or-nothing as its provider can.
    fn open_target(
        &self,
        to: &Assigned<'_>,
        size: Option<u64>,
        guard: &mut dyn FnMut() -> Result<()>,
        made: &mut Vec<String>,
    ) -> Result<(OpenFile, Placement)> {
        let how = to.open(OpenFlags::SEQUENTIAL).control(&self.watch.control(to.descriptor));
        let how = size.iter().fold(how, |how, size| how.expected_size(*size));
        let how = if self.make_folders { how.offer("make-folders", "true") } else { how };
        let in_place = self.in_place.then_some("--in-place");
        let mut open = || self.registry.create_guarded(to.descriptor, &how, in_place, guard);
        match open() {
            Err(error) if self.make_folders && self.folder_is_there_now(&error, to, made) => open(),
            opened => opened,
        }
    }

    /// Whether a target could not be opened for want of its folder, which is there now: made here, or for another file.
    fn folder_is_there_now(&self, refused: &Error, to: &Assigned<'_>, made: &mut Vec<String>) -> bool {
        // Not every server says which name is missing.
        if !matches!(refused.code(), Code::ENOENT | Code::EACCES) {
            return false;
        }
        let Some(folder) = parent(to.descriptor) else { return false };
        let how = to.open(OpenFlags::empty()).control(&self.watch.control(to.descriptor));
        match self.registry.stat_name(&folder, &how) {
            Ok(found) => found.kind == Kind::Directory,
            Err(error) => {
                error.code() == Code::ENOENT && self.registry.make_folders(&folder, &how, made).is_ok()
            }
        }
    }

    /// Whether nothing has this name, and its open makes a file there that a DISCARD leaves.
    fn is_made_in_place(&self, to: &Assigned<'_>) -> bool {
        let how = to.open(OpenFlags::empty()).control(&self.watch.control(to.descriptor));
        let is_whole = || {
            let info = self.registry.info(to.descriptor, &how);
            info.is_ok_and(|info| info.supported_flags.contains(OpenFlags::ATOMIC))
        };
        (self.in_place || !is_whole())
            && self.registry.stat_name(to.descriptor, &how).is_err_and(|error| error.code() == Code::ENOENT)
    }

    /// Discards a target to which nothing was written, for another failure, which is the one to act on. `may_be_left`: it was made in its
    /// place.
    fn undo(&self, to: &Assigned<'_>, mut target: OpenFile, may_be_left: bool) {
        // Waited for, so that its folder can be removed.
        let _ = target.finish(Finish::Discard);
        drop(target);
        if !may_be_left {
            return;
        }
        let how = to.open(OpenFlags::empty()).control(&self.watch.control(to.descriptor));
        if self.registry.stat_name(to.descriptor, &how).is_ok_and(|there| there.size == Some(0)) {
            let _ = self.registry.remove(to.descriptor, &how);
        }
    }

    /// Removes the folders again that were made for files which could not have their times, as far as nothing is in them.
    pub fn remove_needless(&self, to: &Assigned<'_>) {
        let mut folders = mem::take(&mut *self.needless.lock().unwrap_or_else(PoisonError::into_inner));
        // Each before the one that it is in, whoever made which first.
        folders.sort_by_key(|folder| Reverse(folder.len()));
        for folder in &folders {
            let how = to.open(OpenFlags::empty()).control(&self.watch.control(folder));
            // What another file lies in stays.
            let _ = self.registry.remove_folder(folder, &how);
            self.watch.forget(folder);
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
        match self.part {
            // A later run takes its bytes for this source's.
            Some(_) => self.run_unchanged(progress),
            None => self.run_checked(progress, |_| Ok(())),
        }
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
        if self.is_same {
            progress(self.size.unwrap_or(0));
            return Ok([self.source, self.target]);
        }
        // What is written over with what was read of it is not lost, if both turn out to be one file.
        let writes_over = self.placement.empties() && is_at_start(&mut self.target);
        if !writes_over {
            self.placement.begin(&mut self.target)?;
        }
        let copied = self.move_bytes(progress).and_then(|total| {
            if let Some(expected) = &self.expected {
                expected.check(&mut self.source, total)?;
            }
            check(&mut self.source)?;
            self.placement.cut(&mut self.target, total)?;
            self.target.finish(Finish::Commit)
        });
        let Copier { registry, watch, .. } = self.copier;
        match copied {
            Ok(()) => {
                if let Some(part) = self.part.take() {
                    part.remove(registry, watch);
                }
                Ok([self.source, self.target])
            }
            Err(error) => {
                watch.tidy();
                let kept = match self.grown {
                    Some(_) => Some("what it has is kept for the next run".to_owned()),
                    None => self.part.take().and_then(|part| part.left(&error, registry, watch)),
                };
                Err(failed(&self.source, &mut self.target, kept, error))
            }
        }
    }

    /// Returns how long the target is now.
    fn move_bytes(&mut self, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        let (source, target) = (&mut self.source, &mut self.target);
        if let Some(part) = &mut self.part {
            move_kept(source, target, part, self.copier.pace.as_ref(), progress)?;
            return Ok(part.bytes());
        }
        let had = self.grown.unwrap_or(0);
        let Some(pace) = &self.copier.pace else {
            return Ok(had + copy(source, target, None, &mut |total| progress(had + total))?);
        };
        let context = target.control().context();
        let mut total = had;
        loop {
            let moved = copy(source, target, Some(pace.step()), &mut |_| ())?;
            if moved == 0 {
                return Ok(total);
            }
            total += moved;
            // Before it is told: the first bytes would seem to have come in no time.
            pace.moved(moved, &context)?;
            progress(total);
        }
    }
}

/// Whether a target is written from its start, and can be cut: what is opened to append is not.
fn is_at_start(target: &mut OpenFile) -> bool {
    target.capabilities().contains(Capabilities::SEEKABLE | Capabilities::TRUNCATABLE)
        && target.tell().is_ok_and(|position| position == 0)
}

fn one_file(from: &Assigned<'_>, to: &Assigned<'_>) -> Error {
    let text = format!("copy {} to {}: they are the same file", from.shown(), to.shown());
    Error::new(Code::EINVAL, text)
}

/// Copies what a part has and then what it has not, which it gets too.
fn move_kept(
    source: &mut OpenFile,
    target: &mut OpenFile,
    part: &mut Part,
    pace: Option<&Pace>,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    // What has content would have to be covered with zeros.
    let makes_holes = target.capabilities().contains(Capabilities::SEEKABLE | Capabilities::TRUNCATABLE)
        && target.stat().is_ok_and(|stat| stat.size == Some(0));
    part.restore(source, (target, makes_holes), progress)?;
    let context = target.control().context();
    let wanted =
        pace.and_then(|pace| usize::try_from(pace.step()).ok()).map_or(BUFFER, |step| step.min(BUFFER));
    let mut buf = vec![0; wanted];
    loop {
        // The target's before anything is taken from the source, whose own read looks at its.
        target.control().status()?;
        if makes_holes
            && let Some(count) = hole(source)?
            && part.add_hole(count, target)?
        {
            source.seek(SeekFrom::Start(part.bytes()))?;
            progress(part.bytes());
            continue;
        }
        let count = source.read(&mut buf)?;
        if count == 0 {
            return part.ends(source);
        }
        part.add(&buf[..count])?;
        target.write_all(&buf[..count])?;
        if let Some(pace) = pace {
            pace.moved(count as u64, &context)?;
        }
        progress(part.bytes());
    }
}

/// Discards what came of a copy that failed. Returns its error, with what is kept in spite of it.
fn failed(source: &OpenFile, target: &mut OpenFile, kept: Option<String>, error: Error) -> Error {
    let mut more = kept.map(|kept| format!(" ({kept})")).unwrap_or_default();
    match target.finish(Finish::Discard) {
        // The copy's own failure is the one to act on; this one says what may be left behind.
        Err(left) if !error.chain().contains(&left.chain()) => {
            more = format!("{more} (and discarding it failed: {})", left.chain());
        }
        // Or the reason is the same: its provider's process is gone.
        _ => {}
    }
    doing::between(error, "copy", source.shown(), target.shown(), &more)
}
