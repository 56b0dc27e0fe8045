//! What the kernel's calls share: the tree, and what programs have open of it.

use crate::attributes::Look;
use crate::calls::Call;
use crate::handle::Handle;
use crate::tree::{Entry, Node, Tree};
use crate::writer::Writer;
use fuser::{FileAttr, FileHandle};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use vfs_core::{Code, Error, Result, Stat};

/// The tree, what programs have open of it, and what they are told of it.
pub struct Shared {
    pub tree: Tree,
    pub look: Look,
    opened: Mutex<HashMap<u64, Opened>>,
    /// What is being written, by descriptor: programs see it before its provider does.
    writing: Mutex<HashMap<String, Weak<Writer>>>,
    last: AtomicU64,
}

/// What a program has open.
#[derive(Clone)]
pub enum Opened {
    File(Arc<Handle>),
    Writer(Arc<Writer>),
    Folder(Arc<Vec<Entry>>),
}

impl Shared {
    /// Of a tree of which nothing is open.
    pub fn new(tree: Tree, look: Look) -> Shared {
        Shared { tree, look, opened: Mutex::default(), writing: Mutex::default(), last: AtomicU64::new(0) }
    }

    /// Gives what was opened its number.
    pub fn add(&self, opened: Opened) -> FileHandle {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.opened.lock().insert(number, opened);
        FileHandle(number)
    }

    /// Its number is free again.
    pub fn remove(&self, handle: FileHandle) -> Option<Opened> {
        self.opened.lock().remove(&handle.0)
    }

    /// What is open under a number.
    ///
    /// # Errors
    /// EBADF: nothing is.
    pub fn opened(&self, handle: FileHandle) -> Result<Opened> {
        let known = self.opened.lock().get(&handle.0).cloned();
        known.ok_or_else(|| Error::new(Code::EBADF, "nothing is open under this number"))
    }

    /// What is open for writing under a number.
    ///
    /// # Errors
    /// EBADF: nothing is.
    pub fn writer(&self, handle: FileHandle) -> Result<Arc<Writer>> {
        match self.opened(handle)? {
            Opened::Writer(writer) => Ok(writer),
            _ => Err(Error::new(Code::EBADF, "not open for writing")),
        }
    }

    /// What writes a file: what is open under the number, if it is open for that, or whoever else writes it.
    pub fn writer_of(&self, node: &Node, handle: Option<FileHandle>) -> Option<Arc<Writer>> {
        let open = handle.and_then(|handle| self.writer(handle).ok());
        open.or_else(|| self.written(&node.descriptor))
    }

    /// What is being written under a descriptor.
    pub fn written(&self, descriptor: &str) -> Option<Arc<Writer>> {
        self.writing.lock().get(descriptor)?.upgrade()
    }

    /// What a file that is open for reading was when it was opened: this one, or any with this number.
    pub fn opened_stat(&self, ino: u64, handle: Option<FileHandle>) -> Option<Stat> {
        let opened = self.opened.lock();
        let of = |opened: &Opened| match opened {
            Opened::File(file) if file.ino == ino => file.stat.clone(),
            _ => None,
        };
        match handle {
            Some(handle) => opened.get(&handle.0).and_then(of),
            None => opened.values().find_map(of),
        }
    }

    /// What a name in a folder is: what a program is writing there, or what its provider has.
    pub fn find(&self, folder: &Node, name: &[u8], call: &Call) -> Result<(String, Stat)> {
        let descriptor = self.tree.descriptor(folder, name)?;
        match self.written(&descriptor).and_then(|writer| writer.stat()) {
            Some(stat) => Ok((descriptor, stat)),
            None => self.tree.stat(folder, name, call),
        }
    }

    /// Gives what was found, or made, in a folder its number, and says what the kernel is told of it.
    pub fn enter(&self, folder: &Node, name: &[u8], descriptor: String, stat: &Stat) -> FileAttr {
        let node = self.tree.enter(folder, name, descriptor, stat);
        self.look.of(node.ino, node.shape, stat)
    }

    /// Gives a writer its number.
    pub fn add_writer(&self, writer: Writer) -> FileHandle {
        let writer = Arc::new(writer);
        let mut writing = self.writing.lock();
        writing.retain(|_, writer| writer.strong_count() > 0);
        writing.insert(writer.descriptor().to_owned(), Arc::downgrade(&writer));
        drop(writing);
        self.add(Opened::Writer(writer))
    }
}
