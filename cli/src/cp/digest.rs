//! The digest of a file's content.

use sha2::{Digest as _, Sha256};
use vfs_core::{OpenFile, Result};

const BUFFER: usize = 256 * 1024;

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
