//! The names that a guest sees: its channels' aliases, the directories that they imply, what the manifest mounts, and, where
//! it asks for scratch space, what the guest makes itself.

mod area;
mod change;
mod device;
mod file;
mod mounted;
mod remote;
mod walk;

pub(super) use change::NewTimes;
pub(super) use device::Device;
pub(super) use file::{BLOCK, Content, File, Remote};
pub(super) use mounted::Seed;
pub(super) use remote::read_folder;
pub(super) use walk::{Followed, Place};

use super::errno::Errno;
use area::Area;
use device::DEVICES;
use file::Budget;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// What a name stands for. Directories, files and links are places in the tree's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A channel, by its number.
    Channel(usize),
    /// A device, by its number.
    Device(usize),
    /// A directory; 0 is the root.
    Directory(usize),
    /// A file of the scratch space or of a mounted tree.
    File(usize),
    /// A symbolic link.
    Link(usize),
}

/// The root's place.
pub(super) const ROOT: usize = 0;
/// The longest name, in bytes.
const NAME_MAX: usize = 255;
/// What an inode costs of the scratch space beside its content, in bytes: more than it takes of the host's memory.
const INODE_COST: u64 = 512;
/// What a name costs, and its text twice.
const ENTRY_COST: u64 = 512;

/// The tree.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    channels: u64,
    inodes: Vec<Option<Inode>>,
    free: Vec<usize>,
    /// How many inodes were made; none has the number of another, not of one that is gone either.
    made: u64,
    /// How many names were given, those that are gone too.
    entered: u64,
    /// `None`: the guest changes nothing.
    scratch: Option<Budget>,
    /// Directories whose content is written to providers.
    areas: Vec<Area>,
}

/// A session's tree: that which all sessions of its manifest begin with, until something of it changes.
#[derive(Clone, Debug)]
pub(super) struct OwnTree(Arc<Tree>);

impl OwnTree {
    pub(super) fn new(tree: Tree) -> OwnTree {
        OwnTree(Arc::new(tree))
    }
}

impl Deref for OwnTree {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.0
    }
}

impl DerefMut for OwnTree {
    fn deref_mut(&mut self) -> &mut Tree {
        Arc::make_mut(&mut self.0)
    }
}

#[derive(Clone, Debug)]
struct Inode {
    number: u64,
    /// Which of all it was to be made, or to become the guest's own.
    order: u64,
    times: Times,
    /// How many names it has.
    names: u32,
    /// How many descriptors are open on it: it is there as long as it has one or a name.
    opens: u32,
    /// The manifest's: it is neither changed nor removed.
    fixed: bool,
    /// The area that it is a part of.
    area: Option<usize>,
    kind: InodeKind,
}

#[derive(Clone, Debug)]
enum InodeKind {
    Directory(Directory),
    File(File),
    Link(String),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    parent: usize,
    /// Of a mounted tree: nothing is made in it.
    frozen: bool,
    /// A folder of a provider, whose names nobody has asked for yet.
    unread: Option<Remote>,
    /// It is a folder of a provider.
    provided: bool,
    /// What the provider has here and the guest has removed or replaced.
    gone: BTreeMap<Arc<str>, Gone>,
    /// It has no name any more.
    removed: bool,
    nodes: HashMap<Arc<str>, (u64, Node)>,
    /// The names in the order in which they were made; a number is never used again, so that a listing may go on
    /// from it after a change.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
}

/// Something of a provider that the guest has removed or replaced.
#[derive(Clone, Debug)]
enum Gone {
    /// By its number in the session's tree.
    File(usize),
    /// By its place in the tree's list: its directory is kept for what was in it.
    Folder(usize),
}

/// When an inode was read, written and changed, in nanoseconds of the session's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) accessed: u64,
    pub(super) modified: u64,
    pub(super) changed: u64,
    /// `modified` is what the guest said, and no reading of the clock.
    pub(super) given: bool,
}

/// What can be told of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) inode: u64,
    pub(super) names: u32,
    pub(super) size: u64,
    pub(super) times: Times,
}

impl Times {
    const fn at(now: u64) -> Times {
        Times { accessed: now, modified: now, changed: now, given: false }
    }
}

impl Tree {
    /// Makes the tree. `aliases` are the channels' in the order of their numbers. One that lies below another channel has no
    /// name, for a channel is no directory; nor has one with a part that a path can't say. `scratch`: how many bytes the
    /// guest's own files and names may take.
    pub(super) fn new<'a>(aliases: impl IntoIterator<Item = &'a str>, scratch: Option<u64>) -> Tree {
        let scratch = scratch.map(Budget::new);
        let mut tree = Tree {
            channels: 0,
            inodes: Vec::new(),
            free: Vec::new(),
            made: 0,
            entered: 0,
            scratch,
            areas: Vec::new(),
        };
        let root = tree.store(InodeKind::Directory(Directory::default()), true, Times::default());
        if let Some(root) = tree.inode_mut(root) {
            // It has no name and stays, whatever is closed.
            root.names = 1;
        }
        for (channel, alias) in aliases.into_iter().enumerate() {
            tree.channels += 1;
            let path = alias.strip_prefix('/').unwrap_or(alias);
            let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
            if !path.split('/').any(|part| matches!(part, "" | "." | ".."))
                && let Ok(parent) = tree.fixed_directory(ROOT, parents, false)
                && tree.lookup(parent, name).is_none()
            {
                tree.enter(parent, name, Node::Channel(channel));
            }
        }
        // A channel of such a name is the device.
        if let Ok(dev) = tree.fixed_directory(ROOT, "dev", false) {
            for (number, (name, _)) in DEVICES.iter().enumerate() {
                if tree.lookup(dev, name).is_none() {
                    tree.enter(dev, name, Node::Device(number));
                }
            }
        }
        tree
    }

    /// How many things or how many names were put into it, whichever are more.
    pub(super) fn made(&self) -> usize {
        usize::try_from(self.made.max(self.entered)).unwrap_or(usize::MAX)
    }

    /// Whether something is the guest's own: in the scratch space.
    pub(super) fn is_own(&self, node: Node) -> bool {
        match node {
            Node::Channel(_) | Node::Device(_) => false,
            Node::Directory(at) | Node::File(at) | Node::Link(at) => {
                self.inode(at).is_some_and(|inode| !inode.fixed)
            }
        }
    }

    /// What is at a path of names below a directory, without `.` and `..`; no link is followed.
    pub(super) fn find(&self, base: usize, path: &str) -> Option<Node> {
        path.split('/').try_fold(Node::Directory(base), |at, name| match at {
            Node::Directory(at) => self.lookup(at, name),
            _ => None,
        })
    }

    /// Whether the guest may make files at all.
    pub(super) fn has_scratch(&self) -> bool {
        self.scratch.is_some()
    }

    /// The entries of a directory from a cookie on, each with the cookie of the next: `.` and `..` first, then in the order
    /// in which they were made, the manifest's before the guest's own.
    pub(super) fn entries(&self, directory: usize, cookie: u64) -> impl Iterator<Item = (u64, &str, Node)> {
        let here = self.directory(directory);
        let parent = here.map_or(ROOT, |here| here.parent);
        let own = [(1, ".", Node::Directory(directory)), (2, "..", Node::Directory(parent))];
        let own = own.into_iter().filter(move |(next, _, _)| *next > cookie);
        let from = cookie.saturating_sub(2);
        let named = here.into_iter().flat_map(move |here| {
            here.order.range(from..).filter_map(|(number, name)| {
                here.nodes.get(name).map(|(_, node)| (number + 3, &**name, *node))
            })
        });
        own.chain(named)
    }

    /// What can be told of a node, but for a channel's size.
    pub(super) fn status(&self, node: Node) -> Status {
        let (Node::Directory(at) | Node::File(at) | Node::Link(at)) = node else {
            let inode = match node {
                Node::Channel(number) => number as u64,
                Node::Device(number) => device::inode(number),
                _ => 0,
            };
            return Status { inode, names: 1, ..Status::NONE };
        };
        let Some(inode) = self.inode(at) else { return Status::NONE };
        let size = match &inode.kind {
            InodeKind::Directory(_) => 0,
            InodeKind::File(file) => file.size(),
            InodeKind::Link(target) => target.len() as u64,
        };
        Status { inode: self.channels + inode.number, names: inode.names, size, times: inode.times }
    }

    /// What a device is.
    ///
    /// # Errors
    /// BADF: there is none of this number.
    pub(super) fn device(&self, number: usize) -> Result<Device, Errno> {
        DEVICES.get(number).map(|(_, device)| *device).ok_or(Errno::BADF)
    }

    /// The target of a symbolic link.
    pub(super) fn target(&self, link: usize) -> Option<&str> {
        match self.inode(link) {
            Some(Inode { kind: InodeKind::Link(target), .. }) => Some(target),
            _ => None,
        }
    }

    /// A file.
    ///
    /// # Errors
    /// BADF: it is none.
    pub(super) fn file(&self, at: usize) -> Result<&File, Errno> {
        match self.inode(at) {
            Some(Inode { kind: InodeKind::File(file), .. }) => Ok(file),
            _ => Err(Errno::BADF),
        }
    }

    /// Counts a descriptor that is opened on a node.
    pub(super) fn open(&mut self, node: Node) {
        if let Node::Directory(at) | Node::File(at) | Node::Link(at) = node
            && let Some(inode) = self.inode_mut(at)
        {
            inode.opens += 1;
        }
    }

    /// Counts a descriptor that was closed; what has no name is gone with its last one.
    pub(super) fn close(&mut self, node: Node) {
        if let Node::Directory(at) | Node::File(at) | Node::Link(at) = node
            && let Some(inode) = self.inode_mut(at)
        {
            inode.opens = inode.opens.saturating_sub(1);
            self.drop_if_unused(node);
        }
    }

    /// Checks that each name leads to an inode of its kind, that the inodes know how many names they have, and that what is
    /// taken of the scratch space is what they cost.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn check(&self, scratch: u64) {
        let (mut taken, mut names) = (0, vec![0; self.inodes.len()]);
        // The root's, as if it had one.
        names[ROOT] = 1;
        for inode in self.inodes.iter().flatten() {
            if !inode.fixed {
                taken += INODE_COST + inode.kind.cost();
            }
            let InodeKind::Directory(directory) = &inode.kind else { continue };
            assert_eq!(directory.nodes.len(), directory.order.len());
            for (name, (_, node)) in &directory.nodes {
                let (Node::Directory(at) | Node::File(at) | Node::Link(at)) = *node else { continue };
                let inode = self.inode(at);
                let is_its_kind = matches!(
                    (node, inode.map(|inode| &inode.kind)),
                    (Node::Directory(_), Some(InodeKind::Directory(_)))
                        | (Node::File(_), Some(InodeKind::File(_)))
                        | (Node::Link(_), Some(InodeKind::Link(_)))
                );
                assert!(is_its_kind, "{name} leads to something else");
                names[at] += 1;
                if inode.is_some_and(|inode| !inode.fixed) {
                    taken += change::entry_cost(name);
                }
            }
        }
        for (at, count) in names.into_iter().enumerate() {
            assert_eq!(self.inode(at).map_or(0, |inode| inode.names), count, "the names of {at}");
        }
        let left = self.scratch.as_ref().map_or(0, Budget::left);
        assert_eq!(taken + left, scratch, "the scratch space is counted wrong");
        self.check_areas();
    }

    fn inode(&self, at: usize) -> Option<&Inode> {
        self.inodes.get(at).and_then(Option::as_ref)
    }

    fn inode_mut(&mut self, at: usize) -> Option<&mut Inode> {
        self.inodes.get_mut(at).and_then(Option::as_mut)
    }

    fn directory(&self, at: usize) -> Option<&Directory> {
        match self.inode(at) {
            Some(Inode { kind: InodeKind::Directory(directory), .. }) => Some(directory),
            _ => None,
        }
    }

    fn directory_mut(&mut self, at: usize) -> Option<&mut Directory> {
        match self.inode_mut(at) {
            Some(Inode { kind: InodeKind::Directory(directory), .. }) => Some(directory),
            _ => None,
        }
    }

    fn lookup(&self, directory: usize, name: &str) -> Option<Node> {
        self.directory(directory)?.nodes.get(name).map(|(_, node)| *node)
    }

    /// Keeps an inode that has no name yet.
    fn store(&mut self, kind: InodeKind, fixed: bool, times: Times) -> usize {
        let inode =
            Inode { number: self.made, order: self.made, times, names: 0, opens: 0, fixed, area: None, kind };
        self.made += 1;
        match self.free.pop() {
            Some(at) => {
                self.inodes[at] = Some(inode);
                at
            }
            None => {
                self.inodes.push(Some(inode));
                self.inodes.len() - 1
            }
        }
    }

    /// Gives a node a name.
    fn enter(&mut self, parent: usize, name: &str, node: Node) {
        self.entered += 1;
        if let Some(directory) = self.directory_mut(parent) {
            let (name, number) = (Arc::<str>::from(name), directory.next);
            directory.next += 1;
            directory.nodes.insert(name.clone(), (number, node));
            directory.order.insert(number, name);
        }
        if let Node::Directory(at) | Node::File(at) | Node::Link(at) = node
            && let Some(inode) = self.inode_mut(at)
        {
            inode.names += 1;
        }
    }

    /// Takes a name away.
    fn leave(&mut self, parent: usize, name: &str) {
        let Some(directory) = self.directory_mut(parent) else { return };
        let Some((number, node)) = directory.nodes.remove(name) else { return };
        directory.order.remove(&number);
        if let Node::Directory(at) | Node::File(at) | Node::Link(at) = node
            && let Some(inode) = self.inode_mut(at)
        {
            inode.names = inode.names.saturating_sub(1);
        }
    }

    /// Lets an inode go that has neither a name nor a descriptor.
    fn drop_if_unused(&mut self, node: Node) {
        let (Node::Directory(at) | Node::File(at) | Node::Link(at)) = node else { return };
        if self.inode(at).is_none_or(|inode| inode.names > 0 || inode.opens > 0) {
            return;
        }
        if let Some(inode) = self.inodes[at].take() {
            self.free.push(at);
            if let (false, Some(budget)) = (inode.fixed, &mut self.scratch) {
                budget.give(INODE_COST + inode.kind.cost());
            }
            if !inode.fixed {
                self.uncount(inode.area, inode.kind.size());
            }
        }
    }
}

impl InodeKind {
    /// The size of a file.
    fn size(&self) -> u64 {
        match self {
            InodeKind::File(file) => file.size(),
            InodeKind::Directory(_) | InodeKind::Link(_) => 0,
        }
    }

    /// What it costs beside the inode.
    fn cost(&self) -> u64 {
        match self {
            InodeKind::Directory(_) => 0,
            InodeKind::File(file) => file.cost(),
            InodeKind::Link(target) => target.len() as u64,
        }
    }
}

impl Status {
    const NONE: Status = Status { inode: 0, names: 0, size: 0, times: Times::at(0) };
}

#[cfg(test)]
mod tests;
