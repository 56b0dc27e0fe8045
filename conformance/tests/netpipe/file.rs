//! The two ends of a pipe of the model.

use crate::fault::Fault;
use crate::model::Idle;
use crate::place::{Pipe, Place, State};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Context, Error, File, Finish, Flush, Result};

/// The most bytes a pipe holds; it takes a write of 64 KiB whole.
const CAPACITY: usize = 256 << 10;
const WHOLE: usize = 64 << 10;
/// The byte of a writer's that `ChangesAByte` flips.
const CHANGED: u64 = 150_001;

pub struct Reader {
    place: Arc<Place>,
    pipe: Option<u64>,
    context: Context,
    ends: u32,
    _idle: Option<Idle>,
}

impl Reader {
    pub fn new(place: Arc<Place>, pipe: Option<u64>, context: Context, idle: Option<Idle>) -> Reader {
        Reader { place, pipe, context, ends: 0, _idle: idle }
    }
}

fn fail<T>(code: Code, text: &'static str) -> Result<T> {
    Err(Error::new(code, text))
}

fn claims(fault: Fault, direction: Capabilities) -> Capabilities {
    let positions =
        if fault == Fault::ClaimsPositions { Capabilities::SEEKABLE } else { Capabilities::empty() };
    let both = Capabilities::READABLE | Capabilities::WRITABLE;
    let direction = if fault == Fault::IgnoresTheDirection { both } else { direction };
    direction | Capabilities::CANCEL | positions
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        claims(self.place.fault, Capabilities::READABLE)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let fault = self.place.fault;
        let Some(id) = self.pipe else {
            return if fault == Fault::SecondReaderSeesTheEnd {
                Ok(0)
            } else {
                fail(Code::EBUSY, "read: there is a reader already")
            };
        };
        let (start, mut first) = (Instant::now(), true);
        let mut state = self.place.lock();
        let disarmed = fault == Fault::ArrivalDisarmsTheDeadline && state.pipes[&id].was_read;
        loop {
            let Some(pipe) = state.pipes.get_mut(&id) else { return fail(Code::EIO, "read: no pipe") };
            pipe.blocked = false;
            let wanted = if fault == Fault::ReadsAllOrNothing { buf.len() } else { 1 };
            let there: usize = pipe.blocks.iter().map(|(_, bytes, taken)| bytes.len() - taken).sum();
            let held_back = pipe.is_held_back(fault);
            if there >= wanted && !held_back {
                let count = take(&mut state, id, buf, fault);
                self.place.notify();
                return Ok(count);
            }
            if pipe.broken && (first || fault != Fault::BlockedReadMissesBreaks) {
                return fail(Code::ECONNRESET, "read: the writer broke");
            }
            if pipe.at_end(fault) && !held_back || fault == Fault::ReadPolls {
                if there > 0 {
                    return fail(Code::ECONNRESET, "read: not enough");
                }
                pipe.over = true;
                self.ends += 1;
                self.place.notify();
                if fault == Fault::EndComesOnce && self.ends > 1 {
                    return fail(Code::ECONNRESET, "read: the end was said");
                }
                return Ok(0);
            }
            if fault == Fault::IdleReaderExpires && start.elapsed() > Duration::from_millis(300) {
                return fail(Code::ECONNRESET, "read: expired");
            }
            pipe.blocked = true;
            first = false;
            state = self.place.wait(state, (!disarmed).then_some(&self.context))?;
        }
    }
}

/// Takes bytes from the head of the queue.
fn take(state: &mut State, id: u64, buf: &mut [u8], fault: Fault) -> usize {
    let Some(pipe) = state.pipes.get_mut(&id) else { return 0 };
    pipe.was_read = true;
    let mut count = 0;
    while count < buf.len() {
        let Some((writer, bytes, taken)) = pipe.blocks.front_mut() else { break };
        let moved = (bytes.len() - *taken).min(buf.len() - count);
        buf[count..count + moved].copy_from_slice(&bytes[*taken..*taken + moved]);
        let gone = if fault == Fault::ReadDropsTheRest { bytes.len() - *taken } else { moved };
        *taken += gone;
        count += moved;
        pipe.held = pipe.held.saturating_sub(gone);
        if let Some(writer) = state.writers.get_mut(writer) {
            writer.taken += gone as u64;
        }
        if *taken == bytes.len() {
            pipe.blocks.pop_front();
        }
    }
    count
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.place.leave_reader(self.pipe);
    }
}

pub struct Writer {
    place: Arc<Place>,
    id: u64,
    context: Context,
    /// For `CancelSpoilsDiscard` only.
    cancelled: bool,
    _idle: Option<Idle>,
}

impl Writer {
    pub fn new(place: Arc<Place>, id: u64, context: Context, idle: Option<Idle>) -> Writer {
        Writer { place, id, context, cancelled: false, _idle: idle }
    }

    /// Waits until `ready` says so of the pipe that this writer has joined; fails with whatever ended that.
    fn wait_until(
        &self,
        verb: &'static str,
        context: Option<&Context>,
        mut ready: impl FnMut(&State, &Pipe) -> bool,
    ) -> Result<MutexGuard<'_, State>> {
        let fault = self.place.fault;
        let commits = verb != "write";
        let mut state = self.place.lock();
        let mut first = true;
        loop {
            let writer = &state.writers[&self.id];
            if writer.refused {
                return fail(Code::EBUSY, "there is a writer already");
            }
            if let Some(pipe) = writer.pipe.map(|id| &state.pipes[&id]) {
                let taken = writer.taken == writer.written;
                let gone = pipe.closed && (first || fault != Fault::BlockedWriteMissesClose);
                if commits && taken && ready(&state, pipe) {
                    return Ok(state);
                }
                if pipe.broken && fault != Fault::BreaksTheReaderOnly {
                    return fail(Code::ECONNRESET, "another writer broke");
                }
                if gone && commits && fault == Fault::CommitIgnoresClose {
                    return Ok(state);
                }
                if gone && (commits || fault != Fault::WritesIntoTheVoid) {
                    let code = if fault == Fault::CloseIsReset { Code::ECONNRESET } else { Code::EPIPE };
                    return fail(code, "the reader closed");
                }
                if gone || ready(&state, pipe) {
                    return Ok(state);
                }
            } else if !commits && fault == Fault::WritesWithoutReader {
                return Ok(state);
            }
            first = false;
            state = self.place.wait(state, context)?;
        }
    }

    fn wait_for_taken(&self, verb: &'static str, needs_end: bool) -> Result<()> {
        let fault = self.place.fault;
        let context = (fault != Fault::CommitIgnoresItsContext).then_some(&self.context);
        let needs_end = needs_end && fault == Fault::CommitNeedsTheEndRead;
        self.wait_until(verb, context, |state, pipe| {
            let writer = &state.writers[&self.id];
            writer.taken == writer.written && (!needs_end || pipe.over)
        })
        .map(drop)
    }

    fn put(&self, bytes: &[u8]) -> Result<()> {
        let fault = self.place.fault;
        let room = |_: &State, pipe: &Pipe| {
            let ready = fault != Fault::WriteWaitsForARead || pipe.blocked || pipe.was_read;
            let full = pipe.held + bytes.len() > CAPACITY && fault != Fault::BuffersAnything;
            ready && !full
        };
        let mut guard = match self.wait_until("write", Some(&self.context), room) {
            Err(error) if fault == Fault::TimedOutWriteMoves && error.code() == Code::ETIMEDOUT => {
                self.keep(bytes);
                return Err(error);
            }
            waited => waited?,
        };
        let state = &mut *guard;
        let Some(writer) = state.writers.get_mut(&self.id) else { return fail(Code::EIO, "no writer") };
        if fault == Fault::HoldsUntilEnd || fault == Fault::SwapsWrites && writer.kept.is_empty() {
            writer.written += bytes.len() as u64;
            writer.kept.extend_from_slice(bytes);
            return Ok(());
        }
        let Some(pipe) = writer.pipe.and_then(|id| state.pipes.get_mut(&id)) else { return Ok(()) };
        let kept = std::mem::take(&mut writer.kept);
        let (mut block, late) = match fault {
            Fault::SwapsWrites => (bytes.to_vec(), kept),
            _ => ([&kept, bytes].concat(), Vec::new()),
        };
        if fault == Fault::ChangesAByte
            && (writer.written..writer.written + block.len() as u64).contains(&CHANGED)
        {
            // Not an exclusive or: a second hop would undo it.
            let byte = &mut block[(CHANGED - writer.written) as usize];
            *byte = byte.wrapping_add(1);
        }
        writer.written += block.len() as u64;
        for block in [block, late].into_iter().filter(|block| !block.is_empty()) {
            pipe.held += block.len();
            pipe.blocks.push_back((self.id, block, 0));
        }
        drop(guard);
        self.place.notify();
        Ok(())
    }

    fn keep(&self, bytes: &[u8]) {
        if let Some(writer) = self.place.lock().writers.get_mut(&self.id) {
            writer.kept.extend_from_slice(bytes);
        }
    }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        claims(self.place.fault, Capabilities::WRITABLE)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let fault = self.place.fault;
        let most = if fault == Fault::WritesShort { 30_000 } else { WHOLE };
        let bytes = &buf[..buf.len().min(most)];
        if fault == Fault::MixesWrites {
            bytes.chunks(1000).try_for_each(|part| self.put(part))?;
        } else {
            let put = self.put(bytes);
            self.cancelled |= matches!(&put, Err(error) if error.code() == Code::ECANCELED);
            put?;
        }
        if fault == Fault::BuffersNothing {
            self.wait_for_taken("write it through", false)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        let waits = match level {
            Flush::Push => self.place.fault == Fault::PushWaits,
            Flush::Sync => self.place.fault != Fault::SyncIsPush,
        };
        if waits { self.wait_for_taken("flush", false) } else { Ok(()) }
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        let fault = self.place.fault;
        let spoilt = fault == Fault::CancelSpoilsDiscard && self.cancelled;
        self.place.last_word(self.id, how == Finish::Discard && !spoilt);
        let waits = match how {
            Finish::End => fault == Fault::EndWaitsForTheReader,
            Finish::Commit => fault != Fault::CommitIsEnd,
            Finish::Discard => false,
        };
        if waits { self.wait_for_taken("finish", true) } else { Ok(()) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.place.leave_writer(self.id);
    }
}
