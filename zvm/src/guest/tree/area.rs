//! Areas: directories whose content is written to a provider when the session ends well, and what it costs of their quotas.
//!
//! What the guest makes in one is in the scratch space until then. Only what a provider can hold is made there: files with one name,
//! and folders. So nothing is left out at the end of what a guest was told is there. An area over a folder of a provider is an
//! overlay: its names are the provider's until the guest removes or replaces them.

use super::file::Content;
use super::{Gone, InodeKind, Node, ROOT, Tree};
use crate::channel::{ChangedFile, Changes, Counters, Quota};
use crate::guest::errno::Errno;
use crate::manifest::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most bytes of all paths of an area: in a deep tree they are longer than what it holds.
const PATHS_MAX: usize = 256 << 20;

/// A directory with all that the guest makes below it.
#[derive(Clone, Debug)]
pub(super) struct Area {
    root: usize,
    limits: Limits,
    /// Where a quota that was reached is noted.
    counters: Arc<Counters>,
    /// What would be made now, and its bytes.
    puts: u64,
    bytes: u64,
}

impl Area {
    fn refuse(&self, quota: Quota) -> Errno {
        self.counters.note_exhausted(quota);
        Errno::DQUOT
    }
}

impl Tree {
    /// Makes an area of the directory at a path, made if it is not there. What the manifest has there keeps its name and is no part
    /// of it. Returns its number.
    ///
    /// # Errors
    /// NOTDIR: a part of the path is something else.
    pub(in crate::guest) fn show_area(
        &mut self,
        path: &str,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Result<usize, Errno> {
        let root = self.fixed_directory(ROOT, path, false)?;
        let number = self.areas.len();
        if let Some(inode) = self.inode_mut(root) {
            inode.area = Some(number);
        }
        self.areas.push(Area { root, limits, counters, puts: 0, bytes: 0 });
        Ok(number)
    }

    /// What is to be made at the provider of an area, as it is now.
    ///
    /// # Errors
    /// OVERFLOW: the paths are too long together.
    pub(in crate::guest) fn changes(&self, area: usize) -> Result<Changes, Errno> {
        let Some(root) = self.areas.get(area).map(|area| area.root) else { return Ok(Changes::default()) };
        let (nothing, mut folders) = (BTreeMap::new(), Vec::new());
        let (mut changes, mut files, mut length) = (Changes::default(), Vec::new(), 0);
        // Directories with their paths, and what the provider had in an earlier one of that name, if it had it.
        let mut ahead = vec![(root, String::new(), Some(&nothing))];
        while let Some((at, path, earlier)) = ahead.pop() {
            let Some(here) = self.directory(at) else { continue };
            let below = ahead.len();
            let gone = |name: &str| earlier.and_then(|gone| gone.get(name)).or_else(|| here.gone.get(name));
            let mut inside = |name: &str| {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                length += path.len();
                if length > PATHS_MAX { Err(Errno::OVERFLOW) } else { Ok(path) }
            };
            for (_, name, node) in self.entries(at, 2) {
                let (Node::Directory(inner) | Node::File(inner)) = node else { continue };
                let Some(inode) = self.inode(inner).filter(|inode| inode.area == Some(area)) else {
                    continue;
                };
                match &inode.kind {
                    InodeKind::Directory(directory) if inode.fixed == directory.provided => {
                        let earlier = match gone(name) {
                            Some(Gone::Folder(earlier)) => {
                                self.directory(*earlier).map(|earlier| &earlier.gone)
                            }
                            _ => directory.provided.then_some(&nothing),
                        };
                        ahead.push((inner, inside(name)?, earlier));
                    }
                    InodeKind::File(file) if !inode.fixed => {
                        let replaces = match gone(name) {
                            Some(Gone::File(number)) => Some(*number),
                            _ => None,
                        };
                        let (path, size) = (inside(name)?, file.size());
                        let modified = inode.times.given.then_some(inode.times.modified);
                        let file = ChangedFile { path, content: inner, size, modified, replaces };
                        files.push((inode.order, file));
                    }
                    _ => {}
                }
            }
            for (name, gone) in here.gone.iter().chain(earlier.into_iter().flatten()) {
                if here.nodes.contains_key(name) {
                    continue;
                }
                let mut removed = vec![(name.to_string(), gone)];
                while let Some((name, gone)) = removed.pop() {
                    let path = inside(&name)?;
                    match gone {
                        Gone::File(number) => changes.removed_files.push((path, *number)),
                        Gone::Folder(at) => {
                            let names = self.directory(*at).into_iter().flat_map(|inner| &inner.gone);
                            removed.extend(names.map(|(inner, gone)| (format!("{name}/{inner}"), gone)));
                            folders.push(path);
                        }
                    }
                }
            }
            // The first name is on top.
            ahead[below..].reverse();
            if earlier.is_none() {
                changes.folders.push(path);
            }
        }
        // Each before the one above it.
        folders.reverse();
        changes.removed_folders = folders;
        files.sort_by_key(|(order, _)| *order);
        changes.files = files.into_iter().map(|(_, file)| file).collect();
        Ok(changes)
    }

    /// Reads a file of the scratch space, from `at` on as much as there is.
    pub(in crate::guest) fn read_own(&self, file: usize, buf: &mut [u8], at: u64) -> usize {
        match self.file(file).map(super::File::content) {
            Ok(Content::Scratch(blocks)) => blocks.read(buf, at),
            _ => 0,
        }
    }

    /// The area that something is a part of.
    pub(super) fn area_of(&self, at: usize) -> Option<usize> {
        self.inode(at)?.area
    }

    pub(super) fn area_of_node(&self, node: Node) -> Option<usize> {
        let (Node::Directory(at) | Node::File(at) | Node::Link(at)) = node else { return None };
        self.area_of(at)
    }

    /// Whether so many more things may be made or removed in an area, if it is one.
    ///
    /// # Errors
    /// DQUOT.
    pub(super) fn check_puts(&self, area: Option<usize>, count: u64) -> Result<(), Errno> {
        match area.and_then(|area| self.areas.get(area)) {
            Some(area) if area.puts.saturating_add(count) > area.limits.puts => Err(area.refuse(Quota::Puts)),
            _ => Ok(()),
        }
    }

    /// Notes a full scratch space with the area that it has cut. It says this to the guest as a disk does, which some pass over.
    pub(super) fn note_full<T>(&self, area: Option<usize>, done: Result<T, Errno>) -> Result<T, Errno> {
        if matches!(done, Err(Errno::NOSPC))
            && let Some(area) = area.and_then(|area| self.areas.get(area))
        {
            area.counters.note_exhausted(Quota::Scratch);
        }
        done
    }

    /// Takes so much of the scratch space for something of an area, if it is of one, or nothing.
    ///
    /// # Errors
    /// NOSPC. ROFS: there is no scratch space.
    pub(super) fn take_space(&mut self, area: Option<usize>, bytes: u64) -> Result<(), Errno> {
        let taken = self.budget()?.take(bytes);
        self.note_full(area, taken)
    }

    /// Notes that a read that was refused has cut the area of a file: it was to be copied.
    pub(in crate::guest) fn note_cut_by_reading(&self, file: usize) {
        if let Some(area) = self.area_of(file).and_then(|area| self.areas.get(area)) {
            area.counters.note_cut_by_reading();
        }
    }

    /// Counts something that was made or removed.
    pub(super) fn count_put(&mut self, area: Option<usize>) {
        if let Some(area) = area.and_then(|area| self.areas.get_mut(area)) {
            area.puts += 1;
        }
    }

    /// Uncounts something that was made and is gone.
    pub(super) fn uncount(&mut self, area: Option<usize>, bytes: u64) {
        if let Some(area) = area.and_then(|area| self.areas.get_mut(area)) {
            (area.puts, area.bytes) = (area.puts.saturating_sub(1), area.bytes.saturating_sub(bytes));
        }
    }

    /// The largest size that a file may get.
    pub(super) fn largest(&self, file: usize) -> u64 {
        let area = self.area_of(file).and_then(|area| self.areas.get(area));
        let own = self.file(file).map_or(0, super::File::size);
        area.map_or(u64::MAX, |area| area.limits.put_size.saturating_sub(area.bytes.saturating_sub(own)))
    }

    /// Whether a file may get a size; a smaller one than it has it may always get.
    ///
    /// # Errors
    /// DQUOT.
    pub(super) fn check_size(&self, file: usize, size: u64) -> Result<(), Errno> {
        let own = self.file(file).map_or(0, super::File::size);
        match self.area_of(file).and_then(|area| self.areas.get(area)) {
            Some(area) if size > own && size > self.largest(file) => Err(area.refuse(Quota::PutSize)),
            _ => Ok(()),
        }
    }

    /// Counts the new size of a file that had `before`.
    pub(super) fn count_size(&mut self, file: usize, before: u64) {
        let now = self.file(file).map_or(before, super::File::size);
        if let Some(area) = self.area_of(file).and_then(|area| self.areas.get_mut(area)) {
            area.bytes = area.bytes.saturating_sub(before).saturating_add(now);
        }
    }

    /// Checks that the areas count what is in them.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn check_areas(&self) {
        for (number, area) in self.areas.iter().enumerate() {
            let own = self.inodes.iter().flatten().filter(|inode| !inode.fixed && inode.area == Some(number));
            let sizes = own.clone().map(|inode| inode.kind.size());
            let inside = self.inodes.iter().flatten().filter(|inode| inode.area == Some(number));
            let gone: u64 = inside
                .map(|inode| match &inode.kind {
                    InodeKind::Directory(directory) => directory.gone.len() as u64,
                    InodeKind::File(_) | InodeKind::Link(_) => 0,
                })
                .sum();
            let counted = (own.count() as u64 + gone, sizes.sum());
            assert_eq!((area.puts, area.bytes), counted, "area {number} is counted wrong");
            assert!(area.puts <= area.limits.puts && area.bytes <= area.limits.put_size, "{area:?}");
        }
    }
}
