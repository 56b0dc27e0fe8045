//! What the two ends of a pipe say to each other: one frame is one message.
//!
//! A frame is a byte for its type and then the fields, integers little-endian. Whoever may publish on the network may send any of
//! these, so a frame is checked before anything is done with it, and costs no more memory than its message.

use crate::digest::Algorithm;
use crate::error::Reason;
use bytes::{BufMut, Bytes, BytesMut};
use std::borrow::Cow;

/// What this side speaks.
pub const VERSION: u16 = 1;
/// The bytes of a DATA frame before its payload.
pub const DATA_HEADER: usize = 9;
/// The most payload bytes of a DATA frame.
pub const PAYLOAD_MAX: usize = 1 << 20;
/// The least that a reader may grant: a write that must arrive whole fits.
pub const WINDOW_LEAST: u32 = crate::frame::ATOMIC as u32;

/// A random number of one end, which would meet the other one on this host.
pub type Nonce = [u8; 32];
/// The bit that says so, as in a HELLO over a connection; the number follows.
const MEETS: u8 = crate::hello::FEATURE_SAME_HOST as u8;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of a frame say what its fields are")]
pub enum Frame {
    /// Writer, to whoever reads the name: let me in.
    Hello { version: u16, digest: Option<Algorithm>, nonce: Option<Nonce> },
    /// Writer: payload, and how many bytes went before it.
    Data { offset: u64, payload: Bytes },
    /// Writer: that was all.
    End { total: u64, digest: Option<[u8; 32]> },
    /// Writer: it failed after so many bytes.
    Discard { total: u64, reason: Reason },
    /// Writer: so many bytes were sent; what has arrived?
    Ask { sent: u64 },
    /// Writer: it has heard the last word, or needs none.
    Bye,
    /// Writer: it waits where the two meet if they are on one host.
    Meeting,
    /// Reader: the writer is in, and may send so many bytes ahead. Whether both ends digest, and how.
    Welcome { version: u16, window: u32, digest: Option<Algorithm>, nonce: Option<Nonce> },
    /// Reader: what has arrived without a gap, what its owner has taken, whether to send again from there, and whether the writer's
    /// last word has arrived with all that went before it.
    State { received: u64, taken: u64, resend: bool, ended: bool },
    /// Reader, last: its owner has taken everything, to the END.
    Done { taken: u64 },
    /// Reader, last: its owner closed.
    Closed { taken: u64 },
    /// Reader, last: why the writer is not let in, or the pipe is broken.
    Refused(Reason),
    /// A reader, to whoever reads the name already: are you there?
    Who,
    /// The reader of the name: yes.
    Held,
    /// Reader, to all writers of the name: come.
    Here,
}

/// Why a message is no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub Cow<'static, str>);

impl Frame {
    /// The message.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        match self {
            Frame::Hello { version, digest, nonce } => {
                out.put_u8(0x01);
                out.put_u16_le(*version);
                out.put_u8(number(*digest));
                put_nonce(&mut out, nonce.as_ref());
            }
            Frame::Data { offset, payload } => {
                out.put_slice(&data_header(*offset));
                out.put_slice(payload);
            }
            Frame::End { total, digest } => {
                out.put_u8(0x03);
                out.put_u64_le(*total);
                out.put_slice(digest.as_ref().map_or(&[], |digest| &digest[..]));
            }
            Frame::Discard { total, reason } => {
                out.put_u8(0x04);
                out.put_u64_le(*total);
                put_reason(&mut out, reason);
            }
            Frame::Ask { sent } => {
                out.put_u8(0x05);
                out.put_u64_le(*sent);
            }
            Frame::Bye => out.put_u8(0x06),
            Frame::Meeting => out.put_u8(0x07),
            Frame::Welcome { version, window, digest, nonce } => {
                out.put_u8(0x11);
                out.put_u16_le(*version);
                out.put_u32_le(*window);
                out.put_u8(number(*digest));
                put_nonce(&mut out, nonce.as_ref());
            }
            Frame::State { received, taken, resend, ended } => {
                out.put_u8(0x12);
                out.put_u64_le(*received);
                out.put_u64_le(*taken);
                out.put_u8(u8::from(*resend) | u8::from(*ended) << 1);
            }
            Frame::Done { taken } => {
                out.put_u8(0x13);
                out.put_u64_le(*taken);
            }
            Frame::Closed { taken } => {
                out.put_u8(0x14);
                out.put_u64_le(*taken);
            }
            Frame::Refused(reason) => {
                out.put_u8(0x15);
                put_reason(&mut out, reason);
            }
            Frame::Who => out.put_u8(0x21),
            Frame::Held => out.put_u8(0x22),
            Frame::Here => out.put_u8(0x23),
        }
        out.freeze()
    }

    /// Reads a message. Payload is a part of it, not a copy.
    ///
    /// # Errors
    /// It is no frame of this version. HELLO and WELCOME may be longer than they are here: later versions begin alike.
    pub fn decode(message: &Bytes) -> Result<Frame, Malformed> {
        let mut fields = Fields { left: message };
        let kind = fields.take::<1>()?[0];
        let frame = match kind {
            0x01 => {
                let (version, digest) = (fields.u16()?, fields.take::<1>()?[0]);
                return Ok(Frame::Hello { version, digest: algorithm(digest), nonce: fields.nonce() });
            }
            0x02 => {
                let offset = fields.u64()?;
                let length = fields.left.len();
                if !(1..=PAYLOAD_MAX).contains(&length) || offset.checked_add(length as u64).is_none() {
                    return Err(Malformed("DATA of an impossible length".into()));
                }
                return Ok(Frame::Data { offset, payload: message.slice(DATA_HEADER..) });
            }
            0x03 => {
                let total = fields.u64()?;
                let digest = if fields.left.is_empty() { None } else { Some(fields.take()?) };
                Frame::End { total, digest }
            }
            0x04 => Frame::Discard { total: fields.u64()?, reason: fields.reason()? },
            0x05 => Frame::Ask { sent: fields.u64()? },
            0x06 => Frame::Bye,
            0x07 => Frame::Meeting,
            0x11 => {
                let (version, window, digest) = (fields.u16()?, fields.u32()?, fields.take::<1>()?[0]);
                let (digest, nonce) = (algorithm(digest), fields.nonce());
                return Ok(Frame::Welcome { version, window, digest, nonce });
            }
            0x12 => {
                let (received, taken, flags) = (fields.u64()?, fields.u64()?, fields.take::<1>()?[0]);
                if taken > received {
                    return Err(Malformed("STATE with more taken than received".into()));
                }
                Frame::State { received, taken, resend: flags & 1 != 0, ended: flags & 2 != 0 }
            }
            0x13 => Frame::Done { taken: fields.u64()? },
            0x14 => Frame::Closed { taken: fields.u64()? },
            0x15 => Frame::Refused(fields.reason()?),
            0x21 => Frame::Who,
            0x22 => Frame::Held,
            0x23 => Frame::Here,
            _ => return Err(Malformed(format!("a frame of the unknown type {kind:#04x}").into())),
        };
        match fields.left {
            [] => Ok(frame),
            _ => Err(Malformed(format!("a frame of type {kind:#04x} that is too long").into())),
        }
    }
}

/// What stands before a DATA frame's payload.
pub fn data_header(offset: u64) -> [u8; DATA_HEADER] {
    let mut header = [0x02; DATA_HEADER];
    header[1..].copy_from_slice(&offset.to_le_bytes());
    header
}

fn put_nonce(out: &mut BytesMut, nonce: Option<&Nonce>) {
    if let Some(nonce) = nonce {
        out.put_u8(MEETS);
        out.put_slice(nonce);
    }
}

fn put_reason(out: &mut BytesMut, reason: &Reason) {
    let clean = Reason::new(reason.code, &reason.text);
    out.put_u32_le(clean.code);
    out.put_slice(clean.text.as_bytes());
}

fn number(digest: Option<Algorithm>) -> u8 {
    match digest {
        None => 0,
        Some(Algorithm::Sha256) => 1,
        Some(Algorithm::Blake3) => 2,
    }
}

/// An algorithm that is not known here is none: the ends digest only what both know.
fn algorithm(number: u8) -> Option<Algorithm> {
    match number {
        1 => Some(Algorithm::Sha256),
        2 => Some(Algorithm::Blake3),
        _ => None,
    }
}

struct Fields<'a> {
    left: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, left) =
            self.left.split_first_chunk().ok_or(Malformed("a frame that is cut off".into()))?;
        self.left = left;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    /// What an older side does not say.
    fn nonce(&mut self) -> Option<Nonce> {
        let [features] = self.take().ok()?;
        self.take().ok().filter(|_| features & MEETS != 0)
    }

    fn reason(&mut self) -> Result<Reason, Malformed> {
        let code = self.u32()?;
        let text = std::mem::take(&mut self.left);
        if text.len() > Reason::TEXT_MAX {
            return Err(Malformed("a reason that is too long".into()));
        }
        Ok(Reason::new(code, &String::from_utf8_lossy(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Frame> {
        let reason = Reason::new(104, "the writer failed");
        vec![
            Frame::Hello { version: 1, digest: Some(Algorithm::Blake3), nonce: None },
            Frame::Hello { version: 1, digest: None, nonce: Some([3; 32]) },
            Frame::Data { offset: 7, payload: Bytes::from_static(b"payload") },
            Frame::End { total: 14, digest: None },
            Frame::End { total: 14, digest: Some([5; 32]) },
            Frame::Discard { total: 3, reason: reason.clone() },
            Frame::Ask { sent: 9 },
            Frame::Bye,
            Frame::Meeting,
            Frame::Welcome { version: 1, window: 1 << 20, digest: Some(Algorithm::Sha256), nonce: None },
            Frame::Welcome { version: 1, window: 1 << 20, digest: None, nonce: Some([4; 32]) },
            Frame::State { received: 9, taken: 4, resend: true, ended: false },
            Frame::State { received: 9, taken: 9, resend: false, ended: true },
            Frame::Done { taken: 9 },
            Frame::Closed { taken: 2 },
            Frame::Refused(reason),
            Frame::Who,
            Frame::Held,
            Frame::Here,
        ]
    }

    #[test]
    fn every_frame_arrives_as_it_was_sent() {
        for frame in all() {
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_or_too_long_is_none() {
        for frame in all() {
            let whole = frame.encode();
            let extensible = matches!(frame, Frame::Hello { .. } | Frame::Welcome { .. });
            let has_text = matches!(frame, Frame::Data { .. } | Frame::Discard { .. } | Frame::Refused(_));
            // Without its digest an END is one that has none.
            let whole_without = matches!(frame, Frame::End { digest: Some(_), .. }).then_some(9);
            for length in (0..whole.len()).filter(|length| Some(*length) != whole_without) {
                assert_ne!(Frame::decode(&whole.slice(..length)), Ok(frame.clone()), "{frame:?} of {length}");
            }
            let longer = Bytes::from([&whole[..], b"x"].concat());
            assert_eq!(Frame::decode(&longer).is_ok(), extensible || has_text, "{frame:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let taken = Frame::State { received: 1, taken: 2, resend: false, ended: false };
        let empty = Bytes::copy_from_slice(&data_header(0));
        let beyond = Frame::Data { offset: u64::MAX, payload: Bytes::from_static(b"x") };
        for message in [taken.encode(), empty, beyond.encode(), Bytes::from_static(b"\xff")] {
            assert!(Frame::decode(&message).is_err(), "{message:?}");
        }
    }
}
