//! Copies one open file to another, without passing the data through this process where both ends lend a kernel file.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::{Capabilities, Events};
use crate::open::OpenFile;
use crate::provider::{Direction, Lease};
use crate::sigpipe::without_sigpipe;
use rustix::fs::{FileType, OFlags, copy_file_range, fcntl_getfl, fstat, sendfile};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use std::io;

/// What passes through user space in one piece.
const BUFFER: usize = 256 * 1024;
/// What the kernel moves between two looks at cancel, deadline and progress.
const STEP: u64 = 8 << 20;

/// Copies from the source's position to its end, or `limit` bytes, and returns how many. Does not finish the target.
///
/// `progress` is called with the total so far, at least once for each 8 MiB.
///
/// # Errors
/// EBADF: wrong direction; either side's. What had been copied stays in the target.
///
/// # Blocking
/// As the files do; the control of either ends it.
pub fn copy(
    source: &mut OpenFile,
    target: &mut OpenFile,
    limit: Option<u64>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64> {
    let both = source.capabilities() & target.capabilities();
    let mut total = 0;
    if both.contains(Capabilities::FD)
        && let Some(route) = route(source, target)?
    {
        while limit.is_none_or(|limit| total < limit) {
            let wanted = limit.map_or(STEP, |limit| STEP.min(limit - total));
            match step(route, source, target, wanted)? {
                Moved::Bytes(count) => {
                    total += count;
                    progress(total);
                }
                // Not always the end: the kernel moves nothing out of a file of /proc, which read does. So read has the
                // last word.
                Moved::Nothing => break,
            }
        }
    }
    let mut buf = vec![0; BUFFER];
    while limit.is_none_or(|limit| total < limit) {
        let wanted =
            limit.map_or(BUFFER, |limit| BUFFER.min(usize::try_from(limit - total).unwrap_or(BUFFER)));
        let count = source.read(&mut buf[..wanted])?;
        if count == 0 {
            break;
        }
        target.write_all(&buf[..count])?;
        total += count as u64;
        progress(total);
    }
    Ok(total)
}

/// The kernel's ways to move data between two descriptors.
#[derive(Clone, Copy)]
enum Route {
    /// copy_file_range: between two files.
    Files,
    /// splice: one side is a pipe.
    Pipe,
    /// sendfile: from a file to another kind of stream, which must not be able to wait.
    Stream,
}

/// Chooses the way; `None`: there is none, read and write do.
fn route(source: &mut OpenFile, target: &mut OpenFile) -> Result<Option<Route>> {
    let Some((from, to)) = leases(source, target)? else { return Ok(None) };
    let is_pipe = |lease: &Lease<'_>| {
        lease.offset.is_none()
            && fstat(lease.fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
    };
    Ok(match (from.offset, to.offset) {
        (Some(_), Some(_)) => Some(Route::Files),
        _ if is_pipe(&from) || is_pipe(&to) => Some(Route::Pipe),
        (Some(_), None) if fcntl_getfl(to.fd).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK)) => {
            Some(Route::Stream)
        }
        _ => None,
    })
}

/// Both sides' kernel files; `None`: one of them lends none, or not now.
fn leases<'a>(source: &'a mut OpenFile, target: &'a mut OpenFile) -> Result<Option<(Lease<'a>, Lease<'a>)>> {
    match (source.lease(Direction::Read), target.lease(Direction::Write)) {
        (Ok(from), Ok(to)) => Ok(Some((from, to))),
        (Err(error), _) | (_, Err(error)) if error.code() != Code::ENOTSUP => Err(error),
        _ => Ok(None),
    }
}

enum Moved {
    Bytes(u64),
    /// The end, or the kernel does not move data between these two after all.
    Nothing,
}

/// Moves up to `wanted` bytes inside the kernel.
fn step(route: Route, source: &mut OpenFile, target: &mut OpenFile, wanted: u64) -> Result<Moved> {
    let contexts = (source.control().context(), target.control().context());
    contexts.0.status()?;
    contexts.1.status()?;
    let Some((from, to)) = leases(source, target)? else { return Ok(Moved::Nothing) };
    let wanted = wanted.min(from.limit).min(to.limit);
    let Ok(wanted @ 1..) = usize::try_from(wanted) else { return Ok(Moved::Nothing) };
    // A stream's descriptor may be in blocking mode: readiness first, then a move that doesn't wait.
    if from.offset.is_none() {
        contexts.0.wait(Some(from.fd), Events::READ, None)?;
    }
    if to.offset.is_none() {
        contexts.1.wait(Some(to.fd), Events::WRITE, None)?;
    }
    let (mut from_offset, mut to_offset) = (from.offset, to.offset);
    let moved = without_sigpipe(|| match route {
        Route::Files => copy_file_range(from.fd, from_offset.as_mut(), to.fd, to_offset.as_mut(), wanted),
        Route::Pipe => {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK | SpliceFlags::MORE;
            splice(from.fd, from_offset.as_mut(), to.fd, to_offset.as_mut(), wanted, flags)
        }
        Route::Stream => sendfile(to.fd, from.fd, from_offset.as_mut(), wanted),
    });
    let moved = match moved {
        Ok(0) => return Ok(Moved::Nothing),
        Ok(count) => count as u64,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(Moved::Bytes(0)),
        Err(errno) if UNABLE.contains(&errno) => return Ok(Moved::Nothing),
        Err(errno) => {
            let error = Error::from(io::Error::from(errno)).context(format!("copy to {}", target.shown()));
            return target.remember(Err(error));
        }
    };
    source.advance(Direction::Read, moved)?;
    target.advance(Direction::Write, moved)?;
    Ok(Moved::Bytes(moved))
}

/// What the kernel says when it does not move data between two descriptors that read and write can serve.
const UNABLE: [Errno; 7] =
    [Errno::INVAL, Errno::XDEV, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM, Errno::BADF, Errno::TXTBSY];
