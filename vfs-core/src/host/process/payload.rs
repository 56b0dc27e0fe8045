//! Memory that a host and a provider's process share: bytes of files go through it, beside the messages.
#![expect(unsafe_code, reason = "maps memory that another process may change at any time")]

use super::wire::CHUNK;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::forks::{forks, forks_now};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};

/// Whose bytes: a call's and an upcall's do not meet, since an upcall is made within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What the host called for.
    Call = 0,
    /// What the process called for within that.
    Upcall = 1,
}

const SIZE: usize = 2 * CHUNK;

/// Two halves of [`CHUNK`] bytes each. Neither side can make the memory shorter, so touching it never faults.
pub struct Payload {
    start: NonNull<u8>,
    /// The process that mapped it. A forked child has no such mapping: there may be anything else of the child's own.
    forks: u32,
}

// SAFETY: the pointer is to a mapping of this value's own, which every thread of the process sees.
unsafe impl Send for Payload {}

impl Payload {
    /// New memory, and the descriptor for the other side.
    ///
    /// # Errors
    /// EMFILE, ENOMEM. EFBIG: the limit of file sizes counts here too, and would be told by a signal that ends the host.
    pub fn new() -> Result<(Payload, OwnedFd)> {
        if let Some(most) = getrlimit(Resource::Fsize).current.filter(|most| *most < SIZE as u64) {
            let text =
                format!("a provider in a process needs files of {SIZE} bytes, and `ulimit -f` allows {most}");
            return Err(Error::new(Code::EFBIG, text));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL;
        let memory = match memfd_create("zvfs-connection", flags) {
            // A kernel before 6.3.
            Err(rustix::io::Errno::INVAL) => memfd_create("zvfs-connection", flags - MemfdFlags::NOEXEC_SEAL),
            made => made,
        };
        let memory = memory.map_err(io::Error::from)?;
        ftruncate(&memory, SIZE as u64).map_err(io::Error::from)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW;
        fcntl_add_seals(&memory, seals).map_err(io::Error::from)?;
        let payload = Payload::map(&memory)?;
        // A forked child has no use for it, and must not keep it.
        // SAFETY: the whole of a mapping that was just made; the advice changes no byte of it.
        unsafe { madvise(payload.start.as_ptr().cast(), SIZE, Advice::LinuxDontFork) }
            .map_err(io::Error::from)?;
        Ok((payload, memory))
    }

    /// The memory that the other side made.
    ///
    /// # Errors
    /// EIO: not of the right size. ENOMEM.
    pub fn of(memory: impl AsFd) -> Result<Payload> {
        let size = fstat(&memory).map_err(io::Error::from)?.st_size;
        if size != SIZE as i64 {
            return Err(Error::new(
                Code::EIO,
                format!("a connection's payload has {size} bytes instead of {SIZE}"),
            ));
        }
        Payload::map(memory)
    }

    fn map(memory: impl AsFd) -> Result<Payload> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that is there.
        let start = unsafe { mmap(ptr::null_mut(), SIZE, access, MapFlags::SHARED, memory, 0) };
        let start = start.map_err(io::Error::from)?.cast();
        let start = NonNull::new(start).ok_or_else(|| Error::from(Code::ENOMEM))?;
        Ok(Payload { start, forks: forks() })
    }

    /// Copies bytes in, at most [`CHUNK`].
    pub fn put(&mut self, half: Half, bytes: &[u8]) {
        assert!(bytes.len() <= CHUNK, "more than half a payload");
        // SAFETY: the half has that much room; `bytes` is not in it, since nothing borrows from a payload while it is borrowed.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(half).as_ptr(), bytes.len()) }
    }

    /// Copies bytes out, at most [`CHUNK`]. What the other side writes meanwhile may or may not be among them.
    pub fn take(&self, half: Half, into: &mut [u8]) {
        assert!(into.len() <= CHUNK, "more than half a payload");
        // SAFETY: the half has that many bytes, each of which is some byte whatever the other side does; `into` is not in it.
        unsafe { ptr::copy_nonoverlapping(self.at(half).as_ptr(), into.as_mut_ptr(), into.len()) }
    }

    /// Where the first `count` bytes of a half are, at most [`CHUNK`], for as long as the payload. A process may use them in place,
    /// since it trusts its host to leave them alone meanwhile; never the other way round.
    pub fn place(&mut self, half: Half, count: usize) -> NonNull<[u8]> {
        assert!(count <= CHUNK, "more than half a payload");
        NonNull::slice_from_raw_parts(self.at(half), count)
    }

    fn at(&self, half: Half) -> NonNull<u8> {
        assert_eq!(self.forks, forks_now(), "a parent's payload");
        // SAFETY: both halves are within the mapping, which this process made.
        unsafe { self.start.add(half as usize * CHUNK) }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if self.forks == forks_now() {
            // SAFETY: this value's own mapping, which this process made and to which nothing refers any more.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), SIZE) };
        }
    }
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

    #[test]
    fn memory_of_another_size_is_refused() {
        let memory = memfd_create("short", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, 4096).unwrap();
        assert_eq!(Payload::of(&memory).err().unwrap().code(), Code::EIO);
    }

    #[test]
    fn nobody_can_make_it_shorter() {
        let (_payload, memory) = Payload::new().unwrap();
        assert_eq!(ftruncate(&memory, 0).unwrap_err(), rustix::io::Errno::PERM);
    }
}
