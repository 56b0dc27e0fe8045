//! From the kernel's numbers to descriptors. A number stands for one version of a file: where the provider tells versions apart, what
//! the kernel keeps of a file is never taken for another one's content. The kernel says how many uses of a number it has to forget.

use crate::attributes::shape;
use fuser::FileType;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vfs_core::{Code, Error, Kind, OpenOptions, Registry, Result, Stat, below};

/// The folder itself.
pub const ROOT: u64 = 1;
/// A folder with more names is asked for each of them.
const REMEMBERED: usize = 100_000;

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
    /// As it was when it got this number.
    stat: Stat,
    /// A program has written it since.
    is_written: AtomicBool,
}

impl Node {
    /// A program writes it: what was known of it counts no longer.
    pub fn written(&self) {
        self.is_written.store(true, Ordering::SeqCst);
    }

    /// The version that the kernel may keep; empty: the provider has none.
    pub fn version(&self) -> &str {
        if self.shape == FileType::RegularFile { &self.stat.version } else { "" }
    }
}

/// A name in a folder.
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
    nodes: Mutex<Nodes>,
    listings: Mutex<HashMap<u64, Listing>>,
}

#[derive(Default)]
struct Nodes {
    by_number: HashMap<u64, (Arc<Node>, u64)>,
    by_name: HashMap<(u64, Vec<u8>, String), u64>,
    last: u64,
}

/// What a folder was seen to hold, so that whoever goes through it doesn't have each name asked for.
struct Listing {
    until: Instant,
    stats: HashMap<Vec<u8>, Stat>,
}

impl Tree {
    /// Shows this; `options` are those of every call.
    pub fn new(top: Top, registry: Registry, options: OpenOptions, cache_time: Duration) -> Tree {
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
        let tree =
            Tree { top, registry, options, cache_time, nodes: Mutex::new(nodes), listings: Mutex::default() };
        tree.nodes.lock().by_number.insert(ROOT, (Arc::new(root), 1));
        tree
    }

    /// The registry of all calls.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What every open is given.
    pub fn options(&self) -> &OpenOptions {
        &self.options
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

    /// What is known of a name in a folder: as it was listed a moment ago, or as the provider says.
    ///
    /// # Errors
    /// ENOENT, the provider's.
    pub fn stat(&self, folder: &Node, name: &[u8], options: &OpenOptions) -> Result<(String, Stat)> {
        let descriptor = self.descriptor(folder, name)?;
        let stat =
            self.listed(folder.ino, name).map_or_else(|| self.registry.stat(&descriptor, options), Ok)?;
        Ok((descriptor, stat))
    }

    /// What is known of what a number stands for: of a version all that there is to know, whatever has its name by now.
    ///
    /// # Errors
    /// The provider's.
    pub fn stat_of(&self, node: &Node, options: &OpenOptions) -> Result<Stat> {
        if !node.version().is_empty() && !node.is_written.load(Ordering::SeqCst) {
            return Ok(node.stat.clone());
        }
        self.listed(node.parent, &node.name).map_or_else(|| self.registry.stat(&node.descriptor, options), Ok)
    }

    fn listed(&self, folder: u64, name: &[u8]) -> Option<Stat> {
        let listings = self.listings.lock();
        let listing = listings.get(&folder).filter(|listing| Instant::now() < listing.until)?;
        listing.stats.get(name).cloned()
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
        self.listings.lock().remove(&ino);
    }

    /// What a folder holds, by name, and remembers what was said of each for the cache time.
    ///
    /// # Errors
    /// The provider's.
    pub fn list(&self, folder: &Node, options: &OpenOptions) -> Result<Vec<Entry>> {
        if let Top::File(name, _) = &self.top {
            return Ok(vec![Entry { name: name.clone(), shape: FileType::RegularFile }]);
        }
        let (mut entries, mut stats) = (Vec::new(), HashMap::new());
        self.registry.names(&folder.descriptor, options, &mut |name| {
            let shape = shape(name.stat.map_or(Kind::Unknown, |stat| stat.kind));
            entries.push(Entry { name: name.bytes.to_owned(), shape });
            if let Some(stat) = name.stat.filter(|_| stats.len() < REMEMBERED) {
                stats.insert(name.bytes.to_owned(), stat.clone());
            }
            ControlFlow::Continue(())
        })?;
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        let now = Instant::now();
        let mut listings = self.listings.lock();
        listings.retain(|_, listing| now < listing.until);
        listings.insert(folder.ino, Listing { until: now + self.cache_time, stats });
        Ok(entries)
    }

    /// Somebody is still going through a folder that was listed: what was said of its names holds on.
    pub fn goes_on(&self, folder: u64) {
        if let Some(listing) = self.listings.lock().get_mut(&folder) {
            listing.until = Instant::now() + self.cache_time;
        }
    }

    /// A name of a folder has changed: what was listed of it counts no longer.
    pub fn changed(&self, folder: u64, name: &[u8]) {
        if let Some(listing) = self.listings.lock().get_mut(&folder) {
            listing.stats.remove(name);
        }
    }
}
