//! A ring of bytes in memory that the two ends of a pipe share, without any IO.
//!
//! Each end has memory that only it can write. The writer's holds the bytes, and how many there have been; the reader's, how many were
//! taken. An end that has to wait says so there, and looks once more. For a moment it waits for the other's count itself (futex(2)); for
//! longer, and for other things too, for a byte on the socket where the two met: it is rung. Counts are u32 and wrap; what the other
//! end says is read once, and checked against what can be.

use crate::error::{Error, Result};
use crate::frame::ATOMIC;
use crate::values::Role;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;
use vfs_core::{Memory, Writer};

/// How many bytes were written, or taken: written last.
pub const COUNT: usize = 0;
/// How its owner waits, in the last two bits, with a number that is another one each time. On a cache line of its own.
pub const SLEEPS: usize = 64;
/// It does not.
const AWAKE: u32 = 0;
/// It is to be rung.
const ASLEEP: u32 = 1;
/// It waits for the other end's count, whose writer is to wake it.
const DOZES: u32 = 2;
const HOW: u32 = 3;
/// How many bytes of room a writer sleeps for.
pub const ROOM: usize = 68;
/// Where the ring takes a pipe over, in the writer's memory: the payload bytes that go before it, the lower half first. (Where a
/// connection keeps its order, its last frame says so.)
pub const FROM: [usize; 2] = [72, 76];
/// The ring, in the writer's memory.
pub const BYTES: usize = 4096;
/// The size of a reader's memory.
pub const READER: usize = 4096;

/// The least and the most bytes of a ring: a write that arrives whole fits, with its header.
const SIZES: [u32; 2] = [2 * ATOMIC as u32, 16 << 20];

/// An end may be rung so many times more than bytes came, or room. An honest one is rung once for each time that it sleeps, and may
/// have found them before that.
pub const IN_VAIN: u32 = 1000;

/// The bytes of the ring for a reader's window: the next power of two, from 128 KiB to 16 MiB.
pub fn size(window: u32) -> u32 {
    window.clamp(SIZES[0], SIZES[1]).next_power_of_two()
}

/// The size of the memory that one end makes, for a ring of `size` bytes.
fn memory_size(role: Role, size: u32) -> usize {
    match role {
        Role::Writer => BYTES + size as usize,
        Role::Reader => READER,
    }
}

/// Makes the memory of one end, and the descriptor for the other.
///
/// # Errors
/// EMFILE, ENOMEM. EFBIG: the limit of file sizes is too low.
pub fn make(role: Role, size: u32) -> vfs_core::Result<(Memory, OwnedFd)> {
    Memory::new(memory_size(role, size), Writer::Maker)
}

/// Maps the memory that the other end made, whose role this is.
///
/// # Errors
/// EIO: not of the right size, or not sealed. ENOMEM.
pub fn map(role: Role, size: u32, file: impl AsFd) -> vfs_core::Result<Memory> {
    Memory::of(file, memory_size(role, size), Writer::Maker)
}

/// What both ends have.
struct Side {
    ours: Memory,
    theirs: Memory,
    size: u32,
    /// What our memory says: it is never read.
    count: u32,
    sleeps: u32,
    /// What was last believed of theirs.
    known: u32,
    /// Their sleep for which they were rung.
    rung: u32,
    /// How often we may yet be rung.
    rings: u32,
}

impl Side {
    fn new(ours: Memory, theirs: Memory, size: u32) -> Side {
        Side { ours, theirs, size, count: 0, sleeps: 0, known: 0, rung: 0, rings: IN_VAIN }
    }

    /// Says that so many bytes more were written, or taken. What was done to them before that is seen before it.
    fn advance(&mut self, count: usize) {
        self.count = self.count.wrapping_add(count as u32);
        fence(Ordering::Release);
        self.ours.store(COUNT, self.count);
        self.rings = IN_VAIN.min(self.rings + 1);
        if self.sleeps & HOW != AWAKE {
            self.say_sleeps(AWAKE);
        }
    }

    fn say_sleeps(&mut self, how: u32) {
        self.sleeps = (self.sleeps | HOW).wrapping_add(1) | how;
        self.ours.store(SLEEPS, self.sleeps);
    }

    /// Says how we wait, each time anew: whoever rang for an earlier sleep rings again. Look once more.
    fn sleep(&mut self, how: u32) {
        self.say_sleeps(how);
        fence(Ordering::SeqCst);
    }

    /// Waits for their count to be another one.
    fn doze(&mut self, limit: Duration) {
        self.theirs.wait(COUNT, self.known, limit);
    }

    /// Wakes the other end if it dozes; true: it sleeps, and is to be rung for that.
    fn wake(&mut self, would_wake: impl Fn(&Memory) -> bool) -> bool {
        // Of this and their `sleep` one comes first: then they see what we wrote.
        fence(Ordering::SeqCst);
        let sleeps = self.theirs.load(SLEEPS);
        // What they sleep for was written before that.
        fence(Ordering::Acquire);
        if sleeps & HOW == AWAKE || sleeps == self.rung || !would_wake(&self.theirs) {
            return false;
        }
        self.rung = sleeps;
        if sleeps & HOW == DOZES {
            self.ours.wake(COUNT);
        }
        sleeps & HOW == ASLEEP
    }

    fn rang(&mut self) -> Result<()> {
        let rings = self.rings.checked_sub(1);
        self.rings = rings.ok_or_else(|| Error::protocol(format!("it rang {IN_VAIN} times for nothing")))?;
        Ok(())
    }

    /// The parts of the ring that so many bytes from a count on are in: where the first is, and its length.
    fn split(&self, from: u32, count: usize) -> (usize, usize) {
        let at = (from & (self.size - 1)) as usize;
        (at, count.min(self.size as usize - at))
    }
}

/// The writer's end.
pub struct Producer(Side);

impl Producer {
    /// Begins with an empty ring of `size` bytes, a power of two.
    ///
    /// # Errors
    /// As [`map`].
    pub fn new(ours: Memory, theirs: impl AsFd, size: u32) -> vfs_core::Result<Producer> {
        Ok(Producer(Side::new(ours, map(Role::Reader, size, theirs)?, size)))
    }

    /// Writes as much as there is room for: of the first part, and then of the second.
    ///
    /// # Errors
    /// The reader has taken what was not written, or not taken what it had: [`Error::Protocol`].
    pub fn put(&mut self, parts: [&[u8]; 2]) -> Result<usize> {
        let room = self.room()?;
        let mut done = 0;
        for part in parts {
            let part = &part[..part.len().min(room - done)];
            let (at, first) = self.0.split(self.0.count.wrapping_add(done as u32), part.len());
            self.0.ours.put(BYTES + at, &part[..first]);
            self.0.ours.put(BYTES, &part[first..]);
            done += part.len();
        }
        if done > 0 {
            self.0.advance(done);
        }
        Ok(done)
    }

    /// Says that so many payload bytes of the pipe go before the ring's: before the other end sees the memory.
    pub fn begin_at(&mut self, from: u64) {
        let halves = [from as u32, (from >> 32) as u32];
        FROM.into_iter().zip(halves).for_each(|(at, half)| self.0.ours.store(at, half));
    }

    /// The bytes of the ring.
    pub fn size(&self) -> usize {
        self.0.size as usize
    }

    /// The bytes that there is room for.
    ///
    /// # Errors
    /// As [`put`](Producer::put).
    pub fn room(&mut self) -> Result<usize> {
        let side = &mut self.0;
        let taken = side.theirs.load(COUNT);
        // What is written from here on is not seen by who has not taken what was there.
        fence(Ordering::Acquire);
        let (more, most) = (taken.wrapping_sub(side.known), side.count.wrapping_sub(side.known));
        if more > most {
            return Err(Error::protocol(format!("{more} bytes taken of {most} in a ring")));
        }
        side.known = taken;
        Ok((side.size - (most - more)) as usize)
    }

    /// Wakes the reader, for what was put; true: it is to be rung.
    pub fn wake(&mut self) -> bool {
        self.0.wake(|_| true)
    }

    /// Says that this end is to be rung once there is room for `wanted` bytes, or half the ring if that is less. Look once more.
    pub fn sleep(&mut self, wanted: usize) {
        self.want(wanted);
        self.0.sleep(ASLEEP);
    }

    /// Waits for a moment for as much room.
    ///
    /// # Errors
    /// As [`put`](Producer::put).
    pub fn doze(&mut self, wanted: usize, limit: Duration) -> Result<()> {
        self.want(wanted);
        self.0.sleep(DOZES);
        if self.room()? == 0 {
            self.0.doze(limit);
        }
        Ok(())
    }

    /// As [`sleep`](Producer::sleep), for exactly so much room: all of the ring at most.
    pub fn sleep_for(&mut self, room: usize) {
        self.want_room(room);
        self.0.sleep(ASLEEP);
    }

    /// Waits for a moment for exactly so much room: all of the ring at most.
    ///
    /// # Errors
    /// As [`put`](Producer::put).
    pub fn doze_for(&mut self, room: usize, limit: Duration) -> Result<()> {
        self.want_room(room);
        self.0.sleep(DOZES);
        if self.room()? < room.min(self.size()) {
            self.0.doze(limit);
        }
        Ok(())
    }

    fn want(&mut self, wanted: usize) {
        self.want_room(wanted.min(self.size() / 2));
    }

    fn want_room(&mut self, room: usize) {
        let wanted = u32::try_from(room).unwrap_or(u32::MAX).clamp(1, self.0.size);
        self.0.ours.store(ROOM, wanted);
        fence(Ordering::Release);
    }

    /// Counts a ring.
    ///
    /// # Errors
    /// There were too many: [`Error::Protocol`].
    pub fn rang(&mut self) -> Result<()> {
        self.0.rang()
    }
}

/// The reader's end.
pub struct Consumer(Side);

impl Consumer {
    /// Begins with an empty ring of `size` bytes, a power of two.
    ///
    /// # Errors
    /// As [`map`].
    pub fn new(ours: Memory, theirs: impl AsFd, size: u32) -> vfs_core::Result<Consumer> {
        Ok(Consumer(Side::new(ours, map(Role::Writer, size, theirs)?, size)))
    }

    /// Takes as much as there is: into the first part, and then into the second.
    ///
    /// # Errors
    /// The writer has written over what was not taken, or less than it had: [`Error::Protocol`].
    pub fn take(&mut self, parts: [&mut [u8]; 2]) -> Result<usize> {
        let there = self.there()?;
        let mut done = 0;
        for part in parts {
            let count = part.len().min(there - done);
            let (at, first) = self.0.split(self.0.count.wrapping_add(done as u32), count);
            self.0.theirs.take(BYTES + at, &mut part[..first]);
            self.0.theirs.take(BYTES, &mut part[first..count]);
            done += count;
        }
        if done > 0 {
            self.0.advance(done);
        }
        Ok(done)
    }

    /// The bytes that there are.
    ///
    /// # Errors
    /// As [`take`](Consumer::take).
    pub fn there(&mut self) -> Result<usize> {
        let side = &mut self.0;
        let written = side.theirs.load(COUNT);
        // Bytes that were counted are seen.
        fence(Ordering::Acquire);
        let had = side.known.wrapping_sub(side.count);
        let more = written.wrapping_sub(side.known);
        if more > side.size - had {
            return Err(Error::protocol(format!(
                "{more} bytes written where there is room for {} in a ring",
                side.size - had
            )));
        }
        side.known = written;
        Ok((had + more) as usize)
    }

    /// How many payload bytes of the pipe go before the ring's, as the writer said.
    pub fn begins_at(&self) -> u64 {
        let [low, high] = FROM.map(|at| u64::from(self.0.theirs.load(at)));
        low | high << 32
    }

    /// The next byte, which stays there; `None`: there is none.
    ///
    /// # Errors
    /// As [`take`](Consumer::take).
    pub fn first(&mut self) -> Result<Option<u8>> {
        if self.there()? == 0 {
            return Ok(None);
        }
        let (at, mut byte) = (self.0.split(self.0.count, 1).0, [0]);
        self.0.theirs.take(BYTES + at, &mut byte);
        Ok(Some(byte[0]))
    }

    /// Wakes the writer, for what was taken; true: it is to be rung.
    pub fn wake(&mut self) -> bool {
        let room = self.0.size - self.0.known.wrapping_sub(self.0.count);
        // More than all of it there cannot be.
        let most = self.0.size;
        self.0.wake(|theirs| room >= theirs.load(ROOM).min(most))
    }

    /// Says that this end is to be rung once there are bytes. Look once more.
    pub fn sleep(&mut self) {
        self.0.sleep(ASLEEP);
    }

    /// Waits for a moment for bytes.
    ///
    /// # Errors
    /// As [`take`](Consumer::take).
    pub fn doze(&mut self, limit: Duration) -> Result<()> {
        self.0.sleep(DOZES);
        if self.there()? == 0 {
            self.0.doze(limit);
        }
        Ok(())
    }

    /// Counts a ring.
    ///
    /// # Errors
    /// There were too many: [`Error::Protocol`].
    pub fn rang(&mut self) -> Result<()> {
        self.0.rang()
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Producer({} bytes written)", self.0.count)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({} bytes taken)", self.0.count)
    }
}

#[cfg(test)]
mod tests;
