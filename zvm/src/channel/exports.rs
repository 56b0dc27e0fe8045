//! Exports: what a guest made below a path, written to a provider's folder when its session ends well.
//!
//! No provider has transactions over several files. So all files are written under no name first, each with ATOMIC, and only then
//! committed, one after the other: what fails before that, a full disk or a name that is not allowed, leaves nothing behind.
//! A file is open from its first byte to its COMMIT, so of very many files only so many are written at a time.

use super::changes::{Changes, ReadContent};
use super::counters::{Counters, Operation};
use super::digest::Digest;
use super::ends::UNSURE;
use super::outputs::{Output, OutputState};
use super::sources::failed_exit;
use crate::exit::{ExitCode, Failure};
use crate::manifest::{DigestAlgorithm, ExportSpec, Limits};
use std::collections::VecDeque;
use std::fmt::Display;
use std::mem;
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{
    Code, Control, Descriptor, Error, Finish, Flush, Kind, OpenFile, OpenFlags, OpenOptions, Registry,
    Result, Shown, below,
};

/// The most files of a session's exports that are open at a time. A process may open 1,024 unless its limit is raised.
pub(super) const OPEN_MAX: usize = 256;
/// How much is written at once.
const CHUNK: usize = 256 << 10;
/// How many files a note names.
const NAMED_MAX: usize = 8;

/// A directory whose content goes to a folder, of a running session.
#[derive(Debug)]
pub(crate) struct Export {
    pub(super) spec: ExportSpec,
    /// The folder's descriptor, secrets hidden.
    pub(super) shown: String,
    /// `None`: closed.
    registry: Option<Registry>,
    options: OpenOptions,
    control: Control,
    counters: Arc<Counters>,
    output: Arc<Output>,
    digest: Option<Digest>,
    changes: Changes,
    /// How far it is.
    progress: Progress,
    notes: Vec<String>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The folders are there.
    begun: bool,
    /// The folders that were made, each after the one above it.
    made: Vec<String>,
    /// How many files were opened.
    opened: usize,
    /// Those that are written and not committed.
    written: VecDeque<OpenFile>,
    /// How many files are in place.
    committed: usize,
    /// A COMMIT failed in a way that does not tell whether its file is in place.
    unsure: bool,
}

impl Export {
    /// Finds out what can be known before the guest starts: that the provider may be used, and can write whole files into a folder of
    /// this name. Touches nothing.
    ///
    /// # Errors
    /// As a channel that cannot be opened.
    pub(super) fn open(
        spec: &ExportSpec,
        registry: &Registry,
        options: OpenOptions,
        control: &Control,
        digest: Option<DigestAlgorithm>,
    ) -> std::result::Result<Export, Failure> {
        let shown = Descriptor::parse(&spec.target).map_or_else(|_| String::new(), |it| it.to_string());
        let export = Export {
            spec: spec.clone(),
            output: Arc::new(Output::new(shown.clone(), None, true)),
            shown,
            registry: Some(registry.clone()),
            options: options.with_flags(OpenFlags::empty()),
            control: control.clone(),
            counters: Arc::default(),
            digest: digest.map(Digest::new),
            changes: Changes::default(),
            progress: Progress::default(),
            notes: Vec::new(),
        };
        export.check(registry).map_err(|error| export.failure(&error, true))?;
        Ok(export)
    }

    fn check(&self, registry: &Registry) -> Result<()> {
        let whole = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::ATOMIC;
        if !registry.info(&self.spec.target, &self.options)?.supported_flags.contains(whole) {
            let text =
                format!("{}: its provider writes no files that appear as a whole (ATOMIC)", self.shown);
            return Err(Error::new(Code::ENOTSUP, text));
        }
        below(&self.spec.target, b"name")?;
        match registry.stat_name(&self.spec.target, &self.options) {
            Ok(found) if matches!(found.kind, Kind::Directory | Kind::Unknown) => Ok(()),
            Ok(_) => Err(Error::new(Code::ENOTDIR, format!("{} is not a folder", self.shown))),
            // It is made, or needs not be: a store of objects has no folders.
            Err(error) if matches!(error.code(), Code::ENOENT | Code::ENOTSUP) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Where the guest makes it.
    pub(crate) fn path(&self) -> &str {
        &self.spec.path
    }

    /// Its quotas: how many files and folders, and how many bytes.
    pub(crate) fn limits(&self) -> Limits {
        self.spec.limits
    }

    /// Where a quota that the guest reached is noted.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    pub(super) fn digest(&self) -> Option<String> {
        self.digest.as_ref().map(Digest::hex)
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// Notes what is worth telling.
    pub(super) fn note(&mut self, text: impl Display) {
        self.notes.push(format!("export {}: {text}", Shown(&self.spec.path)));
    }

    /// Where what becomes of it is told.
    pub(super) fn output(&self) -> Arc<Output> {
        self.output.clone()
    }

    /// Says what the guest made.
    pub(super) fn plan(&mut self, changes: Changes) {
        self.changes = changes;
    }

    /// Whether files are left to be written.
    pub(super) fn has_more(&self) -> bool {
        self.progress.opened < self.changes.files.len()
    }

    /// Makes the folders, once, and writes the next files, as many as `room` says at most, which it takes from it. None of them is
    /// to be seen before its COMMIT. `sync`: what was written is to survive a failure of power.
    ///
    /// # Errors
    /// The provider's.
    pub(super) fn write(
        &mut self,
        read: &ReadContent<'_>,
        room: &mut usize,
        sync: bool,
    ) -> std::result::Result<(), Failure> {
        let done = self.make_folders().and_then(|()| self.write_files(read, room, sync));
        self.counters.done();
        done.map_err(|error| self.failure(&error, false))
    }

    /// COMMIT on what was written, in order, until the deadline. Ends with the first that fails.
    ///
    /// # Errors
    /// The provider's.
    pub(super) fn commit(&mut self, deadline: Option<Instant>) -> std::result::Result<(), Failure> {
        self.counters.begin(Operation::Commit);
        let done = self.commit_files(deadline);
        self.counters.done();
        done.map_err(|error| self.failure(&error, false))
    }

    /// Says that all is in place, unless it was discarded.
    pub(super) fn complete(&mut self) {
        if self.registry.is_some() {
            self.output.set(OutputState::Committed);
        }
    }

    /// DISCARD on what was not committed, while `until` lasts. Folders that were made and have nothing in them are removed again.
    pub(super) fn discard(&mut self, until: Instant) {
        if self.registry.is_none() || self.output.report().state == OutputState::Committed {
            return;
        }
        self.counters.begin(Operation::Discard);
        for mut file in self.progress.written.drain(..) {
            if Instant::now() < until {
                let _ = file.finish(Finish::Discard);
            }
        }
        self.remove_folders(until);
        let Progress { committed, unsure, .. } = self.progress;
        self.output.set(match committed {
            0 if unsure => OutputState::Unknown,
            0 => OutputState::Discarded,
            _ => OutputState::Partial,
        });
        if committed > 0 {
            let files = &self.changes.files;
            let named: Vec<String> =
                files[..committed.min(NAMED_MAX)].iter().map(|file| Shown(&file.path).to_string()).collect();
            let more = if committed > NAMED_MAX { ", ..." } else { "" };
            self.notes.push(format!(
                "export {}: in place are {committed} of {} files: {}{more}",
                Shown(&self.spec.path),
                files.len(),
                named.join(", ")
            ));
        }
        self.close();
    }

    /// Lets the registry go.
    pub(super) fn close(&mut self) {
        self.counters.begin(Operation::Close);
        self.progress.written.clear();
        self.counters.done();
        self.registry = None;
    }

    /// The folder itself, with those above it, and those in it. Nothing is made where there is nothing to write.
    fn make_folders(&mut self) -> Result<()> {
        if self.progress.begun || self.changes.is_empty() {
            return Ok(());
        }
        self.progress.begun = true;
        let registry = self.registry.as_ref().ok_or(Code::EBADF)?;
        self.counters.begin(Operation::MakeFolder);
        let made = &mut self.progress.made;
        match registry.make_folders(&self.spec.target, &self.options, made) {
            // A store of objects: a folder is there as soon as a name lies below.
            Err(error) if error.code() == Code::ENOTSUP => {
                let left_out = self.changes.empty_folders();
                if left_out > 0 {
                    let path = Shown(&self.spec.path);
                    let text =
                        format!("export {path}: left out: {left_out} empty folders: the provider has none");
                    self.notes.push(text);
                }
                return Ok(());
            }
            done => done?,
        }
        for path in &self.changes.folders {
            self.counters.count_put();
            registry.make_folders(&descriptor(&self.spec.target, path)?, &self.options, made)?;
        }
        Ok(())
    }

    fn write_files(&mut self, read: &ReadContent<'_>, room: &mut usize, sync: bool) -> Result<()> {
        let registry = self.registry.as_ref().ok_or(Code::EBADF)?;
        let mut buffer = Vec::new();
        while *room > 0
            && let Some(file) = self.changes.files.get(self.progress.opened)
        {
            *room -= 1;
            self.progress.opened += 1;
            self.counters.begin(Operation::Open);
            let name = descriptor(&self.spec.target, &file.path)?;
            let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::ATOMIC;
            let supported = registry.info(&name, &self.options)?.supported_flags;
            let flags = flags & supported | OpenFlags::SEQUENTIAL;
            let options = self.options.clone().with_flags(flags).expected_size(file.size);
            let mut open = registry.open(&name, &options)?;
            self.counters.begin(Operation::Write);
            self.counters.count_put();
            buffer.resize(CHUNK, 0);
            let mut at = 0;
            while at < file.size {
                let left = usize::try_from(file.size - at).unwrap_or(CHUNK).min(CHUNK);
                let count = read(file.content, &mut buffer[..left], at);
                if count == 0 {
                    break;
                }
                let written = open.write_all(&buffer[..count]);
                written.map_err(|error| error.context(format!("write {}", open.shown())))?;
                self.counters.count_put_bytes(count);
                if let Some(digest) = &mut self.digest {
                    digest.update(&buffer[..count]);
                }
                at += count as u64;
            }
            if sync {
                self.counters.begin(Operation::Sync);
                open.flush(Flush::Sync).map_err(|error| error.context(format!("sync {}", open.shown())))?;
            }
            self.progress.written.push_back(open);
        }
        Ok(())
    }

    fn commit_files(&mut self, deadline: Option<Instant>) -> Result<()> {
        while let Some(mut file) = self.progress.written.pop_front() {
            file.control().set_deadline(deadline);
            if let Err(error) = file.finish(Finish::Commit) {
                self.progress.unsure = UNSURE.contains(&error.code());
                let error = error.context(format!("commit {}", file.shown()));
                // It gets its DISCARD with the others.
                self.progress.written.push_front(file);
                return Err(error);
            }
            self.progress.committed += 1;
        }
        Ok(())
    }

    /// Removes the folders that were made. One that something lies in stays.
    fn remove_folders(&mut self, until: Instant) {
        let Some(registry) = &self.registry else { return };
        // The session's own may have ended.
        let control = Control::new();
        control.set_deadline(Some(until));
        let options = self.options.clone().control(&control);
        let has_any_left = |folder: &String| registry.remove_folder(folder, &options).is_err();
        let made = mem::take(&mut self.progress.made);
        let left = made.iter().rev().filter(|folder| has_any_left(folder)).count();
        if left > 0 && self.progress.committed == 0 {
            let path = Shown(&self.spec.path);
            self.notes
                .push(format!("export {path}: {left} folders that were made for it could not be removed"));
        }
    }

    fn failure(&self, error: &Error, before_start: bool) -> Failure {
        let exit = match failed_exit(error, self.control.is_cancelled()) {
            exit if before_start || exit == ExitCode::Stopped => exit,
            _ => ExitCode::Io,
        };
        let place = match self.spec.line {
            line if before_start && line > 0 => format!("MANIFEST {line}: "),
            _ => String::new(),
        };
        Failure::new(exit, format!("{place}export {}: {}", Shown(&self.spec.path), error.chain()))
    }
}

/// The descriptor of a path below a folder.
fn descriptor(folder: &str, path: &str) -> Result<String> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.into_iter().try_fold(folder.to_owned(), |folder, name| below(&folder, name.as_bytes()))
}
