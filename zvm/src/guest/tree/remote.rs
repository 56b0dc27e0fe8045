//! Folders of providers: directories whose names are fetched when the guest looks.

use super::change::entry_cost;
use super::file::{Blocks, Content, File, Remote};
use super::walk::Place;
use super::{Directory, Gone, INODE_COST, InodeKind, Node, ROOT, Times, Tree};
use crate::channel::{CallError, Channels, Listed, ListedKind};
use crate::guest::errno::Errno;

/// Fetches the names of a directory that has some to fetch. Returns how many there were.
///
/// # Errors
/// As the tree's listing; the directory can be asked again.
pub(in crate::guest) fn read_folder(
    tree: &mut Tree,
    channels: &mut Channels,
    directory: usize,
) -> Result<u64, CallError> {
    let Some(remote) = tree.directory(directory).and_then(|directory| directory.unread) else { return Ok(0) };
    let names = match channels.tree(remote.tree) {
        Some(source) => source.list(remote.number)?,
        None => Vec::new(),
    };
    let count = names.len() as u64;
    tree.fill(directory, remote.tree, names);
    Ok(count)
}

impl Tree {
    /// Shows the root of a provider's tree at a path. What is there already keeps its names; nothing is made there by the guest, unless it
    /// is `written`, and an area.
    ///
    /// # Errors
    /// NOTDIR: a part of the path is something else.
    pub(in crate::guest) fn show_tree(
        &mut self,
        path: &str,
        tree: usize,
        written: bool,
    ) -> Result<(), Errno> {
        let at = self.fixed_directory(ROOT, path, false)?;
        if let Some(directory) = self.directory_mut(at) {
            directory.unread = Some(Remote { tree, number: 0 });
            (directory.frozen, directory.provided) = (!written, true);
        }
        Ok(())
    }

    /// The file of a provider that a node is.
    pub(in crate::guest) fn remote(&self, node: Node) -> Option<Remote> {
        let Node::File(at) = node else { return None };
        match self.file(at).ok()?.content() {
            Content::Remote { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// Sets the size of a provider's file.
    pub(in crate::guest) fn set_remote_size(&mut self, at: usize, size: u64) {
        if let Some(InodeKind::File(file)) = self.inode_mut(at).map(|inode| &mut inode.kind) {
            file.set_remote_size(size);
        }
    }

    /// Whether something belongs to a provider that the guest may change.
    pub(in crate::guest) fn is_provided(&self, parent: usize, node: Node) -> bool {
        let (Node::Directory(at) | Node::File(at) | Node::Link(at)) = node else { return false };
        let Some(inode) = self.inode(at) else { return false };
        let is_the_providers = match &inode.kind {
            InodeKind::Directory(directory) => directory.provided,
            InodeKind::File(file) => matches!(file.content(), Content::Remote { .. }),
            InodeKind::Link(_) => false,
        };
        // The area's root itself is the manifest's.
        is_the_providers && inode.area.is_some() && inode.area == self.area_of(parent)
    }

    /// Makes a provider's file the guest's own: empty, to be filled with what was in it or not. Returns what it was, for
    /// [`give_back`](Tree::give_back).
    ///
    /// # Errors
    /// ROFS: it cannot be changed here. DQUOT. NOSPC.
    pub(in crate::guest) fn take_over(&mut self, place: &Place) -> Result<(usize, Remote, u64), Errno> {
        let (Some(node @ Node::File(at)), Some(name)) = (place.node, &place.name) else {
            return Err(Errno::ROFS);
        };
        let Content::Remote { at: remote, size } = *self.file(at)?.content() else { return Err(Errno::ROFS) };
        if !self.is_provided(place.parent, node) {
            return Err(Errno::ROFS);
        }
        let area = self.area_of(at);
        self.check_puts(area, 2)?;
        self.take_space(area, entry_cost(name) + INODE_COST)?;
        self.count_put(area);
        self.gone(place.parent, name, Gone::File(remote.number));
        let order = self.made;
        self.made += 1;
        if let Some(inode) = self.inode_mut(at) {
            (inode.fixed, inode.order) = (false, order);
            inode.kind = InodeKind::File(File::new(Content::Scratch(Blocks::default())));
        }
        Ok((at, remote, size))
    }

    /// Gives it back to its provider, as it was.
    pub(in crate::guest) fn give_back(&mut self, place: &Place, (at, remote, size): (usize, Remote, u64)) {
        let Some(name) = &place.name else { return };
        let (area, bytes) = (self.area_of(at), self.file(at).map_or(0, File::size));
        let Some(inode) = self.inode_mut(at) else { return };
        let cost = inode.kind.cost();
        inode.fixed = true;
        inode.kind = InodeKind::File(File::new(Content::Remote { at: remote, size }));
        inode.times = Times::default();
        if let Some(budget) = &mut self.scratch {
            budget.give(entry_cost(name) + INODE_COST + cost);
        }
        self.uncount(area, bytes);
        if let Some(directory) = self.directory_mut(place.parent)
            && directory.gone.remove(name.as_str()).is_some()
        {
            self.uncount(area, 0);
        }
    }

    /// Takes a provider's name away.
    ///
    /// # Errors
    /// DQUOT.
    pub(super) fn forget_provided(&mut self, parent: usize, name: &str, node: Node) -> Result<(), Errno> {
        self.check_puts(self.area_of(parent), 1)?;
        let gone = match node {
            Node::Directory(at) => {
                // As if it were open: its place is no other's.
                self.open(node);
                if let Some(directory) = self.directory_mut(at) {
                    (directory.removed, directory.parent) = (true, ROOT);
                }
                Gone::Folder(at)
            }
            node => Gone::File(self.remote(node).map_or(0, |remote| remote.number)),
        };
        self.gone(parent, name, gone);
        self.leave(parent, name);
        self.drop_if_unused(node);
        Ok(())
    }

    /// Whether a file, or a folder, may be made under a name: the provider has the other until the session ends.
    ///
    /// # Errors
    /// NOTSUP.
    pub(super) fn check_kind(&self, parent: usize, name: &str, is_folder: bool) -> Result<(), Errno> {
        match self.directory(parent).and_then(|directory| directory.gone.get(name)) {
            Some(Gone::File(_)) if is_folder => Err(Errno::NOTSUP),
            Some(Gone::Folder(_)) if !is_folder => Err(Errno::NOTSUP),
            _ => Ok(()),
        }
    }

    fn gone(&mut self, parent: usize, name: &str, gone: Gone) {
        self.count_put(self.area_of(parent));
        if let Some(directory) = self.directory_mut(parent) {
            directory.gone.insert(name.into(), gone);
        }
    }

    fn fill(&mut self, directory: usize, tree: usize, names: Vec<Listed>) {
        let Some(here) = self.directory_mut(directory) else { return };
        here.unread = None;
        let frozen = here.frozen;
        let area = self.area_of(directory);
        for Listed { name, kind, inode } in names {
            if self.lookup(directory, &name).is_some() {
                continue;
            }
            let remote = |number| Remote { tree, number };
            let (kind, node): (_, fn(usize) -> Node) = match kind {
                ListedKind::Folder(number) => {
                    let unread = Some(remote(number));
                    let (parent, provided) = (directory, true);
                    let folder = Directory { parent, frozen, unread, provided, ..Directory::default() };
                    (InodeKind::Directory(folder), Node::Directory)
                }
                ListedKind::File { number, size } => {
                    let content = Content::Remote { at: remote(number), size };
                    (InodeKind::File(File::new(content)), Node::File)
                }
            };
            let at = self.store(kind, true, Times::default());
            if let Some(stored) = self.inode_mut(at) {
                (stored.number, stored.area) = (inode, area);
            }
            self.enter(directory, &name, node(at));
        }
    }
}
