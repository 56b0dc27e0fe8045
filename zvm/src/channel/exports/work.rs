//! What is done at an export's provider, in this order: looks, folders, files, COMMITs, removals.

use super::{Export, shown};
use crate::channel::changes::ReadContent;
use crate::channel::counters::Operation;
use crate::channel::ends::UNSURE;
use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{iter, mem};
use vfs_core::{Code, Control, Error, Finish, Flush, Kind, OpenFlags, Registry, Result, below};

/// How much is written at once.
const CHUNK: usize = 256 << 10;

impl Export {
    /// Looks at what is to go, and makes the folders. Nothing is made where there is nothing to change.
    pub(super) fn begin(&mut self) -> Result<()> {
        if self.progress.begun || self.changes.is_empty() {
            return Ok(());
        }
        self.progress.begun = true;
        let registry = self.registry.as_ref().ok_or(Code::EBADF)?;
        self.counters.begin(Operation::Open);
        for (path, number) in &self.changes.removed_files {
            match self.check_unchanged(registry, &descriptor(&self.spec.target, path)?, *number) {
                // It has gone by itself.
                Err(error) if error.code() == Code::ENOENT => {}
                unchanged => unchanged?,
            }
        }
        self.make_folders()
    }

    /// In a folder that is there, nothing is written through a link, which may lead out of it: what has the name of a folder or file that is
    /// to be there must be told to be one by the listing that it is in. (What a tree shows was listed before, without links.)
    fn check_places(&self, registry: &Registry) -> Result<()> {
        let parents = |path: &'_ str| {
            path.match_indices('/').map(|(end, _)| path[..end].to_owned()).collect::<Vec<_>>()
        };
        let files = self.changes.files.iter().map(|file| file.path.as_str());
        let mut folders: BTreeSet<String> = self.changes.folders.iter().cloned().collect();
        folders.extend(files.clone().flat_map(parents));
        let files: HashSet<&str> = files.collect();
        // Each folder after the one above it; what lies in one that is not there is not there either.
        let mut there = BTreeSet::from([String::new()]);
        for folder in iter::once(&String::new()).chain(&folders) {
            if !there.contains(folder) {
                continue;
            }
            let (mut found, mut wrong) = (Vec::new(), None);
            registry.names(&descriptor(&self.spec.target, folder)?, &self.options, &mut |name| {
                let Ok(text) = str::from_utf8(name.bytes) else { return ControlFlow::Continue(()) };
                let path = if folder.is_empty() { text.to_owned() } else { format!("{folder}/{text}") };
                let kind = name.itself().map(|stat| stat.kind);
                if folders.contains(&path) {
                    match kind {
                        Some(Kind::Directory) => found.push(path),
                        _ => wrong = Some((path, "folder")),
                    }
                } else if files.contains(path.as_str()) && kind != Some(Kind::Regular) {
                    wrong = Some((path, "file"));
                }
                if wrong.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if let Some((path, what)) = wrong {
                let name = descriptor(&self.spec.target, &path)?;
                let text =
                    format!("{}: what is there is no {what} of its own, but a link, say", shown(&name));
                return Err(Error::new(Code::EEXIST, text));
            }
            there.extend(found);
        }
        Ok(())
    }

    /// A file that somebody else has changed since the guest could see it is neither replaced nor removed.
    fn check_unchanged(&self, registry: &Registry, name: &str, number: usize) -> Result<()> {
        let now = registry.stat(name, &self.options)?;
        match self.known.get(&number) {
            Some(known) if !known.is(&now) => {
                let text = format!("{}: it was changed since it was listed", shown(name));
                Err(Error::new(Code::ESTALE, text))
            }
            _ => Ok(()),
        }
    }

    /// The folder itself, with those above it, and those in it.
    fn make_folders(&mut self) -> Result<()> {
        let registry = self.registry.as_ref().ok_or(Code::EBADF)?;
        self.counters.begin(Operation::MakeFolder);
        // A tree's was listed, so it is there.
        let target = Some("").filter(|_| self.tree.is_none());
        for path in target.into_iter().chain(self.changes.folders.iter().map(String::as_str)) {
            let folder = descriptor(&self.spec.target, path)?;
            match registry.make_folders(&folder, &self.options, &mut self.progress.made) {
                Ok(()) if path.is_empty() && !self.progress.made.contains(&folder) => {
                    self.check_places(registry)?;
                }
                Ok(()) => {}
                // A store of objects: a folder is there as soon as a name lies below.
                Err(error) if error.code() == Code::ENOTSUP => {
                    let left_out = self.changes.empty_folders();
                    if left_out > 0 {
                        let text = format!("left out: {left_out} empty folders: the provider has none");
                        self.note(text);
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            if !path.is_empty() {
                self.counters.count_put();
            }
        }
        Ok(())
    }

    pub(super) fn write_files(&mut self, read: &ReadContent<'_>, room: &mut usize, sync: bool) -> Result<()> {
        let registry = self.registry.as_ref().ok_or(Code::EBADF)?;
        let (mut buffer, mut untimed) = (Vec::new(), None);
        while *room > 0
            && let Some(file) = self.changes.files.get(self.progress.opened)
        {
            *room -= 1;
            self.progress.opened += 1;
            self.counters.begin(Operation::Open);
            let name = descriptor(&self.spec.target, &file.path)?;
            let supported = registry.supported_flags(&name, &self.options)?;
            let how = match (self.tree, file.replaces) {
                (Some(_), Some(number)) => {
                    self.check_unchanged(registry, &name, number).map_err(|error| match error.code() {
                        Code::ENOENT => {
                            let text = format!("{}: it was removed since it was listed", shown(&name));
                            Error::new(Code::ESTALE, text)
                        }
                        _ => error,
                    })?;
                    OpenFlags::TRUNCATE
                }
                // No name that the listing left out, such as a link's, nor one that somebody else has made meanwhile.
                (Some(_), None) if supported.contains(OpenFlags::EXCLUSIVE) => OpenFlags::EXCLUSIVE,
                (Some(_), None) if registry.stat_name(&name, &self.options).is_ok() => {
                    let text = format!("{}: it was not there when its folder was listed", shown(&name));
                    return Err(Error::new(Code::EEXIST, text));
                }
                _ => OpenFlags::TRUNCATE,
            };
            let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::ATOMIC | how;
            let flags = flags & supported | OpenFlags::SEQUENTIAL;
            let options = self.options.clone().with_flags(flags).expected_size(file.size);
            let mut open = registry.open(&name, &options)?;
            self.counters.begin(Operation::Write);
            self.counters.count_put();
            // Some stores take a time before the first byte only.
            if let Some(modified) = file.modified
                && let Err(error) = open.set_modified(UNIX_EPOCH + Duration::from_nanos(modified))
            {
                untimed.get_or_insert(error.context(open.shown().to_owned()));
            }
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
        if let Some(error) = untimed
            && !mem::replace(&mut self.progress.untimed, true)
        {
            self.note(format_args!("times that the guest gave its files are not kept: {}", error.chain()));
        }
        Ok(())
    }

    pub(super) fn commit_files(&mut self, deadline: Option<Instant>) -> Result<()> {
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

    pub(super) fn remove_names(&mut self) -> Result<()> {
        let Some(registry) = &self.registry else { return Ok(()) };
        for (path, _) in &self.changes.removed_files {
            self.counters.count_put();
            match registry.remove(&descriptor(&self.spec.target, path)?, &self.options) {
                // Somebody else was faster.
                Err(error) if error.code() == Code::ENOENT => {}
                done => done?,
            }
            self.progress.removed += 1;
        }
        let mut left = 0;
        for path in &self.changes.removed_folders {
            self.counters.count_put();
            match registry.remove_folder(&descriptor(&self.spec.target, path)?, &self.options) {
                Ok(()) => {}
                // A store of objects has none.
                Err(error) if matches!(error.code(), Code::ENOENT | Code::ENOTSUP) => {}
                // What the guest was not shown is nothing that it has removed.
                Err(error) if error.code() == Code::ENOTEMPTY => left += 1,
                Err(error) => return Err(error),
            }
        }
        if left > 0 {
            self.note(format_args!(
                "{left} removed folders stay: something is in them that the guest was not shown"
            ));
        }
        Ok(())
    }

    /// Removes the folders that were made. One that something lies in stays.
    pub(super) fn remove_folders(&mut self, until: Instant) {
        let Some(registry) = &self.registry else { return };
        // The session's own may have ended.
        let control = Control::new();
        control.set_deadline(Some(until));
        let options = self.options.clone().control(&control);
        let has_any_left = |folder: &String| registry.remove_folder(folder, &options).is_err();
        let made = mem::take(&mut self.progress.made);
        let left = made.iter().rev().filter(|folder| has_any_left(folder)).count();
        if left > 0 && self.progress.committed == 0 {
            self.note(format_args!("{left} folders that were made for it could not be removed"));
        }
    }
}

/// The descriptor of a path below a folder.
fn descriptor(folder: &str, path: &str) -> Result<String> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.into_iter().try_fold(folder.to_owned(), |folder, name| below(&folder, name.as_bytes()))
}
