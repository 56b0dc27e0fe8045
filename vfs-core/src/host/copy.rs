//! Copies one open file to another, without passing the data through this process where both ends lend a kernel file. Holes
//! stay holes, and a file system that can share blocks shares them, which is copy_file_range's own doing.

mod buffer;
mod extents;
mod same;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::{Direction, Lease, Stat};
use crate::flags::{Capabilities, Events};
use crate::host::open::OpenFile;
use crate::sigpipe::without_sigpipe;
use buffer::Buffer;
use extents::Extent;
use rustix::fs::{FileType, OFlags, copy_file_range, fcntl_getfl, fstat, sendfile};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use same::feeds_itself;
use std::io;

pub use same::same_file;

/// What passes through user space in one piece.
const BUFFER: usize = 256 * 1024;
/// What is read at first once the kernel has moved what there was.
const FIRST: usize = 4096;
/// What the kernel moves between two looks at cancel, deadline and progress.
const STEP: u64 = 8 << 20;

/// Copies from the source's position to its end, or `limit` bytes, and returns how many. Does not finish the target.
///
/// `progress` is called with the total so far, at least once for each 8 MiB and each hole.
///
/// # Errors
/// EBADF: wrong direction; also where there is nothing to copy. EINVAL: it would read what it writes. ESTALE: the source's end came before the size that it had, and
/// it is not as it was: somebody cut it meanwhile. Else either side's. What had been copied stays in the target.
///
/// # Blocking
/// As the files do; the control of either ends it.
pub fn copy(
    source: &mut OpenFile,
    target: &mut OpenFile,
    limit: Option<u64>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64> {
    // Whatever the route, and however little there is to copy: a wrong direction, or an earlier failure, is told.
    source.read(&mut [])?;
    target.write(&[])?;
    if feeds_itself(source, target, limit) {
        let text = format!(
            "copy {} to {}: input is output: it would read what it writes, and never end",
            source.shown(),
            target.shown()
        );
        return Err(Error::new(Code::EINVAL, text));
    }
    let expected = Expected::of(source);
    let left = |total: u64| limit.map_or(u64::MAX, |limit| limit.saturating_sub(total));
    let (mut total, mut buf, mut by_kernel) = (0, Buffer::default(), true);
    while left(total) > 0 {
        if by_kernel {
            by_kernel = move_in_kernel(source, target, &mut total, &expected, limit, progress)?;
            if left(total) == 0 {
                break;
            }
        }
        // Not always the end: the kernel moves nothing out of a file of /proc, which read does, and what is not lent now may be
        // later. So read has the last word, which mostly is that there is no more.
        if buf.len() < BUFFER {
            buf = Buffer::new(if total > 0 && buf.len() == 0 { FIRST } else { BUFFER });
        }
        // The target's before anything is taken from the source, whose own read looks at its.
        target.control().status()?;
        let wanted = usize::try_from(left(total)).map_or(buf.len(), |left| buf.len().min(left));
        let count = source.read(&mut buf.bytes()[..wanted])?;
        if count == 0 {
            expected.check(source, total)?;
            break;
        }
        target.write_all(&buf.bytes()[..count])?;
        total += count as u64;
        progress(total);
    }
    Ok(total)
}

/// Moves what the kernel moves between the two now, up to `limit` in all. Returns whether it may move more after a read.
fn move_in_kernel(
    source: &mut OpenFile,
    target: &mut OpenFile,
    total: &mut u64,
    expected: &Expected,
    limit: Option<u64>,
    progress: &mut dyn FnMut(u64),
) -> Result<bool> {
    let Some(mut route) = route(source, target)? else { return Ok(true) };
    loop {
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(*total));
        if left == 0 || expected.is_reached(*total) {
            return Ok(true);
        }
        let moved = match &mut route {
            Route::Send => send(source, target, STEP.min(left)),
            Route::Receive => receive(source, target, STEP.min(left)),
            Route::Kernel(way) => step(way, source, target, left),
        };
        match moved? {
            Moved::Bytes(count) => {
                *total += count;
                progress(*total);
            }
            Moved::Nothing => return Ok(true),
            Moved::Never => return Ok(false),
        }
    }
}

/// What a source said of itself at the start, if it did.
#[derive(Debug)]
pub struct Expected(Option<(u64, Stat)>);

impl Expected {
    fn of(source: &mut OpenFile) -> Expected {
        match source.capabilities().contains(Capabilities::STAT | Capabilities::SEEKABLE) {
            true => source.stat().map_or(Expected(None), |stat| Expected::by(source, &stat)),
            false => Expected(None),
        }
    }

    /// Of a source with this status, read from its position on.
    pub fn by(source: &mut OpenFile, stat: &Stat) -> Expected {
        if !source.capabilities().contains(Capabilities::STAT | Capabilities::SEEKABLE) {
            return Expected(None);
        }
        let left = |source: &mut OpenFile| stat.size?.checked_sub(source.tell().ok()?);
        Expected(left(source).map(|left| (left, stat.clone())))
    }

    /// Whether all that the source said it has was copied: the kernel need not be asked whether there is more.
    fn is_reached(&self, total: u64) -> bool {
        self.0.as_ref().is_some_and(|(size, _)| *size > 0 && total >= *size)
    }

    /// Judges an end after `total` bytes. Files of /sys are shorter than they say, and stay as they are.
    ///
    /// # Errors
    /// ESTALE: the source was cut meanwhile.
    pub fn check(&self, source: &mut OpenFile, total: u64) -> Result<()> {
        let Some((size, before)) = self.0.as_ref().filter(|(size, _)| total < *size) else { return Ok(()) };
        let now = source.stat()?;
        if (now.size, &now.version) == (before.size, &before.version) {
            return Ok(());
        }
        let text = format!(
            "read {}: truncated while it was being read: it ended after {total} of {size} bytes",
            source.shown()
        );
        Err(Error::new(Code::ESTALE, text))
    }
}

/// How many bytes from a file's position on are a hole, as far as it lends a kernel file and that says so; at most 8 MiB.
///
/// # Errors
/// The file's.
pub fn hole(file: &mut OpenFile) -> Result<Option<u64>> {
    if !file.capabilities().contains(Capabilities::FD) {
        return Ok(None);
    }
    let Some(lease) = lent(file.lease(Direction::Read))? else { return Ok(None) };
    let Some(start) = lease.offset else { return Ok(None) };
    Ok(match extents::extent(lease.fd, start) {
        Extent::Hole { until } => Some((until - start).min(lease.limit).min(STEP)),
        Extent::Data { .. } => None,
    })
}

/// How data goes from one file to the other without passing through this process.
#[derive(Clone, Copy)]
enum Route {
    /// Both lend a kernel file.
    Kernel(Way),
    /// The target sends from the source's file.
    Send,
    /// The source receives into the target's file.
    Receive,
}

/// The kernel's ways to move data between two descriptors.
#[derive(Clone, Copy)]
enum Way {
    /// copy_file_range: between two files. What is known of the source so far is data.
    Files { data_until: u64 },
    /// splice: one side is a pipe.
    Pipe,
    /// sendfile: from a file to another kind of stream, which must not be able to wait.
    Stream,
}

/// Chooses the route; `None`: there is none, read and write do.
fn route(source: &mut OpenFile, target: &mut OpenFile) -> Result<Option<Route>> {
    let (from, to) = (source.capabilities(), target.capabilities());
    if to.contains(Capabilities::SPLICE) && from.contains(Capabilities::FD) {
        return Ok(lent(source.lease(Direction::Read))?.and_then(|lease| lease.offset).map(|_| Route::Send));
    }
    if from.contains(Capabilities::SPLICE) && to.contains(Capabilities::FD) {
        return Ok(lent(target.lease(Direction::Write))?
            .and_then(|lease| lease.offset)
            .map(|_| Route::Receive));
    }
    if !(from & to).contains(Capabilities::FD) {
        return Ok(None);
    }
    let Some((from, to)) = leases(source, target)? else { return Ok(None) };
    let is_pipe = |lease: &Lease<'_>| {
        lease.offset.is_none()
            && fstat(lease.fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
    };
    let nonblocking = || fcntl_getfl(to.fd).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK));
    Ok(match (from.offset, to.offset) {
        (Some(_), Some(_)) => Some(Route::Kernel(Way::Files { data_until: 0 })),
        _ if is_pipe(&from) || is_pipe(&to) => Some(Route::Kernel(Way::Pipe)),
        (Some(_), None) if nonblocking() => Some(Route::Kernel(Way::Stream)),
        _ => None,
    })
}

/// A lease, unless the file lends none or not now.
fn lent(lease: Result<Lease<'_>>) -> Result<Option<Lease<'_>>> {
    match lease {
        Ok(lease) => Ok(Some(lease)),
        Err(error) if error.code() == Code::ENOTSUP => Ok(None),
        Err(error) => Err(error),
    }
}

/// Both sides' kernel files; `None`: one of them lends none, or not now.
fn leases<'a>(source: &'a mut OpenFile, target: &'a mut OpenFile) -> Result<Option<(Lease<'a>, Lease<'a>)>> {
    let Some(from) = lent(source.lease(Direction::Read))? else { return Ok(None) };
    Ok(lent(target.lease(Direction::Write))?.map(|to| (from, to)))
}

enum Moved {
    Bytes(u64),
    /// The end, or not now.
    Nothing,
    /// The kernel does not move data between these two after all.
    Never,
}

/// Lets the target send from the source's file.
fn send(source: &mut OpenFile, target: &mut OpenFile, wanted: u64) -> Result<Moved> {
    let Some((lease, offset, wanted)) = file_lease(source.lease(Direction::Read), wanted)? else {
        return Ok(Moved::Nothing);
    };
    let moved = moved(target.send_from(lease.fd, offset, wanted))?;
    if let Moved::Bytes(count) = moved {
        source.advance(Direction::Read, count)?;
    }
    Ok(moved)
}

/// Lets the source receive into the target's file.
fn receive(source: &mut OpenFile, target: &mut OpenFile, wanted: u64) -> Result<Moved> {
    let Some((lease, offset, wanted)) = file_lease(target.lease(Direction::Write), wanted)? else {
        return Ok(Moved::Nothing);
    };
    let moved = moved(source.receive_into(lease.fd, offset, wanted))?;
    if let Moved::Bytes(count) = moved {
        target.advance(Direction::Write, count)?;
    }
    Ok(moved)
}

/// A lease of a file with offsets, and how much may go through it at once.
fn file_lease(lease: Result<Lease<'_>>, wanted: u64) -> Result<Option<(Lease<'_>, u64, usize)>> {
    let Some(lease) = lent(lease)? else { return Ok(None) };
    Ok(match (lease.offset, usize::try_from(wanted.min(lease.limit))) {
        (Some(offset), Ok(wanted @ 1..)) => Some((lease, offset, wanted)),
        _ => None,
    })
}

fn moved(count: Result<usize>) -> Result<Moved> {
    match count {
        Ok(0) => Ok(Moved::Nothing),
        Ok(count) => Ok(Moved::Bytes(count as u64)),
        Err(error) if error.code() == Code::ENOTSUP => Ok(Moved::Nothing),
        Err(error) => Err(error),
    }
}

/// Moves up to `left` bytes inside the kernel: a step's worth, or a hole.
fn step(way: &mut Way, source: &mut OpenFile, target: &mut OpenFile, left: u64) -> Result<Moved> {
    let contexts = (source.control().context(), target.control().context());
    let can_grow = target.capabilities().contains(Capabilities::TRUNCATABLE);
    let Some((from, to)) = leases(source, target)? else { return Ok(Moved::Nothing) };
    let left = left.min(from.limit).min(to.limit);
    let mut wanted = left.min(STEP);
    if let (Way::Files { data_until }, Some(start), Some(end)) = (&mut *way, from.offset, to.offset) {
        if start >= *data_until {
            match extents::extent(from.fd, start) {
                Extent::Hole { until } if can_grow => {
                    let count = left.min(until - start);
                    if extents::ends_before(to.fd, end) || extents::clear(to.fd, end, count) {
                        let behind = end.saturating_add(count);
                        let grown = extents::ends_before(to.fd, behind).then_some(behind);
                        return skip(source, target, grown, count);
                    }
                    *data_until = until;
                }
                // Zeros over what the target has there.
                Extent::Hole { until } | Extent::Data { until } => *data_until = until,
            }
        }
        wanted = wanted.min(*data_until - start);
    }
    let Ok(wanted @ 1..) = usize::try_from(wanted) else { return Ok(Moved::Nothing) };
    // A stream's descriptor may be in blocking mode: readiness first, then a move that doesn't wait.
    if from.offset.is_none() {
        contexts.0.wait(Some(from.fd), Events::READ, None)?;
    }
    if to.offset.is_none() {
        contexts.1.wait(Some(to.fd), Events::WRITE, None)?;
    }
    let (mut from_offset, mut to_offset) = (from.offset, to.offset);
    let moved = without_sigpipe(|| match way {
        Way::Files { .. } => {
            copy_file_range(from.fd, from_offset.as_mut(), to.fd, to_offset.as_mut(), wanted)
        }
        Way::Pipe => {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK | SpliceFlags::MORE;
            splice(from.fd, from_offset.as_mut(), to.fd, to_offset.as_mut(), wanted, flags)
        }
        Way::Stream => sendfile(to.fd, from.fd, from_offset.as_mut(), wanted),
    });
    let moved = match moved {
        Ok(0) => return Ok(Moved::Nothing),
        Ok(count) => count as u64,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(Moved::Bytes(0)),
        Err(errno) if UNABLE.contains(&errno) => return Ok(Moved::Never),
        Err(errno) => {
            let error = Error::from(io::Error::from(errno)).context(format!("copy to {}", target.shown()));
            return target.remember(Err(error));
        }
    };
    source.advance(Direction::Read, moved)?;
    target.advance(Direction::Write, moved)?;
    Ok(Moved::Bytes(moved))
}

/// Passes a hole of `count` bytes, up to which the target grows unless it is longer.
fn skip(source: &mut OpenFile, target: &mut OpenFile, grown: Option<u64>, count: u64) -> Result<Moved> {
    target.control().status()?;
    if let Some(size) = grown {
        let grown = target.truncate(size);
        target.remember(grown.map_err(|error| error.context(format!("copy to {}", target.shown()))))?;
    }
    source.advance(Direction::Read, count)?;
    target.advance(Direction::Write, count)?;
    Ok(Moved::Bytes(count))
}

/// What the kernel says when it does not move data between two descriptors that read and write can serve.
const UNABLE: [Errno; 7] =
    [Errno::INVAL, Errno::XDEV, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM, Errno::BADF, Errno::TXTBSY];
