//! The kernel's calls. Each is begun here and runs on a thread of its own; what needs no provider is answered at once. Calls that
//! write come only where that was asked for: else the kernel refuses them itself.

use crate::attributes::Look;
use crate::calls::{Call, Calls, Reply};
use crate::errno;
use crate::holders::Sought;
use crate::shared::{Opened, Shared};
use crate::tree::{Node, Place, Tree};
use crate::writer::Writer;
use fuser::{
    BsdFileFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use vfs_core::{Code, Error, Kind, Result, Stat};

/// Requests of the kernel's own at a time, such as reading ahead.
const AHEAD: u16 = 32;

/// A folder that is served.
pub struct Folder {
    shared: Arc<Shared>,
    calls: Calls,
    /// The device that programs see its files on, once that is known.
    device: Arc<OnceLock<(u32, u32)>>,
}

impl Folder {
    /// Serves a tree.
    pub fn new(tree: Tree, look: Look, calls: Calls) -> Folder {
        Folder { shared: Arc::new(Shared::new(tree, look)), calls, device: Arc::default() }
    }

    /// Where the device's number goes once it is mounted.
    pub fn device(&self) -> Arc<OnceLock<(u32, u32)>> {
        self.device.clone()
    }

    /// Begins a call: works on a thread of its own, and answers with what came of it.
    fn begin<R: Reply, T: 'static>(
        &self,
        request: &Request,
        reply: R,
        work: impl FnOnce(&Shared, &Call) -> Result<T> + Send + 'static,
        answer: impl FnOnce(&Shared, R, T) + Send + 'static,
    ) {
        let (working, answering) = (self.shared.clone(), self.shared.clone());
        self.calls.begin(
            request,
            reply,
            move |call| work(&working, call),
            move |reply, outcome| answer(&answering, reply, outcome),
        );
    }

    /// Does something with what is open for writing; there is nothing to do for anything else.
    fn with_writer(
        &self,
        request: &Request,
        handle: FileHandle,
        reply: ReplyEmpty,
        work: impl FnOnce(&Arc<Writer>, &Call) -> Result<()> + Send + 'static,
    ) {
        self.begin(
            request,
            reply,
            move |shared, call| match shared.opened(handle)? {
                Opened::Writer(writer) => work(&writer, call),
                Opened::File(_) | Opened::Joined(_) | Opened::Folder(_) => Ok(()),
            },
            done,
        );
    }
}

/// A file is written straight through: what the kernel kept would be of the version before.
const WRITING: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;

impl Filesystem for Folder {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each is a request: a kernel that is too old does without.
        let _ = config.add_capabilities(InitFlags::FUSE_AUTO_INVAL_DATA);
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        let _ = config.add_capabilities(InitFlags::FUSE_ATOMIC_O_TRUNC);
        let _ = config.set_max_background(AHEAD);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes().to_owned();
        self.begin(
            request,
            reply,
            move |shared, call| {
                let folder = shared.tree.node(parent.0)?;
                let (descriptor, stat) = shared.find(&folder, &name, call)?;
                Ok((folder, name, descriptor, stat))
            },
            move |shared, reply, (folder, name, descriptor, stat)| {
                let attributes = shared.enter(&folder, &name, descriptor, &stat);
                reply.entry(&shared.tree.cache_time(), &attributes, Generation(0));
            },
        );
    }

    fn forget(&self, _: &Request, ino: INodeNo, uses: u64) {
        self.shared.tree.forget(ino.0, uses);
    }

    fn getattr(&self, request: &Request, ino: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        self.begin(
            request,
            reply,
            move |shared, call| {
                let node = shared.tree.node(ino.0)?;
                // A folder has been seen to be there, and a store may have none to ask for.
                if node.shape == FileType::Directory {
                    let stat = node.stat.clone();
                    return Ok((node, stat));
                }
                if let Some(stat) = shared.written(&node.descriptor).and_then(|writer| writer.stat()) {
                    return Ok((node, stat));
                }
                let stat = shared.tree.stat_of(&node, shared.opened_stat(ino.0, handle), call)?;
                Ok((node, stat))
            },
            answer_attributes,
        );
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            let work = move |shared: &Shared, call: &Call| {
                let node = shared.tree.node(ino.0)?;
                Ok((shared.write(&node.descriptor, flags, false, call)?, node))
            };
            return self.begin(request, reply, work, move |shared, reply, (writer, node)| {
                shared.tree.written(&node);
                reply.opened(shared.add_writer(writer, node.ino), WRITING);
            });
        }
        self.begin(
            request,
            reply,
            move |shared, call| shared.read(&*shared.tree.node(ino.0)?, call),
            move |shared, reply, (opened, flags)| reply.opened(shared.add(opened), flags),
        );
    }

    fn read(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.begin(
            request,
            reply,
            move |shared, call| match shared.opened(handle)? {
                Opened::File(file) => file.read(call, offset, size as usize),
                Opened::Writer(writer) => writer.read(call, offset, size as usize),
                Opened::Joined(joined) => joined.read(&shared.tree, call, offset, size as usize),
                Opened::Folder(_) => Err(Error::new(Code::EISDIR, "read a folder")),
            },
            |_, reply, bytes| reply.data(&bytes),
        );
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let name = name.as_bytes().to_owned();
        self.begin(
            request,
            reply,
            move |shared, call| {
                let folder = shared.tree.node(parent.0)?;
                let descriptor = shared.tree.descriptor(&folder, &name)?;
                shared.tree.refuse_link(&folder, &name, &descriptor, call)?;
                Ok((shared.write(&descriptor, OpenFlags(flags), true, call)?, folder, name))
            },
            move |shared, reply, (writer, folder, name)| {
                shared.tree.listings().changed(folder.ino, &name, Kind::Regular);
                shared.tree.changed_in(&folder);
                let stat = Stat::of_kind(Kind::Regular).size(0).modified(SystemTime::now());
                let attributes = shared.enter(&folder, &name, writer.descriptor().to_owned(), &stat);
                let handle = shared.add_writer(writer, attributes.ino.0);
                reply.created(&shared.tree.cache_time(), &attributes, Generation(0), handle, WRITING);
            },
        );
    }

    fn write(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let data = data.to_owned();
        self.begin(
            request,
            reply,
            move |shared, call| shared.writer(handle)?.write(&shared.tree, call, &data, offset),
            |_, reply, count| reply.written(count),
        );
    }

    fn fsync(&self, request: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        self.with_writer(request, handle, reply, |writer, call| writer.sync(call));
    }

    /// Sizes and times are a provider's to change, where it can. Modes and owners are let through, as cp -p and tar want it, and not kept.
    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let time = modified.map(|modified| match modified {
            TimeOrNow::SpecificTime(time) => time,
            TimeOrNow::Now => SystemTime::now(),
        });
        if size.is_none() && time.is_none() {
            return self.getattr(request, ino, handle, reply);
        }
        self.begin(
            request,
            reply,
            move |shared, call| {
                let node = shared.tree.node(ino.0)?;
                let stat = shared.set(&node, handle, size, time, call)?;
                Ok((node, stat))
            },
            answer_attributes,
        );
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.as_bytes().to_owned();
        self.begin(
            request,
            reply,
            move |shared, call| {
                let folder = shared.tree.node(parent.0)?;
                let descriptor = shared.tree.descriptor(&folder, &name)?;
                let was_written = shared.written(&descriptor).is_some_and(|writer| writer.remove());
                match shared.tree.remove(&folder, &name, &descriptor, call) {
                    Err(error) if was_written && error.code() == Code::ENOENT => Ok(()),
                    removed => removed,
                }
            },
            done,
        );
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // To exchange two names is more than copies can stand for.
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            return reply.fail(Errno::EINVAL);
        }
        let (name, new_name) = (name.as_bytes().to_owned(), new_name.as_bytes().to_owned());
        self.begin(
            request,
            reply,
            move |shared, call| {
                let (old, new) = (shared.tree.node(parent.0)?, shared.tree.node(new_parent.0)?);
                let from = Place { folder: &old, name: &name };
                let to = Place { folder: &new, name: &new_name };
                shared.rename(&from, &to, !flags.is_empty(), call)
            },
            done,
        );
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let name = name.as_bytes().to_owned();
        self.begin(
            request,
            reply,
            move |shared, call| {
                let folder = shared.tree.node(parent.0)?;
                let descriptor = shared.tree.make_folder(&folder, &name, call)?;
                Ok((folder, name, descriptor))
            },
            move |shared, reply, (folder, name, descriptor)| {
                let stat = Stat::of_kind(Kind::Directory).modified(SystemTime::now());
                let attributes = shared.enter(&folder, &name, descriptor, &stat);
                reply.entry(&shared.tree.cache_time(), &attributes, Generation(0));
            },
        );
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.as_bytes().to_owned();
        self.begin(
            request,
            reply,
            move |shared, call| {
                let folder = shared.tree.node(parent.0)?;
                shared.tree.remove_folder(&folder, &name, call)
            },
            done,
        );
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.fail(Errno::EPERM);
    }

    /// No provider says how much room there is: all is free, so that a program that asks before it writes is not held back, and nobody
    /// is told that a disk is full.
    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const BLOCKS: u64 = 1 << 38; // 1 PiB of 4 KiB
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 0, 0, 4096, 255, 4096);
    }

    fn flush(&self, request: &Request, ino: INodeNo, handle: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        let (device, shared) = (self.device.clone(), self.shared.clone());
        self.with_writer(request, handle, reply, move |writer, call| {
            if shared.is_shared(writer, handle) {
                return writer.close_shared(call);
            }
            let file = device.get().map(|device| Sought { device: *device, ino: ino.0 });
            writer.close(call, file, || shared.others_of(writer))
        });
    }

    fn release(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let (closed, shared) = (self.shared.remove(handle), self.shared.clone());
        // To close may take a provider's time.
        let work = move |call: &Call| match closed {
            Some(Opened::Writer(writer)) if shared.is_shared(&writer, handle) => writer.close_shared(call),
            Some(Opened::Writer(writer)) => writer.release(call),
            closed => {
                drop(closed);
                Ok(())
            }
        };
        self.calls.begin_last(request, reply, work, |reply, ()| reply.ok());
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.begin(
            request,
            reply,
            move |shared, call| {
                let folder = shared.tree.node(ino.0)?;
                shared.tree.list(&folder, call)
            },
            move |shared, reply, entries| {
                reply.opened(shared.add(Opened::Folder(Arc::new(entries))), FopenFlags::empty());
            },
        );
    }

    fn readdir(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = match self.shared.opened(handle) {
            Ok(Opened::Folder(entries)) => entries,
            _ => return reply.fail(Errno::EBADF),
        };
        self.shared.tree.listings().goes_on(ino.0);
        let parent = match self.shared.tree.node(ino.0) {
            Ok(node) => node.parent,
            Err(error) => return reply.fail(errno::of(&error)),
        };
        let dots =
            [(ino.0, "."), (parent, "..")].map(|(ino, name)| (ino, FileType::Directory, name.as_bytes()));
        // A name has its number once it is looked up; until then any does that is none of them.
        let names = entries.iter().map(|entry| (u64::MAX, entry.shape, entry.name.as_slice()));
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (place, (ino, shape, name)) in dots.into_iter().chain(names).enumerate().skip(from) {
            if reply.add(INodeNo(ino), place as u64 + 1, shape, OsStr::from_bytes(name)) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.shared.remove(handle);
        reply.ok();
    }
}

/// What is done has no other answer.
fn done(_: &Shared, reply: ReplyEmpty, (): ()) {
    reply.ok();
}

fn answer_attributes(shared: &Shared, reply: ReplyAttr, (node, stat): (Arc<Node>, Stat)) {
    reply.attr(&shared.tree.cache_time(), &shared.look.of(node.ino, node.shape, &stat));
}
