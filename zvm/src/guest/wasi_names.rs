//! Calls that make, move and remove names: in the scratch space, if there is one.

use super::call::{Call, Outcome};
use super::errno::Errno;
use super::memory::PATH_MAX;
use super::rights::Rights;
use super::tree::{Node, Place};
use super::wasi_path::{FOLLOW, path_at, walk};

pub(super) fn path_create_directory(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    let place = place(call, fd, Rights::PATH_CREATE_DIRECTORY, path, length)?;
    let now = call.state.now();
    Ok(call.state.tree.make_directory(&place, now)?)
}

pub(super) fn path_remove_directory(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    let place = place(call, fd, Rights::PATH_REMOVE_DIRECTORY, path, length)?;
    if let Some(node @ Node::Directory(at)) = place.node
        && call.state.tree.is_provided(place.parent, node)
    {
        call.fetch_names(at)?;
    }
    let now = call.state.now();
    Ok(call.state.tree.remove_directory(&place, now)?)
}

pub(super) fn path_unlink_file(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Outcome {
    let place = place(call, fd, Rights::PATH_UNLINK, path, length)?;
    let now = call.state.now();
    Ok(call.state.tree.remove_file(&place, now)?)
}

#[allow(clippy::too_many_arguments, reason = "WASI's own list")]
pub(super) fn path_link(
    call: &mut Call<'_>,
    old_fd: u32,
    lookup: u32,
    old: u32,
    old_length: u32,
    new_fd: u32,
    new: u32,
    new_length: u32,
) -> Outcome {
    let old = place(call, old_fd, Rights::PATH_LINK_SOURCE, old, old_length)?;
    let new = place(call, new_fd, Rights::PATH_LINK_TARGET, new, new_length)?;
    if lookup & FOLLOW != 0 {
        return Err(Errno::INVAL.into());
    }
    let now = call.state.now();
    Ok(call.state.tree.add_name(&old, &new, now)?)
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
    let old = place(call, old_fd, Rights::PATH_RENAME_SOURCE, old, old_length)?;
    let new = place(call, new_fd, Rights::PATH_RENAME_TARGET, new, new_length)?;
    let now = call.state.now();
    let mut steps = 0;
    let moved = call.state.tree.rename(&old, &new, now, &mut steps);
    call.charge(steps)?;
    Ok(moved?)
}

pub(super) fn path_symlink(
    call: &mut Call<'_>,
    old: u32,
    old_length: u32,
    fd: u32,
    new: u32,
    new_length: u32,
) -> Outcome {
    call.charge_bytes(old_length.min(PATH_MAX) as usize)?;
    let target = call.memory.path(old, old_length)?;
    let place = place(call, fd, Rights::PATH_SYMLINK, new, new_length)?;
    let now = call.state.now();
    Ok(call.state.tree.make_link(&place, &target, now)?)
}

/// Where a guest's path leads; a link at its end is meant itself.
fn place(call: &mut Call<'_>, fd: u32, right: Rights, path: u32, length: u32) -> Outcome<Place> {
    let (base, path) = path_at(call, fd, right, path, length)?;
    walk(call, base, &path, false)
}
