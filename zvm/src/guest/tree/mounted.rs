//! What the manifest mounts: files that nobody changes, and those that are in the scratch space from the session's start.

use super::change::entry_cost;
use super::file::{Content, File};
use super::walk::Place;
use super::{Directory, InodeKind, Node, Times, Tree};
use crate::guest::errno::Errno;

/// What the scratch space has from its start.
#[derive(Debug)]
pub(in crate::guest) enum Seed {
    Directory,
    File,
    Link(String),
    /// One more name of a file that is there, in the scratch space.
    Name(Node),
}

impl Tree {
    /// The directory of a path below another, made if it is not there. `frozen`: what is made belongs to a mounted tree.
    ///
    /// # Errors
    /// NOTDIR: a part of the path is something else.
    pub(in crate::guest) fn fixed_directory(
        &mut self,
        base: usize,
        path: &str,
        frozen: bool,
    ) -> Result<usize, Errno> {
        let mut at = base;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = match self.lookup(at, name) {
                Some(Node::Directory(next)) => next,
                Some(_) => return Err(Errno::NOTDIR),
                None => {
                    let directory = Directory { parent: at, frozen, ..Directory::default() };
                    let next = self.store(InodeKind::Directory(directory), true, Times::default());
                    self.enter(at, name, Node::Directory(next));
                    next
                }
            };
        }
        Ok(at)
    }

    /// Puts a file or link of a mounted tree into a directory, in the place of an earlier one of the same name; one that has
    /// the name already keeps it.
    ///
    /// # Errors
    /// EXIST: a channel or directory has the name. ROFS: it is the guest's own, which pays for its names.
    pub(in crate::guest) fn fixed_node(
        &mut self,
        parent: usize,
        name: &str,
        node: Node,
    ) -> Result<(), Errno> {
        if self.is_own(node) {
            return Err(Errno::ROFS);
        }
        match self.lookup(parent, name) {
            Some(Node::Channel(_) | Node::Directory(_)) => return Err(Errno::EXIST),
            // Letting the old one go would free it, and its place would be another's.
            Some(old) if old == node => return Ok(()),
            Some(old) => self.displace(parent, name, old),
            None => {}
        }
        self.enter(parent, name, node);
        Ok(())
    }

    /// Makes a file of a mounted tree; it has no name yet.
    pub(in crate::guest) fn fixed_file(&mut self, content: Content, modified: u64) -> Node {
        let times = Times::at(modified);
        Node::File(self.store(InodeKind::File(File::new(content)), true, times))
    }

    /// Makes a symbolic link of a mounted tree; it has no name yet.
    pub(in crate::guest) fn fixed_link(&mut self, target: String) -> Node {
        Node::Link(self.store(InodeKind::Link(target), true, Times::default()))
    }

    /// Makes a writable copy of a mounted file: what is in the scratch space from the session's start.
    ///
    /// # Errors
    /// EXIST: a channel or directory has the name, or, for a directory, anything else. ROFS: no scratch space here. NOSPC. In an area
    /// also DQUOT, and PERM: a link.
    pub(in crate::guest) fn seed(
        &mut self,
        parent: usize,
        name: &str,
        kind: Seed,
        now: u64,
    ) -> Result<Node, Errno> {
        let place =
            Place { parent, name: Some(name.to_owned()), node: self.lookup(parent, name), slash: false };
        match (kind, place.node) {
            (Seed::Directory, Some(node @ Node::Directory(_))) => Ok(node),
            (_, Some(Node::Directory(_) | Node::Channel(_))) => Err(Errno::EXIST),
            // As in a tree that is only read: what lies below a file or a link has no place.
            (Seed::Directory, Some(_)) => Err(Errno::EXIST),
            // Letting the old one go would free it, and its place would be another's.
            (Seed::Name(node), Some(old)) if node == old => Ok(node),
            (kind, old) => {
                if let Some(old) = old {
                    self.displace(parent, name, old);
                }
                let place = Place { node: None, ..place };
                match kind {
                    Seed::Directory => self.make_directory(&place, now)?,
                    Seed::File => {
                        self.make_file(&place, now)?;
                    }
                    Seed::Link(target) => {
                        let cost = target.len() as u64;
                        self.make(&place, InodeKind::Link(target), now, cost)?;
                    }
                    Seed::Name(node) if !self.is_own(node) => return Err(Errno::ROFS),
                    Seed::Name(_) if self.area_of(parent).is_some() => return Err(Errno::PERM),
                    Seed::Name(node) => {
                        let cost = entry_cost(name);
                        self.budget()?.take(cost)?;
                        self.enter(parent, name, node);
                    }
                }
                self.lookup(parent, name).ok_or(Errno::NOENT)
            }
        }
    }

    /// Takes the name of a file or link away for what is mounted next. Only what is the guest's own has paid for its name.
    fn displace(&mut self, parent: usize, name: &str, old: Node) {
        if self.is_own(old)
            && let Some(budget) = &mut self.scratch
        {
            budget.give(entry_cost(name));
        }
        self.leave(parent, name);
        self.drop_if_unused(old);
    }
}
