//! How a file is opened to be written: as a whole where its provider can, or in place.

use crate::tree::Tree;
use vfs_core::{Code, Error, OpenFile, OpenFlags, OpenOptions, Result, Shown};

/// Opens a file to be appended to that is not there: it is seen at once, as it would be after the first program that does so, and there
/// is no old one that it could take the place of. `None`: its provider cannot.
pub fn appended(
    tree: &Tree,
    descriptor: &str,
    options: &OpenOptions,
    direction: OpenFlags,
    exclusive: bool,
) -> Result<Option<OpenFile>> {
    let flags = direction | OpenFlags::APPEND | OpenFlags::CREATE;
    let flags = if exclusive { flags | OpenFlags::EXCLUSIVE } else { flags };
    match tree.registry().open(descriptor, &options.clone().with_flags(flags)) {
        Err(error) if matches!(error.code(), Code::ENOTSUP | Code::EINVAL) => Ok(None),
        opened => opened.map(Some),
    }
}

/// Opens a file to be written from its start; whether it changes as it is written.
pub fn anew(
    tree: &Tree,
    descriptor: &str,
    options: &OpenOptions,
    exclusive: bool,
    reads: bool,
) -> Result<(OpenFile, bool)> {
    let registry = tree.registry();
    let supported = registry.supported_flags(descriptor, options)?;
    if reads {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let flags = if exclusive { flags | OpenFlags::EXCLUSIVE } else { flags };
        let both = OpenFlags::READ | OpenFlags::WRITE | (flags & supported);
        match registry.open(descriptor, &options.clone().with_flags(both)) {
            Err(error) if matches!(error.code(), Code::ENOTSUP | Code::EBADF | Code::EINVAL) => {}
            opened => return Ok((opened?, true)),
        }
    }
    if let Some(file) = whole(tree, descriptor, options, exclusive, supported)? {
        return Ok((file, false));
    }
    if exclusive && supported.contains(OpenFlags::EXCLUSIVE) {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let whole = flags | (OpenFlags::ATOMIC & supported);
        let file = registry.open(descriptor, &options.clone().with_flags(whole))?;
        return Ok((file, !supported.contains(OpenFlags::ATOMIC)));
    }
    let (mut file, mut placement) = registry.create(descriptor, options, None)?;
    placement.begin(&mut file)?;
    Ok((file, placement.in_place().is_some()))
}

/// Opens a file that is to appear as a whole, so that it can be read before that by other programs in the folder. `None`: its provider
/// does not do both.
fn whole(
    tree: &Tree,
    descriptor: &str,
    options: &OpenOptions,
    exclusive: bool,
    supported: OpenFlags,
) -> Result<Option<OpenFile>> {
    let anew = if exclusive { OpenFlags::EXCLUSIVE } else { OpenFlags::TRUNCATE & supported };
    let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::ATOMIC | anew;
    if !supported.contains(flags) {
        return Ok(None);
    }
    match tree.registry().open(descriptor, &options.clone().with_flags(flags)) {
        Err(error) if matches!(error.code(), Code::ENOTSUP | Code::EBADF | Code::EINVAL) => Ok(None),
        opened => opened.map(Some),
    }
}

/// What a user can do about a file that its provider does not change in place.
pub fn not_in_place(error: Error, descriptor: &str) -> Error {
    if error.code() != Code::ENOTSUP {
        return error;
    }
    let text = format!(
        "write {} in place: its provider only writes a file anew: copy it elsewhere, change the copy, and copy that over it",
        Shown(descriptor)
    );
    Error::new(Code::ENOTSUP, text)
}
