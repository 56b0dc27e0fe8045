//! Exports: what a guest made below a path, or changed in a writable tree, written to a provider's folder when its session ends well.
//!
//! No provider has transactions over several files. So all files are written under no name first, each with ATOMIC, and only then
//! committed, one after the other: what fails before that, a full disk or a name that is not allowed, leaves nothing behind.
//! A file is open from its first byte to its COMMIT, so of very many files only so many are written at a time.

mod work;

use super::SourceTree;
use super::changes::{Changes, ReadContent};
use super::counters::{Counters, Operation};
use super::digest::Digest;
use super::outputs::{Output, OutputState};
use super::sources::{failed_exit, is_local};
use super::trees::Known;
use crate::exit::{ExitCode, Failure};
use crate::manifest::{DigestAlgorithm, ExportSpec, Limits, TreeSpec};
use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{
    Code, Control, Descriptor, Error, Finish, Kind, OpenFile, OpenFlags, OpenOptions, Registry, Result,
    Shown, below, parent,
};

/// The most files of a session's exports that are open at a time. A process may open 1,024 unless its limit is raised.
pub(super) const OPEN_MAX: usize = 256;
/// A name that is opened in a folder and discarded, to find out whether it takes any.
const TRIAL: &[u8] = b".zvfs-trial";
/// How many files a note names.
const NAMED_MAX: usize = 8;

/// A directory whose content goes to a folder, of a running session.
#[derive(Debug)]
pub(crate) struct Export {
    pub(super) spec: ExportSpec,
    /// What the manifest calls it, for messages.
    what: &'static str,
    /// The session's tree that it is of, by its number.
    tree: Option<usize>,
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
    /// The files that are replaced or removed, as they were listed, by their numbers in the tree.
    known: HashMap<usize, Known>,
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
    /// How many files are gone.
    removed: usize,
    /// Times that were refused are noted.
    untimed: bool,
    /// A COMMIT failed in a way that does not tell whether its file is in place.
    unsure: bool,
}

impl Export {
    /// Finds out what can be known before the guest starts: that the provider may be used, and can write whole files into a folder of
    /// this name. Leaves nothing behind.
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
        let export = Export::new(spec, registry, options, control);
        let export = Export { digest: digest.map(Digest::new), ..export };
        export.check(registry).map_err(|error| export.failure(&error, true))?;
        Ok(export)
    }

    fn new(spec: &ExportSpec, registry: &Registry, options: OpenOptions, control: &Control) -> Export {
        let shown = shown(&spec.target);
        Export {
            spec: spec.clone(),
            what: "export",
            tree: None,
            output: Arc::new(Output::new(shown.as_str().into(), None, true)),
            shown,
            registry: Some(registry.clone()),
            options: options.with_flags(OpenFlags::empty()),
            control: control.clone(),
            counters: Arc::default(),
            digest: None,
            changes: Changes::default(),
            known: HashMap::new(),
            progress: Progress::default(),
            notes: Vec::new(),
        }
    }

    /// The same for a tree, which was listed before.
    ///
    /// # Errors
    /// As [`open`](Export::open).
    pub(super) fn of_tree(
        number: usize,
        tree: &SourceTree,
        registry: &Registry,
        options: OpenOptions,
        control: &Control,
    ) -> std::result::Result<Export, Failure> {
        let export = Export::of_tree_spec(&tree.spec, registry, options, control)?;
        Ok(Export { tree: Some(number), counters: tree.counters.clone(), ..export })
    }

    /// The same for a tree that is yet to be listed.
    ///
    /// # Errors
    /// As [`open`](Export::open).
    pub(super) fn of_tree_spec(
        spec: &TreeSpec,
        registry: &Registry,
        options: OpenOptions,
        control: &Control,
    ) -> std::result::Result<Export, Failure> {
        let TreeSpec { line, source, path, limits, keep_partial, .. } = spec;
        let (target, path) = (source.clone(), path.clone());
        let spec = ExportSpec { line: *line, target, path, limits: *limits, keep_partial: *keep_partial };
        let export = Export { what: "tree", ..Export::new(&spec, registry, options, control) };
        export.check(registry).map_err(|error| export.failure(&error, true))?;
        Ok(export)
    }

    fn check(&self, registry: &Registry) -> Result<()> {
        let whole = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::ATOMIC;
        if !registry.supported_flags(&self.spec.target, &self.options)?.contains(whole) {
            let text =
                format!("{}: its provider writes no files that appear as a whole (ATOMIC)", self.shown);
            return Err(Error::new(Code::ENOTSUP, text));
        }
        below(&self.spec.target, b"name")?;
        match registry.stat_name(&self.spec.target, &self.options) {
            Ok(found) if matches!(found.kind, Kind::Directory | Kind::Unknown) => {}
            Ok(_) => return Err(Error::new(Code::ENOTDIR, format!("{} is not a folder", self.shown))),
            // It is made, or needs not be: a store of objects has no folders.
            Err(error) if matches!(error.code(), Code::ENOENT | Code::ENOTSUP) => {}
            Err(error) => return Err(error),
        }
        // A server is asked for nothing that it may have to keep.
        if is_local(&self.spec.target) { self.try_out(registry, whole) } else { Ok(()) }
    }

    /// Opens a file in the folder as one of the guest's would be, or in the one above it that is there, and discards it: a folder that takes
    /// none would be told when the guest has done its work.
    fn try_out(&self, registry: &Registry, flags: OpenFlags) -> Result<()> {
        let options = self.options.clone().with_flags(flags);
        let mut folder = self.spec.target.clone();
        loop {
            let error = match registry.open(&below(&folder, TRIAL)?, &options) {
                Ok(mut file) => {
                    let _ = file.finish(Finish::Discard);
                    return Ok(());
                }
                Err(error) => error,
            };
            let is_missing = error.code() == Code::ENOENT
                && registry.stat_name(&folder, &self.options).is_err_and(|it| it.code() == Code::ENOENT);
            match parent(&folder).filter(|_| is_missing) {
                Some(above) => folder = above,
                None if is_missing => return Ok(()),
                None => {
                    let text = format!("no file can be written into {}", shown(&folder));
                    return Err(error.context(text));
                }
            }
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
        self.notes.push(format!("{} {}: {text}", self.what, Shown(&self.spec.path)));
    }

    /// The session's tree that it is of, by its number.
    pub(crate) fn tree(&self) -> Option<usize> {
        self.tree
    }

    /// Where what becomes of it is told.
    pub(super) fn output(&self) -> Arc<Output> {
        self.output.clone()
    }

    /// Says what the guest made. `trees` are the session's.
    pub(super) fn plan(&mut self, changes: Changes, trees: &[SourceTree]) {
        if let Some(tree) = self.tree.and_then(|number| trees.get(number)) {
            let replaced = changes.files.iter().filter_map(|file| file.replaces);
            let all = replaced.chain(changes.removed_files.iter().map(|(_, number)| *number));
            self.known = all.map(|number| (number, tree.known(number))).collect();
        }
        self.changes = changes;
    }

    /// Finds out whether it is what the guest wanted: whether it has written again what a quota or a full scratch space refused, nobody
    /// can tell.
    ///
    /// # Errors
    /// [`ExitCode::NotCommitted`].
    pub(super) fn check_uncut(&self) -> std::result::Result<(), Failure> {
        match self.counters.cut_by() {
            Some(quota) if !self.spec.keep_partial => Err(quota.cut(self.what, &self.spec.path)),
            _ => Ok(()),
        }
    }

    /// Whether files are left to be written, unless all was discarded.
    pub(super) fn has_more(&self) -> bool {
        self.registry.is_some() && self.progress.opened < self.changes.files.len()
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
        let done = self.begin().and_then(|()| self.write_files(read, room, sync));
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

    /// Removes what the guest has removed, once all that it made is in place.
    ///
    /// # Errors
    /// The provider's.
    pub(super) fn remove(&mut self) -> std::result::Result<(), Failure> {
        self.counters.begin(Operation::Remove);
        let done = self.remove_names();
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
        let Progress { committed, removed, unsure, .. } = self.progress;
        self.output.set(match committed {
            0 if unsure => OutputState::Unknown,
            0 if removed == 0 => OutputState::Discarded,
            _ => OutputState::Partial,
        });
        if committed > 0 || removed > 0 {
            let files = &self.changes.files;
            let named: Vec<String> =
                files[..committed.min(NAMED_MAX)].iter().map(|file| Shown(&file.path).to_string()).collect();
            let more = if committed > NAMED_MAX { ", ..." } else { "" };
            let gone = match removed {
                0 => String::new(),
                removed => format!("; removed are {removed} of {}", self.changes.removed_files.len()),
            };
            let (all, named) = (files.len(), named.join(", "));
            self.note(format_args!("in place are {committed} of {all} files: {named}{more}{gone}"));
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

    fn failure(&self, error: &Error, before_start: bool) -> Failure {
        let exit = match failed_exit(error, self.control.is_cancelled()) {
            exit if before_start || exit == ExitCode::Stopped => exit,
            _ => ExitCode::Io,
        };
        let place = match self.spec.line {
            line if before_start && line > 0 => format!("MANIFEST {line}: "),
            _ => String::new(),
        };
        let text = format!("{place}{} {}: {}", self.what, Shown(&self.spec.path), error.chain());
        Failure::new(exit, text).of(error.code())
    }
}

/// A descriptor for messages.
fn shown(descriptor: &str) -> String {
    Descriptor::parse(descriptor).map_or_else(|_| String::new(), |it| it.to_string())
}
