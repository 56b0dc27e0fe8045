//! The steps that checks are made of: calls in guarded memory, comparisons, and what an error has to look like.

use crate::memory::{Against, Guarded, ReadOnly};
use crate::step::{Step, Stop};
use std::io::SeekFrom;
use std::thread::{self, Scope, ScopedJoinHandle};
use vfs_core::{Capabilities, Code, Error, File};

/// More than this and a source counts as endless.
pub(crate) const CONTENT_MAX: usize = 64 << 20;

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::step::Stop::Fail(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;

/// Skips the check, with a reason.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Step<T> {
    Err(Stop::Skip(reason.into()))
}

/// Skips the check unless the file claims these capabilities.
pub(crate) fn claims(file: &dyn File, claimed: Capabilities) -> Step {
    let missing = claimed.without(file.capabilities());
    if missing.is_empty() { Ok(()) } else { skip(format!("{missing:?} is not claimed")) }
}

/// A buffer of the suite's: every file call in every check gets guarded memory.
pub(crate) fn guarded(len: usize, against: Against) -> Step<Guarded> {
    Guarded::new(len, against).map_err(|errno| Stop::Fail(format!("cannot map {len} bytes: {errno}")))
}

/// Memory that faults when written.
pub(crate) fn read_only(bytes: &[u8], against: Against) -> Step<ReadOnly> {
    Guarded::read_only(bytes, against)
        .map_err(|errno| Stop::Fail(format!("cannot map {} bytes: {errno}", bytes.len())))
}

/// Runs a reading call on a buffer full of a pattern; checks the count and that the tail is as it was.
pub(crate) fn read_into(
    buffer: &mut [u8],
    what: &str,
    call: impl FnOnce(&mut [u8]) -> vfs_core::Result<usize>,
) -> Step<usize> {
    let pattern = |at: usize| (at as u8).wrapping_mul(31) ^ 0xa5;
    buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(at));
    let length = buffer.len();
    let count = call(buffer)?;
    ensure!(count <= length, "{what} of {length} bytes returned the count {count}");
    let touched = (count..length).find(|&at| buffer[at] != pattern(at));
    ensure!(touched.is_none(), "{what} returned {count} and changed byte {} beyond it", touched.unwrap_or(0));
    Ok(count)
}

/// Reads on to the end, `chunk` bytes at a time.
pub(crate) fn read_all(file: &mut dyn File, chunk: usize) -> Step<Vec<u8>> {
    let mut buffer = guarded(chunk, Against::BackGuard)?;
    let mut all = Vec::new();
    loop {
        let count = read_into(buffer.as_mut_slice(), "read", |buffer| file.read(buffer))?;
        if count == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&buffer.as_slice()[..count]);
        ensure!(all.len() <= CONTENT_MAX, "read: no end after {CONTENT_MAX} bytes");
    }
}

/// Reads up to `wanted` bytes, as many calls as it takes; fewer only at the end.
pub(crate) fn read_some(file: &mut dyn File, wanted: usize) -> Step<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < wanted {
        let mut buffer = guarded(wanted - all.len(), Against::BackGuard)?;
        match read_into(buffer.as_mut_slice(), "read", |buffer| file.read(buffer))? {
            0 => break,
            count => all.extend_from_slice(&buffer.as_slice()[..count]),
        }
    }
    Ok(all)
}

/// Reads up to `wanted` bytes at an offset, as many calls as it takes; fewer only at the end.
pub(crate) fn read_some_at(file: &dyn File, wanted: usize, offset: u64) -> Step<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < wanted {
        let mut buffer = guarded(wanted - all.len(), Against::BackGuard)?;
        let at = offset + all.len() as u64;
        match read_into(buffer.as_mut_slice(), "read_at", |buffer| file.read_at(buffer, at))? {
            0 => break,
            count => all.extend_from_slice(&buffer.as_slice()[..count]),
        }
    }
    Ok(all)
}

/// Writes everything, from memory that faults when it is changed.
pub(crate) fn write_all(file: &mut dyn File, bytes: &[u8]) -> Step {
    let source = read_only(bytes, Against::BackGuard)?;
    let mut rest = source.as_slice();
    while !rest.is_empty() {
        let count = file.write(rest)?;
        ensure!(count > 0 && count <= rest.len(), "write of {} bytes returned the count {count}", rest.len());
        rest = &rest[count..];
    }
    Ok(())
}

/// Writes everything at an offset.
pub(crate) fn write_all_at(file: &dyn File, bytes: &[u8], offset: u64) -> Step {
    let source = read_only(bytes, Against::BackGuard)?;
    let mut done = 0;
    while done < bytes.len() {
        let rest = &source.as_slice()[done..];
        let count = file.write_at(rest, offset + done as u64)?;
        ensure!(
            count > 0 && count <= rest.len(),
            "write_at of {} bytes returned the count {count}",
            rest.len()
        );
        done += count;
    }
    Ok(())
}

/// Compares bytes and says where they part.
pub(crate) fn same(found: &[u8], wanted: &[u8], what: &str) -> Step {
    if found == wanted {
        return Ok(());
    }
    let at = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
    let at = at.unwrap_or(found.len().min(wanted.len()));
    Err(Stop::Fail(format!(
        "{what}: {} bytes, expected {}; they part at byte {at} ({:?}, expected {:?})",
        found.len(),
        wanted.len(),
        &found[at..found.len().min(at + 8)],
        &wanted[at..wanted.len().min(at + 8)]
    )))
}

/// Compares what is there with what should be, nothing at all too.
pub(crate) fn same_or_none(found: Option<&[u8]>, wanted: Option<&[u8]>, what: &str) -> Step {
    match (found, wanted) {
        (None, None) => Ok(()),
        (Some(found), Some(wanted)) => same(found, wanted, what),
        (Some(found), None) => Err(Stop::Fail(format!("{what}: {} bytes, expected nothing", found.len()))),
        (None, Some(wanted)) => Err(Stop::Fail(format!("{what}: nothing, expected {} bytes", wanted.len()))),
    }
}

/// A seek in words.
pub(crate) fn seeking(to: SeekFrom) -> String {
    match to {
        SeekFrom::Start(offset) => format!("seek to {offset}"),
        SeekFrom::Current(by) => format!("seek by {by}"),
        SeekFrom::End(by) => format!("seek to the end{by:+}"),
    }
}

/// A size that may not be known, in words.
pub(crate) fn sized(size: Option<u64>) -> String {
    size.map_or("no size".to_owned(), |size| size.to_string())
}

/// Checks that a call failed, with one of these codes and with a text that a person can use.
pub(crate) fn refused<T>(result: vfs_core::Result<T>, codes: &[Code], what: &str) -> Step {
    let expected = || codes.iter().map(Code::to_string).collect::<Vec<_>>().join(" or ");
    match result {
        Ok(_) => Err(Stop::Fail(format!("{what} succeeded, expected {}", expected()))),
        Err(error) => {
            ensure!(
                codes.contains(&error.code()),
                "{what} failed with {} ({}), expected {}",
                error.code(),
                error.chain(),
                expected()
            );
            well_said(&error, what)
        }
    }
}

/// Checks the form of an error.
pub(crate) fn well_said(error: &Error, what: &str) -> Step {
    let (code, text) = (error.code(), error.chain());
    ensure!(
        code != Code::EINTR && code != Code::EAGAIN,
        "{what} failed with {code}, which is never returned"
    );
    ensure!(!text.trim().is_empty(), "{what} failed with {code} and no text");
    ensure!(!text.contains(char::is_control), "{what}: a control character in the error text {text:?}");
    ensure!(text.len() < 1000, "{what}: an error text of {} bytes", text.len());
    // Two of them end the descriptor of a folder above.
    let full_stop = text.ends_with('.') && !text.ends_with("..");
    ensure!(!full_stop, "{what}: a full stop ends the error text {text:?}");
    Ok(())
}

/// Joins the threads of a scope; a panic in one is a failure of the check.
pub(crate) fn joined(threads: Vec<Result<ScopedJoinHandle<'_, Step>, Stop>>) -> Step {
    threads.into_iter().try_for_each(|thread| {
        thread?.join().unwrap_or_else(|_| Err(Stop::Fail("a call panicked in another thread".to_owned())))
    })
}

/// Starts a thread of a scope; without one the check cannot be made.
pub(crate) fn beside<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Stop> {
    let thread = thread::Builder::new().spawn_scoped(scope, work);
    thread.map_err(|error| Stop::Fail(Error::no_thread(&error).to_string()))
}

/// Bytes that look like no other stretch of themselves, the same at each call.
pub(crate) fn sample(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
