//! A writer's connection to its reader, as the file and the service thread share it.

use crate::link::Link;
use crate::pipe::LastWord;
use crate::queue::lock;
use netpipe::pipe::Window;
use netpipe::{Message, Reason};
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// A file that does not wait has sent its frame by then.
const REFUSAL_TRIES: u32 = 100;

/// The way to a reader.
#[derive(Debug)]
pub struct Outgoing {
    /// The connection.
    pub link: Link,
    /// What was sent and taken.
    pub window: Window,
    /// Whether payload carries checksums.
    pub crc: bool,
    rest: Mutex<Rest>,
    /// The file waits for news of the reader.
    waiting: AtomicBool,
    last: AtomicBool,
    ended: AtomicBool,
}

/// The one-frame buffer: what is left of a frame whose caller could not wait, and the last word behind it.
#[derive(Debug, Default)]
pub struct Rest {
    bytes: Vec<u8>,
    at: usize,
}

impl Rest {
    /// Keeps what the kernel did not take.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

impl Outgoing {
    /// Begins after the handshake.
    pub fn new(link: Link, window: u32, crc: bool) -> Outgoing {
        Outgoing {
            link,
            window: Window::new(window),
            crc,
            rest: Mutex::default(),
            waiting: AtomicBool::new(false),
            last: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Takes the right to send. Whoever leaves something in it asks the service thread to flush.
    pub fn sending(&self) -> MutexGuard<'_, Rest> {
        lock(&self.rest)
    }

    /// Sends what is left of earlier frames; false: the kernel takes no more now.
    ///
    /// # Errors
    /// The connection's.
    pub fn push(&self, rest: &mut Rest) -> Result<bool, Errno> {
        while rest.at < rest.bytes.len() {
            match self.link.send(&rest.bytes[rest.at..], &[])? {
                0 => return Ok(false),
                count => rest.at += count,
            }
        }
        // Frees a large one: most pipes never need it again.
        *rest = Rest::default();
        self.link.flush()
    }

    /// The service thread's: sends what is left, unless the file is about to do so itself.
    ///
    /// # Errors
    /// The connection's.
    pub fn push_for_file(&self) -> Result<bool, Errno> {
        match self.rest.try_lock() {
            Ok(mut rest) => self.push(&mut rest),
            Err(TryLockError::Poisoned(rest)) => self.push(&mut rest.into_inner()),
            // It flushes, or asks again.
            Err(TryLockError::WouldBlock) => Ok(true),
        }
    }

    /// Says the last word, behind what is left of earlier frames. False: some of it is left. Only the first word counts.
    pub fn say_last(&self, word: LastWord) -> bool {
        let mut rest = self.sending();
        if !self.last.swap(true, Ordering::SeqCst) {
            if word == LastWord::End {
                self.window.end();
                self.ended.store(true, Ordering::SeqCst);
            }
            word.message(self.window.sent()).append_to(&mut rest.bytes);
        }
        // The service thread learns of a lost connection by itself.
        self.push(&mut rest).unwrap_or(true)
    }

    /// The service thread's: tells the reader that it broke a rule, unless the file is in the midst of a frame that does not
    /// go out.
    pub fn refuse(&self, reason: Reason) {
        for _ in 0..REFUSAL_TRIES {
            if let Ok(mut rest) = self.rest.try_lock() {
                if !self.last.swap(true, Ordering::SeqCst) {
                    Message::Refusal(reason).append_to(&mut rest.bytes);
                    // What the kernel does not take is not worth a wait.
                    let _ = self.push(&mut rest);
                }
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Whether the last word was said.
    pub fn is_finished(&self) -> bool {
        self.last.load(Ordering::SeqCst)
    }

    /// Whether that was END, and the reader has taken everything before it. It may not have looked for END itself yet, and
    /// need not ever.
    pub fn is_all_taken(&self) -> bool {
        self.ended.load(Ordering::SeqCst) && self.window.taken() == self.window.sent()
    }

    /// The file's, before it looks at what it waits for.
    pub fn set_waiting(&self) {
        self.waiting.store(true, Ordering::SeqCst);
    }

    /// The service thread's, after something changed: whether the file waits.
    pub fn take_waiting(&self) -> bool {
        self.waiting.swap(false, Ordering::SeqCst)
    }
}
