//! What the service thread does for each open pipe, but for finding its other end.

use super::feedback::Feedback;
use super::handshake::Connection;
use super::keepalive::{Terms, Watched};
use super::{Service, Source};
use crate::failure::Outcome;
use crate::outgoing::Outgoing;
use crate::pipe::{ReaderPipe, WriterPipe};
use crate::plan::Plan;
use crate::upstream::Upstream;
use netpipe::digest::Algorithm;
use netpipe::hello::FEATURE_CRC;
use netpipe::pairing::Open;
use netpipe::pipe::Window;
use netpipe::same_host::{Meeting, Way};
use netpipe::{Message, Role};
use std::sync::Arc;
use std::time::Instant;
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// A writer.
#[derive(Debug)]
pub struct Writing {
    pub pipe: Arc<WriterPipe>,
    /// Where the reader's reports come in.
    pub feedback: Option<u64>,
    closed: bool,
}

impl Service {
    pub(super) fn open_reader(&mut self, pipe: Arc<ReaderPipe>) {
        let (id, open) = (pipe.id, open(Role::Reader, &pipe.plan));
        self.readers.insert(id, pipe);
        self.pairing.open(Instant::now(), id, open);
    }

    pub(super) fn open_writer(&mut self, pipe: Arc<WriterPipe>) {
        let (id, open) = (pipe.id, open(Role::Writer, &pipe.plan));
        self.writers.insert(id, Writing { pipe, feedback: None, closed: false });
        self.pairing.open(Instant::now(), id, open);
    }

    pub(super) fn plan(&self, id: u64) -> Option<&Plan> {
        match (self.readers.get(&id), self.writers.get(&id)) {
            (Some(pipe), _) => Some(&pipe.plan),
            (None, Some(writing)) => Some(&writing.pipe.plan),
            (None, None) => None,
        }
    }

    pub(super) fn note(&self, id: u64, trouble: Option<String>) {
        if let Some(pipe) = self.readers.get(&id) {
            pipe.note(trouble);
        } else if let Some(writing) = self.writers.get(&id) {
            writing.pipe.note(trouble);
        }
    }

    /// Ends a pipe whose other end will not come.
    pub(super) fn fail(&mut self, id: u64, failure: Failure) {
        if let Some(pipe) = self.readers.get(&id) {
            pipe.fail(failure);
        } else if let Some(writing) = self.writers.get(&id) {
            writing.pipe.settle(Outcome::Failed(failure));
            self.drop_if_done(id);
        }
    }

    /// Gives a pipe the connection that a handshake brought.
    pub(super) fn join(&mut self, id: u64, connection: Connection) {
        if self.writers.contains_key(&id) {
            self.join_writer(id, connection);
        } else if let Some(pipe) = self.readers.get(&id).cloned() {
            let upstream = self.upstream(connection);
            pipe.arrive(upstream);
        }
    }

    fn join_writer(&mut self, id: u64, connection: Connection) {
        let Some(pipe) = self.writers.get(&id).map(|writing| writing.pipe.clone()) else { return };
        let features = connection.established.features;
        let terms = Terms::new(&connection.established, self.config.silence);
        let window = Window::new(connection.established.peer.window()).with_features(features);
        let outgoing = Outgoing::new(connection.link, window, features & FEATURE_CRC != 0);
        let way = self.way(connection.established.meeting);
        let outgoing = Arc::new(outgoing.with_digest(Algorithm::of(features)).with_way(way));
        match self.keep(Source::Feedback(Feedback::new(id, outgoing.clone())), true, false) {
            Some(key) => {
                if let Some(writing) = self.writers.get_mut(&id) {
                    writing.feedback = Some(key);
                }
                self.reactor.watch_once(&outgoing.link, key, false);
                self.keep_alive(Watched::Writer(Arc::downgrade(&outgoing)), terms);
                pipe.connect(outgoing);
                self.flush_writer(id);
            }
            None => pipe.settle(Outcome::Failed(Failure::new(Code::ENOMEM, "out of memory"))),
        }
        self.break_if_closed(id);
    }

    /// Where the two ends of a connection may meet on this host.
    fn way(&self, meeting: Option<Box<Meeting>>) -> Option<Way> {
        Some(Way { at: self.config.same_host.clone()?, meeting: meeting? })
    }

    /// Makes the reader's end of a connection.
    fn upstream(&mut self, connection: Connection) -> Arc<Upstream> {
        let features = connection.established.features;
        let terms = Terms::new(&connection.established, self.config.silence);
        let upstream = Upstream::new(connection.link, connection.window, features, terms.limit);
        let way = self.way(connection.established.meeting);
        let upstream = Arc::new(upstream.with_digest(Algorithm::of(features)).with_way(way));
        self.keep_alive(Watched::Reader(Arc::downgrade(&upstream)), terms);
        upstream
    }

    /// Gives a writer that no pipe wants a last frame.
    pub(super) fn dismiss(&mut self, connection: Connection, last: &Message) {
        let upstream = self.upstream(connection);
        upstream.say_last(last);
        self.linger_upstream(upstream);
    }

    /// Sends what a writer left, as soon as the kernel takes it.
    pub(super) fn flush_writer(&mut self, id: u64) {
        let Some(key) = self.writers.get(&id).and_then(|writing| writing.feedback) else { return };
        if let Some(Source::Feedback(feedback)) = self.sources.get_mut(&key) {
            feedback.flush(&self.reactor, key);
        }
    }

    /// A writer said its last word: before its reader came, or more than the kernel took.
    pub(super) fn finished(&mut self, id: u64) {
        self.flush_writer(id);
        if let Some(word) = self.writers.get(&id).and_then(|writing| writing.pipe.early()) {
            self.pairing.last_word(id, word);
        }
    }

    /// A file is closed. What a writer ENDed or DISCARDed is still delivered, all else breaks.
    pub(super) fn closed(&mut self, id: u64) {
        if let Some(pipe) = self.readers.remove(&id) {
            // Whoever arrived after the file looked for the last time.
            for upstream in pipe.take_arrived() {
                if pipe.failure().is_some() {
                    upstream.link.cut(); // to its writer the reader is lost, as to the others
                    continue;
                }
                upstream.say_last(&Message::Closed(0));
                self.linger_upstream(upstream);
            }
        } else if let Some(writing) = self.writers.get_mut(&id) {
            writing.closed = true;
            self.break_if_closed(id);
        }
        self.pairing.close(Instant::now(), id);
    }

    /// Breaks the connection of a writer that was closed without a last word.
    fn break_if_closed(&mut self, id: u64) {
        let Some(writing) = self.writers.get_mut(&id).filter(|writing| writing.closed) else { return };
        let pipe = writing.pipe.clone();
        if let (None, Some(outgoing)) = (pipe.outcome(), pipe.outgoing())
            && !outgoing.is_finished()
        {
            pipe.settle(Outcome::Failed(Failure::new(Code::ECONNRESET, "it was closed before END")));
            let key = writing.feedback.take();
            self.break_off(outgoing.clone(), key);
        }
        self.drop_if_done(id);
    }

    /// Forgets a writer that is closed and has come to its end.
    pub(super) fn drop_if_done(&mut self, id: u64) {
        if self.writers.get(&id).is_some_and(|writing| writing.closed && writing.pipe.outcome().is_some()) {
            self.writers.remove(&id);
        }
    }
}

fn open(role: Role, plan: &Plan) -> Open {
    Open { role, name: plan.name.clone(), route: plan.route.clone(), writers: plan.writers }
}
