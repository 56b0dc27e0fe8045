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

    /// Reads what has come; the pipe's end, if it is that, and whether the connection is over with it.
    fn read(&mut self) -> Option<(Fate, bool)> {
        let (mut bytes, mut taken) = ([0; 256], None);
        loop {
            let mut input = match self.outgoing.link.receive(&mut bytes, &mut []) {
                Ok(Received::Bytes(count)) => &bytes[..count],
                Ok(Received::Nothing) => return taken,
                Ok(Received::End) => {
                    return Some((Fate::Failed(Failure::new(Code::ECONNRESET, "the reader was lost")), true));
                }
                Err(errno) => return Some((Fate::Failed(lost(errno)), true)),
            };
            loop {
                match self.decoder.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(message)) => match self.hear(&message) {
                        Some((fate, false)) => taken = Some((fate, false)),
                        Some(over) => return Some(over),
                        None => {}
                    },
                    Err(error) => return Some((self.broken(&error), true)),
                }
            }
        }
    }

    fn hear(&self, message: &Message) -> Option<(Fate, bool)> {
        if let Err(error) = self.outgoing.window.hear(message) {
            return Some((self.broken(&error), true));
        }
        match message {
            Message::Done => Some((Fate::Done, true)),
            Message::Closed(_) if self.outgoing.is_all_taken() => Some((Fate::Done, true)),
            Message::Closed(_) => Some((Fate::Closed, true)),
            Message::Taken(_) if self.outgoing.is_all_taken() => Some((Fate::Done, false)),
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
        let outcome = feedback.read();
        let waiting = feedback.outgoing.take_waiting();
        let pipe = self.writers.get(&feedback.pipe).map(|writing| writing.pipe.clone());
        if let Some(pipe) = &pipe
            && waiting
        {
            pipe.signal.raise();
        }
        let Some((fate, over)) = outcome else { return Some(feedback) };
        if let Some(pipe) = &pipe {
            pipe.settle(fate);
        }
        if over {
            self.reactor.forget(&feedback.outgoing.link);
            // Whoever waits for the kernel wakes up.
            feedback.outgoing.link.cut();
            if let Some(writing) = self.writers.get_mut(&feedback.pipe) {
                writing.feedback = None;
            }
        }
        self.drop_if_done(feedback.pipe);
        (!over).then_some(feedback)
    }
}
