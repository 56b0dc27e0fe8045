//! One writer's connection, as its reader and the service thread share it: what goes back to the writer.

use crate::link::Link;
use crate::queue::lock;
use netpipe::Message;
use netpipe::digest::Algorithm;
use netpipe::pipe::REPORT_BYTES;
use rustix::io::Errno;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The way back to a writer.
#[derive(Debug)]
pub struct Lane {
    /// The connection.
    pub link: Link,
    /// The window that this reader gave.
    pub window: u32,
    /// Whether payload must carry checksums.
    pub crc: bool,
    /// How the whole of it is digested.
    pub digest: Option<Algorithm>,
    taken: AtomicU64,
    reported: AtomicU64,
    unreported: AtomicBool,
    back: Mutex<Back>,
}

/// Frames that the kernel did not take yet: in practice part of one.
#[derive(Debug, Default)]
struct Back {
    bytes: Vec<u8>,
    at: usize,
    /// Nothing may follow.
    last: bool,
}

impl Lane {
    /// Begins after the handshake.
    pub fn new(link: Link, window: u32, crc: bool) -> Lane {
        link.be_patient();
        Lane {
            link,
            window,
            crc,
            digest: None,
            taken: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            unreported: AtomicBool::new(false),
            back: Mutex::default(),
        }
    }

    /// Digests are in use.
    pub fn with_digest(mut self, digest: Option<Algorithm>) -> Lane {
        self.digest = digest;
        self
    }

    /// Counts bytes that the reader's owner has taken; true: so many that a report is due.
    pub fn take(&self, bytes: u64) -> bool {
        let taken = self.taken.fetch_add(bytes, Ordering::AcqRel) + bytes;
        taken - self.reported() >= REPORT_BYTES.min(u64::from(self.window) / 2)
    }

    /// The bytes taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// The bytes that the writer was told of.
    pub fn reported(&self) -> u64 {
        self.reported.load(Ordering::Acquire)
    }

    /// Tells the writer how much was taken, if that is news. True: there is nothing left to tell or to send.
    ///
    /// # Errors
    /// The connection's.
    pub fn report(&self) -> Result<bool, Errno> {
        let mut back = lock(&self.back);
        let sent = self.push(&mut back)?;
        let taken = self.taken();
        if back.last || taken == self.reported() {
            return Ok(sent);
        }
        if !sent {
            return Ok(false); // the next report says more
        }
        self.reported.store(taken, Ordering::Release);
        Message::Taken(taken).append_to(&mut back.bytes);
        self.push(&mut back)
    }

    /// Says the last word: CLOSED, DONE (after a report) or REFUSAL. Only the first counts.
    pub fn say_last(&self, message: &Message) {
        let mut back = lock(&self.back);
        if back.last {
            return;
        }
        let taken = self.taken();
        if *message == Message::Done && taken != self.reported() {
            self.reported.store(taken, Ordering::Release);
            Message::Taken(taken).append_to(&mut back.bytes);
        }
        message.append_to(&mut back.bytes);
        back.last = true;
        // What a lost connection does not take is lost with it.
        let _ = self.push(&mut back);
    }

    /// Notes that a report is due some time; false: that was known.
    pub fn mark_unreported(&self) -> bool {
        !self.unreported.load(Ordering::Relaxed) && !self.unreported.swap(true, Ordering::SeqCst)
    }

    /// The service thread's, before it reports.
    pub fn clear_unreported(&self) {
        self.unreported.store(false, Ordering::SeqCst);
    }

    fn push(&self, back: &mut Back) -> Result<bool, Errno> {
        while back.at < back.bytes.len() {
            match self.link.send(&back.bytes[back.at..], &[])? {
                0 => return Ok(false),
                count => back.at += count,
            }
        }
        back.bytes.clear();
        back.at = 0;
        self.link.flush()
    }
}
