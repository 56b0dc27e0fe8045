//! What readers say to writers that do not listen themselves.

use super::{Service, Source, Timer};
use crate::outgoing::Outgoing;
use crate::reactor::Reactor;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After something was heard, the connection is left alone for so long. A writer at work reads TAKEN when it needs that, and
/// this thread, which would be woken by each, takes no time from it. A reader that closes meanwhile is heard that much later.
const REST: Duration = Duration::from_millis(20);

/// The way back from one reader.
#[derive(Debug)]
pub struct Feedback {
    pipe: u64,
    outgoing: Arc<Outgoing>,
    flushes: bool,
}

impl Feedback {
    /// Begins after the handshake.
    pub fn new(pipe: u64, outgoing: Arc<Outgoing>) -> Feedback {
        Feedback { pipe, outgoing, flushes: false }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.outgoing.link.as_fd()
    }

    /// Sends what the file left, now or when the kernel takes it.
    pub(super) fn flush(&mut self, reactor: &Reactor<Timer>, key: u64) {
        // A lost connection shows when it is read.
        self.flushes = !self.outgoing.push_for_file().unwrap_or(true);
        if self.flushes {
            self.watch(reactor, key);
        }
    }

    /// Waits for the reader's next word, and for room where that is wanted.
    fn watch(&self, reactor: &Reactor<Timer>, key: u64) {
        let link = &self.outgoing.link;
        reactor.watch_once(link, key, self.flushes && !link.is_shared());
        if self.flushes && link.is_shared() {
            reactor.watch_once(link.writable().0, key, false);
        }
    }
}

impl Service {
    /// Hears what a reader says, unless the writer does so itself.
    pub(super) fn hear(&mut self, key: u64, mut feedback: Feedback) -> Option<Feedback> {
        if feedback.flushes {
            feedback.flush(&self.reactor, key);
        }
        let heard =
            feedback.outgoing.listen_for_file().map(|mut reports| reports.receive(&feedback.outgoing, false));
        let heard = match heard {
            Some(heard) if !heard.came => {
                feedback.watch(&self.reactor, key);
                return Some(feedback);
            }
            Some(heard) => heard,
            None => {
                self.rest(key);
                return Some(feedback);
            }
        };
        let pipe = self.writers.get(&feedback.pipe).map(|writing| writing.pipe.clone());
        if let Some(pipe) = pipe {
            if let Some(outcome) = heard.outcome {
                pipe.settle(outcome);
            }
            pipe.heard();
        }
        if heard.over {
            self.hang_up(&feedback);
        } else {
            self.rest(key);
        }
        self.drop_if_done(feedback.pipe);
        (!heard.over).then_some(feedback)
    }

    /// A writer has heard its reader's last word.
    pub(super) fn heard_all(&mut self, id: u64) {
        let Some(key) = self.writers.get(&id).and_then(|writing| writing.feedback) else { return };
        if let Some(Source::Feedback(feedback)) = self.sources.remove(&key) {
            self.hang_up(&feedback);
        }
        self.drop_if_done(id);
    }

    fn hang_up(&mut self, feedback: &Feedback) {
        self.reactor.forget(&feedback.outgoing.link);
        // Whoever waits for the kernel wakes up.
        feedback.outgoing.link.cut();
        if let Some(writing) = self.writers.get_mut(&feedback.pipe) {
            writing.feedback = None;
        }
    }

    fn rest(&mut self, key: u64) {
        if self.resting.is_empty() {
            self.reactor.at(Instant::now() + REST, Timer::Listen);
        }
        self.resting.push(key);
    }

    /// Listens again to those that were left alone for a while.
    pub(super) fn listen_again(&mut self) {
        for key in std::mem::take(&mut self.resting) {
            if let Some(Source::Feedback(feedback)) = self.sources.get(&key) {
                feedback.watch(&self.reactor, key);
            }
        }
    }
}
