//! Copies one open file to another, without passing the data through this process where both ends lend a kernel file.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::{Capabilities, Events};
use crate::open::OpenFile;
use crate::provider::{Direction, Lease};
use rustix::fs::{FileType, copy_file_range, fstat, sendfile};
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
    if both.contains(Capabilities::FD) {
        while limit.is_none_or(|limit| total < limit) {
            let wanted = limit.map_or(STEP, |limit| STEP.min(limit - total));
            match step(source, target, wanted)? {
                Moved::Bytes(count) => {
                    total += count;
                    progress(total);
                }
                Moved::End => return Ok(total),
                Moved::Unable => break,
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

enum Moved {
    Bytes(u64),
    End,
    /// The kernel does not move data between these two: read and write do.
    Unable,
}

/// Moves up to `wanted` bytes inside the kernel.
fn step(source: &mut OpenFile, target: &mut OpenFile, wanted: u64) -> Result<Moved> {
    let contexts = (source.control().context(), target.control().context());
    contexts.0.status()?;
    contexts.1.status()?;
    let (from, to) = match (source.lease(Direction::Read), target.lease(Direction::Write)) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(error), _) | (_, Err(error)) if error.code() != Code::ENOTSUP => return Err(error),
        _ => return Ok(Moved::Unable),
    };
    let wanted = wanted.min(from.limit).min(to.limit);
    let Ok(wanted) = usize::try_from(wanted) else { return Ok(Moved::Unable) };
    if wanted == 0 {
        return Ok(Moved::Unable);
    }
    // A stream's descriptor may be in blocking mode: readiness first, then a move that doesn't wait.
    if from.offset.is_none() {
        contexts.0.wait(Some(from.fd), Events::READ, None)?;
    }
    if to.offset.is_none() {
        contexts.1.wait(Some(to.fd), Events::WRITE, None)?;
    }
    let moved = match transfer(&from, &to, wanted) {
        Err(Errno::INTR | Errno::AGAIN) => return Ok(Moved::Bytes(0)),
        Err(
            Errno::INVAL
            | Errno::XDEV
            | Errno::NOSYS
            | Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::BADF
            | Errno::TXTBSY,
        ) => {
            return Ok(Moved::Unable);
        }
        Err(errno) => {
            let error = Error::from(io::Error::from(errno)).context(format!("copy to {}", target.shown()));
            return target.remember(Err(error));
        }
        Ok(0) => return Ok(Moved::End),
        Ok(count) => count as u64,
    };
    source.advance(Direction::Read, moved)?;
    target.advance(Direction::Write, moved)?;
    Ok(Moved::Bytes(moved))
}

/// copy_file_range between two files, splice where one side is a pipe, sendfile from a file to any other stream.
fn transfer(from: &Lease<'_>, to: &Lease<'_>, wanted: usize) -> rustix::io::Result<usize> {
    let (mut from_offset, mut to_offset) = (from.offset, to.offset);
    let is_pipe = |lease: &Lease<'_>| {
        lease.offset.is_none()
            && fstat(lease.fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
    };
    if from_offset.is_some() && to_offset.is_some() {
        return copy_file_range(from.fd, from_offset.as_mut(), to.fd, to_offset.as_mut(), wanted);
    }
    if is_pipe(from) || is_pipe(to) {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK | SpliceFlags::MORE;
        return splice(from.fd, from_offset.as_mut(), to.fd, to_offset.as_mut(), wanted, flags);
    }
    match from_offset.as_mut() {
        // sendfile to a blocking socket or terminal could wait without a cancel.
        Some(offset) if is_nonblocking(to) => sendfile(to.fd, from.fd, Some(offset), wanted),
        _ => Err(Errno::OPNOTSUPP),
    }
}

fn is_nonblocking(lease: &Lease<'_>) -> bool {
    rustix::fs::fcntl_getfl(lease.fd).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}
