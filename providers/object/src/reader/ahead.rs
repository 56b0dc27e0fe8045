//! Ranges that are fetched ahead of whoever reads from start to end: a few at once, each of them larger than the one before, up to
//! what the operator allows. So a short read costs little, and a long one is not slower than the store.

use crate::reader::object::{Object, Pieces};
use crate::settings::Tuning;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::sync::Arc;
use zvfs_net::failure::Attempt;

/// The first range, of the object and after a jump.
pub const FIRST: u64 = 256 << 10;

/// Ranges under way, from a position on.
pub struct Ahead {
    object: Arc<Object>,
    tuning: Tuning,
    /// The position of the next byte to be read.
    at: u64,
    /// What is there from that position on.
    pieces: VecDeque<Bytes>,
    /// What comes after it, in the object's order.
    ranges: VecDeque<Arc<Pieces>>,
    /// Where the next range begins, and how long it is.
    next: u64,
    length: u64,
    /// Ranges that may be under way.
    window: usize,
}

impl Ahead {
    /// Begins at the start, whose first bytes are under way.
    pub fn new(object: &Arc<Object>, first: &Arc<Pieces>, tuning: Tuning) -> Ahead {
        Ahead {
            object: object.clone(),
            tuning,
            at: 0,
            pieces: VecDeque::new(),
            ranges: VecDeque::from([first.clone()]),
            next: FIRST.min(object.size),
            length: FIRST * 2,
            window: 1,
        }
    }

    /// Goes to another position. What is under way for this one is dropped.
    pub fn go_to(&mut self, position: u64) {
        let is_there: usize = self.pieces.iter().map(Bytes::len).sum();
        match position.checked_sub(self.at) {
            Some(0) => {}
            Some(gap) if gap <= is_there as u64 => self.advance(gap as usize),
            _ => self.begin_at(position),
        }
    }

    /// What is there from the position on, waiting for it; empty: the object's end. Taken is what [`advance`](Ahead::advance) says.
    ///
    /// # Errors
    /// What a range failed with. A further call asks for it again.
    pub fn pieces(&mut self) -> Attempt<&VecDeque<Bytes>> {
        self.fetch_more();
        while self.pieces.is_empty() {
            let Some(first) = self.ranges.front() else { break };
            match self.object.wait(first) {
                Ok(pieces) => self.pieces = pieces.into(),
                // The caller's end: the range goes on.
                Err(failure) if first.now().is_none() => return Err(failure),
                Err(failure) => {
                    self.begin_at(self.at);
                    return Err(failure);
                }
            }
            self.ranges.pop_front();
            self.window = (self.window + 1).min(self.tuning.parallel);
            self.fetch_more();
        }
        Ok(&self.pieces)
    }

    /// Reads what is there, waiting for it; 0: the object's end.
    ///
    /// # Errors
    /// As [`pieces`](Ahead::pieces).
    pub fn read(&mut self, buf: &mut [u8]) -> Attempt<usize> {
        let mut count = 0;
        for piece in self.pieces()? {
            let fits = piece.len().min(buf.len() - count);
            buf[count..count + fits].copy_from_slice(&piece[..fits]);
            count += fits;
        }
        self.advance(count);
        Ok(count)
    }

    fn begin_at(&mut self, position: u64) {
        self.pieces.clear();
        self.ranges.clear();
        (self.at, self.next) = (position, position);
        (self.length, self.window) = (FIRST, 1);
    }

    /// Starts as many ranges as may be under way.
    fn fetch_more(&mut self) {
        while self.ranges.len() < self.window && self.next < self.object.size {
            let end = self.next.saturating_add(self.length).min(self.object.size);
            self.ranges.push_back(Arc::new(self.object.fetch(self.next..end)));
            self.next = end;
            self.length = (self.length * 2).min(self.tuning.part_size as u64);
        }
    }

    /// Goes over bytes that are there.
    pub fn advance(&mut self, mut count: usize) {
        self.at += count as u64;
        while let Some(first) = self.pieces.front_mut()
            && count > 0
        {
            let step = first.len().min(count);
            first.advance(step);
            count -= step;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}
