//! What each open pipe is up to: from its opening to its last frame.

use super::dial::{Dial, Errand};
use super::feedback::Feedback;
use super::handshake::Connection;
use super::vigil::{Terms, Watched};
use super::{Service, Source, Timer};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::lane::Lane;
use crate::outgoing::Outgoing;
use crate::pipe::{Fate, LastWord, ReaderPipe, WriterPipe};
use crate::plan::Route;
use netpipe::digest::Algorithm;
use netpipe::hello::FEATURE_CRC;
use netpipe::pipe::Window;
use netpipe::{Message, Reason, Token, code};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::Code;

/// Pauses between attempts to reach the other end of a direct pipe, which may open later: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How long, and how often, what is busy is tried again: the pipe of that name may have ended a moment ago, and word of it
/// may still be on its way.
const BUSY: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(25));
/// The same of a reader that would take another's place: the broker gives that one 3 s to show that it lives.
const TAKEOVER: (Duration, Duration) = (Duration::from_secs(6), Duration::from_millis(500));
/// The pause before a broker is asked again whether a reader that was not met has registered anew.
const UNMET: Duration = Duration::from_millis(500);
/// How long a DISCARD waits for a reader; a broker does so as well.
const DISCARD: Duration = Duration::from_secs(60);

/// A reader.
#[derive(Debug)]
pub struct Reading {
    pub pipe: Arc<ReaderPipe>,
    /// Of a direct pipe.
    pub listener: Option<u64>,
    /// Writers that came.
    pub admitted: u32,
    /// Nobody else is to come.
    pub over: bool,
    search: Search,
}

/// How the search for a pipe's other end goes.
#[derive(Debug)]
pub struct Search {
    /// Before a direct pipe is dialled again.
    pause: Duration,
    busy_since: Option<Instant>,
    /// Somebody takes connections, and has not answered since.
    pub silent_since: Option<Instant>,
    /// An introduction led nowhere: since when, and why. The broker counts it until the reader registers again.
    pub unmet: Option<(Instant, String)>,
}

impl Default for Search {
    fn default() -> Search {
        Search { pause: PAUSES.0, busy_since: None, silent_since: None, unmet: None }
    }
}

/// A writer.
#[derive(Debug)]
pub struct Writing {
    pub pipe: Arc<WriterPipe>,
    /// Of a direct pipe.
    pub listener: Option<u64>,
    /// Where the reader's reports come in.
    pub feedback: Option<u64>,
    /// The token of the introduction, or the relay, that is being tried, and when it came: one at a time.
    pub introduced: Option<(Token, Instant)>,
    /// Where the reader of that introduction is.
    pub addresses: Vec<Endpoint>,
    closed: bool,
    search: Search,
}

impl Reading {
    /// Whether another writer may come.
    pub fn has_room(&self) -> bool {
        !self.over && self.pipe.plan.writers.is_none_or(|writers| self.admitted < writers)
    }

    /// How many more writers it expects; `None`: any number.
    pub fn expects(&self) -> Option<u32> {
        self.pipe.plan.writers.map(|writers| writers.saturating_sub(self.admitted))
    }
}

impl Writing {
    /// When the introduction, or the relay, of this token came, if it is the one that is being tried.
    pub fn tries(&self, token: Token) -> Option<Instant> {
        self.introduced.and_then(|(tried, since)| (tried == token).then_some(since))
    }

    /// Whether it still waits for its reader.
    pub fn is_waiting(&self) -> bool {
        self.pipe.outgoing().is_none() && self.pipe.fate().is_none()
    }
}

impl Service {
    pub(super) fn open_reader(&mut self, pipe: Arc<ReaderPipe>) {
        let (id, route) = (pipe.id, pipe.plan.route.clone());
        let reading = Reading { pipe, listener: None, admitted: 0, over: false, search: Search::default() };
        self.readers.insert(id, reading);
        self.start(id, route);
    }

    pub(super) fn open_writer(&mut self, pipe: Arc<WriterPipe>) {
        let (id, route) = (pipe.id, pipe.plan.route.clone());
        let writing = Writing {
            pipe,
            listener: None,
            feedback: None,
            introduced: None,
            addresses: Vec::new(),
            closed: false,
            search: Search::default(),
        };
        self.writers.insert(id, writing);
        self.start(id, route);
    }

    fn start(&mut self, id: u64, route: Route) {
        match route {
            Route::Listen(at) => self.dial(Dial::new(Errand::Listen(id), [at])),
            Route::Dial(_) => self.dial_pipe(id),
            Route::Broker(broker) => self.join_broker(&broker, id),
        }
    }

    /// Looks for the other end of a pipe anew.
    pub(super) fn again(&mut self, id: u64) {
        if let Some(route) = self.route(id) {
            let route = route.clone();
            self.start(id, route);
        }
    }

    /// The route of a pipe that still looks for its other end.
    pub(super) fn route(&self, id: u64) -> Option<&Route> {
        match (self.readers.get(&id), self.writers.get(&id)) {
            (Some(reading), _) if reading.has_room() => Some(&reading.pipe.plan.route),
            (_, Some(writing)) if writing.is_waiting() => Some(&writing.pipe.plan.route),
            _ => None,
        }
    }

    /// Dials the other end of a direct pipe.
    pub(super) fn dial_pipe(&mut self, id: u64) {
        if let Some(Route::Dial(to)) = self.route(id) {
            let to = to.clone();
            self.dial(Dial::new(Errand::Direct(id), [to]));
        }
    }

    /// Dials it again, later and later.
    pub(super) fn dial_later(&mut self, id: u64, trouble: &str) {
        self.note(id, trouble);
        let Some(search) = self.search(id) else { return };
        let at = Instant::now() + search.pause;
        search.pause = (search.pause * 2).min(PAUSES.1);
        self.reactor.at(at, Timer::Dial(id));
    }

    pub(super) fn search(&mut self, id: u64) -> Option<&mut Search> {
        match (self.readers.get_mut(&id), self.writers.get_mut(&id)) {
            (Some(Reading { search, .. }), _) | (None, Some(Writing { search, .. })) => Some(search),
            (None, None) => None,
        }
    }

    pub(super) fn note(&self, id: u64, trouble: &str) {
        if let Some(reading) = self.readers.get(&id) {
            reading.pipe.note(trouble.to_owned());
        } else if let Some(writing) = self.writers.get(&id) {
            writing.pipe.note(trouble.to_owned());
        }
    }

    /// Ends a pipe that never met its other end; one that is busy not before that has lasted.
    pub(super) fn fail_pipe(&mut self, id: u64, failure: Failure) {
        let patience = self.config.peer_timeout;
        let takes_over = self.config.takeover
            && self.readers.get(&id).is_some_and(|known| matches!(known.pipe.plan.route, Route::Broker(_)));
        let Some(search) = self.search(id) else { return };
        let mut failure = failure;
        if failure.code == Code::EBUSY {
            let limits = match &search.unmet {
                Some((since, _)) => (since.elapsed(), patience, UNMET),
                None => {
                    let (limit, pause) = if takes_over { TAKEOVER } else { BUSY };
                    (search.busy_since.get_or_insert_with(Instant::now).elapsed(), limit, pause)
                }
            };
            let (busy, limit, pause) = limits;
            if busy < limit {
                self.reactor.at(Instant::now() + pause, Timer::Again(id));
                return;
            }
            if let Some((_, trouble)) = &search.unmet {
                let text = format!(
                    "its reader was introduced, and not met for {patience:?}: {trouble}; at last: {}",
                    failure.text
                );
                failure = Failure::new(Code::ETIMEDOUT, text);
                self.give_up(id);
            }
        } else if let Some((_, trouble)) = &search.unmet {
            failure.text = format!("{} (before that: {trouble})", failure.text);
        }
        let mut last = Message::Withdraw(id);
        if let Some(reading) = self.readers.get_mut(&id) {
            reading.over = true;
            reading.pipe.fail(failure);
        } else if let Some(writing) = self.writers.get(&id) {
            // Its reader waits for this writer, and would wait for ever.
            if writing.introduced.is_some() && failure.code != Code::EBUSY {
                last = Message::Discarded(id);
            }
            writing.pipe.settle(Fate::Failed(failure));
        }
        self.stop_listening(id);
        self.leave_broker(id, last);
        self.drop_if_done(id);
    }

    /// Nobody else is to come to this pipe: its listener or registration ends.
    pub(super) fn stop_looking(&mut self, id: u64) {
        self.stop_listening(id);
        self.leave_broker(id, Message::Withdraw(id));
    }

    fn stop_listening(&mut self, id: u64) {
        let listener = match (self.readers.get_mut(&id), self.writers.get_mut(&id)) {
            (Some(Reading { listener, .. }), _) | (None, Some(Writing { listener, .. })) => listener.take(),
            (None, None) => None,
        };
        if let Some(key) = listener {
            self.sources.remove(&key);
        }
    }

    /// Gives a pipe the connection that a handshake brought.
    pub(super) fn join(&mut self, id: u64, connection: Connection) {
        if self.writers.contains_key(&id) {
            self.join_writer(id, connection);
        } else {
            self.join_reader(id, connection);
        }
    }

    fn join_writer(&mut self, id: u64, connection: Connection) {
        let Some(writing) = self.writers.get_mut(&id).filter(|writing| writing.is_waiting()) else {
            return;
        };
        let (features, terms) =
            (connection.established.features, Terms::new(&connection, self.config.silence));
        let window = Window::new(connection.established.peer.window()).with_features(features);
        let outgoing = Outgoing::new(connection.link, window, features & FEATURE_CRC != 0);
        let outgoing = Arc::new(outgoing.with_digest(Algorithm::of(features)));
        let pipe = writing.pipe.clone();
        let feedback = Feedback::new(id, outgoing.clone());
        self.stop_looking(id);
        match self.keep(Source::Feedback(feedback), true, false) {
            Some(key) => {
                if let Some(writing) = self.writers.get_mut(&id) {
                    writing.feedback = Some(key);
                }
                self.reactor.watch_once(&outgoing.link, key, false);
                self.keep_vigil(Watched::Writer(Arc::downgrade(&outgoing)), terms);
                pipe.connect(outgoing);
                self.flush_writer(id);
            }
            None => pipe.settle(Fate::Failed(Failure::new(Code::ENOMEM, "out of memory"))),
        }
        if self.writers.get(&id).is_some_and(|writing| writing.closed) {
            self.writer_closed(id);
        }
    }

    fn join_reader(&mut self, id: u64, connection: Connection) {
        let (features, terms) =
            (connection.established.features, Terms::new(&connection, self.config.silence));
        let lane = Lane::new(connection.link, connection.window, features, terms.limit);
        let lane = Arc::new(lane.with_digest(Algorithm::of(features)));
        match self.readers.get_mut(&id) {
            Some(reading) if reading.has_room() => {
                reading.admitted += 1;
                reading.pipe.arrive(lane.clone());
                self.keep_vigil(Watched::Reader(Arc::downgrade(&lane)), terms);
                // Listener and registration stay until the pipe is over: one writer more is refused, not left to wait.
            }
            Some(_) => {
                let text = "the pipe has all the writers that its reader expects";
                lane.say_last(&Message::Refusal(Reason::new(code::EBUSY, text)));
                self.see_out_lane(lane);
            }
            None => {
                lane.say_last(&Message::Closed(0));
                self.see_out_lane(lane);
            }
        }
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
        let waiting = self.writers.get(&id).filter(|writing| writing.is_waiting());
        if waiting.is_some_and(|writing| writing.pipe.early() == Some(LastWord::Discard)) {
            if self.leave_broker(id, Message::Discarded(id)) {
                self.discarded(id);
            }
            self.drop_if_done(id);
        }
    }

    pub(super) fn reader_over(&mut self, id: u64) {
        if let Some(reading) = self.readers.get_mut(&id) {
            reading.over = true;
            self.stop_looking(id);
        }
    }

    pub(super) fn closed(&mut self, id: u64) {
        if let Some(reading) = self.readers.remove(&id) {
            if let Some(key) = reading.listener {
                self.sources.remove(&key);
            }
            // Whoever arrived after the file looked for the last time.
            for lane in reading.pipe.take_arrived() {
                lane.say_last(&Message::Closed(0));
                self.see_out_lane(lane);
            }
            self.leave_broker(id, Message::Withdraw(id));
        } else if self.writers.contains_key(&id) {
            self.writer_closed(id);
        }
    }

    /// A writer's file is closed: what it ENDed or DISCARDed is still delivered, all else breaks.
    fn writer_closed(&mut self, id: u64) {
        let Some(writing) = self.writers.get_mut(&id) else { return };
        writing.closed = true;
        let pipe = writing.pipe.clone();
        match (pipe.fate(), pipe.outgoing(), pipe.early()) {
            (Some(_), ..) => {}
            (None, Some(outgoing), _) if outgoing.is_finished() => {}
            (None, Some(outgoing), _) => {
                pipe.settle(Fate::Failed(Failure::new(Code::ECONNRESET, "it was closed without END")));
                let (outgoing, key) = (outgoing.clone(), writing.feedback.take());
                self.break_off(outgoing, key);
            }
            (None, None, Some(LastWord::End)) => {}
            (None, None, Some(LastWord::Discard)) => {
                self.reactor.at(Instant::now() + DISCARD, Timer::Forget(id));
            }
            (None, None, None) => self.forget_writer(id),
        }
        self.drop_if_done(id);
    }

    /// Gives up a writer whose reader never came.
    pub(super) fn forget_writer(&mut self, id: u64) {
        if self.writers.get(&id).is_some_and(|writing| writing.closed && writing.is_waiting()) {
            self.stop_looking(id);
            self.writers.remove(&id);
        }
    }

    /// Forgets a writer that is closed and has come to its end.
    pub(super) fn drop_if_done(&mut self, id: u64) {
        if self.writers.get(&id).is_some_and(|writing| writing.closed && writing.pipe.fate().is_some()) {
            self.stop_looking(id);
            self.writers.remove(&id);
        }
    }
}
