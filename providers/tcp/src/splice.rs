//! A frame whose payload is a part of a file: the kernel sends it, and this process never sees the bytes.

use crate::link::Link;
use rustix::fs::{fstat, sendfile};
use rustix::io::{Errno, pread, retry_on_intr};
use std::os::fd::BorrowedFd;
use vfs_core::without_sigpipe;

/// What is still to be sent of a file.
#[derive(Debug)]
pub struct FilePart<'a> {
    file: BorrowedFd<'a>,
    offset: u64,
    left: usize,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Some of it.
    Some,
    /// None now: wait until the link is writable.
    Nothing,
    /// This file is none that the kernel sends from: its bytes must be read.
    Unable,
}

impl<'a> FilePart<'a> {
    /// At most `count` bytes of a file from an offset on; none if the file ends there.
    ///
    /// # Errors
    /// The file's.
    pub fn new(file: BorrowedFd<'a>, offset: u64, count: usize) -> Result<FilePart<'a>, Errno> {
        let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(count);
        Ok(FilePart { file, offset, left })
    }

    /// The bytes that are left.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Leaves out what is over `count`.
    pub fn shorten(&mut self, count: usize) {
        self.left = self.left.min(count);
    }

    /// Sends some of what is left.
    ///
    /// # Errors
    /// The connection's, or NODATA: the file became shorter, so that a frame begun cannot be finished.
    pub fn send(&mut self, link: &Link) -> Result<Sent, Errno> {
        let mut offset = self.offset;
        // sendfile has no MSG_NOSIGNAL.
        let sent = without_sigpipe(|| {
            retry_on_intr(|| sendfile(link.connection(), self.file, Some(&mut offset), self.left))
        });
        match sent {
            Ok(0) => Err(Errno::NODATA),
            Ok(count) => {
                self.offset += count as u64;
                self.left -= count;
                Ok(Sent::Some)
            }
            Err(Errno::AGAIN) => Ok(Sent::Nothing),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::OVERFLOW) => Ok(Sent::Unable),
            Err(errno) => Err(errno),
        }
    }

    /// Reads what is left.
    ///
    /// # Errors
    /// The file's; NODATA: it became shorter.
    pub fn read(&mut self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; self.left];
        let mut done = 0;
        while done < bytes.len() {
            match retry_on_intr(|| pread(self.file, &mut bytes[done..], self.offset + done as u64))? {
                0 => return Err(Errno::NODATA),
                count => done += count,
            }
        }
        self.left = 0;
        Ok(bytes)
    }
}
