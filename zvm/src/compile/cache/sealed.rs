//! A file in memory that is written once.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use vfs_core::{Error, Result};

/// A file that nobody else knows, until it is sealed.
pub(super) struct Sealed(File);

impl Sealed {
    /// An empty one.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new() -> Result<Sealed> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("zvm-artifact", flags).map_err(|errno| {
            Error::from(io::Error::from(errno)).context("make a file in memory for the machine code")
        })?;
        Ok(Sealed(file.into()))
    }

    /// The file, which can be neither written nor resized from now on.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn seal(self) -> Result<File> {
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&self.0, seals).map_err(io::Error::from)?;
        Ok(self.0)
    }
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
