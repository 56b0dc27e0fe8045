//! Calls on a path.

use super::call::{Call, Halt, Outcome};
use super::errno::Errno;
use super::fds::Fd;
use super::names::Node;
use super::rights::Rights;
use super::state::append_flag;
use super::wasi_fd::{check_flags, filestat};

const CREATE: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;

#[allow(clippy::too_many_arguments, reason = "WASI's own list")]
pub(super) fn path_open(
    call: &mut Call<'_>,
    fd: u32,
    _lookup: u32,
    path: u32,
    length: u32,
    how: u32,
    rights: u64,
    _inheriting: u64,
    flags: u32,
    result: u32,
) -> Outcome {
    let (base, path) = path_at(call, fd, path, length)?;
    let result = call.memory.span(result, 4)?;
    if how & !(CREATE | DIRECTORY | EXCLUSIVE | TRUNCATE) != 0 {
        return Err(Errno::INVAL.into());
    }
    let flags = check_flags(flags)?;
    let node = match call.state.names.resolve(base, &path) {
        // Nothing is ever created: what there is, is the manifest's.
        Err(Errno::NOENT) if how & CREATE != 0 => return Err(Errno::ROFS.into()),
        node => node?,
    };
    if how & CREATE != 0 && how & EXCLUSIVE != 0 {
        return Err(Errno::EXIST.into());
    }
    let rights = Rights::from_raw(rights);
    let fd = match node {
        Node::Directory(_) if rights.contain(Rights::WRITE) || how & (CREATE | TRUNCATE) != 0 => {
            return Err(Errno::ISDIR.into());
        }
        Node::Directory(number) => call.state.fds.add(Fd::directory(number))?,
        Node::Channel(_) if how & DIRECTORY != 0 => return Err(Errno::NOTDIR.into()),
        Node::Channel(number) => open_channel(call, number, rights, how & TRUNCATE != 0, flags)?,
    };
    call.answer_u32(&result, fd)
}

/// Opens a channel; the rights asked for are the access mode.
fn open_channel(
    call: &mut Call<'_>,
    number: usize,
    asked: Rights,
    truncate: bool,
    flags: u16,
) -> Outcome<u32> {
    let (read, write) = (asked.contain(Rights::READ), asked.contain(Rights::WRITE));
    let channel = call.state.channels.by_handle(number).ok_or(Errno::NOENT)?;
    if read && !channel.readable() || (write || truncate) && !channel.writable() {
        return Err(Errno::ACCES.into());
    }
    if write && channel.writing_ended() {
        return Err(Errno::PIPE.into());
    }
    call.state.fds.free()?;
    if truncate {
        channel.empty()?;
    }
    let rights = Rights::of_channel(read, write, channel.is_random());
    let flags = flags | append_flag(channel);
    Ok(call.state.fds.add(Fd::channel(number, rights, flags, write))?)
}

pub(super) fn path_filestat_get(
    call: &mut Call<'_>,
    fd: u32,
    _lookup: u32,
    path: u32,
    length: u32,
    result: u32,
) -> Outcome {
    let (base, path) = path_at(call, fd, path, length)?;
    let result = call.memory.span(result, 64)?;
    let node = call.state.names.resolve(base, &path)?;
    filestat(call, node, &result)
}

#[allow(clippy::too_many_arguments, reason = "WASI's own list")]
pub(super) fn path_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    _lookup: u32,
    path: u32,
    length: u32,
    _accessed: u64,
    _modified: u64,
    _which: u32,
) -> Outcome {
    resolve(call, fd, path, length)?;
    Err(Errno::ROFS.into())
}

pub(super) fn path_readlink(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    length: u32,
    buffer: u32,
    room: u32,
    result: u32,
) -> Outcome {
    let (base, path) = path_at(call, fd, path, length)?;
    call.memory.span(buffer, room)?;
    call.memory.span(result, 4)?;
    call.state.names.resolve(base, &path)?;
    // There are no links.
    Err(Errno::INVAL.into())
}

pub(super) fn path_create_directory(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    creates(call, fd, path, length)
}

pub(super) fn path_remove_directory(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    resolve(call, fd, path, length)?;
    Err(Errno::ROFS.into())
}

pub(super) fn path_unlink_file(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    resolve(call, fd, path, length)?;
    Err(Errno::ROFS.into())
}

#[allow(clippy::too_many_arguments, reason = "WASI's own list")]
pub(super) fn path_link(
    call: &mut Call<'_>,
    old_fd: u32,
    _lookup: u32,
    old: u32,
    old_length: u32,
    new_fd: u32,
    new: u32,
    new_length: u32,
) -> Outcome {
    path_rename(call, old_fd, old, old_length, new_fd, new, new_length)
}

pub(super) fn path_rename(
    call: &mut Call<'_>,
    old_fd: u32,
    old: u32,
    old_length: u32,
    new_fd: u32,
    new: u32,
    new_length: u32,
) -> Outcome {
    resolve(call, old_fd, old, old_length)?;
    creates(call, new_fd, new, new_length)
}

pub(super) fn path_symlink(
    call: &mut Call<'_>,
    old: u32,
    old_length: u32,
    fd: u32,
    new: u32,
    new_length: u32,
) -> Outcome {
    // A link's text may be anything that is a path at all.
    call.memory.path(old, old_length)?;
    creates(call, fd, new, new_length)
}

/// Refuses to make a name.
fn creates(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    match resolve(call, fd, path, length) {
        Ok(_) | Err(Halt::Errno(Errno::NOENT)) => Err(Errno::ROFS.into()),
        Err(halt) => Err(halt),
    }
}

fn resolve(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome<Node> {
    let (base, path) = path_at(call, fd, path, length)?;
    Ok(call.state.names.resolve(base, &path)?)
}

/// Takes a directory and a path over from the guest, without following it, and charges for its bytes.
fn path_at(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome<(usize, String)> {
    let base = call.state.directory(fd)?;
    let path = call.memory.path(path, length)?;
    call.charge_bytes(path.len())?;
    Ok((base, path))
}
