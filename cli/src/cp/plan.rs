//! What is to be copied, and whereto: found out as a whole before the first file is written, so that a copy never meets what it
//! has made itself.

use crate::cp::filter::Filter;
use crate::descriptors::Assigned;
use crate::watch::Watch;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::SystemTime;
use vfs_core::{
    Code, Error, Kind, OpenFlags, OpenOptions, Registry, Result, Shown, Stat, below, is_below, last_name,
};

/// Folders in folders: deeper than any real tree, so that a server whose folders lead back to themselves comes to an end.
const DEPTH_MAX: usize = 256;

/// One file to be copied.
#[derive(Debug)]
pub struct Task {
    /// Which of the sources it belongs to: it is opened with the settings of that.
    pub root: usize,
    /// It was found in the folder that the source is, where no link is followed.
    pub is_within: bool,
    pub source: String,
    pub target: String,
    /// Bytes, where the listing said so.
    pub size: Option<u64>,
    /// When it was last changed, where the listing said so.
    pub modified: Option<SystemTime>,
    /// Nothing has the target's name: the folder for it is to be made.
    pub is_new: bool,
}

/// A folder that is to be made, since no file of it brings it along.
#[derive(Debug)]
pub struct EmptyFolder {
    pub source: String,
    pub target: String,
}

/// A folder, and the time that it has.
#[derive(Debug)]
pub struct TimedFolder {
    pub source: String,
    pub target: String,
    pub modified: SystemTime,
}

/// What is to be copied, and what is not.
#[derive(Debug, Default)]
pub struct Plan {
    pub tasks: Vec<Task>,
    /// Folders whose times are known, each before those in it.
    pub timed: Vec<TimedFolder>,
    /// Folders in which there is nothing to copy.
    pub empty: Vec<EmptyFolder>,
    /// Descriptors that are left out, and why.
    pub skipped: Vec<(String, &'static str)>,
    /// What could not be looked at, has no target, or must not be written to the one that it has.
    pub failed: Vec<Failed>,
}

/// What is not copied, since it cannot be.
#[derive(Debug)]
pub struct Failed {
    pub source: String,
    pub target: Option<String>,
    pub error: Error,
}

/// Makes a plan.
pub struct Planner<'a> {
    pub registry: &'a Registry,
    pub watch: &'a Watch,
    /// With what is in folders.
    pub recursive: bool,
    /// With the files that links in them lead to.
    pub follows_links: bool,
    pub filter: &'a Filter,
}

/// A folder that is still to be listed.
struct Folder {
    source: String,
    target: String,
    /// Below the source, for the filter; empty: the source itself.
    path: String,
    depth: usize,
    /// The target is to be made.
    is_new: bool,
    modified: Option<SystemTime>,
}

impl Planner<'_> {
    /// Whether a folder has this descriptor. Opens nothing: to try that on a pipe would break it.
    ///
    /// # Errors
    /// It cannot be known. What is not there is none, and so is what a provider knows no status of.
    pub fn is_folder(&self, at: &Assigned<'_>) -> Result<bool> {
        self.folder(at).map(|folder| folder.is_some())
    }

    /// The same, with what is known of it.
    fn folder(&self, at: &Assigned<'_>) -> Result<Option<Stat>> {
        let how = at.open(OpenFlags::empty()).control(&self.watch.control(at.descriptor));
        match self.registry.stat_name(at.descriptor, &how) {
            Ok(stat) => Ok(Some(stat).filter(|stat| stat.kind == Kind::Directory)),
            Err(error) if matches!(error.code(), Code::ENOENT | Code::ENOTSUP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Plans to copy the sources: each under its own name into the folder `target`, or the only one to `target` itself.
    pub fn plan(&self, sources: &[Assigned<'_>], target: &str, into: bool) -> Plan {
        let mut plan = Plan::default();
        for (root, source) in sources.iter().enumerate() {
            if let Err(error) = self.add(root, source, target, into, &mut plan) {
                let source = source.descriptor.to_owned();
                plan.failed.push(Failed { source, target: None, error });
            }
        }
        let mut targets = HashSet::new();
        let (tasks, twice) =
            plan.tasks.into_iter().partition(|task: &Task| targets.insert(task.target.clone()));
        plan.tasks = tasks;
        plan.failed.extend(twice.into_iter().map(|task: Task| {
            let shown = (Shown(&task.source), Shown(&task.target));
            let text = format!("copy {} to {}: another source is copied there", shown.0, shown.1);
            let error = Error::new(Code::EEXIST, text);
            Failed { source: task.source, target: Some(task.target), error }
        }));
        plan
    }

    fn add(
        &self,
        root: usize,
        source: &Assigned<'_>,
        target: &str,
        into: bool,
        plan: &mut Plan,
    ) -> Result<()> {
        let failed = |target: &str, why: &str| {
            let text = format!("copy {} to {}: {why}", Shown(source.descriptor), Shown(target));
            Error::new(Code::EINVAL, text)
        };
        let target = match last_name(source.descriptor) {
            _ if !into => target.to_owned(),
            Some(name) => below(target, &name)?,
            None => {
                return Err(failed(target, "the source has no name of its own: name the target and give -T"));
            }
        };
        let folder = if self.recursive { self.folder(source)? } else { None };
        let Some(Stat { modified, .. }) = folder else {
            let source = source.descriptor.to_owned();
            plan.tasks.push(Task {
                root,
                is_within: false,
                source,
                target,
                size: None,
                modified: None,
                is_new: false,
            });
            return Ok(());
        };
        if is_below(&target, source.descriptor) {
            return Err(failed(&target, "the target is the source, or lies in it"));
        }
        // A regular file may be beside files that begin with its name and a slash, in a store of objects.
        let how = OpenOptions::default().control(&self.watch.control(&target));
        if let Ok(there) = self.registry.stat_name(&target, &how)
            && !matches!(there.kind, Kind::Directory | Kind::Regular | Kind::Unknown)
        {
            let text = format!(
                "copy {} to {}: a folder cannot be copied to what is none",
                Shown(source.descriptor),
                Shown(&target)
            );
            return Err(Error::new(Code::ENOTDIR, text));
        }
        let source_text = source.descriptor.to_owned();
        let is_new = self.is_new(source, &target);
        let within = Some(source.descriptor).filter(|_| !self.follows_links);
        let source = &source.at(source.descriptor).within(within);
        let mut folders =
            vec![Folder { source: source_text, target, path: String::new(), depth: 0, is_new, modified }];
        while let Some(folder) = folders.pop() {
            plan.timed.extend(folder.modified.map(|modified| TimedFolder {
                source: folder.source.clone(),
                target: folder.target.clone(),
                modified,
            }));
            match self.list(root, source, &folder, plan) {
                // The first one is on top.
                Ok(found) => folders.extend(found.into_iter().rev()),
                Err(error) => {
                    let (source, target) = (folder.source.clone(), Some(folder.target));
                    plan.failed.push(Failed { source, target, error });
                }
            }
            self.watch.forget(&folder.source);
        }
        Ok(())
    }

    /// Whether nothing has this name yet. Asked only where what is there could be the source.
    fn is_new(&self, source: &Assigned<'_>, target: &str) -> bool {
        if self.registry.leads_to(source.descriptor) != self.registry.leads_to(target) {
            return false;
        }
        let how = OpenOptions::default().control(&self.watch.control(target));
        let there = self.registry.stat_name(target, &how);
        self.watch.forget(target);
        there.is_err_and(|error| error.code() == Code::ENOENT)
    }

    /// Plans the files of a folder. Returns the folders in it.
    fn list(
        &self,
        root: usize,
        source: &Assigned<'_>,
        folder: &Folder,
        plan: &mut Plan,
    ) -> Result<Vec<Folder>> {
        if folder.depth > DEPTH_MAX {
            let text = format!("list {}: more than {DEPTH_MAX} folders deep", Shown(&folder.source));
            return Err(Error::new(Code::ELOOP, text));
        }
        let how = source.open(OpenFlags::empty()).control(&self.watch.control(&folder.source));
        let mut names: Vec<(Vec<u8>, Option<Stat>)> = Vec::new();
        let listed = self.registry.names(&folder.source, &how, &mut |name| {
            names.push((name.bytes.to_owned(), name.itself().cloned()));
            ControlFlow::Continue(())
        });
        listed?;
        names.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut folders = Vec::new();
        let before = plan.tasks.len() + plan.failed.len();
        for (name, stat) in names {
            let text = String::from_utf8_lossy(&name);
            let path =
                if folder.path.is_empty() { text.into_owned() } else { format!("{}/{text}", folder.path) };
            let is_folder = stat.as_ref().is_some_and(|stat| stat.kind == Kind::Directory);
            if self.filter.leaves_out(&path, is_folder) {
                continue;
            }
            let (child, target) = (below(&folder.source, &name)?, below(&folder.target, &name)?);
            // What the listing says nothing of may be a link, which may lead out of the folder, or back.
            let stat = match stat {
                Some(stat) => Ok(stat),
                None if !self.follows_links => {
                    if self.filter.takes(&path) {
                        plan.skipped.push((
                            child,
                            "it may be a link: -L copies what one leads to, if that is a file",
                        ));
                    }
                    continue;
                }
                None => self.registry.stat(&child, &how).map_err(|error| match error.code() {
                    Code::ENOENT => {
                        let why = "it is a link that leads nowhere, or has just been removed";
                        error.context(format!("stat {}: {why}", Shown(&child)))
                    }
                    _ => error,
                }),
            };
            let stat = match stat {
                Ok(stat) => stat,
                Err(error) => {
                    plan.failed.push(Failed { source: child, target: Some(target), error });
                    continue;
                }
            };
            match stat.kind {
                Kind::Directory if is_folder => {
                    let (depth, is_new, modified) = (folder.depth + 1, folder.is_new, stat.modified);
                    folders.push(Folder { source: child, target, path, depth, is_new, modified });
                }
                Kind::Directory => {
                    plan.skipped.push((child, "a link to a folder: copy that by its own name"))
                }
                _ if !self.filter.takes(&path) => {}
                Kind::Regular => plan.tasks.push(Task {
                    root,
                    is_within: source.within.is_some(),
                    source: child,
                    target,
                    size: stat.size,
                    modified: stat.modified,
                    is_new: folder.is_new,
                }),
                _ => plan.skipped.push((child, "neither a file nor a folder")),
            }
        }
        if folders.is_empty() && before == plan.tasks.len() + plan.failed.len() && self.filter.takes_folders()
        {
            plan.empty.push(EmptyFolder { source: folder.source.clone(), target: folder.target.clone() });
        }
        Ok(folders)
    }
}
