//! The loop: one thread, one event queue, every connection non-blocking.

use super::admission::Admission;
use super::connection::{Connection, Stage};
use super::deadlines::Deadlines;
use super::names::Names;
use super::queue::Queue;
use super::tokens::Tokens;
use super::{Client, Config, Handle};
use crate::error::{Reason, code};
use crate::handshake::Handshake;
use crate::message::Message;
use crate::repeats::Repeats;
use joined::{Joined, is_relay};
use rustix::event::epoll::EventFlags;
use rustix::net::sockopt;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

mod joined;
mod status;
mod talk;

const LISTENER: u64 = 0;
const WAKEUP: u64 = 1;
const FIRST_CLIENT: Client = 2;
/// Events, and connections accepted, before the loop looks at the clock again.
const BATCH: usize = 128;
/// What is read from one connection at once.
const READ: usize = 16 * 1024;
/// An honest handshake takes milliseconds: whoever is older gives way where there is no room.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the lack of descriptors is said.
const REFUSALS: Duration = Duration::from_secs(10);
/// Connections over a limit that are told so at the same time; what is over that is reset without a word.
const TURNED_AWAY: usize = 64;

/// A running broker.
pub(super) struct Service {
    config: Config,
    queue: Queue,
    now: Instant,
    connections: HashMap<Client, Connection>,
    relays: BTreeMap<Client, Joined>,
    deadlines: Deadlines<Client>,
    names: Names,
    tokens: Tokens,
    admission: Admission,
    listener: Option<TcpListener>,
    /// When to accept again, after the system could not give a connection.
    resume: Option<Instant>,
    /// What was said of that: it comes back as often as connections are tried.
    refusals: Repeats,
    /// When to return at the latest, once it was stopped.
    end: Option<Instant>,
    handle: Handle,
    turned_away: usize,
    next: Client,
    buffer: Vec<u8>,
}

impl Service {
    pub(super) fn new(listener: TcpListener, config: Config, handle: Handle) -> io::Result<Self> {
        let queue = Queue::new()?;
        queue.watch(&listener, LISTENER, &mut None, Some(EventFlags::IN))?;
        queue.watch(&handle.0.wakeup, WAKEUP, &mut None, Some(EventFlags::IN))?;
        Ok(Self {
            names: Names::new(config.limits, config.times),
            admission: Admission::new(config.limits),
            config,
            queue,
            now: Instant::now(),
            connections: HashMap::new(),
            relays: BTreeMap::new(),
            deadlines: Deadlines::new(),
            tokens: Tokens::new(),
            listener: Some(listener),
            resume: None,
            refusals: Repeats::new(1, REFUSALS),
            end: None,
            handle,
            turned_away: 0,
            next: FIRST_CLIENT,
            buffer: vec![0; READ],
        })
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            self.queue.wait(&mut events, self.next_deadline())?;
            self.now = Instant::now();
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    WAKEUP => self.take_requests(),
                    key if is_relay(key) => self.relay_event(key, event.flags),
                    key => self.event(key, event.flags),
                }
            }
            self.time_out()?;
            if self.handle.0.stop.load(Ordering::Acquire) && self.is_over() {
                self.log("stopped");
                return Ok(());
            }
        }
    }

    /// Writes a line for the operator.
    pub(super) fn log(&mut self, line: &str) {
        if let Some(log) = &mut self.config.log {
            log(line);
        }
    }

    /// A number that no connection and no relay has had.
    pub(super) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Does what its handles asked for; a stop is looked for in each round.
    fn take_requests(&mut self) {
        // Unread it would wake the loop for ever.
        let _ = rustix::io::read(&self.handle.0.wakeup, &mut [0; 8]);
        let secret = self.handle.0.secret.lock().unwrap_or_else(PoisonError::into_inner).take();
        if secret.is_some() {
            self.config.secret = secret;
            self.log("peers must prove the new secret from now on");
        }
        let abandoned =
            std::mem::take(&mut *self.handle.0.abandoned.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, role, reason) in abandoned {
            self.names.abandon(name, role, reason);
        }
        self.deliver();
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..BATCH {
            let Some(listener) = &self.listener else { return Ok(()) };
            match listener.accept() {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    // Most often no descriptors are left: the connection stays in the backlog, and would be reported at once.
                    self.queue.watch(listener, LISTENER, &mut Some(EventFlags::IN), None)?;
                    self.resume = Some(self.now + self.config.times.pause);
                    let line = format!(
                        "accept: {}; who waits is served once there is room, tried every {:?}",
                        words(&error),
                        self.config.times.pause
                    );
                    if self.refusals.admit(self.now, &line) {
                        self.log(&line);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if let Err(error) = prepare(&stream, self.config.times.vanish) {
            self.log(&format!("accept {peer}: {error}"));
            return;
        }
        if self.admission.are_full_of_handshakes() {
            self.end_oldest_handshake();
        }
        let key = self.fresh();
        let connection = match self.admission.admit(peer.ip()) {
            Ok(()) => {
                self.deadlines.set(key, self.now + self.config.times.handshake);
                let stage = Stage::Handshake(Box::new(Handshake::acceptor(None)));
                Connection::new(stream, peer, stage, self.now)
            }
            Err(limit) => {
                self.log(&format!("refuse {peer}: {limit}"));
                let stage = Stage::Closing { shut: false, thrown: 0, counted: false };
                let mut connection = Connection::new(stream, peer, stage, self.now);
                if self.turned_away >= TURNED_AWAY {
                    connection.abort();
                    return;
                }
                self.turned_away += 1;
                self.deadlines.set(key, self.now + self.config.times.closing);
                connection.push(&Message::Refusal(Reason::new(code::EBUSY, &limit)).to_bytes());
                connection
            }
        };
        self.connections.insert(key, connection);
        self.settle(key);
    }

    /// Ends the oldest handshake, if it has taken longer than honest ones do: else who only connects, and says nothing, would
    /// keep everybody out.
    fn end_oldest_handshake(&mut self) {
        let handshakes =
            self.connections.iter().filter(|(_, known)| matches!(known.stage, Stage::Handshake(_)));
        let oldest = handshakes.min_by_key(|(_, known)| known.since).map(|(key, known)| (*key, known.since));
        let Some((key, since)) = oldest.filter(|(_, since)| self.now >= *since + PATIENCE) else { return };
        // It may be this thread that was slow: what the peer has said by now is heard first.
        self.event(key, EventFlags::IN);
        let still = |known: &Connection| matches!(known.stage, Stage::Handshake(_)) && known.since == since;
        if self.connections.get(&key).is_some_and(still) {
            self.deadlines.clear(&key);
            self.time_out_connection(key);
        }
    }

    fn event(&mut self, key: Client, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if let Stage::Waiting { .. } = connection.stage {
            if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
                self.close(key, "left before its pipe was joined");
                return;
            }
        } else if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.read(key, &mut buffer);
            self.buffer = buffer;
        }
        self.settle(key);
    }

    /// Sends what a connection has to send, and waits for what it needs next.
    pub(super) fn settle(&mut self, key: Client) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let settled = connection.flush().and_then(|()| {
            let wanted = Some(connection.interest());
            self.queue.watch(&connection.stream, key, &mut connection.watched, wanted)
        });
        if let Err(error) = settled {
            self.close(key, &error.to_string());
        }
    }

    /// Sends a connection away, with a reason if it is to get one.
    pub(super) fn dismiss(&mut self, key: Client, reason: Option<Reason>) {
        self.leave_stage(key);
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if let Some(reason) = reason {
            connection.push(&Message::Refusal(reason).to_bytes());
        }
        connection.dismiss();
        self.deadlines.set(key, self.now + self.config.times.closing);
        self.settle(key);
    }

    /// Closes a connection, and undoes everything that it had.
    pub(super) fn close(&mut self, key: Client, why: &str) {
        self.leave_stage(key);
        let Some(connection) = self.connections.remove(&key) else { return };
        self.deadlines.clear(&key);
        if connection.is_counted() {
            self.admission.release(connection.ip());
        } else {
            self.turned_away = self.turned_away.saturating_sub(1);
        }
        if !matches!(connection.stage, Stage::Closing { .. }) {
            self.log(&format!("close {}: {why}", connection.peer));
        }
    }

    /// Takes back what a connection has by its stage.
    pub(super) fn leave_stage(&mut self, key: Client) {
        match self.connections.get(&key).map(|connection| &connection.stage) {
            Some(Stage::Handshake(_)) => self.admission.end_handshake(),
            Some(Stage::Instance { .. }) => self.names.leave(key),
            Some(Stage::Waiting { token, .. }) => self.tokens.forget(*token, key),
            Some(Stage::Closing { .. }) | None => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let parts = [self.deadlines.next(), self.names.deadline(), self.tokens.deadline()];
        let own = [self.resume, self.end, self.refusals.deadline()];
        parts.into_iter().chain(own).flatten().min()
    }

    fn time_out(&mut self) -> io::Result<()> {
        if self.resume.is_some_and(|resume| resume <= self.now) {
            self.resume = None;
            if let Some(listener) = &self.listener {
                self.queue.watch(listener, LISTENER, &mut None, Some(EventFlags::IN))?;
            }
        }
        if let Some(line) = self.refusals.end(self.now) {
            self.log(&line);
        }
        self.names.expire(self.now);
        self.tokens.expire(self.now);
        while let Some(key) = self.deadlines.pop(self.now) {
            if is_relay(key) { self.abort_relay(key) } else { self.time_out_connection(key) }
        }
        Ok(())
    }

    fn time_out_connection(&mut self, key: Client) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        match &mut connection.stage {
            Stage::Handshake(handshake) => {
                let error = handshake.timed_out();
                let output = handshake.output();
                connection.push(&output);
                let line = format!("refuse {}: {error}", connection.peer);
                self.log(&line);
                self.dismiss(key, None);
            }
            Stage::Instance { pinged: true, .. } => self.close(key, "no PONG"),
            Stage::Instance { .. } => self.ping(key, self.config.times.pong),
            Stage::Closing { .. } => {
                connection.abort();
                self.close(key, "does not go");
            }
            Stage::Waiting { .. } => {
                let text = "the other end of the relayed pipe did not come";
                let line = format!("refuse {}: {text}", connection.peer);
                self.log(&line);
                self.dismiss(key, Some(Reason::new(code::ETIMEDOUT, text)));
            }
        }
    }

    /// Has an instance show within a time that it lives.
    pub(super) fn ping(&mut self, key: Client, limit: Duration) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let Stage::Instance { pinged, .. } = &mut connection.stage else { return };
        if std::mem::replace(pinged, true) {
            // It was asked already.
            return self.deadlines.bring_forward(key, self.now + limit);
        }
        connection.push(&Message::Ping.to_bytes());
        self.deadlines.set(key, self.now + limit);
        self.settle(key);
    }

    /// Begins to stop, or goes on with it; returns whether nothing is left to do.
    fn is_over(&mut self) -> bool {
        match self.end {
            None => {
                self.end = Some(self.now + self.config.times.stop);
                self.listener = None;
                self.log("stopping");
                let keys: Vec<Client> = self.connections.keys().copied().collect();
                for key in keys {
                    self.dismiss(key, None);
                }
            }
            Some(end) if end <= self.now => {
                let keys: Vec<Client> = self.relays.keys().copied().collect();
                for key in keys {
                    self.abort_relay(key);
                }
                return true;
            }
            Some(_) => {}
        }
        self.connections.is_empty() && self.relays.is_empty()
    }
}

/// The system's words, without its number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Sets up a new connection's socket.
fn prepare(stream: &TcpStream, vanish: Duration) -> io::Result<()> {
    /// Unanswered keep-alive probes that mean the end.
    const PROBES: u32 = 3;
    let seconds = |time: Duration| Duration::from_secs(time.as_secs().clamp(1, 32_767));
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    // On a relay nothing else tells a silent peer from one that is gone.
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, seconds(vanish / 2))?;
    sockopt::set_tcp_keepintvl(stream, seconds(vanish / (2 * PROBES)))?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(vanish.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}
