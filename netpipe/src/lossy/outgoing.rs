//! What a writer has written and its reader has not taken: kept, so that it can be sent again.

use crate::frame::ATOMIC;
use crate::lossy::frame::{DATA_HEADER, data_header};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// The most payload bytes of one frame. A write of up to 64 KiB is never split.
const FRAME_MAX: usize = 128 << 10;
/// The most bytes of one message.
pub const MESSAGE_MAX: usize = DATA_HEADER + FRAME_MAX;
/// So many frames are on their way at most before small writes are gathered into larger ones.
const SMALL_MAX: usize = 64;
/// What gathers goes out at this size.
const GATHERED: usize = 16 << 10;

/// The bytes between what was taken and what was written.
#[derive(Debug)]
pub struct Outgoing {
    window: u64,
    written: u64,
    received: u64,
    taken: u64,
    /// In order, without gaps, up to `gathering`.
    frames: VecDeque<Sealed>,
    /// How many of them are sent, since they were last to be sent again.
    sent: usize,
    /// The bytes that were ever sent.
    reached: u64,
    /// Writes that are no frame yet. Empty, or a header and payload.
    gathering: BytesMut,
    /// What gathers is to go at once.
    pushed: bool,
}

#[derive(Debug)]
struct Sealed {
    /// Of its first payload byte.
    offset: u64,
    frame: Bytes,
}

impl Sealed {
    fn end(&self) -> u64 {
        self.offset + (self.frame.len() - DATA_HEADER) as u64
    }
}

impl Outgoing {
    /// Begins, with so many bytes that may be sent and not be taken.
    pub fn new(window: u32) -> Outgoing {
        Outgoing {
            window: window.into(),
            written: 0,
            received: 0,
            taken: 0,
            frames: VecDeque::new(),
            sent: 0,
            reached: 0,
            gathering: BytesMut::new(),
            pushed: false,
        }
    }

    /// Takes bytes in, as many as fit: all, if that is a write that must arrive whole. `None`: that has to wait.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        let room = usize::try_from(self.window - (self.written - self.taken)).unwrap_or(usize::MAX);
        if room < bytes.len().min(ATOMIC) {
            return None;
        }
        let count = bytes.len().min(FRAME_MAX).min(room);
        if self.gathering.len() + count > ATOMIC + DATA_HEADER {
            self.seal();
        }
        if self.gathering.is_empty() {
            self.gathering.reserve(DATA_HEADER + count);
            self.gathering.extend_from_slice(&data_header(self.written));
        }
        self.gathering.extend_from_slice(&bytes[..count]);
        self.written += count as u64;
        Some(count)
    }

    /// Nothing is held back to gather.
    pub fn push(&mut self) {
        self.pushed = true;
    }

    /// The next frame to send.
    pub fn next(&mut self) -> Option<Bytes> {
        if self.sent == self.frames.len() {
            let on_their_way =
                self.frames.iter().rev().take_while(|frame| frame.end() > self.received).count();
            let is_due = on_their_way < SMALL_MAX || self.gathering.len() >= GATHERED || self.pushed;
            if self.gathering.is_empty() || !is_due {
                return None;
            }
            self.seal();
        }
        let next = self.frames.get(self.sent)?;
        self.sent += 1;
        self.reached = self.reached.max(next.end());
        Some(next.frame.clone())
    }

    fn seal(&mut self) {
        if !self.gathering.is_empty() {
            let frame = self.gathering.split().freeze();
            let offset = self.written - (frame.len() - DATA_HEADER) as u64;
            self.frames.push_back(Sealed { offset, frame });
        }
        self.pushed = false;
    }

    /// The reader tells how far it is; true: farther than before. An older report changes nothing.
    ///
    /// # Errors
    /// It tells of bytes that were never sent.
    pub fn heard(&mut self, received: u64, taken: u64) -> Result<bool, ()> {
        if received > self.reached || taken > received {
            return Err(());
        }
        let farther = received > self.received || taken > self.taken;
        self.received = self.received.max(received);
        self.taken = self.taken.max(taken);
        while self.frames.front().is_some_and(|frame| frame.end() <= self.taken) {
            self.frames.pop_front();
            self.sent = self.sent.saturating_sub(1);
        }
        Ok(farther)
    }

    /// Sends again what the reader has not received.
    pub fn resend(&mut self) {
        self.sent =
            self.frames.iter().take(self.sent).take_while(|frame| frame.end() <= self.received).count();
    }

    /// How many bytes were sent at least once.
    pub fn reached(&self) -> u64 {
        self.reached
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes the reader has taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the reader has received all.
    pub fn is_received(&self) -> bool {
        self.received == self.written
    }

    /// Whether the reader has taken all.
    pub fn is_taken(&self) -> bool {
        self.taken == self.written
    }

    /// Whether there is nothing left to send.
    pub fn is_sent(&self) -> bool {
        self.sent == self.frames.len() && self.gathering.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lossy::frame::Frame;

    /// Sends all that can be sent: offset and length of each frame.
    fn sent(outgoing: &mut Outgoing) -> Vec<(u64, usize)> {
        std::iter::from_fn(|| outgoing.next())
            .map(|frame| match Frame::decode(&frame).unwrap() {
                Frame::Data { offset, payload } => (offset, payload.len()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_write_that_must_arrive_whole_waits_for_room() {
        let mut outgoing = Outgoing::new(100 << 10);
        assert_eq!(outgoing.write(&[1; 64 << 10]), Some(64 << 10));
        assert_eq!(outgoing.write(&[2; 64 << 10]), None);
        assert_eq!(outgoing.write(&[3; 36 << 10]), Some(36 << 10));
        assert_eq!(sent(&mut outgoing), [(0, 64 << 10), (64 << 10, 36 << 10)]);
        assert_eq!(outgoing.heard(100 << 10, 64 << 10), Ok(true));
        assert_eq!(outgoing.write(&[4; 200 << 10]), Some(64 << 10));
    }

    #[test]
    fn what_was_not_received_is_sent_again_and_what_was_taken_is_forgotten() {
        let mut outgoing = Outgoing::new(1 << 20);
        for _ in 0..4 {
            outgoing.write(&[1; 10]).unwrap();
            assert_eq!(sent(&mut outgoing).len(), 1);
        }
        assert_eq!(outgoing.heard(20, 10), Ok(true));
        outgoing.resend();
        assert_eq!(sent(&mut outgoing), [(20, 10), (30, 10)]);
        assert_eq!(outgoing.heard(10, 0), Ok(false), "an older report");
        outgoing.resend();
        assert_eq!(sent(&mut outgoing), [(20, 10), (30, 10)]);
        assert_eq!(outgoing.heard(40, 40), Ok(true));
        outgoing.resend();
        assert_eq!(sent(&mut outgoing), []);
        assert!(outgoing.is_taken() && outgoing.frames.is_empty());
        assert_eq!(outgoing.heard(41, 40), Err(()), "bytes that were never sent");
    }

    #[test]
    fn small_writes_gather_only_while_many_are_on_their_way() {
        let mut outgoing = Outgoing::new(1 << 20);
        let mut frames = 0;
        for _ in 0..1000 {
            outgoing.write(&[1; 10]).unwrap();
            frames += sent(&mut outgoing).len();
        }
        assert_eq!(frames, SMALL_MAX);
        outgoing.push();
        assert_eq!(sent(&mut outgoing), [(640, 9360)]);
        outgoing.write(&[1; 10]).unwrap();
        assert_eq!(sent(&mut outgoing), []);
        outgoing.heard(10_000, 0).unwrap();
        assert_eq!(sent(&mut outgoing), [(10_000, 10)]);
    }

    #[test]
    fn a_large_write_is_split_and_never_joined_with_another() {
        let mut outgoing = Outgoing::new(1 << 20);
        assert_eq!(outgoing.write(&[1; 10]), Some(10));
        assert_eq!(outgoing.write(&[2; 300 << 10]), Some(FRAME_MAX));
        assert_eq!(sent(&mut outgoing), [(0, 10), (10, FRAME_MAX)]);
    }
}
