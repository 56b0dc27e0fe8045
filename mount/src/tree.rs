//! From the kernel's numbers to descriptors. A number stands for one version of a file: where the provider tells versions apart, what
//! the kernel keeps of a file is never taken for another one's content. The kernel says how many uses of a number it has to forget.

use crate::attributes::shape;
use crate::calls::Call;
use crate::folders::Folders;
use crate::listings::Listings;
use fuser::FileType;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use vfs_core::{Code, Error, Kind, OpenOptions, Registry, Result, Stat, below};

/// The folder itself.
pub const ROOT: u64 = 1;

/// What is shown.
pub enum Top {
    /// What lies below a descriptor.
    Folder(String),
    /// One file, under its last name.
    File(Vec<u8>, String),
}

/// What a number stands for.
#[derive(Debug)]
pub struct Node {
    pub ino: u64,
    pub parent: u64,
    pub name: Vec<u8>,
    pub descriptor: String,
    pub shape: FileType,
    /// As it was when it got this number; of a folder, when it was looked at last.
    pub stat: Stat,
    /// A program has written it since.
    is_written: AtomicBool,
}

impl Node {
    /// Whether a program has written it.
    pub fn is_written(&self) -> bool {
        self.is_written.load(Ordering::SeqCst)
    }

    /// All that there is to know of its version; `None`: the provider has none, or a program has written it since.
    pub fn known(&self) -> Option<Stat> {
        (!self.version().is_empty() && !self.is_written()).then(|| self.stat.clone())
    }

    /// The same file, whatever it is by now.
    pub fn of_any_version(&self) -> Node {
        let Node { ino, parent, ref name, ref descriptor, shape, .. } = *self;
        let (name, descriptor) = (name.clone(), descriptor.clone());
        let (stat, is_written) = (Stat::of_kind(Kind::Regular), AtomicBool::new(true));
        Node { ino, parent, name, descriptor, shape, stat, is_written }
    }

    /// The version that the kernel may keep; empty: the provider has none.
    pub fn version(&self) -> &str {
        if self.shape == FileType::RegularFile { &self.stat.version } else { "" }
    }
}

/// A name in a folder.
pub struct Place<'a> {
    pub folder: &'a Node,
    pub name: &'a [u8],
}

/// A name in a folder, as that is listed.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub shape: FileType,
}

/// All that the kernel knows by number.
pub struct Tree {
    top: Top,
    registry: Registry,
    options: OpenOptions,
    cache_time: Duration,
    writes: bool,
    nodes: Mutex<Nodes>,
    listings: Listings,
    folders: Folders,
}

#[derive(Default)]
struct Nodes {
    by_number: HashMap<u64, (Arc<Node>, u64)>,
    by_name: HashMap<(u64, Vec<u8>, String), u64>,
    last: u64,
}

impl Tree {
    /// Shows this; `options` are those of every call, `writes` says whether programs may write.
    pub fn new(
        top: Top,
        registry: Registry,
        options: OpenOptions,
        cache_time: Duration,
        writes: bool,
    ) -> Tree {
        let descriptor = match &top {
            Top::Folder(descriptor) => descriptor.clone(),
            Top::File(..) => String::new(),
        };
        let root = Node {
            ino: ROOT,
            parent: ROOT,
            name: Vec::new(),
            descriptor,
            shape: FileType::Directory,
            stat: Stat::of_kind(Kind::Directory),
            is_written: AtomicBool::new(false),
        };
        let nodes = Nodes { last: ROOT, ..Nodes::default() };
        let (listings, folders) = (Listings::new(cache_time), Folders::default());
        let nodes = Mutex::new(nodes);
        let tree = Tree { top, registry, options, cache_time, writes, nodes, listings, folders };
        tree.nodes.lock().by_number.insert(ROOT, (Arc::new(root), 1));
        tree
    }

    /// The registry of all calls.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What is shown.
    pub fn top(&self) -> &Top {
        &self.top
    }

    /// What a provider is given in a call.
    pub fn options(&self, call: &Call) -> OpenOptions {
        self.options.clone().control(call.control())
    }

    /// What folders were seen to hold.
    pub fn listings(&self) -> &Listings {
        &self.listings
    }

    /// Folders that are in the mounted folder only.
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Whether programs may write.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// How long the kernel may keep what it is told.
    pub fn cache_time(&self) -> Duration {
        self.cache_time
    }

    /// What a number stands for.
    ///
    /// # Errors
    /// ESTALE: nothing any more.
    pub fn node(&self, ino: u64) -> Result<Arc<Node>> {
        let nodes = self.nodes.lock();
        let known = nodes.by_number.get(&ino).map(|(node, _)| node.clone());
        known.ok_or_else(|| Error::new(Code::ESTALE, format!("number {ino}: no file has it any more")))
    }

    /// The descriptor of a name in a folder.
    ///
    /// # Errors
    /// ENOENT: another name than that of the one file that is shown. EINVAL: as `below`.
    pub fn descriptor(&self, folder: &Node, name: &[u8]) -> Result<String> {
        match &self.top {
            Top::Folder(_) => below(&folder.descriptor, name),
            Top::File(only, descriptor) if only == name => Ok(descriptor.clone()),
            Top::File(..) => Err(Error::new(Code::ENOENT, "only one file is shown")),
        }
    }

    /// The shape that the kernel sees. The one file that is shown was asked for, whatever it is.
    pub fn shape(&self, stat: &Stat) -> FileType {
        match self.top {
            Top::Folder(_) => shape(stat.kind),
            Top::File(..) => FileType::RegularFile,
        }
    }

    /// Takes a name's number to be known to the kernel once more.
    pub fn enter(&self, folder: &Node, name: &[u8], descriptor: String, stat: &Stat) -> Arc<Node> {
        let shape = self.shape(stat);
        let version = if shape == FileType::RegularFile { stat.version.clone() } else { String::new() };
        let key = (folder.ino, name.to_owned(), version);
        let mut nodes = self.nodes.lock();
        let known = nodes.by_name.get(&key).copied();
        if let Some((node, uses)) = known.and_then(|ino| nodes.by_number.get_mut(&ino))
            && node.shape == shape
        {
            *uses += 1;
            // Of a folder the last look counts: nobody asks for it again.
            if shape == FileType::Directory && node.stat != *stat {
                let (parent, name, is_written) = (node.parent, node.name.clone(), AtomicBool::new(false));
                let (ino, stat) = (node.ino, stat.clone());
                *node = Arc::new(Node { ino, parent, name, descriptor, shape, stat, is_written });
            }
            return node.clone();
        }
        nodes.last += 1;
        let ino = nodes.last;
        let node = Arc::new(Node {
            ino,
            parent: folder.ino,
            name: name.to_owned(),
            descriptor,
            shape,
            stat: stat.clone(),
            is_written: AtomicBool::new(false),
        });
        nodes.by_name.insert(key, ino);
        nodes.by_number.insert(ino, (node.clone(), 1));
        node
    }

    /// The kernel has forgotten so many uses of a number.
    pub fn forget(&self, ino: u64, uses: u64) {
        let mut nodes = self.nodes.lock();
        let Some((_, left)) = nodes.by_number.get_mut(&ino).filter(|_| ino != ROOT) else { return };
        *left = left.saturating_sub(uses);
        if *left > 0 {
            return;
        }
        if let Some((node, _)) = nodes.by_number.remove(&ino) {
            let key = (node.parent, node.name.clone(), node.version().to_owned());
            if nodes.by_name.get(&key) == Some(&ino) {
                nodes.by_name.remove(&key);
            }
        }
        drop(nodes);
        self.listings.forget(ino);
    }

    /// A file has another name by now, and this status: the kernel keeps its number.
    pub fn renamed(&self, from: &Place<'_>, to: &Place<'_>, descriptor: String, stat: &Stat) {
        let mut nodes = self.nodes.lock();
        let has_name = |key: &&(u64, Vec<u8>, String)| key.0 == from.folder.ino && key.1 == from.name;
        let versions: Vec<_> = nodes.by_name.keys().filter(has_name).cloned().collect();
        // The last one that was looked up has the name.
        let numbers = versions.iter().filter_map(|key| nodes.by_name.remove(key));
        let Some(ino) = numbers.max() else { return };
        let Some((node, _)) = nodes.by_number.get_mut(&ino) else { return };
        let (parent, name, shape) = (to.folder.ino, to.name.to_owned(), node.shape);
        let (stat, is_written) = (stat.clone(), AtomicBool::new(false));
        *node = Arc::new(Node { ino, parent, name, descriptor, shape, stat, is_written });
        let key = (node.parent, node.name.clone(), node.version().to_owned());
        nodes.by_name.insert(key, ino);
    }

    /// A folder has this time by now. Who asks for that of the folder that it is in, as rsync does, names it by nothing that is looked up.
    pub fn has_time(&self, folder: u64, time: SystemTime) {
        let mut nodes = self.nodes.lock();
        let Some((node, _)) = nodes.by_number.get_mut(&folder) else { return };
        let (ino, parent, shape, name) = (node.ino, node.parent, node.shape, node.name.clone());
        let (descriptor, stat) = (node.descriptor.clone(), node.stat.clone().modified(time));
        *node =
            Arc::new(Node { ino, parent, name, descriptor, shape, stat, is_written: AtomicBool::new(false) });
    }

    /// A program has made or removed a name in a folder: that has a new time, where folders have times.
    pub fn changed_in(&self, folder: &Node) {
        if folder.stat.modified.is_some() {
            self.has_time(folder.ino, SystemTime::now());
        }
    }

    /// A program writes a file: what was known of it counts no longer.
    pub fn written(&self, node: &Node) {
        node.is_written.store(true, Ordering::SeqCst);
        self.listings.changed(node.parent, &node.name, Kind::Regular);
    }
}
