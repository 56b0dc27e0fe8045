//! Buffers between guard pages: a provider that reaches outside one faults at once.
#![expect(unsafe_code, reason = "maps memory, and takes away the right to touch parts of it")]

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::slice;

/// Where a buffer lies in its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Its first byte follows the guard page: going under it faults.
    FrontGuard,
    /// Its last byte is followed by the guard page: going over it faults.
    BackGuard,
}

/// A buffer between two pages that cannot be touched.
#[derive(Debug)]
pub struct Guarded {
    map: NonNull<c_void>,
    map_len: usize,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and is reached through its borrows only.
unsafe impl Send for Guarded {}

impl Guarded {
    /// Maps a buffer of `len` zeros.
    pub fn new(len: usize, against: Against) -> Result<Guarded, Errno> {
        let page = rustix::param::page_size();
        let body = len.div_ceil(page).max(1) * page;
        let map_len = body + 2 * page;
        // SAFETY: a fresh anonymous mapping, wherever the kernel likes, touches no memory of ours.
        let map = unsafe {
            mmap_anonymous(null_mut(), map_len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        let map = NonNull::new(map).ok_or(Errno::NOMEM)?;
        let offset = match against {
            Against::FrontGuard => page,
            Against::BackGuard => page + body - len,
        };
        // SAFETY: offset + len <= page + body, inside the mapping.
        let start = unsafe { map.cast::<u8>().add(offset) };
        let buffer = Guarded { map, map_len, start, len };
        // SAFETY: the first and the last page of the mapping; the buffer has no byte in either.
        unsafe {
            mprotect(map.as_ptr(), page, MprotectFlags::empty())?;
            mprotect(map.as_ptr().byte_add(page + body), page, MprotectFlags::empty())?;
        }
        Ok(buffer)
    }

    /// Maps a buffer that holds these bytes and can only be read.
    pub fn read_only(bytes: &[u8], against: Against) -> Result<ReadOnly, Errno> {
        let mut buffer = Guarded::new(bytes.len(), against)?;
        buffer.as_mut_slice().copy_from_slice(bytes);
        let page = rustix::param::page_size();
        // SAFETY: the pages between the guards. The value moves into `ReadOnly`, which lends no `&mut` of them.
        unsafe {
            let body = buffer.map.as_ptr().byte_add(page);
            mprotect(body, buffer.map_len - 2 * page, MprotectFlags::READ)?;
        }
        Ok(ReadOnly(buffer))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: start..start+len lies in the mapping, is readable and initialised (mmap's zeros), and borrowed from self.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; writable, since only `read_only` takes that away and then hides this method.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; every borrow has ended. It fails for an address that is not page-aligned only.
        let _ = unsafe { munmap(self.map.as_ptr(), self.map_len) };
    }
}

/// A guarded buffer that faults when it is written to.
#[derive(Debug)]
pub struct ReadOnly(Guarded);

impl ReadOnly {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may be done with the page of an address, as the kernel says: `rw-p`.
    fn rights(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let found = maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            (number(start)..number(end)).contains(&address).then(|| rest[..4].to_owned())
        });
        found.unwrap_or_default()
    }

    #[test]
    fn the_bytes_next_to_a_buffer_cannot_be_touched() {
        let page = rustix::param::page_size();
        for len in [1, 100, page, page + 1] {
            let buffer = Guarded::new(len, Against::BackGuard).unwrap();
            let bytes = buffer.as_slice().as_ptr_range();
            assert_eq!(
                (rights(bytes.end as usize), rights(bytes.start as usize).as_str()),
                ("---p".to_owned(), "rw-p")
            );
            let buffer = Guarded::new(len, Against::FrontGuard).unwrap();
            let bytes = buffer.as_slice().as_ptr_range();
            assert_eq!(rights(bytes.start as usize - 1), "---p");
            assert_eq!(rights(bytes.end as usize - 1), "rw-p");
        }
    }

    #[test]
    fn a_read_only_buffer_holds_its_bytes_and_takes_no_others() {
        let buffer = Guarded::read_only(b"bytes", Against::BackGuard).unwrap();
        assert_eq!(buffer.as_slice(), b"bytes");
        assert_eq!(rights(buffer.as_slice().as_ptr() as usize), "r--p");
    }
}
