//! The bytes of files that go between a host and a provider's process, beside the messages.

use super::wire::CHUNK;
use crate::error::Result;
use crate::shared_memory::{Memory, Writer};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

/// Whose bytes: a call's and an upcall's do not meet, since an upcall is made within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What the host called for.
    Call = 0,
    /// What the process called for within that.
    Upcall = 1,
}

const SIZE: usize = 2 * CHUNK;

/// Two halves of [`CHUNK`] bytes each.
pub struct Payload(Memory);

impl Payload {
    /// New memory, and the descriptor for the other side.
    ///
    /// # Errors
    /// EMFILE, ENOMEM. EFBIG: the limit of file sizes is too low.
    pub fn new() -> Result<(Payload, OwnedFd)> {
        let (memory, file) = Memory::new(SIZE, Writer::Both)?;
        Ok((Payload(memory), file))
    }

    /// The memory that the other side made.
    ///
    /// # Errors
    /// EIO: not of the right size. ENOMEM.
    pub fn of(memory: impl AsFd) -> Result<Payload> {
        Memory::of(memory, SIZE, Writer::Both).map(Payload)
    }

    /// Copies bytes in, at most [`CHUNK`].
    pub fn put(&mut self, half: Half, bytes: &[u8]) {
        self.0.put(start(half, bytes.len()), bytes);
    }

    /// Copies bytes out, at most [`CHUNK`]. What the other side writes meanwhile may or may not be among them.
    pub fn take(&self, half: Half, into: &mut [u8]) {
        self.0.take(start(half, into.len()), into);
    }

    /// Where the first `count` bytes of a half are, at most [`CHUNK`], for as long as the payload. A process may use them in place,
    /// since it trusts its host to leave them alone meanwhile; never the other way round.
    pub fn place(&mut self, half: Half, count: usize) -> NonNull<[u8]> {
        self.0.place(start(half, count), count)
    }
}

/// Where a half begins, which is to have room for so many bytes.
fn start(half: Half, count: usize) -> usize {
    assert!(count <= CHUNK, "more than half a payload");
    half as usize * CHUNK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_puts_the_other_takes() {
        let (mut ours, memory) = Payload::new().unwrap();
        let theirs = Payload::of(&memory).unwrap();
        ours.put(Half::Call, b"call");
        ours.put(Half::Upcall, b"upcall");
        let mut taken = [0; 6];
        theirs.take(Half::Upcall, &mut taken);
        assert_eq!(&taken, b"upcall");
        theirs.take(Half::Call, &mut taken[..4]);
        assert_eq!(&taken[..4], b"call");
    }
}
