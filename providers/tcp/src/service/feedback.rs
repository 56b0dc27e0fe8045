//! What readers report to writers.

use super::{Service, Timer};
use crate::failure::{Failure, lost};
use crate::link::Received;
use crate::outgoing::Outgoing;
use crate::pipe::Fate;
use crate::reactor::Reactor;
use netpipe::{Decoder, Error, Message, Sender};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use vfs_core::Code;

/// The way back from one reader.
#[derive(Debug)]
pub struct Feedback {
    pipe: u64,
    outgoing: Arc<Outgoing>,
    decoder: Decoder,
    flushes: bool,
}

impl Feedback {
    /// Begins after the handshake.
    pub fn new(pipe: u64, outgoing: Arc<Outgoing>) -> Feedback {
        Feedback { pipe, outgoing, decoder: Decoder::new(Sender::Reader), flushes: false }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.outgoing.link.as_fd()
    }

    /// Sends what the file left, now or when the kernel takes it.
    pub(super) fn flush(&mut self, reactor: &Reactor<Timer>, key: u64) {
        // A lost connection shows when it is read.
        let flushes = !self.outgoing.push_for_file().unwrap_or(true);
        if flushes != self.flushes {
            self.flushes = flushes;
            reactor.change(&self.outgoing.link, key, true, flushes);
        }
    }

    /// Reads what has come; the pipe's end, if it is that.
    fn read(&mut self) -> Option<Fate> {
        let mut bytes = [0; 256];
        loop {
            let mut input = match self.outgoing.link.receive(&mut bytes, &mut []) {
                Ok(Received::Bytes(count)) => &bytes[..count],
                Ok(Received::Nothing) => return None,
                Ok(Received::End) => {
                    return Some(Fate::Failed(Failure::new(Code::ECONNRESET, "the reader was lost")));
                }
                Err(errno) => return Some(Fate::Failed(lost(errno))),
            };
            loop {
                match self.decoder.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(message)) => {
                        if let Some(fate) = self.hear(&message) {
                            return Some(fate);
                        }
                    }
                    Err(error) => return Some(self.broken(&error)),
                }
            }
        }
    }

    fn hear(&self, message: &Message) -> Option<Fate> {
        let window = &self.outgoing.window;
        if let Err(error) = window.hear(message) {
            return Some(self.broken(&error));
        }
        match message {
            Message::Done => Some(Fate::Done),
            // It has everything, END or the way to it included.
            Message::Closed(total) if self.outgoing.is_finished() && *total == window.sent() => {
                Some(Fate::Done)
            }
            Message::Closed(_) => Some(Fate::Closed),
            _ => None,
        }
    }

    fn broken(&self, error: &Error) -> Fate {
        if let Some(reason) = error.refusal() {
            self.outgoing.refuse(reason);
        }
        Fate::Failed(Failure::from(error))
    }
}

impl Service {
    /// Reads a reader's reports.
    pub(super) fn hear(&mut self, key: u64, mut feedback: Feedback) -> Option<Feedback> {
        if feedback.flushes {
            feedback.flush(&self.reactor, key);
        }
        let fate = feedback.read();
        let waiting = feedback.outgoing.take_waiting();
        let pipe = self.writers.get(&feedback.pipe).map(|writing| writing.pipe.clone());
        match (fate, pipe) {
            (None, Some(pipe)) => {
                if waiting {
                    pipe.signal.raise();
                }
                Some(feedback)
            }
            (fate, pipe) => {
                self.reactor.forget(&feedback.outgoing.link);
                if let (Some(fate), Some(pipe)) = (fate, &pipe) {
                    pipe.settle(fate);
                }
                // Whoever waits for the kernel wakes up.
                feedback.outgoing.link.cut();
                if let Some(writing) = self.writers.get_mut(&feedback.pipe) {
                    writing.feedback = None;
                }
                self.drop_if_done(feedback.pipe);
                None
            }
        }
    }
}
