//! What a guest changes: files, directories and links of its own, in the scratch space.

use super::file::{Blocks, Budget, Content, File};
use super::walk::Place;
use super::{Directory, ENTRY_COST, INODE_COST, Inode, InodeKind, NAME_MAX, Node, ROOT, Times, Tree};
use crate::guest::errno::Errno;
use std::ops::Range;

/// Which of an inode's times to set, and to what.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::guest) struct NewTimes {
    pub(in crate::guest) accessed: Option<u64>,
    pub(in crate::guest) modified: Option<u64>,
    /// `modified` is what the guest said, and nothing that it was told itself.
    pub(in crate::guest) given: bool,
}

impl Tree {
    /// Makes an empty file.
    ///
    /// # Errors
    /// ROFS: no scratch space here. EXIST. NOENT: its directory was removed. ISDIR: a slash behind the name. NAMETOOLONG.
    /// NOSPC. DQUOT: the quotas of its area. NOTSUP: the provider has something of another kind there, which is removed at the end.
    pub(in crate::guest) fn make_file(&mut self, place: &Place, now: u64) -> Result<Node, Errno> {
        if place.slash && place.node.is_none() {
            self.changeable(place.parent)?;
            return Err(Errno::ISDIR);
        }
        let file = InodeKind::File(File::new(Content::Scratch(Blocks::default())));
        self.make(place, file, now, 0)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As `make_file`, but a slash is as it should be.
    pub(in crate::guest) fn make_directory(&mut self, place: &Place, now: u64) -> Result<(), Errno> {
        let directory = Directory { parent: place.parent, ..Directory::default() };
        self.make(place, InodeKind::Directory(directory), now, 0).map(drop)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// As `make_file`, but NOENT for a slash behind the name, and NOTCAPABLE for a target that is absolute. PERM: in an area.
    pub(in crate::guest) fn make_link(&mut self, place: &Place, target: &str, now: u64) -> Result<(), Errno> {
        self.changeable(place.parent)?;
        match target.chars().next() {
            None => return Err(Errno::NOENT),
            Some('/') => return Err(Errno::NOTCAPABLE),
            Some(_) => {}
        }
        if place.slash && place.node.is_none() {
            return Err(Errno::NOENT);
        }
        self.make(place, InodeKind::Link(target.to_owned()), now, target.len() as u64).map(drop)
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// PERM: a directory, or in an area or out of it. ROFS: the manifest's. EXIST. NOENT: a slash behind the name. NAMETOOLONG. NOSPC.
    pub(in crate::guest) fn add_name(&mut self, old: &Place, place: &Place, now: u64) -> Result<(), Errno> {
        let node = old.node.ok_or(Errno::NOENT)?;
        self.changeable(place.parent)?;
        match node {
            Node::Directory(_) => return Err(Errno::PERM),
            Node::Channel(_) | Node::Device(_) => return Err(Errno::ROFS),
            Node::File(at) | Node::Link(at) => self.own(at)?,
        }
        let name = new_name(place)?;
        if place.slash {
            return Err(Errno::NOENT);
        }
        if self.area_of(place.parent).is_some() || self.area_of_node(node).is_some() {
            return Err(Errno::PERM);
        }
        self.budget()?.take(entry_cost(name))?;
        self.enter(place.parent, name, node);
        self.touch(node, now);
        self.touch_content(place.parent, now);
        Ok(())
    }

    /// Takes a file's or a link's name away.
    ///
    /// # Errors
    /// NOENT. ROFS: a channel, or the manifest's. ISDIR. DQUOT: the provider's.
    pub(in crate::guest) fn remove_file(&mut self, place: &Place, now: u64) -> Result<(), Errno> {
        let (node, name) = existing(place)?;
        match node {
            Node::Directory(_) if self.has_scratch() => return Err(Errno::ISDIR),
            Node::Directory(_) | Node::Channel(_) | Node::Device(_) => return Err(Errno::ROFS),
            Node::File(_) if self.is_provided(place.parent, node) => {
                return self.forget_provided(place.parent, name.ok_or(Errno::INVAL)?, node);
            }
            Node::File(at) | Node::Link(at) => self.own(at)?,
        }
        self.changeable(place.parent)?;
        self.forget(place.parent, name.ok_or(Errno::INVAL)?, node, now);
        Ok(())
    }

    /// Removes an empty directory, whose names were fetched.
    ///
    /// # Errors
    /// NOENT. NOTDIR. NOTEMPTY. ROFS: the manifest's. INVAL: the path ends in `.`. DQUOT: the provider's.
    pub(in crate::guest) fn remove_directory(&mut self, place: &Place, now: u64) -> Result<(), Errno> {
        let (node, name) = existing(place)?;
        let Node::Directory(at) = node else {
            return Err(if self.has_scratch() { Errno::NOTDIR } else { Errno::ROFS });
        };
        let is_provided = self.is_provided(place.parent, node);
        if !is_provided {
            self.own(at)?;
        }
        if self.directory(at).is_some_and(|directory| !directory.nodes.is_empty()) {
            return Err(Errno::NOTEMPTY);
        }
        let name = name.ok_or(Errno::INVAL)?;
        if is_provided {
            return self.forget_provided(place.parent, name, node);
        }
        self.forget(place.parent, name, node, now);
        Ok(())
    }

    /// Moves a name, as POSIX's rename does: what had the new name is replaced, if it is of the same kind, and a directory
    /// only if it is empty. `steps` counts the directories that were looked at, also where it fails.
    ///
    /// # Errors
    /// NOENT. ROFS: the manifest's. NOTDIR, ISDIR: of another kind. NOTEMPTY. INVAL: a directory into itself, or a path that
    /// ends in `.`. XDEV: into another area, or out of one; what a provider has, or onto a folder of it. DQUOT. NOTSUP: as
    /// `make_file`. NAMETOOLONG. NOSPC.
    pub(in crate::guest) fn rename(
        &mut self,
        old: &Place,
        new: &Place,
        now: u64,
        steps: &mut u64,
    ) -> Result<(), Errno> {
        let (node, old_name) = existing(old)?;
        match node {
            Node::Channel(_) | Node::Device(_) => return Err(Errno::ROFS),
            // It stays where it is until the session ends.
            Node::Directory(_) | Node::File(_) if self.is_provided(old.parent, node) => {
                return Err(Errno::XDEV);
            }
            Node::Directory(at) | Node::File(at) | Node::Link(at) => self.own(at)?,
        }
        self.changeable(old.parent)?;
        self.changeable(new.parent)?;
        let (old_name, new_name) = (old_name.ok_or(Errno::INVAL)?, new.name.as_deref().ok_or(Errno::INVAL)?);
        if new.node == Some(node) {
            return Ok(());
        }
        if self.area_of_node(node) != self.area_of(new.parent) {
            return Err(Errno::XDEV);
        }
        let moves_directory = matches!(node, Node::Directory(_));
        match new.node {
            Some(Node::Channel(_) | Node::Device(_)) => return Err(Errno::ROFS),
            Some(replaced @ Node::Directory(at)) => {
                if self.is_provided(new.parent, replaced) {
                    return Err(Errno::XDEV);
                }
                self.own(at)?;
                if !moves_directory {
                    return Err(Errno::ISDIR);
                }
                if self.directory(at).is_some_and(|directory| !directory.nodes.is_empty()) {
                    return Err(Errno::NOTEMPTY);
                }
            }
            Some(replaced @ (Node::File(at) | Node::Link(at))) => {
                if !self.is_provided(new.parent, replaced) {
                    self.own(at)?;
                }
                if moves_directory {
                    return Err(Errno::NOTDIR);
                }
            }
            None if new.slash && !moves_directory => return Err(Errno::NOTDIR),
            None => {}
        }
        if let Node::Directory(at) = node
            && self.is_within(new.parent, at, steps)
        {
            return Err(Errno::INVAL);
        }
        check_name(new_name)?;
        self.check_kind(new.parent, new_name, moves_directory)?;
        if new.node.is_some_and(|replaced| self.is_provided(new.parent, replaced)) {
            self.check_puts(self.area_of(new.parent), 1)?;
        }
        self.take_space(self.area_of(new.parent), entry_cost(new_name))?;
        match new.node {
            Some(replaced) if self.is_provided(new.parent, replaced) => {
                self.forget_provided(new.parent, new_name, replaced)?;
            }
            Some(replaced) => self.forget(new.parent, new_name, replaced, now),
            None => {}
        }
        // The new name first: without any the inode would be gone.
        self.enter(new.parent, new_name, node);
        self.forget_name(old.parent, old_name, now);
        if let Node::Directory(at) = node
            && let Some(directory) = self.directory_mut(at)
        {
            directory.parent = new.parent;
        }
        self.touch(node, now);
        self.touch_content(new.parent, now);
        Ok(())
    }

    /// Writes to a file.
    ///
    /// # Errors
    /// ROFS: the manifest's. NOSPC: not one byte. FBIG. DQUOT: not one byte.
    pub(in crate::guest) fn write(
        &mut self,
        file: usize,
        data: &[u8],
        at: u64,
        now: u64,
    ) -> Result<usize, Errno> {
        if !data.is_empty() {
            self.check_size(file, at.saturating_add(1))?;
        }
        let (before, largest) = (self.file(file)?.size(), self.largest(file));
        let room = usize::try_from(largest.max(before).saturating_sub(at)).unwrap_or(usize::MAX);
        let data = &data[..data.len().min(room)];
        let written = self.with_blocks(file, |blocks, budget| blocks.write(budget, data, at))?;
        self.count_size(file, before);
        self.touch_content(file, now);
        Ok(written)
    }

    /// Cuts a file, or lets it grow.
    ///
    /// # Errors
    /// ROFS: the manifest's. DQUOT.
    pub(in crate::guest) fn set_size(&mut self, file: usize, size: u64, now: u64) -> Result<(), Errno> {
        self.check_size(file, size)?;
        let before = self.file(file)?.size();
        self.with_blocks(file, |blocks, budget| {
            blocks.set_size(budget, size);
            Ok(())
        })?;
        self.count_size(file, before);
        self.touch_content(file, now);
        Ok(())
    }

    /// How many blocks have to be made so that a range of a file has all of its own.
    ///
    /// # Errors
    /// ROFS: the manifest's. NOSPC. DQUOT.
    pub(in crate::guest) fn missing(&mut self, file: usize, range: Range<u64>) -> Result<u64, Errno> {
        self.check_size(file, range.end)?;
        self.with_blocks(file, |blocks, budget| blocks.missing(budget, range))
    }

    /// Makes them, until `stop` says so.
    ///
    /// # Errors
    /// As `missing`, which is to be asked before.
    pub(in crate::guest) fn reserve(
        &mut self,
        file: usize,
        range: Range<u64>,
        stop: impl Fn() -> bool,
    ) -> Result<(), Errno> {
        let before = self.file(file)?.size();
        let reserved = self.with_blocks(file, |blocks, budget| blocks.reserve(budget, range, stop));
        self.count_size(file, before);
        reserved
    }

    /// Sets times.
    ///
    /// # Errors
    /// ROFS: a channel, or the manifest's.
    pub(in crate::guest) fn set_times(&mut self, node: Node, new: NewTimes, now: u64) -> Result<(), Errno> {
        let (Node::Directory(at) | Node::File(at) | Node::Link(at)) = node else { return Err(Errno::ROFS) };
        self.own(at)?;
        self.budget()?;
        if let Some(Inode { times, .. }) = self.inode_mut(at) {
            *times = Times {
                accessed: new.accessed.unwrap_or(times.accessed),
                modified: new.modified.unwrap_or(times.modified),
                changed: now,
                given: if new.modified.is_some() { new.given } else { times.given },
            };
        }
        Ok(())
    }

    pub(super) fn make(
        &mut self,
        place: &Place,
        kind: InodeKind,
        now: u64,
        cost: u64,
    ) -> Result<Node, Errno> {
        self.budget()?;
        let name = new_name(place)?;
        self.changeable(place.parent)?;
        let area = self.area_of(place.parent);
        if area.is_some() && matches!(kind, InodeKind::Link(_)) {
            return Err(Errno::PERM);
        }
        if self.directory(place.parent).is_some_and(|directory| directory.unread.is_some()) {
            // What a provider has there is not known: a mount of the manifest's.
            return Err(Errno::NOTSUP);
        }
        self.check_kind(place.parent, name, matches!(kind, InodeKind::Directory(_)))?;
        self.check_puts(area, 1)?;
        self.take_space(area, entry_cost(name) + INODE_COST + cost)?;
        let node: fn(usize) -> Node = match kind {
            InodeKind::Directory(_) => Node::Directory,
            InodeKind::File(_) => Node::File,
            InodeKind::Link(_) => Node::Link,
        };
        let at = self.store(kind, false, Times::at(now));
        if let Some(inode) = self.inode_mut(at) {
            inode.area = area;
        }
        self.count_put(area);
        let node = node(at);
        self.enter(place.parent, name, node);
        self.touch_content(place.parent, now);
        Ok(node)
    }

    /// Takes a name away, and what had it if nothing else holds it.
    fn forget(&mut self, parent: usize, name: &str, node: Node, now: u64) {
        self.forget_name(parent, name, now);
        if let Node::Directory(at) = node
            && let Some(directory) = self.directory_mut(at)
        {
            (directory.removed, directory.parent) = (true, ROOT);
        }
        self.touch(node, now);
        self.drop_if_unused(node);
    }

    fn forget_name(&mut self, parent: usize, name: &str, now: u64) {
        self.leave(parent, name);
        if let Some(budget) = &mut self.scratch {
            budget.give(entry_cost(name));
        }
        self.touch_content(parent, now);
    }

    /// Whether names can be made in a directory.
    fn changeable(&self, directory: usize) -> Result<(), Errno> {
        match self.directory(directory) {
            _ if !self.has_scratch() => Err(Errno::ROFS),
            None | Some(Directory { removed: true, .. }) => Err(Errno::NOENT),
            Some(Directory { frozen: true, .. }) => Err(Errno::ROFS),
            Some(_) => Ok(()),
        }
    }

    /// Whether an inode is the guest's own.
    fn own(&self, at: usize) -> Result<(), Errno> {
        match self.inode(at) {
            Some(Inode { fixed: false, .. }) => Ok(()),
            _ => Err(Errno::ROFS),
        }
    }

    pub(super) fn budget(&mut self) -> Result<&mut Budget, Errno> {
        self.scratch.as_mut().ok_or(Errno::ROFS)
    }

    fn with_blocks<T>(
        &mut self,
        file: usize,
        work: impl FnOnce(&mut Blocks, &mut Budget) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let done = match self.inodes.get_mut(file).and_then(Option::as_mut) {
            Some(Inode { kind: InodeKind::File(file), .. }) => {
                work(file.blocks_mut()?, self.scratch.as_mut().ok_or(Errno::ROFS)?)
            }
            _ => Err(Errno::BADF),
        };
        self.note_full(self.area_of(file), done)
    }

    /// Whether a directory is another, or below it. It counts its steps, of which there are never more than inodes: parents
    /// that went round in a circle would be a defect, and one that ends.
    fn is_within(&self, directory: usize, other: usize, steps: &mut u64) -> bool {
        let mut at = directory;
        for _ in 0..self.inodes.len() {
            *steps += 1;
            match at {
                ROOT => return false,
                _ if at == other => return true,
                _ => at = self.directory(at).map_or(ROOT, |directory| directory.parent),
            }
        }
        true
    }

    fn touch(&mut self, node: Node, now: u64) {
        if let Node::Directory(at) | Node::File(at) | Node::Link(at) = node
            && let Some(inode) = self.inode_mut(at)
        {
            inode.times.changed = now;
        }
    }

    fn touch_content(&mut self, at: usize, now: u64) {
        if let Some(inode) = self.inode_mut(at).filter(|inode| !inode.fixed) {
            (inode.times.modified, inode.times.changed, inode.times.given) = (now, now, false);
        }
    }
}

pub(super) fn entry_cost(name: &str) -> u64 {
    ENTRY_COST + 2 * name.len() as u64
}

fn existing(place: &Place) -> Result<(Node, Option<&str>), Errno> {
    Ok((place.node.ok_or(Errno::NOENT)?, place.name.as_deref()))
}

/// The name of something that is to be made.
fn new_name(place: &Place) -> Result<&str, Errno> {
    match (&place.name, place.node) {
        (Some(name), None) => check_name(name).map(|()| name.as_str()),
        _ => Err(Errno::EXIST),
    }
}

fn check_name(name: &str) -> Result<(), Errno> {
    if name.len() > NAME_MAX { Err(Errno::NAMETOOLONG) } else { Ok(()) }
}
