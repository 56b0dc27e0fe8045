//! Folders of providers: directories whose names are fetched when the guest looks.

use super::file::{Content, File, Remote};
use super::{Directory, InodeKind, Node, ROOT, Times, Tree};
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
    /// Shows the root of a provider's tree at a path. What is there already keeps its names; nothing is made there by the guest.
    ///
    /// # Errors
    /// NOTDIR: a part of the path is something else.
    pub(in crate::guest) fn show_tree(&mut self, path: &str, tree: usize) -> Result<(), Errno> {
        let at = self.fixed_directory(ROOT, path, false)?;
        if let Some(directory) = self.directory_mut(at) {
            (directory.frozen, directory.unread) = (true, Some(Remote { tree, number: 0 }));
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

    fn fill(&mut self, directory: usize, tree: usize, names: Vec<Listed>) {
        let Some(here) = self.directory_mut(directory) else { return };
        here.unread = None;
        for Listed { name, kind, inode } in names {
            if self.lookup(directory, &name).is_some() {
                continue;
            }
            let remote = |number| Remote { tree, number };
            let (kind, node): (_, fn(usize) -> Node) = match kind {
                ListedKind::Folder(number) => {
                    let unread = Some(remote(number));
                    let folder =
                        Directory { parent: directory, frozen: true, unread, ..Directory::default() };
                    (InodeKind::Directory(folder), Node::Directory)
                }
                ListedKind::File { number, size } => {
                    let content = Content::Remote { at: remote(number), size };
                    (InodeKind::File(File::new(content)), Node::File)
                }
            };
            let at = self.store(kind, true, Times::default());
            if let Some(stored) = self.inode_mut(at) {
                stored.number = inode;
            }
            self.enter(directory, &name, node(at));
        }
    }
}
