//! The digest of a file's content.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use vfs_core::{OpenFile, Result};

/// What is read of a file at a time.
pub const BUFFER: usize = 256 * 1024;

/// Reads a file from its position to its end. Returns the SHA-256 of that.
pub fn digest(file: &mut OpenFile) -> Result<[u8; 32]> {
    let (mut hasher, mut buf) = (Sha256::new(), vec![0; BUFFER]);
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(&buf[..count]),
        }
    }
}

/// A digest as text.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        // A String takes all that is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
