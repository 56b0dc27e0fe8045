//! Calls that move bytes: `fd_read`, `fd_write` and their positional sisters.
//!
//! The order of checks: descriptor, directory, access mode, number of buffers, all pointers, the sum, the offset, a position
//! where the direction has none, nothing to move; the channel goes on from there.

use super::call::{Call, Outcome};
use super::errno::Errno;
use super::fds::{APPEND, Fd};
use super::memory::{CALL_MAX, Iovecs};
use super::rights::Rights;
use crate::channel::Channel;

/// How much is moved at once through the session's buffer, for calls with several buffers of their own.
const BUFFER: usize = 64 << 10;

pub(super) fn fd_read(call: &mut Call<'_>, fd: u32, iovecs: u32, count: u32, result: u32) -> Outcome {
    mode(call, fd, Rights::READ)?;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let mut done = 0;
    if iovecs.sum() > 0 {
        let position = call.state.fds.at(fd)?.position;
        done = read(call, fd, &iovecs, position)?;
        let (channel, fd) = call.state.channel(fd, Errno::ISDIR)?;
        if channel.random_read() {
            advance(fd, position, done);
        }
    }
    call.charge_bytes(done)?;
    call.answer_u32(&result, done as u32)
}

pub(super) fn fd_pread(
    call: &mut Call<'_>,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Outcome {
    mode(call, fd, Rights::READ)?;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let offset = signed(offset)?;
    let (channel, _) = call.state.channel(fd, Errno::ISDIR)?;
    if !channel.random_read() {
        return Err(Errno::SPIPE.into());
    }
    let done = if iovecs.sum() > 0 { read(call, fd, &iovecs, offset)? } else { 0 };
    call.charge_bytes(done)?;
    call.answer_u32(&result, done as u32)
}

pub(super) fn fd_write(call: &mut Call<'_>, fd: u32, iovecs: u32, count: u32, result: u32) -> Outcome {
    mode(call, fd, Rights::WRITE)?;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let mut done = 0;
    if iovecs.sum() > 0 {
        let (channel, descriptor) = call.state.channel(fd, Errno::ISDIR)?;
        let at_end = channel.random_write() && descriptor.flags & APPEND != 0;
        let position = if at_end { end(channel)? } else { descriptor.position };
        done = write(call, fd, &iovecs, position)?;
        let (channel, descriptor) = call.state.channel(fd, Errno::ISDIR)?;
        if channel.random_write() {
            advance(descriptor, position, done);
        } else if channel.appends() {
            // As O_APPEND has it: a write leaves the position at the end, where the data went.
            descriptor.position = end(channel)?;
        }
    }
    call.charge_bytes(done)?;
    call.answer_u32(&result, done as u32)
}

pub(super) fn fd_pwrite(
    call: &mut Call<'_>,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Outcome {
    mode(call, fd, Rights::WRITE)?;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let offset = signed(offset)?;
    let (channel, _) = call.state.channel(fd, Errno::ISDIR)?;
    if !channel.random_write() && !channel.appends() {
        return Err(Errno::SPIPE.into());
    }
    let done = if iovecs.sum() > 0 { write(call, fd, &iovecs, offset)? } else { 0 };
    call.charge_bytes(done)?;
    call.answer_u32(&result, done as u32)
}

/// Checks the descriptor and its access mode.
fn mode(call: &mut Call<'_>, fd: u32, right: Rights) -> Result<(), Errno> {
    let (_, descriptor) = call.state.channel(fd, Errno::ISDIR)?;
    if descriptor.rights.contain(right) { Ok(()) } else { Err(Errno::BADF) }
}

/// Reads into the buffers: straight into the only one, several through the session's own, so that one call of the guest is
/// one get.
fn read(call: &mut Call<'_>, fd: u32, iovecs: &Iovecs, offset: u64) -> Outcome<usize> {
    let offset = offset as i64;
    if let Some(span) = iovecs.single() {
        let (channel, _) = call.state.channel(fd, Errno::ISDIR)?;
        return Ok(channel.read_at(call.memory.bytes_mut(&span.first(CALL_MAX)), offset)?);
    }
    let mut buffer = std::mem::take(&mut call.state.buffer);
    buffer.resize(BUFFER, 0);
    let (channel, _) = call.state.channel(fd, Errno::ISDIR)?;
    let done = channel.read_at(&mut buffer[..iovecs.sum().min(BUFFER)], offset);
    if let Ok(done) = done {
        iovecs.scatter(&mut call.memory, &buffer[..done]);
    }
    call.state.buffer = buffer;
    Ok(done?)
}

/// Writes the buffers, as [`read`] reads.
fn write(call: &mut Call<'_>, fd: u32, iovecs: &Iovecs, offset: u64) -> Outcome<usize> {
    let offset = offset as i64;
    if let Some(span) = iovecs.single() {
        let (channel, _) = call.state.channel(fd, Errno::ISDIR)?;
        return Ok(channel.write_at(call.memory.bytes(&span.first(CALL_MAX)), offset)?);
    }
    let mut buffer = std::mem::take(&mut call.state.buffer);
    buffer.resize(BUFFER, 0);
    let count = iovecs.gather(&call.memory, &mut buffer);
    let (channel, _) = call.state.channel(fd, Errno::ISDIR)?;
    let done = channel.write_at(&buffer[..count], offset);
    call.state.buffer = buffer;
    Ok(done?)
}

/// A file offset, which has 63 bits.
pub(super) fn signed(offset: u64) -> Result<u64, Errno> {
    if offset > i64::MAX as u64 { Err(Errno::INVAL) } else { Ok(offset) }
}

fn advance(fd: &mut Fd, position: u64, count: usize) {
    fd.position = position.saturating_add(count as u64).min(i64::MAX as u64);
}

fn end(channel: &mut Channel) -> Outcome<u64> {
    Ok(channel.size()?.min(i64::MAX as u64))
}
