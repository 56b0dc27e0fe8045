//! Calls that move bytes: `fd_read`, `fd_write` and their positional sisters.
//!
//! The order of checks: descriptor, directory, access mode, number of buffers, all pointers, the sum, the offset, a position
//! where the direction has none, nothing to move; the channel goes on from there.

use super::call::{Call, Outcome};
use super::errno::Errno;
use super::fds::{APPEND, Fd, NONBLOCK};
use super::memory::{CALL_MAX, Iovecs, Span};
use super::rights::Rights;
use super::state::FdTarget;
use super::tree::{Content, Device, Remote};
use super::wasi_poll::would_block;
use crate::channel::{CallError, Channel, Channels};
use vfs_core::Code;

/// How much is moved at once through the session's buffer, for calls with several buffers of their own.
const BUFFER: usize = 64 << 10;

pub(super) fn fd_read(call: &mut Call<'_>, fd: u32, iovecs: u32, count: u32, result: u32) -> Outcome {
    let Opened { target, position, flags } = opened(call, fd, Rights::READ)?;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let mut done = 0;
    if iovecs.sum() > 0 {
        if flags & NONBLOCK != 0 && would_block(call, fd)? {
            return Err(Errno::AGAIN.into());
        }
        done = read(call, target, &iovecs, position)?;
        if moves_position(call, target, Channel::random_read)? {
            advance(call.state.fds.at_mut(fd)?, position, done);
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
    let target = opened(call, fd, Rights::READ)?.target;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let offset = signed(offset)?;
    if !moves_position(call, target, Channel::random_read)? {
        return Err(Errno::SPIPE.into());
    }
    let done = if iovecs.sum() > 0 { read(call, target, &iovecs, offset)? } else { 0 };
    call.charge_bytes(done)?;
    call.answer_u32(&result, done as u32)
}

pub(super) fn fd_write(call: &mut Call<'_>, fd: u32, iovecs: u32, count: u32, result: u32) -> Outcome {
    let opened = opened(call, fd, Rights::WRITE)?;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let mut done = 0;
    if iovecs.sum() > 0 {
        let (target, position) = (opened.target, write_position(call, &opened)?);
        done = write(call, target, &iovecs, position)?;
        if moves_position(call, target, Channel::random_write)? {
            advance(call.state.fds.at_mut(fd)?, position, done);
        } else if let FdTarget::Channel(number) = target
            && call.state.channel(number)?.appends()
        {
            // As O_APPEND has it: a write leaves the position at the end, where the data went.
            call.state.fds.at_mut(fd)?.position = end(call.state.channel(number)?)?;
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
    let target = opened(call, fd, Rights::WRITE)?.target;
    let (iovecs, result) = call.buffers(iovecs, count, result)?;
    let offset = signed(offset)?;
    if !moves_position(call, target, |channel| channel.random_write() || channel.appends())? {
        return Err(Errno::SPIPE.into());
    }
    let done = if iovecs.sum() > 0 { write(call, target, &iovecs, offset)? } else { 0 };
    call.charge_bytes(done)?;
    call.answer_u32(&result, done as u32)
}

/// A descriptor as a call finds it.
struct Opened {
    target: FdTarget,
    position: u64,
    flags: u16,
}

/// Looks the descriptor up, and checks its access mode.
fn opened(call: &Call<'_>, fd: u32, right: Rights) -> Result<Opened, Errno> {
    let fd = call.state.fds.at(fd)?;
    let target = call.state.target_of(fd, Errno::ISDIR)?;
    if !fd.rights.contain(right) {
        return Err(Errno::BADF);
    }
    Ok(Opened { target, position: fd.position, flags: fd.flags })
}

/// Whether a direction has positions.
fn moves_position(
    call: &mut Call<'_>,
    target: FdTarget,
    random: impl FnOnce(&Channel) -> bool,
) -> Result<bool, Errno> {
    match target {
        FdTarget::File(_) | FdTarget::Device(_) => Ok(true),
        FdTarget::Channel(number) => call.state.channel(number).map(|channel| random(channel)),
    }
}

/// Where a write without an offset goes.
fn write_position(call: &mut Call<'_>, opened: &Opened) -> Outcome<u64> {
    let &Opened { target, position, flags } = opened;
    match target {
        _ if flags & APPEND == 0 => Ok(position),
        FdTarget::Device(_) => Ok(position),
        FdTarget::File(at) => Ok(call.state.tree.file(at)?.size()),
        FdTarget::Channel(number) => {
            let channel = call.state.channel(number)?;
            if channel.random_write() { end(channel) } else { Ok(position) }
        }
    }
}

/// Reads into the buffers.
fn read(call: &mut Call<'_>, target: FdTarget, iovecs: &Iovecs, offset: u64) -> Outcome<usize> {
    let at = match target {
        FdTarget::Channel(number) => return read_channel(call, number, iovecs, offset, u64::MAX),
        FdTarget::Device(device) => return read_device(call, device, iovecs),
        FdTarget::File(at) => at,
    };
    match call.state.tree.file(at)?.content() {
        Content::Scratch(blocks) => {
            let mut done = 0;
            for span in within(iovecs, CALL_MAX) {
                let count = blocks.read(call.memory.bytes_mut(&span), offset + done as u64);
                done += count;
                if count < span.len() {
                    break;
                }
            }
            Ok(done)
        }
        Content::Loaded { archive, range } => {
            let data = archive.get(range.clone()).unwrap_or_default();
            let data = usize::try_from(offset).ok().and_then(|at| data.get(at..)).unwrap_or_default();
            let data = &data[..data.len().min(iovecs.sum()).min(CALL_MAX)];
            iovecs.scatter(&mut call.memory, data);
            Ok(data.len())
        }
        &Content::Packed { channel, offset: start, size } => match size.saturating_sub(offset) {
            0 => Ok(0),
            left => read_channel(call, channel, iovecs, start + offset, left),
        },
        &Content::Remote { at: Remote { tree, number }, .. } => {
            read_through(call, iovecs, offset, u64::MAX, |channels, buf, offset| {
                channels.tree(tree).ok_or(Code::EBADF)?.read_at(number, buf, offset)
            })
        }
    }
}

/// Reads a device: random numbers not more than a session's buffer at once, since they take a while and are paid for afterwards.
fn read_device(call: &mut Call<'_>, device: Device, iovecs: &Iovecs) -> Outcome<usize> {
    let most = match device {
        Device::Null => 0,
        Device::Zero => CALL_MAX,
        Device::Random => BUFFER,
    };
    within(iovecs, most).try_fold(0, |done, span| {
        let buffer = call.memory.bytes_mut(&span);
        match device {
            Device::Random => call.state.random.fill(buffer).map_err(CallError::Failed)?,
            Device::Null | Device::Zero => buffer.fill(0),
        }
        Ok(done + span.len())
    })
}

/// Reads at most `left` bytes of a channel.
#[inline]
fn read_channel(
    call: &mut Call<'_>,
    number: usize,
    iovecs: &Iovecs,
    offset: u64,
    left: u64,
) -> Outcome<usize> {
    read_through(call, iovecs, offset, left, |channels, buf, offset| {
        channels.by_handle(number).ok_or(Code::EBADF)?.read_at(buf, offset)
    })
}

/// Reads at most `left` bytes by a function of the channels: straight into the only buffer, several through the session's own, so that one call
/// of the guest is one get.
#[inline]
fn read_through(
    call: &mut Call<'_>,
    iovecs: &Iovecs,
    offset: u64,
    left: u64,
    mut read: impl FnMut(&mut Channels, &mut [u8], i64) -> Result<usize, CallError>,
) -> Outcome<usize> {
    let (offset, left) = (offset as i64, usize::try_from(left).unwrap_or(usize::MAX));
    if let Some(span) = iovecs.single() {
        let buffer = call.memory.bytes_mut(&span.first(CALL_MAX.min(left)));
        return Ok(read(&mut call.state.channels, buffer, offset)?);
    }
    read_scattered(call, iovecs, left, |channels, buffer| read(channels, buffer, offset))
}

/// Out of line, so that a read into one buffer stays short.
#[inline(never)]
fn read_scattered(
    call: &mut Call<'_>,
    iovecs: &Iovecs,
    left: usize,
    read: impl FnOnce(&mut Channels, &mut [u8]) -> Result<usize, CallError>,
) -> Outcome<usize> {
    let mut buffer = std::mem::take(&mut call.state.buffer);
    buffer.resize(BUFFER, 0);
    let count = iovecs.sum().min(BUFFER).min(left);
    let done = read(&mut call.state.channels, &mut buffer[..count]);
    if let Ok(done) = done {
        iovecs.scatter(&mut call.memory, &buffer[..done]);
    }
    call.state.buffer = buffer;
    Ok(done?)
}

/// Writes the buffers, as [`read`] reads.
fn write(call: &mut Call<'_>, target: FdTarget, iovecs: &Iovecs, offset: u64) -> Outcome<usize> {
    let number = match target {
        FdTarget::File(at) => return write_file(call, at, iovecs, offset),
        // All of them take what they are given, and keep nothing.
        FdTarget::Device(_) => return Ok(iovecs.sum().min(CALL_MAX)),
        FdTarget::Channel(number) => number,
    };
    let offset = offset as i64;
    if let Some(span) = iovecs.single() {
        let channel = call.state.channels.by_handle(number).ok_or(Errno::BADF)?;
        return Ok(channel.write_at(call.memory.bytes(&span.first(CALL_MAX)), offset)?);
    }
    let mut buffer = std::mem::take(&mut call.state.buffer);
    buffer.resize(BUFFER, 0);
    let count = iovecs.gather(&call.memory, &mut buffer);
    let done = call.state.channel(number)?.write_at(&buffer[..count], offset);
    call.state.buffer = buffer;
    Ok(done?)
}

fn write_file(call: &mut Call<'_>, at: usize, iovecs: &Iovecs, offset: u64) -> Outcome<usize> {
    let now = call.state.now();
    let mut done = 0;
    for span in within(iovecs, CALL_MAX) {
        match call.state.tree.write(at, call.memory.bytes(&span), offset + done as u64, now) {
            Ok(count) => {
                done += count;
                if count < span.len() {
                    break;
                }
            }
            // What was written before is told first.
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(done)
}

/// The buffers up to so many bytes.
fn within(iovecs: &Iovecs, mut left: usize) -> impl Iterator<Item = Span> {
    iovecs.spans().map_while(move |span| {
        let span = span.first(left);
        left -= span.len();
        (span.len() > 0).then_some(span)
    })
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
