//! What the kernel's calls share: the tree, and what programs have open of it.

use crate::attributes::Look;
use crate::calls::Call;
use crate::handle::Handle;
use crate::joined::Joined;
use crate::tree::{Entry, Node, Tree};
use crate::writer::Writer;
use fuser::{FileAttr, FileHandle, FopenFlags, OpenFlags};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;
use vfs_core::{Code, Error, Kind, Result, Stat};

/// The tree, what programs have open of it, and what they are told of it.
pub struct Shared {
    pub tree: Tree,
    pub look: Look,
    opened: Mutex<HashMap<u64, Opened>>,
    /// What is being written, by descriptor: programs see it before its provider does.
    writing: Mutex<HashMap<String, Weak<Writer>>>,
    /// What is being opened to be written, by descriptor.
    turns: Mutex<HashMap<String, Weak<Mutex<()>>>>,
    last: AtomicU64,
}

/// What a program has open.
#[derive(Clone)]
pub enum Opened {
    File(Arc<Handle>),
    Writer(Arc<Writer>),
    Joined(Arc<Joined>),
    Folder(Arc<Vec<Entry>>),
}

impl Shared {
    /// Of a tree of which nothing is open.
    pub fn new(tree: Tree, look: Look) -> Shared {
        let (opened, writing, turns) = (Mutex::default(), Mutex::default(), Mutex::default());
        Shared { tree, look, opened, writing, turns, last: AtomicU64::new(0) }
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

    /// Opens a file for reading: what is there, or what has been written so far of what is to take its place.
    ///
    /// # Errors
    /// Those of [`Handle::open`].
    pub fn read(&self, node: &Node, call: &Call) -> Result<(Opened, FopenFlags)> {
        if let Some(writer) = self.written(&node.descriptor).filter(|writer| writer.can_be_read_so_far()) {
            // Its size grows, and its pages are of no version.
            let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH;
            return Ok((Opened::Joined(Arc::new(Joined::new(node, writer))), flags));
        }
        let handle = Handle::open(&self.tree, node, call)?;
        let flags = handle.flags;
        Ok((Opened::File(Arc::new(handle)), flags))
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

    /// Opens a file to be written, or makes one: by what writes it already, where that is possible.
    ///
    /// # Errors
    /// Those of [`Writer::open`].
    pub fn write(&self, descriptor: &str, asked: OpenFlags, makes: bool, call: &Call) -> Result<Arc<Writer>> {
        let turn = self.turn(descriptor);
        // Two programs that open it at once: the second one finds what the first one has opened.
        let _turn = turn.lock();
        let is_new = makes && asked.0 & libc::O_EXCL != 0;
        if let Some(writer) = self.written(descriptor).filter(|writer| !is_new && writer.is_joined(asked)) {
            return Ok(writer);
        }
        let writer = Arc::new(Writer::open(&self.tree, descriptor, asked, makes, call)?);
        let mut writing = self.writing.lock();
        writing.retain(|_, writer| writer.strong_count() > 0);
        writing.insert(descriptor.to_owned(), Arc::downgrade(&writer));
        Ok(writer)
    }

    /// What to hold while a file is opened to be written.
    fn turn(&self, descriptor: &str) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(descriptor).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(descriptor.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Whether a writer is open under several numbers.
    pub fn is_shared(&self, writer: &Arc<Writer>, but: FileHandle) -> bool {
        let is_it = |opened: &Opened| matches!(opened, Opened::Writer(other) if Arc::ptr_eq(writer, other));
        self.opened.lock().iter().any(|(number, opened)| *number != but.0 && is_it(opened))
    }

    /// How many others of a file's writers the program has open that opened this one.
    pub fn others_of(&self, writer: &Writer) -> usize {
        let opened = self.opened.lock();
        let is_other = |opened: &&Opened| matches!(opened, Opened::Writer(other) if writer.is_beside(other));
        opened.values().filter(is_other).count()
    }

    /// Sets the size of a file, its time, or both, and says what is known of it then.
    ///
    /// # Errors
    /// The provider's.
    pub fn set(
        &self,
        node: &Node,
        handle: Option<FileHandle>,
        size: Option<u64>,
        time: Option<SystemTime>,
        call: &Call,
    ) -> Result<Stat> {
        let writer = self.writer_of(node, handle);
        let Some(size) = size else { return self.set_time(node, writer.as_deref(), time, call) };
        let set = |writer: &Writer| {
            writer.truncate(call, size)?;
            time.map_or(Ok(true), |time| writer.set_modified(call, time))
        };
        match writer {
            Some(writer) => set(&writer)?,
            None => {
                let flags = if size == 0 { libc::O_WRONLY | libc::O_TRUNC } else { libc::O_WRONLY };
                let writer = Writer::open(&self.tree, &node.descriptor, OpenFlags(flags), false, call)?;
                set(&writer)?;
                writer.release(call)?;
                true
            }
        };
        self.tree.written(node);
        Ok(Stat::of_kind(Kind::Regular).size(size).modified(time.unwrap_or_else(SystemTime::now)))
    }

    /// Sets the time of what is written, or of what is there.
    fn set_time(
        &self,
        node: &Node,
        writer: Option<&Writer>,
        time: Option<SystemTime>,
        call: &Call,
    ) -> Result<Stat> {
        let Some(time) = time else { return self.tree.stat_of(node, None, call) };
        // Another thread's close may complete it meanwhile: then it has a name to go by.
        if let Some(writer) = writer
            && let Some(stat) = writer.stat()
            && writer.set_modified(call, time)?
        {
            self.tree.written(node);
            return Ok(stat.modified(time));
        }
        self.tree.set_modified(node, time, call)
    }

    /// Gives a writer of the file with this inode its number.
    pub fn add_writer(&self, writer: Arc<Writer>, ino: u64) -> FileHandle {
        writer.has_number(ino);
        self.add(Opened::Writer(writer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;
    use crate::tree::{ROOT, Top};
    use std::time::Duration;
    use vfs_core::{Configuration, OpenOptions, Registry};

    /// Linux's own calls set one or the other; an NFS server that exports the folder sets both at once, of which the time was dropped.
    #[test]
    fn a_size_and_a_time_that_come_at_once_are_both_set() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [zvfs_test_support::built()];
        let configuration = Configuration::parse(&format!("provider-path = {paths:?}\n[provider.file]\n"));
        let (registry, options) = (Registry::new(configuration.unwrap()), OpenOptions::default());
        let top = Top::Folder(format!("file:{}", folder.path().display()));
        let shared = Shared::new(Tree::new(top, registry, options, Duration::ZERO, true), Look::new(true));
        let call = Call::new(1, Caller(0), false, Duration::from_secs(60));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (name, size, is_written) in [("cut", 3, false), ("emptied", 0, false), ("written", 3, true)] {
            let path = folder.path().join(name);
            std::fs::write(&path, "content").unwrap();
            let root = shared.tree.node(ROOT).unwrap();
            let (descriptor, stat) = shared.find(&root, name.as_bytes(), &call).unwrap();
            let node = shared.tree.enter(&root, name.as_bytes(), descriptor, &stat);
            let handle = is_written.then(|| {
                let writer = shared.write(&node.descriptor, OpenFlags(libc::O_WRONLY), false, &call);
                shared.add_writer(writer.unwrap(), node.ino)
            });
            let told = shared.set(&node, handle, Some(size), Some(time), &call).unwrap();
            if let Some(Opened::Writer(writer)) = handle.and_then(|handle| shared.remove(handle)) {
                writer.release(&call).unwrap();
            }
            let found = std::fs::metadata(path).unwrap();
            assert_eq!((found.len(), found.modified().unwrap()), (size, time), "{name}");
            assert_eq!((told.size, told.modified), (Some(size), Some(time)), "{name}");
        }
    }
}
