//! This side's public key, as a file to read: for whoever lists it as a peer.

use iroh::PublicKey;
use std::io::{Cursor, Read};
use vfs_core::{Capabilities, File, Result};

/// A key in hexadecimal digits, and a newline.
pub struct ShownKey(Cursor<String>);

impl ShownKey {
    /// Shows a key.
    pub fn new(key: PublicKey) -> ShownKey {
        ShownKey(Cursor::new(format!("{key}\n")))
    }
}

impl File for ShownKey {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        Ok(self.0.read(buf)?)
    }
}
