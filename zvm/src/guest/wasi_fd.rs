//! Calls on a descriptor that move no bytes.

use super::call::{Call, Outcome};
use super::errno::Errno;
use super::fds::{APPEND, NONBLOCK};
use super::memory::Span;
use super::names::Node;
use super::rights::Rights;
use super::state::{State, append_flag};
use super::wasi_io::signed;
use crate::channel::Channel;

/// The flags that promise durability with each call.
const SYNC_KINDS: u32 = 2 | 8 | 16;
/// A directory entry's head, before its name.
const DIRENT: usize = 24;

/// WASI's `filetype`.
const UNKNOWN: u8 = 0;
const DIRECTORY: u8 = 3;
const REGULAR: u8 = 4;

pub(super) fn fd_advise(call: &mut Call<'_>, fd: u32, offset: u64, length: u64, advice: u32) -> Outcome {
    let (channel, _) = call.state.channel(fd, Errno::BADF)?;
    if !channel.is_random() {
        return Err(Errno::SPIPE.into());
    }
    signed(offset)?;
    signed(length)?;
    if advice > 5 { Err(Errno::INVAL.into()) } else { Ok(()) }
}

pub(super) fn fd_allocate(call: &mut Call<'_>, fd: u32, offset: u64, length: u64) -> Outcome {
    let channel = writable(call.state, fd)?;
    if signed(offset)?.checked_add(signed(length)?).is_none_or(|end| signed(end).is_err()) {
        return Err(Errno::FBIG.into());
    }
    if length == 0 {
        return Err(Errno::INVAL.into());
    }
    Ok(channel.allocate(offset, length)?)
}

pub(super) fn fd_close(call: &mut Call<'_>, fd: u32) -> Outcome {
    let ended = call.state.fds.close(fd)?;
    writer_closed(call.state, ended)
}

pub(super) fn fd_renumber(call: &mut Call<'_>, from: u32, to: u32) -> Outcome {
    let ended = call.state.fds.renumber(from, to)?;
    writer_closed(call.state, ended)
}

fn writer_closed(state: &mut State, ended: Option<usize>) -> Outcome {
    match ended.and_then(|number| state.channels.by_handle(number)) {
        Some(channel) => Ok(channel.writer_closed()?),
        None => Ok(()),
    }
}

pub(super) fn fd_datasync(call: &mut Call<'_>, fd: u32) -> Outcome {
    fd_sync(call, fd)
}

pub(super) fn fd_sync(call: &mut Call<'_>, fd: u32) -> Outcome {
    match call.state.fds.at(fd)?.node {
        Node::Directory(_) => Ok(()),
        Node::Channel(_) => Ok(call.state.channel(fd, Errno::BADF)?.0.sync()?),
    }
}

pub(super) fn fd_fdstat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Outcome {
    let descriptor = call.state.fds.at(fd)?.clone();
    let result = call.memory.span(result, 24)?;
    let mut stat = [0; 24];
    stat[0] = filetype(call.state, descriptor.node);
    stat[2..4].copy_from_slice(&descriptor.flags.to_le_bytes());
    stat[8..16].copy_from_slice(&descriptor.rights.raw().to_le_bytes());
    stat[16..24].copy_from_slice(&descriptor.inheriting.raw().to_le_bytes());
    call.memory.put(&result, &stat);
    Ok(())
}

pub(super) fn fd_fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> Outcome {
    call.state.fds.at(fd)?;
    let flags = check_flags(flags)?;
    // A channel that appends by its type goes on doing so.
    let kept = match call.state.channel(fd, Errno::BADF) {
        Ok((channel, _)) => append_flag(channel),
        Err(_) => 0,
    };
    call.state.fds.at_mut(fd)?.flags = flags | kept;
    Ok(())
}

/// Checks a guest's `fdflags`.
pub(super) fn check_flags(flags: u32) -> Result<u16, Errno> {
    match u16::try_from(flags) {
        Ok(known) if known & !(APPEND | NONBLOCK) == 0 => Ok(known),
        _ if flags & !(SYNC_KINDS | u32::from(APPEND | NONBLOCK)) == 0 => Err(Errno::NOTSUP),
        _ => Err(Errno::INVAL),
    }
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

/// Answers with a node's status. All times are 0, and the device too: they would differ from run to run.
pub(super) fn filestat(call: &mut Call<'_>, node: Node, result: &Span) -> Outcome {
    let mut stat = [0; 64];
    stat[8..16].copy_from_slice(&inode(call.state, node).to_le_bytes());
    stat[16] = filetype(call.state, node);
    stat[24] = 1;
    if let Node::Channel(number) = node
        && let Some(channel) = call.state.channels.by_handle(number)
    {
        stat[32..40].copy_from_slice(&channel.size()?.to_le_bytes());
    }
    call.memory.put(result, &stat);
    Ok(())
}

pub(super) fn fd_filestat_set_size(call: &mut Call<'_>, fd: u32, size: u64) -> Outcome {
    let channel = writable(call.state, fd)?;
    Ok(channel.set_size(signed(size)?)?)
}

pub(super) fn fd_filestat_set_times(call: &mut Call<'_>, fd: u32, _: u64, _: u64, _: u32) -> Outcome {
    call.state.fds.at(fd)?;
    Err(Errno::ROFS.into())
}

pub(super) fn fd_prestat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Outcome {
    if !call.state.fds.is_preopen(fd) {
        return Err(Errno::BADF.into());
    }
    let result = call.memory.span(result, 8)?;
    // Tag 0, a directory; then the length of its name.
    call.answer_u64(&result, 1 << 32)
}

pub(super) fn fd_prestat_dir_name(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    if !call.state.fds.is_preopen(fd) {
        return Err(Errno::BADF.into());
    }
    let path = call.memory.span(path, length)?;
    if path.len() == 0 {
        return Err(Errno::NAMETOOLONG.into());
    }
    call.memory.put(&path, b"/");
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
    let (mut used, mut entries) = (0, 0);
    let first = usize::try_from(cookie).unwrap_or(usize::MAX);
    for (index, (name, node)) in call.state.names.entries(directory).enumerate().skip(first) {
        if used == buffer.len() {
            break;
        }
        let mut head = [0; DIRENT];
        head[0..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
        head[8..16].copy_from_slice(&inode(call.state, node).to_le_bytes());
        head[16..20].copy_from_slice(&(name.len() as u32).to_le_bytes());
        head[20] = filetype(call.state, node);
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
    call.state.channel(fd, Errno::BADF)?;
    let result = call.memory.span(result, 8)?;
    let (channel, descriptor) = call.state.channel(fd, Errno::BADF)?;
    if !channel.is_random() {
        return Err(Errno::SPIPE.into());
    }
    let base = match whence {
        0 => 0,
        1 => descriptor.position,
        2 => channel.size()?,
        _ => return Err(Errno::INVAL.into()),
    };
    let position = base.checked_add_signed(offset).ok_or(Errno::INVAL)?;
    descriptor.position = signed(position)?;
    call.answer_u64(&result, position)
}

pub(super) fn fd_tell(call: &mut Call<'_>, fd: u32, result: u32) -> Outcome {
    fd_seek(call, fd, 0, 1, result)
}

/// The channel of a descriptor that is open for writing.
fn writable(state: &mut State, fd: u32) -> Result<&mut Channel, Errno> {
    let (channel, descriptor) = state.channel(fd, Errno::BADF)?;
    if descriptor.rights.contain(Rights::WRITE) { Ok(channel) } else { Err(Errno::BADF) }
}

/// A sequential channel is of unknown type: as a character device it would pass for a terminal.
fn filetype(state: &State, node: Node) -> u8 {
    match node {
        Node::Directory(_) => DIRECTORY,
        Node::Channel(number) if state.regular.get(number) == Some(&true) => REGULAR,
        Node::Channel(_) => UNKNOWN,
    }
}

/// A channel's number; directories follow after the channels.
fn inode(state: &State, node: Node) -> u64 {
    match node {
        Node::Channel(number) => number as u64,
        Node::Directory(number) => (state.channels.len() + number) as u64,
    }
}
