//! Calls on a descriptor that move no bytes.

use super::call::{Call, Halt, Outcome};
use super::errno::Errno;
use super::fds::{APPEND, Closed, NONBLOCK};
use super::memory::Span;
use super::rights::Rights;
use super::state::{FdTarget, State, append_flag};
use super::tree::{BLOCK, NewTimes, Node, Times};
use super::wasi_io::signed;
use crate::channel::Channel;

/// The flags that promise durability with each call.
const SYNC_KINDS: u16 = 2 | 8 | 16;
/// A directory entry's head, before its name.
const DIRENT: usize = 24;

/// WASI's `filetype`. A sequential channel is of unknown type: as a character device it would pass for a terminal.
const UNKNOWN: u8 = 0;
const CHARACTER_DEVICE: u8 = 2;
const DIRECTORY: u8 = 3;
const REGULAR: u8 = 4;
const LINK: u8 = 7;

/// WASI's `fstflags`.
const ACCESSED: u32 = 1;
const ACCESSED_NOW: u32 = 2;
const MODIFIED: u32 = 4;
const MODIFIED_NOW: u32 = 8;

pub(super) fn fd_advise(call: &mut Call<'_>, fd: u32, offset: u64, length: u64, advice: u32) -> Outcome {
    if let FdTarget::Channel(number) = call.state.target(fd, Errno::BADF)?
        && !call.state.channel(number)?.is_random()
    {
        return Err(Errno::SPIPE.into());
    }
    signed(offset)?;
    signed(length)?;
    if advice > 5 { Err(Errno::INVAL.into()) } else { Ok(()) }
}

pub(super) fn fd_allocate(call: &mut Call<'_>, fd: u32, offset: u64, length: u64) -> Outcome {
    let target = writable(call.state, fd)?;
    let end = signed(offset)?.checked_add(signed(length)?).filter(|end| signed(*end).is_ok());
    let end = end.ok_or(Errno::FBIG)?;
    if length == 0 {
        return Err(Errno::INVAL.into());
    }
    match target {
        FdTarget::Channel(number) => Ok(call.state.channel(number)?.allocate(offset, length)?),
        FdTarget::Device(_) => Err(Errno::INVAL.into()),
        FdTarget::File(at) => {
            // Looked at, whatever comes of it.
            let there = call.state.tree.file(at)?.blocks_within(&(offset..end));
            call.charge(there)?;
            let missing = call.state.tree.missing(at, offset..end)?;
            // All of it, before it is done: the blocks are filled with zeros, and more than once where there are many.
            call.charge_bytes(usize::try_from(missing).unwrap_or(usize::MAX).saturating_mul(BLOCK))?;
            let stop = call.state.stop.clone();
            Ok(call.state.tree.reserve(at, offset..end, || stop.thrown().is_some())?)
        }
    }
}

pub(super) fn fd_close(call: &mut Call<'_>, fd: u32) -> Outcome {
    let closed = call.state.fds.close(fd)?;
    after_close(call.state, closed)
}

pub(super) fn fd_renumber(call: &mut Call<'_>, from: u32, to: u32) -> Outcome {
    match call.state.fds.renumber(from, to)? {
        Some(closed) => after_close(call.state, closed),
        None => Ok(()),
    }
}

fn after_close(state: &mut State, closed: Closed) -> Outcome {
    if let Some(remote) = state.tree.remote(closed.node)
        && let Some(source) = state.channels.tree(remote.tree)
    {
        source.close_file(remote.number);
    }
    state.tree.close(closed.node);
    match closed.ended {
        Some(number) => Ok(state.channel(number)?.writer_closed()?),
        None => Ok(()),
    }
}

pub(super) fn fd_datasync(call: &mut Call<'_>, fd: u32) -> Outcome {
    fd_sync(call, fd)
}

pub(super) fn fd_sync(call: &mut Call<'_>, fd: u32) -> Outcome {
    match call.state.fds.at(fd)?.node {
        Node::Channel(number) => Ok(call.state.channel(number)?.sync()?),
        Node::Device(_) | Node::Directory(_) | Node::File(_) | Node::Link(_) => Ok(()),
    }
}

pub(super) fn fd_fdstat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Outcome {
    let descriptor = call.state.fds.at(fd)?.clone();
    let result = call.memory.span(result, 24)?;
    let mut stat = [0; 24];
    stat[0] = filetype_of(call.state, descriptor.node);
    stat[2..4].copy_from_slice(&descriptor.flags.to_le_bytes());
    stat[8..16].copy_from_slice(&descriptor.rights.raw().to_le_bytes());
    stat[16..24].copy_from_slice(&descriptor.inheriting.raw().to_le_bytes());
    call.memory.put(&result, &stat);
    Ok(())
}

pub(super) fn fd_fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> Outcome {
    let node = call.state.fds.at(fd)?.node;
    let flags = check_flags(flags)?;
    let kept = match node {
        Node::Channel(number) => {
            refuse_sync_kinds(flags)?;
            // One that appends by its type goes on doing so.
            append_flag(call.state.channel(number)?)
        }
        Node::Device(_) | Node::Directory(_) | Node::File(_) | Node::Link(_) => 0,
    };
    call.state.fds.at_mut(fd)?.flags = flags | kept;
    Ok(())
}

/// Checks a guest's `fdflags`.
pub(super) fn check_flags(flags: u32) -> Result<u16, Errno> {
    match u16::try_from(flags) {
        Ok(known) if known & !(APPEND | NONBLOCK | SYNC_KINDS) == 0 => Ok(known),
        _ => Err(Errno::INVAL),
    }
}

/// A channel promises no durability with each call; a file of the scratch space is as durable as it will ever be.
pub(super) fn refuse_sync_kinds(flags: u16) -> Result<(), Errno> {
    if flags & SYNC_KINDS == 0 { Ok(()) } else { Err(Errno::NOTSUP) }
}

pub(super) fn fd_fdstat_set_rights(call: &mut Call<'_>, fd: u32, base: u64, inheriting: u64) -> Outcome {
    let descriptor = call.state.fds.at_mut(fd)?;
    let (base, inheriting) = (Rights::from_raw(base), Rights::from_raw(inheriting));
    if !descriptor.rights.contain(base) || !descriptor.inheriting.contain(inheriting) {
        return Err(Errno::NOTCAPABLE.into());
    }
    (descriptor.rights, descriptor.inheriting) = (base, inheriting);
    Ok(())
}

pub(super) fn fd_filestat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Outcome {
    let node = call.state.fds.at(fd)?.node;
    let result = call.memory.span(result, 64)?;
    filestat(call, node, &result)
}

/// Answers with a node's status. The device is 0, and all times of what is the manifest's: they would differ from run to run.
pub(super) fn filestat(call: &mut Call<'_>, node: Node, result: &Span) -> Outcome {
    let status = call.state.tree.status(node);
    let size = match node {
        Node::Channel(number) => call.state.channel(number)?.size()?,
        Node::Device(_) | Node::Directory(_) | Node::File(_) | Node::Link(_) => status.size,
    };
    let Times { accessed, modified, changed, .. } = status.times;
    let mut stat = [0; 64];
    stat[16] = filetype_of(call.state, node);
    for (at, value) in [
        (8, status.inode),
        (24, u64::from(status.names)),
        (32, size),
        (40, accessed),
        (48, modified),
        (56, changed),
    ] {
        stat[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    call.memory.put(result, &stat);
    Ok(())
}

pub(super) fn fd_filestat_set_size(call: &mut Call<'_>, fd: u32, size: u64) -> Outcome {
    let target = writable(call.state, fd)?;
    let size = signed(size)?;
    match target {
        FdTarget::Channel(number) => Ok(call.state.channel(number)?.set_size(size)?),
        FdTarget::Device(_) => Err(Errno::INVAL.into()),
        FdTarget::File(at) => {
            let now = call.state.now();
            Ok(call.state.tree.set_size(at, size, now)?)
        }
    }
}

pub(super) fn fd_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    accessed: u64,
    modified: u64,
    which: u32,
) -> Outcome {
    let node = call.state.fds.at(fd)?.node;
    set_times(call, node, accessed, modified, which)
}

/// Sets a node's times.
pub(super) fn set_times(
    call: &mut Call<'_>,
    node: Node,
    accessed: u64,
    modified: u64,
    which: u32,
) -> Outcome {
    if which & !(ACCESSED | ACCESSED_NOW | MODIFIED | MODIFIED_NOW) != 0 {
        return Err(Errno::INVAL.into());
    }
    let now = call.state.now();
    let time = |given: u32, at_once: u32, value: u64| match (which & given != 0, which & at_once != 0) {
        (true, true) => Err(Errno::INVAL),
        (true, false) => Ok(Some(value)),
        (false, true) => Ok(Some(now)),
        (false, false) => Ok(None),
    };
    // What files have that the guest did not write is 0.
    let is_told = modified == 0 || call.state.clock.may_have_said(modified);
    let new = NewTimes {
        accessed: time(ACCESSED, ACCESSED_NOW, accessed)?,
        modified: time(MODIFIED, MODIFIED_NOW, modified)?,
        given: which & MODIFIED != 0 && !is_told,
    };
    call.state.tree.set_times(node, new, now).map_err(Halt::from)
}

pub(super) fn fd_prestat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Outcome {
    let name = call.state.fds.preopen(fd)?;
    let result = call.memory.span(result, 8)?;
    // Tag 0, a directory; then the length of its name.
    call.answer_u64(&result, (name.len() as u64) << 32)
}

pub(super) fn fd_prestat_dir_name(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    let name = call.state.fds.preopen(fd)?;
    let path = call.memory.span(path, length)?;
    if path.len() < name.len() {
        return Err(Errno::NAMETOOLONG.into());
    }
    call.memory.put(&path, name.as_bytes());
    Ok(())
}

pub(super) fn fd_readdir(
    call: &mut Call<'_>,
    fd: u32,
    buffer: u32,
    length: u32,
    cookie: u64,
    result: u32,
) -> Outcome {
    let directory = call.state.directory(fd)?;
    let buffer = call.memory.span(buffer, length)?;
    let result = call.memory.span(result, 4)?;
    call.fetch_names(directory)?;
    let (mut used, mut entries) = (0, 0);
    for (next, name, node) in call.state.tree.entries(directory, cookie) {
        if used == buffer.len() {
            break;
        }
        let mut head = [0; DIRENT];
        head[0..8].copy_from_slice(&next.to_le_bytes());
        head[8..16].copy_from_slice(&call.state.tree.status(node).inode.to_le_bytes());
        head[16..20].copy_from_slice(&(name.len() as u32).to_le_bytes());
        head[20] = filetype_of(call.state, node);
        // An entry that is cut off by the buffer's end says that there is more.
        used += call.memory.put_at(&buffer, used, &head);
        used += call.memory.put_at(&buffer, used, name.as_bytes());
        entries += 1;
    }
    call.charge(entries)?;
    call.charge_bytes(used)?;
    call.answer_u32(&result, used as u32)
}

pub(super) fn fd_seek(call: &mut Call<'_>, fd: u32, offset: i64, whence: u32, result: u32) -> Outcome {
    let target = call.state.target(fd, Errno::BADF)?;
    let result = call.memory.span(result, 8)?;
    if let FdTarget::Channel(number) = target
        && !call.state.channel(number)?.is_random()
    {
        return Err(Errno::SPIPE.into());
    }
    let base = match (whence, target) {
        (0, _) => 0,
        (1, _) => call.state.fds.at(fd)?.position,
        (2, FdTarget::Channel(number)) => call.state.channel(number)?.size()?,
        (2, FdTarget::Device(_)) => 0,
        (2, FdTarget::File(at)) => call.state.tree.file(at)?.size(),
        _ => return Err(Errno::INVAL.into()),
    };
    let position = signed(base.checked_add_signed(offset).ok_or(Errno::INVAL)?)?;
    call.state.fds.at_mut(fd)?.position = position;
    call.answer_u64(&result, position)
}

pub(super) fn fd_tell(call: &mut Call<'_>, fd: u32, result: u32) -> Outcome {
    fd_seek(call, fd, 0, 1, result)
}

/// What a descriptor writes to, if it is open for that.
fn writable(state: &State, fd: u32) -> Result<FdTarget, Errno> {
    let target = state.target(fd, Errno::BADF)?;
    if state.fds.at(fd)?.rights.contain(Rights::WRITE) { Ok(target) } else { Err(Errno::BADF) }
}

/// What kind of file a channel is to the guest.
pub(super) fn filetype(channel: &Channel) -> u8 {
    match channel.is_random() {
        true => REGULAR,
        false if channel.is_interactive() && channel.is_terminal() => CHARACTER_DEVICE,
        false => UNKNOWN,
    }
}

fn filetype_of(state: &State, node: Node) -> u8 {
    match node {
        Node::Directory(_) => DIRECTORY,
        Node::File(_) => REGULAR,
        Node::Link(_) => LINK,
        Node::Device(_) => CHARACTER_DEVICE,
        Node::Channel(number) => state.filetypes.get(number).copied().unwrap_or(UNKNOWN),
    }
}
