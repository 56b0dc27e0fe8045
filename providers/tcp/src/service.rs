//! The service thread, one for an instance: accepts, dials, completes handshakes, talks to brokers, and listens to readers
//! whose writers do not. Payload never passes through it, and nothing in it waits but [`Reactor::wait`].
//!
//! | Module | What it does |
//! |---|---|
//! | `pipes` | what is done for each open pipe |
//! | `dial` | connections that are being made, names that are being looked up |
//! | `accept` | listeners, and how many peers may be in their handshake |
//! | `handshake` | handshakes |
//! | `feedback` | what readers say to writers that do not listen themselves |
//! | `broker` | connections to brokers |
//! | `discover` | brokers that announce themselves |
//! | `keepalive` | signs of life |
//! | `lingering` | last frames on their way |

mod accept;
mod broker;
mod dial;
mod discover;
mod feedback;
mod handshake;
mod keepalive;
mod lingering;
mod pipes;

use crate::failure::{Outcome, of_pairing};
use crate::pipe::ReaderPipe;
use crate::queue::{Command, Queue};
use crate::reactor::Reactor;
use crate::settings::Config;
use netpipe::Token;
use netpipe::pairing::{self, Action, Pairing};
use rustix::io::Errno;
use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::{Code, Host, Level};
use zvfs_net::failure::{Failure, words};
use zvfs_net::resolve::Resolver;

/// What a stop may take, where something was ENDed and is not all taken.
const STOP: Duration = Duration::from_secs(5);
/// What a stop may take for last frames: the kernel has them, as a rule, and delivers them without this process. A peer that is
/// stopped, or too busy to close its side, is not waited for.
const LAST_FRAMES: Duration = Duration::from_millis(250);
/// After what was taken is reported to whoever does not get it with the next read.
const REPORT: Duration = Duration::from_millis(40);
/// The key of the queue's signal.
const QUEUE: u64 = 0;

/// What a timer is for.
#[derive(Debug)]
enum Timer {
    /// Upstreams have something to report.
    Report,
    /// This source has taken too long.
    Expire(u64),
    /// The lookup of this dial has taken too long.
    Lookup(u64),
    /// The state machine's.
    Pairing(pairing::Timer),
    /// The broker of this connection is asked for a sign of life.
    Ping(u64),
    /// Whoever came with this token came too early, or with a wrong one.
    Early(Token),
    /// A sign of life is due on a connection, or missed.
    Keepalive(keepalive::Keepalive),
    /// Lines that came over and over were counted for long enough.
    Lines,
    /// There is room for another handshake, perhaps.
    Admit,
    /// Readers that were left alone are listened to again.
    Listen,
}

/// What a descriptor is.
#[derive(Debug)]
enum Source {
    Listener(accept::Listener),
    Connecting(dial::Connecting),
    Pending(Box<handshake::PendingPeer>),
    Feedback(feedback::Feedback),
    Lingering(lingering::Lingering),
    Broker(broker::BrokerConnection),
}

/// The thread's own.
pub struct Service {
    host: Host,
    config: Arc<Config>,
    queue: Arc<Queue>,
    reactor: Reactor<Timer>,
    sources: HashMap<u64, Source>,
    /// Finds the other ends of pipes; this thread does what it says.
    pairing: Pairing,
    readers: HashMap<u64, Arc<ReaderPipe>>,
    writers: HashMap<u64, pipes::Writing>,
    /// Listeners of direct pipes, by pipe.
    listeners: HashMap<u64, u64>,
    /// Listeners for introduced peers: by address, their port.
    introduced_ports: HashMap<IpAddr, u16>,
    resolver: Resolver,
    /// The names of the brokers that were announced, when the network was asked last.
    announced: Vec<String>,
    pending: accept::PendingPeers,
    /// Connections to readers that are left alone for a while.
    resting: Vec<u64>,
    reporting: bool,
    stop_at: Option<Instant>,
}

impl Service {
    /// Makes the service of one instance.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(host: Host, config: Arc<Config>, queue: Arc<Queue>) -> Result<Service, Errno> {
        let reactor = Reactor::new()?;
        reactor.watch(&queue, QUEUE, true, false)?;
        let pairing = Pairing::new(pairing::Rules {
            connect_timeout: config.connect_timeout,
            peer_timeout: config.peer_timeout,
            takeover: config.takeover,
            advertise: config.advertise.clone(),
        });
        Ok(Service {
            host,
            config,
            queue,
            reactor,
            sources: HashMap::new(),
            pairing,
            readers: HashMap::new(),
            writers: HashMap::new(),
            listeners: HashMap::new(),
            introduced_ports: HashMap::new(),
            resolver: Resolver::default(),
            announced: Vec::new(),
            pending: accept::PendingPeers::default(),
            resting: Vec::new(),
            reporting: false,
            stop_at: None,
        })
    }

    /// Serves until it is stopped. A defect here ends every pipe with EIO rather than letting its caller wait for ever.
    pub fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
        self.queue.die();
        let why = match ended {
            Ok(Ok(())) => "the provider has stopped".to_owned(),
            Ok(Err(errno)) => {
                format!("the service thread cannot wait: {}", words(errno))
            }
            Err(_) => "the service thread failed: this is a defect of the provider".to_owned(),
        };
        // Opens that came meanwhile are ended like the others.
        for command in self.queue.take() {
            match command {
                Command::Read(pipe) => pipe.fail(Failure::new(Code::EIO, why.as_str())),
                Command::Write(pipe) => pipe.settle(Outcome::Failed(Failure::new(Code::EIO, why.as_str()))),
                _ => {}
            }
        }
        for pipe in self.readers.values() {
            pipe.fail(Failure::new(Code::EIO, why.as_str()));
        }
        for writing in self.writers.values() {
            writing.pipe.settle(Outcome::Failed(Failure::new(Code::EIO, why.as_str())));
            // A file that waits for its reader's word looks at the connection only.
            if let Some(outgoing) = writing.pipe.outgoing() {
                outgoing.link.cut();
            }
        }
    }

    fn serve(&mut self) -> Result<(), Errno> {
        loop {
            let limit = self.stop_at.map(|at| {
                // Twice: when last frames are over, and at the end.
                let left = at.saturating_duration_since(Instant::now());
                left.checked_sub(STOP - LAST_FRAMES).filter(|left| !left.is_zero()).unwrap_or(left)
            });
            for key in self.reactor.wait(limit)? {
                match key {
                    QUEUE => self.obey(),
                    key => self.handle(key),
                }
                self.act();
            }
            while let Some(timer) = self.reactor.due() {
                self.fire(timer);
                self.act();
            }
            if let Some(at) = self.stop_at
                && (Instant::now() >= at || self.is_idle(at))
            {
                self.drain_all();
                return Ok(());
            }
        }
    }

    /// Whether a stop that ends `at` the latest may end now: everything that was ENDed is delivered, and last words are said.
    fn is_idle(&self, at: Instant) -> bool {
        let leaving = |source: &Source| match source {
            Source::Lingering(_) => true,
            Source::Broker(connection) => connection.has_output(),
            _ => false,
        };
        let last_frames = at.checked_sub(STOP - LAST_FRAMES).is_none_or(|until| Instant::now() >= until);
        !self.writers.values().any(|writing| writing.pipe.delivers_end())
            && (last_frames || !self.sources.values().any(leaving))
    }

    fn obey(&mut self) {
        for command in self.queue.take() {
            match command {
                Command::Read(pipe) => self.open_reader(pipe),
                Command::Write(pipe) => self.open_writer(pipe),
                Command::Flush(id) => self.flush_writer(id),
                Command::Finished(id) => self.finished(id),
                Command::HeardAll(id) => self.heard_all(id),
                Command::Over(id) => self.pairing.over(id),
                Command::Closed(id) => self.closed(id),
                Command::Linger(upstream) => self.linger_upstream(upstream),
                Command::Resolved(dial, found) => self.pairing.resolved(Instant::now(), dial, found),
                Command::Discovered(dial, found) => self.discovered(dial, found),
                Command::Stop => self.stop_at = Some(Instant::now() + STOP),
            }
        }
        if self.queue.is_ticking() && !self.reporting {
            self.reporting = true;
            self.reactor.at(Instant::now() + REPORT, Timer::Report);
        }
    }

    fn handle(&mut self, key: u64) {
        // An event of something that an earlier one of this round ended finds nothing.
        let kept = match self.sources.remove(&key) {
            None => None,
            Some(Source::Listener(listener)) => Some(Source::Listener(self.accept(key, listener))),
            Some(Source::Connecting(connecting)) => {
                self.connected(connecting);
                None
            }
            Some(Source::Pending(peer)) => self.shake_hands(key, *peer).map(Box::new).map(Source::Pending),
            Some(Source::Feedback(feedback)) => self.hear(key, feedback).map(Source::Feedback),
            Some(Source::Lingering(lingering)) => self.drain(key, lingering).map(Source::Lingering),
            Some(Source::Broker(connection)) => self.listen_to_broker(key, connection).map(Source::Broker),
        };
        if let Some(source) = kept {
            self.sources.insert(key, source);
        }
    }

    /// Does what the state machine says, and what follows from that.
    fn act(&mut self) {
        while let Some(action) = self.pairing.poll() {
            match action {
                Action::LookUp(dial, endpoint) => self.look_up(dial, endpoint),
                Action::Discover(dial) => self.discover(dial),
                Action::Listen(pipe, at) => self.listen_for_pipe(pipe, at),
                Action::StopListening(pipe) => self.stop_listening(pipe),
                Action::Connect { dial, to, until, reader } => self.connect(dial, to, until, reader),
                Action::Tell(broker, message) => self.tell_for_pipe(broker, message),
                Action::HangUp(broker) => drop(self.sources.remove(&broker)),
                Action::Expect(token) => self.token_known(token, false),
                Action::SetTimer(at, timer) => self.reactor.at(at, Timer::Pairing(timer)),
                Action::Note(pipe, trouble) => self.note(pipe, trouble),
                Action::Fail(pipe, failure) => self.fail(pipe, of_pairing(failure)),
            }
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Report => self.report(),
            Timer::Expire(key) => self.expire(key),
            Timer::Lookup(dial) => {
                let trouble = "the look-up takes too long".to_owned();
                self.pairing.resolved(Instant::now(), dial, Err(trouble));
            }
            Timer::Pairing(timer) => self.pairing.fire(Instant::now(), timer),
            Timer::Ping(key) => self.ping_broker(key),
            Timer::Early(token) => self.token_known(token, true),
            Timer::Keepalive(keepalive) => self.keepalive(keepalive),
            Timer::Lines => self.log_counts(),
            Timer::Admit => self.admit_pending(),
            Timer::Listen => self.listen_again(),
        }
    }

    fn expire(&mut self, key: u64) {
        match self.sources.remove(&key) {
            Some(Source::Connecting(connecting)) => self.not_connected(&connecting),
            Some(Source::Pending(peer)) => {
                self.pending_over(key);
                self.handshake_timed_out(*peer);
            }
            Some(Source::Lingering(lingering)) => self.reactor.forget(lingering.as_fd()),
            Some(other) => {
                self.sources.insert(key, other);
            }
            None => {}
        }
    }

    /// Tells writers what was taken since the last report.
    fn report(&mut self) {
        self.reporting = false;
        for upstream in self.queue.take_unreported() {
            upstream.clear_unreported();
            if let Ok(false) = upstream.report() {
                self.queue.report_later(&upstream);
            }
        }
        if self.queue.is_ticking() {
            self.reporting = true;
            self.reactor.at(Instant::now() + REPORT, Timer::Report);
        }
    }

    /// Puts a descriptor under watch. Without memory for that nothing works any more: then what it was for fails.
    fn keep(&mut self, source: Source, read: bool, write: bool) -> Option<u64> {
        let key = self.reactor.key();
        let fd = match &source {
            Source::Listener(listener) => listener.as_fd(),
            Source::Connecting(connecting) => connecting.as_fd(),
            Source::Pending(peer) => peer.as_fd(),
            Source::Feedback(feedback) => feedback.as_fd(),
            Source::Lingering(lingering) => lingering.as_fd(),
            Source::Broker(connection) => connection.as_fd(),
        };
        if let Err(errno) = self.reactor.watch(fd, key, read, write) {
            self.log(Level::Error, &format!("netpipe: cannot watch a connection: {}", words(errno)));
            return None;
        }
        self.sources.insert(key, source);
        Some(key)
    }

    fn log(&self, level: Level, text: &str) {
        self.host.log(level, text);
    }

    /// Whether a peer may be talked to.
    fn may_talk(&self, peer: IpAddr) -> Result<(), Failure> {
        // To dial no address in particular is to dial this machine (ip(7), connect(2) on Linux).
        let here = zvfs_net::socket::is_loopback(peer) || peer.is_unspecified();
        if here || self.config.secret.is_some() || self.config.insecure {
            return Ok(());
        }
        let text = format!("{peer} is another machine: set `secret` (or `insecure = true`)");
        Err(Failure::new(Code::EACCES, text))
    }
}
