//! A target that is gone on with in its place: `--partial` with `--in-place`. It is itself what is kept of a copy that broke, and no record
//! is needed: what it has is read back, and compared with what the source has there.

use crate::cp::digest::BUFFER;
use crate::descriptors::Assigned;
use crate::exit::warn;
use crate::log;
use crate::watch::Watch;
use indicatif::HumanBytes;
use std::io::SeekFrom;
use vfs_core::{Capabilities, Code, Error, Kind, Level, OpenFile, OpenFlags, Registry, Result};

/// Opens a target that has the beginning of a source of `size` bytes, behind as much of it as is equal; the source is left there too. What
/// differs is cut off, after `prepare` has had its say about both. `None`: there is nothing to go on from, and the target may be written anew.
///
/// # Errors
/// ENOTSUP: files cannot be gone on with there, or not from this source. `prepare`'s. Else either provider's.
pub fn open(
    registry: &Registry,
    watch: &Watch,
    (from, source, size): (&Assigned<'_>, &mut OpenFile, Option<u64>),
    to: &Assigned<'_>,
    prepare: impl FnOnce(&OpenFile, &mut OpenFile) -> Result<()>,
) -> Result<Option<(OpenFile, u64)>> {
    let how = to.open(OpenFlags::READ | OpenFlags::WRITE).control(&watch.control(to.descriptor));
    let there = registry.stat_name(to.descriptor, &how.clone().with_flags(OpenFlags::empty()));
    let there = match there {
        Ok(there) if there.kind == Kind::Regular => there,
        Err(error) if error.code() == Code::ENOENT => return Ok(None),
        Ok(_) => return Err(cannot(to, "it is no file that is kept")),
        Err(error) => return Err(error),
    };
    if there.size == Some(0) || size.is_none() {
        return Ok(None);
    }
    if !source.capabilities().contains(Capabilities::SEEKABLE) {
        warn(&format!("copy {}: begins anew: it has no positions to go on from", from.shown()));
        return Ok(None);
    }
    let mut target = registry.open(to.descriptor, &how).map_err(|error| match error.code() {
        Code::ENOTSUP | Code::EINVAL => cannot(to, &error.chain()),
        _ => error,
    })?;
    let needed = Capabilities::POSITIONAL_READ | Capabilities::SEEKABLE | Capabilities::TRUNCATABLE;
    if !target.capabilities().contains(needed) {
        return Err(cannot(to, "it has no positions, or cannot be cut"));
    }
    prepare(source, &mut target)?;
    let equal = beginning(source, &target)?;
    target.truncate(equal)?;
    target.seek(SeekFrom::Start(equal))?;
    source.seek(SeekFrom::Start(equal))?;
    let (from, to) = (from.shown(), to.shown());
    match equal {
        0 => warn(&format!("copy {from}: begins anew: what {to} has is not its beginning")),
        equal => {
            let text = format!("copy {from}: goes on after the {} that {to} has of it", HumanBytes(equal));
            log::tell(Level::Info, &text);
        }
    }
    Ok(Some((target, equal)))
}

/// How many bytes are the same in both, from the start.
fn beginning(source: &mut OpenFile, target: &OpenFile) -> Result<u64> {
    let (mut ours, mut theirs, mut equal) = (vec![0; BUFFER], vec![0; BUFFER], 0);
    loop {
        let count = target.read_at(&mut theirs, equal)?;
        let mut filled = 0;
        while filled < count {
            match source.read(&mut ours[filled..count])? {
                0 => break,
                more => filled += more,
            }
        }
        let same = ours[..filled].iter().zip(&theirs).take_while(|(one, other)| one == other).count();
        equal += same as u64;
        if count == 0 || same < count {
            return Ok(equal);
        }
    }
}

fn cannot(to: &Assigned<'_>, why: &str) -> Error {
    let text = format!(
        "go on with {} in its place: {why}: leave out --in-place, and give --partial-dir a folder of this machine",
        to.shown()
    );
    Error::new(Code::ENOTSUP, text)
}
