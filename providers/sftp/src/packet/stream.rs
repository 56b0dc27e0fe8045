//! What arrives, cut into packets.

use super::Malformed;
use bytes::{Buf, Bytes, BytesMut};

/// What no reply exceeds: an eighth of it is the most data that is ever requested at once.
const PACKET_MAX: usize = 1 << 20;

/// The bytes that arrived, less the packets that were taken.
#[derive(Debug, Default)]
pub struct Stream(BytesMut);

impl Stream {
    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next packet without its length; `None`: not there yet.
    ///
    /// # Errors
    /// It is too long to be one.
    pub fn next(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some(length) = self.0.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > PACKET_MAX {
            return Err("a packet that is too long");
        }
        if self.0.len() < 4 + length {
            self.0.reserve(4 + length - self.0.len());
            return Ok(None);
        }
        self.0.advance(4);
        Ok(Some(self.0.split_to(length).freeze()))
    }
}
