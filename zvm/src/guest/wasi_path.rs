//! Calls that look a path up. Those that change what it leads to: `wasi_names`.

use super::call::{Call, End, Halt, Outcome};
use super::errno::Errno;
use super::fds::Fd;
use super::memory::PATH_MAX;
use super::rights::Rights;
use super::state::append_flag;
use super::tree::{Content, Followed, Node, Place, Remote};
use super::wasi_fd::{check_flags, filestat, refuse_sync_kinds, set_times};

const CREATE: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;
/// How much of a provider's file is copied by one of its gets.
const COPIED: usize = 1 << 20;
/// A link at the path's end is followed.
pub(super) const FOLLOW: u32 = 1;

#[allow(clippy::too_many_arguments, reason = "WASI's own list")]
pub(super) fn path_open(
    call: &mut Call<'_>,
    fd: u32,
    lookup: u32,
    path: u32,
    length: u32,
    oflags: u32,
    rights: u64,
    _inheriting: u64,
    flags: u32,
    result: u32,
) -> Outcome {
    let (base, path) = path_at(call, fd, Rights::PATH_OPEN, path, length)?;
    let result = call.memory.span(result, 4)?;
    if oflags & !(CREATE | DIRECTORY | EXCLUSIVE | TRUNCATE) != 0 {
        return Err(Errno::INVAL.into());
    }
    let flags = check_flags(flags)?;
    let exclusive = oflags & CREATE != 0 && oflags & EXCLUSIVE != 0;
    let place = walk(call, base, &path, lookup & FOLLOW != 0 && !exclusive)?;
    let (node, made) = match place.node {
        Some(_) if exclusive => return Err(Errno::EXIST.into()),
        Some(node) => (node, false),
        None if oflags & CREATE == 0 => return Err(Errno::NOENT.into()),
        None => (make(call, fd, &place, oflags)?, true),
    };
    let from = call.state.fds.at(fd)?;
    let (mine, inherited, asked) = (from.rights, from.inheriting, Rights::from_raw(rights));
    if oflags & TRUNCATE != 0 && !mine.contain(Rights::PATH_SET_SIZE) {
        return Err(Errno::PERM.into());
    }
    // What the directory's descriptor gave up, those opened from it don't have.
    let asked = asked.both(inherited);
    let opened = match node {
        Node::Directory(_) if Rights::from_raw(rights).contain(Rights::WRITE) => Err(Errno::ISDIR.into()),
        Node::Directory(_) if oflags & (CREATE | TRUNCATE) != 0 => Err(Errno::ISDIR.into()),
        Node::Directory(at) => Ok(Fd::directory(at, mine, inherited)),
        Node::Channel(_) | Node::Device(_) | Node::File(_) if oflags & DIRECTORY != 0 => {
            Err(Errno::NOTDIR.into())
        }
        Node::Channel(number) => open_channel(call, number, asked, oflags & TRUNCATE != 0, flags),
        // A device has positions, so that it does not pass for a terminal.
        Node::Device(_) => {
            let (read, write) = (asked.contain(Rights::READ), asked.contain(Rights::WRITE));
            Ok(Fd::file(node, Rights::of_file(read, write, true), flags))
        }
        Node::File(at) => open_file(call, &place, at, asked, oflags & TRUNCATE != 0 && !made, flags),
        // One that was not to be followed.
        Node::Link(_) => Err(Errno::LOOP.into()),
    }?;
    let number = call.state.fds.add(opened)?;
    call.state.tree.open(node);
    call.answer_u32(&result, number)
}

/// Makes a file for a name that is not there.
fn make(call: &mut Call<'_>, fd: u32, place: &Place, oflags: u32) -> Outcome<Node> {
    if call.state.tree.has_scratch() {
        permitted(call, fd, Rights::PATH_CREATE_FILE)?;
        if oflags & DIRECTORY != 0 {
            return Err(Errno::INVAL.into());
        }
        // A file that no descriptor is left for would stay behind.
        call.state.fds.free()?;
    }
    let now = call.state.now();
    Ok(call.state.tree.make_file(place, now)?)
}

/// Opens a channel; the rights asked for are the access mode.
fn open_channel(
    call: &mut Call<'_>,
    number: usize,
    asked: Rights,
    truncate: bool,
    flags: u16,
) -> Outcome<Fd> {
    refuse_sync_kinds(flags)?;
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
    let rights = Rights::of_file(read, write, channel.is_random());
    let flags = flags | append_flag(channel);
    Ok(Fd::channel(number, rights, flags, write))
}

/// Opens a file of the scratch space, of a mounted archive or of a provider's folder.
fn open_file(
    call: &mut Call<'_>,
    place: &Place,
    at: usize,
    asked: Rights,
    truncate: bool,
    flags: u16,
) -> Outcome<Fd> {
    let (read, write) = (asked.contain(Rights::READ), asked.contain(Rights::WRITE));
    if (write || truncate) && call.state.tree.remote(Node::File(at)).is_some() {
        call.state.fds.free()?;
        take_over(call, place, truncate)?;
    }
    if (write || truncate) && !matches!(call.state.tree.file(at)?.content(), Content::Scratch(_)) {
        return Err(Errno::ROFS.into());
    }
    call.state.fds.free()?;
    if truncate {
        let now = call.state.now();
        call.state.tree.set_size(at, 0, now)?;
    }
    if let Some(remote) = call.state.tree.remote(Node::File(at)) {
        let source = call.state.channels.tree(remote.tree).ok_or(Errno::NOENT)?;
        let size = source.open_file(remote.number)?;
        call.state.tree.set_remote_size(at, size);
    }
    Ok(Fd::file(Node::File(at), Rights::of_file(read, write, true), flags))
}

/// Makes a provider's file the guest's own, to be changed: with what is in it, unless it is to be emptied.
fn take_over(call: &mut Call<'_>, place: &Place, empty: bool) -> Outcome {
    let taken = call.state.tree.take_over(place)?;
    let (at, remote, _) = taken;
    let copied = if empty { Ok(()) } else { copy(call, at, remote) };
    match &copied {
        Ok(()) => {
            if let Some(source) = call.state.channels.tree(remote.tree) {
                source.release_file(remote.number);
            }
        }
        Err(halt) => {
            // By a quota of reading; those of writing are noted where they refuse.
            if matches!(halt, Halt::Errno(Errno::DQUOT)) {
                call.state.tree.note_cut_by_reading(at);
            }
            call.state.tree.give_back(place, taken);
        }
    }
    copied
}

/// Copies a provider's file into one of the scratch space.
fn copy(call: &mut Call<'_>, at: usize, remote: Remote) -> Outcome {
    let now = call.state.now();
    let source = call.state.channels.tree(remote.tree).ok_or(Errno::NOENT)?;
    let size = source.open_file(remote.number)?;
    let mut buffer = vec![0; COPIED];
    let mut done = 0;
    let copied = loop {
        if call.state.stop.thrown().is_some() {
            break Err(Halt::End(End::Stopped));
        }
        // Where the size is known, no get is spent on the end.
        if done > 0 && done == size {
            break Ok(());
        }
        let Some(source) = call.state.channels.tree(remote.tree) else { break Err(Errno::NOENT.into()) };
        let count = match source.read_at(remote.number, &mut buffer, done as i64) {
            Ok(0) => break Ok(()),
            Ok(count) => count,
            Err(error) => break Err(error.into()),
        };
        if let Err(halt) = call.charge_bytes(count) {
            break Err(halt);
        }
        let mut part = &buffer[..count];
        let written = loop {
            match call.state.tree.write(at, part, done, now) {
                Ok(count) => (part, done) = (&part[count..], done + count as u64),
                Err(errno) => break Err(errno),
            }
            if part.is_empty() {
                break Ok(());
            }
        };
        if let Err(errno) = written {
            break Err(errno.into());
        }
    };
    if let Some(source) = call.state.channels.tree(remote.tree) {
        source.close_file(remote.number);
    }
    copied
}

pub(super) fn path_filestat_get(
    call: &mut Call<'_>,
    fd: u32,
    lookup: u32,
    path: u32,
    length: u32,
    result: u32,
) -> Outcome {
    let (base, path) = path_at(call, fd, Rights::PATH_FILESTAT, path, length)?;
    let result = call.memory.span(result, 64)?;
    let node = resolve(call, base, &path, lookup)?;
    filestat(call, node, &result)
}

#[allow(clippy::too_many_arguments, reason = "WASI's own list")]
pub(super) fn path_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    lookup: u32,
    path: u32,
    length: u32,
    accessed: u64,
    modified: u64,
    which: u32,
) -> Outcome {
    let (base, path) = path_at(call, fd, Rights::PATH_SET_TIMES, path, length)?;
    let node = resolve(call, base, &path, lookup)?;
    set_times(call, node, accessed, modified, which)
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
    let (base, path) = path_at(call, fd, Rights::PATH_READLINK, path, length)?;
    let buffer = call.memory.span(buffer, room)?;
    let result = call.memory.span(result, 4)?;
    let Node::Link(link) = resolve(call, base, &path, 0)? else { return Err(Errno::INVAL.into()) };
    let target = call.state.tree.target(link).unwrap_or_default();
    let used = call.memory.put_at(&buffer, 0, target.as_bytes());
    call.charge_bytes(used)?;
    call.answer_u32(&result, used as u32)
}

fn resolve(call: &mut Call<'_>, base: usize, path: &str, lookup: u32) -> Outcome<Node> {
    Ok(walk(call, base, path, lookup & FOLLOW != 0)?.node.ok_or(Errno::NOENT)?)
}

/// Follows a path, and charges for its steps, those of a path that leads nowhere too.
pub(super) fn walk(call: &mut Call<'_>, base: usize, path: &str, follow: bool) -> Outcome<Place> {
    loop {
        let mut steps = 0;
        let followed = call.state.tree.follow(base, path, follow, &mut steps);
        call.charge(steps)?;
        match followed? {
            Followed::To(place) => return Ok(place),
            Followed::Unread(directory) => call.fetch_names(directory)?,
        }
    }
}

/// Takes a directory and a path over from the guest, without following it, and charges for its bytes. `right`: what the
/// descriptor needs, unless it gave that up.
pub(super) fn path_at(
    call: &mut Call<'_>,
    fd: u32,
    right: Rights,
    path: u32,
    length: u32,
) -> Outcome<(usize, String)> {
    let base = call.state.directory(fd)?;
    permitted(call, fd, right)?;
    // Before they are looked at: a path that is none costs as much.
    call.charge_bytes(length.min(PATH_MAX) as usize)?;
    Ok((base, call.memory.path(path, length)?))
}

/// Every directory's descriptor has all rights until it gives some up.
fn permitted(call: &Call<'_>, fd: u32, right: Rights) -> Result<(), Errno> {
    if call.state.fds.at(fd)?.rights.contain(right) { Ok(()) } else { Err(Errno::PERM) }
}
