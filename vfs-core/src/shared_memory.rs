//! Memory that two processes share: a host and a provider's, or the ends of a pipe.
#![expect(unsafe_code, reason = "maps memory that another process may change at any time")]

use crate::code::Code;
use crate::error::{Error, Result};
use crate::forks::{forks, forks_now};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::process::{Resource, getrlimit};
use rustix::thread::futex::{self, Timespec};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fmt, io};

/// Who can write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Both sides.
    Both,
    /// No mapping but that of the side that made it.
    Maker,
    /// The side that made it maps it to read only.
    Other,
}

/// A mapping of the whole of it. Neither side can make the memory shorter, so touching it never faults.
pub struct Memory {
    start: NonNull<u8>,
    size: usize,
    writable: bool,
    /// The process that mapped it. A forked child has no such mapping: there may be anything else of the child's own.
    forks: u32,
}

// SAFETY: the pointer is to a mapping of this value's own, which every thread of the process sees.
unsafe impl Send for Memory {}

impl Memory {
    /// New memory, and the descriptor for the other side.
    ///
    /// # Errors
    /// EMFILE, ENOMEM. EFBIG: the limit of file sizes counts here too, and would be told by a signal that ends the process.
    pub fn new(size: usize, writer: Writer) -> Result<(Memory, OwnedFd)> {
        if let Some(most) = getrlimit(Resource::Fsize).current.filter(|most| *most < size as u64) {
            let text = format!("memory to share is a file of {size} bytes, and `ulimit -f` allows {most}");
            return Err(Error::new(Code::EFBIG, text));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL;
        let file = match memfd_create("zvfs-shared", flags) {
            // A kernel before 6.3.
            Err(Errno::INVAL) => memfd_create("zvfs-shared", flags - MemfdFlags::NOEXEC_SEAL),
            made => made,
        };
        let file = file.map_err(io::Error::from)?;
        ftruncate(&file, size as u64).map_err(io::Error::from)?;
        let memory = Memory::map(&file, size, writer != Writer::Other)?;
        let mut seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW;
        // Counts for whatever is mapped from now on.
        seals.set(SealFlags::FUTURE_WRITE, writer == Writer::Maker);
        fcntl_add_seals(&file, seals).map_err(io::Error::from)?;
        Ok((memory, file))
    }

    /// The memory that the other side made.
    ///
    /// # Errors
    /// EIO: not of the right size, or it could become shorter. ENOMEM.
    pub fn of(file: impl AsFd, size: usize, writer: Writer) -> Result<Memory> {
        let found = fstat(&file).map_err(io::Error::from)?.st_size;
        if usize::try_from(found) != Ok(size) {
            let text = format!("shared memory has {found} bytes instead of {size}");
            return Err(Error::new(Code::EIO, text));
        }
        // What is no memory has no seals, and no seal can be taken back.
        if !fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK)) {
            return Err(Error::new(Code::EIO, "shared memory that could become shorter"));
        }
        Memory::map(file, size, writer != Writer::Maker)
    }

    fn map(file: impl AsFd, size: usize, writable: bool) -> Result<Memory> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that is there.
        let start = unsafe { mmap(ptr::null_mut(), size, access, MapFlags::SHARED, file, 0) };
        let start = start.map_err(io::Error::from)?.cast();
        let start = NonNull::new(start).ok_or_else(|| Error::from(Code::ENOMEM))?;
        let memory = Memory { start, size, writable, forks: forks() };
        // A forked child has no use for it, and must not keep it.
        // SAFETY: the whole of a mapping that was just made; the advice changes no byte of it.
        unsafe { madvise(start.as_ptr().cast(), size, Advice::LinuxDontFork) }.map_err(io::Error::from)?;
        Ok(memory)
    }

    /// Copies bytes in.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let place = self.place(at, bytes.len());
        assert!(self.writable, "memory that the other side writes");
        // SAFETY: so much room is there; `bytes` is not in it, since nothing borrows from the memory while it is borrowed.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast().as_ptr(), bytes.len()) }
    }

    /// Copies bytes out. What the other side writes meanwhile may or may not be among them.
    pub fn take(&self, at: usize, into: &mut [u8]) {
        let place = self.place(at, into.len());
        // SAFETY: so many bytes are there, each of which is some byte whatever the other side does; `into` is not among them.
        unsafe { ptr::copy_nonoverlapping(place.cast().as_ptr(), into.as_mut_ptr(), into.len()) }
    }

    /// Reads a word that both sides see. (Relaxed, as a word that cannot be written must be read: fences order it.)
    pub fn load(&self, at: usize) -> u32 {
        self.word(at).load(Ordering::Relaxed)
    }

    /// Writes a word that both sides see.
    pub fn store(&mut self, at: usize, word: u32) {
        assert!(self.writable, "memory that the other side writes");
        self.word(at).store(word, Ordering::Relaxed);
    }

    /// Waits until somebody [wakes](Memory::wake) who waits for a word, if it is still this one; or for a while, or for nothing at all.
    pub fn wait(&self, at: usize, word: u32, limit: Duration) {
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        // Whoever waited looks for himself.
        let _ = futex::wait(self.word(at), futex::Flags::empty(), word, Some(&limit));
    }

    /// Wakes whoever waits for a word.
    pub fn wake(&self, at: usize) {
        assert!(self.writable, "memory that the other side writes");
        // The only failure is an address that cannot be.
        let _ = futex::wake(self.word(at), futex::Flags::empty(), 1);
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        let place = self.place(at, size_of::<u32>()).cast::<u32>();
        assert!(place.is_aligned(), "a word at {at}");
        // SAFETY: aligned, within the mapping, and there for as long as `self`. Both sides use such words by whole atomic accesses; what a
        // process does instead changes its value only.
        unsafe { AtomicU32::from_ptr(place.as_ptr()) }
    }

    /// Where some bytes are, for as long as the memory.
    pub fn place(&self, at: usize, count: usize) -> NonNull<[u8]> {
        assert_eq!(self.forks, forks_now(), "a parent's memory");
        assert!(at <= self.size && count <= self.size - at, "{count} bytes at {at} of {}", self.size);
        // SAFETY: within the mapping, which this process made.
        NonNull::slice_from_raw_parts(unsafe { self.start.add(at) }, count)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.size)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.forks == forks_now() {
            // SAFETY: this value's own mapping, which this process made and to which nothing refers any more.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::pwrite;

    const SIZE: usize = 4096;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let (mut ours, file) = Memory::new(SIZE, Writer::Maker).unwrap();
        let theirs = Memory::of(&file, SIZE, Writer::Maker).unwrap();
        ours.store(8, 7);
        ours.put(12, b"bytes");
        let mut taken = [0; 5];
        theirs.take(12, &mut taken);
        assert_eq!((theirs.load(8), &taken), (7, b"bytes"));
    }

    #[test]
    fn who_waits_for_a_word_is_woken_and_one_that_has_changed_is_not_waited_for() {
        let (mut ours, file) = Memory::new(SIZE, Writer::Maker).unwrap();
        let theirs = Memory::of(&file, SIZE, Writer::Maker).unwrap();
        let waiting = std::thread::spawn(move || {
            while theirs.load(8) == 0 {
                theirs.wait(8, 0, Duration::from_secs(60));
            }
        });
        ours.store(8, 1);
        ours.wake(8);
        waiting.join().unwrap();
        let theirs = Memory::of(&file, SIZE, Writer::Maker).unwrap();
        theirs.wait(8, 0, Duration::from_secs(60));
        theirs.wait(8, 1, Duration::from_millis(1));
    }

    #[test]
    fn memory_of_another_size_is_refused() {
        let (_memory, file) = Memory::new(SIZE - 1, Writer::Both).unwrap();
        assert_eq!(Memory::of(&file, SIZE, Writer::Both).err().unwrap().code(), Code::EIO);
    }

    #[test]
    fn memory_that_could_become_shorter_is_refused() {
        let memory = memfd_create("loose", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&memory, SIZE as u64).unwrap();
        fcntl_add_seals(&memory, SealFlags::GROW).unwrap();
        let refused = Memory::of(&memory, SIZE, Writer::Both).err().unwrap();
        assert!(refused.to_string().contains("shorter"), "{refused}");
        fcntl_add_seals(&memory, SealFlags::SHRINK).unwrap();
        assert!(Memory::of(&memory, SIZE, Writer::Both).is_ok());
    }

    #[test]
    fn a_file_is_no_memory_to_share() {
        let file = tempfile::tempfile().unwrap();
        ftruncate(&file, SIZE as u64).unwrap();
        assert_eq!(Memory::of(&file, SIZE, Writer::Both).err().unwrap().code(), Code::EIO);
    }

    #[test]
    fn nobody_can_make_it_shorter() {
        let (_memory, file) = Memory::new(SIZE, Writer::Other).unwrap();
        assert_eq!(ftruncate(&file, 0), Err(Errno::PERM));
    }

    #[test]
    fn nobody_but_its_maker_can_write_what_is_the_makers() {
        let (_memory, file) = Memory::new(SIZE, Writer::Maker).unwrap();
        assert_eq!(pwrite(&file, b"x", 0), Err(Errno::PERM));
        assert!(Memory::map(&file, SIZE, true).is_err());
    }
}
