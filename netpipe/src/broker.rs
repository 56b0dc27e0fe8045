//! The broker: introduces readers and writers by name, and relays where they cannot reach each other.
//!
//! One thread serves all connections; nothing is kept on disk. A broker may stop and start again at any time: pipes between
//! instances go on, and instances that still wait register again.
//!
//! ```
//! use netpipe::broker::{Broker, Config};
//!
//! # fn main() -> std::io::Result<()> {
//! let log = |line: &str| eprintln!("broker: {line}");
//! let broker = Broker::bind("127.0.0.1:0", Config { log: Some(Box::new(log)), ..Config::default() })?;
//! let (address, stop) = (broker.local_addr(), broker.handle());
//! let thread = std::thread::spawn(move || broker.run());
//! // Instances dial `address` ...
//! stop.stop();
//! assert!(thread.join().is_ok_and(|served| served.is_ok()));
//! # let _ = address;
//! # Ok(())
//! # }
//! ```
//!
//! | Module | What |
//! |---|---|
//! | `names` | who waits for whom, without sockets or clock |
//! | `tokens` | the tokens by which two connections find each other for a relay |
//! | `relay` | two connections joined byte by byte, in the kernel |
//! | `connection` | one connection's stage, input and output |
//! | `admission` | the limits on connections |
//! | `service` | the loop: accepts, times out, closes |
//! | `service::talk` | handshakes, and what instances and the broker tell each other |
//! | `service::joined` | relays in the loop |
//! | `service::status` | what the broker tells of itself |
//! | `queue` | the event queue |
//! | `deadlines` | deadlines by key |

mod admission;
mod connection;
mod deadlines;
mod names;
mod queue;
mod relay;
mod service;
mod tokens;

#[cfg(test)]
pub(crate) use names::{Names, Origin};
#[cfg(test)]
pub(crate) use tokens::{Redeemed, Tokens};

use crate::{Name, Reason, Role, Secret};
use rustix::event::{EventfdFlags, eventfd};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections that the system holds until they are accepted; it may have a lower limit of its own.
const BACKLOG: i32 = 4096;

/// A connection to the broker.
type Client = u64;

/// Takes one line for the operator: what happened, and to whom. Never a secret or a token.
pub type Log = Box<dyn FnMut(&str) + Send>;

/// How a broker serves.
#[derive(Default)]
pub struct Config {
    /// What peers must prove to have. Without one only loopback addresses are served.
    pub secret: Option<Secret>,
    /// Serve other addresses than loopback without a secret: whoever reaches the port may then take part in any pipe.
    pub insecure: bool,
    /// How much is served at once.
    pub limits: Limits,
    /// How long things may take.
    pub times: Times,
    /// Where lines for the operator go; it is called on the broker's thread, which waits for it.
    pub log: Option<Log>,
}

/// How much a broker serves at once. What is over is refused with EBUSY and the limit's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections altogether; a relayed pipe has two.
    pub connections: usize,
    /// Connections of one IP address.
    pub connections_per_address: usize,
    /// Connections whose handshake is not complete.
    pub handshakes: usize,
    /// Registrations altogether, and given up names that are still remembered.
    pub registrations: usize,
    /// The same of one connection.
    pub registrations_per_connection: usize,
    /// Pipes that are relayed, or wait for their two connections.
    pub relays: usize,
    /// Bytes that wait to be sent to one instance. A peer that lets more pile up is closed.
    pub output: usize,
}

/// How long things may take. The protocol says the defaults; other values are for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A handshake, from the connection on.
    pub handshake: Duration,
    /// How long a token is good.
    pub token: Duration,
    /// How long one half of a relayed pipe waits for the other.
    pub half: Duration,
    /// Silence of a peer's system, with data under way or not, before the peer counts as gone. In whole seconds.
    pub vanish: Duration,
    /// How long a given up name is remembered for its next reader.
    pub discard: Duration,
    /// Silence of an instance before it is sent a PING.
    pub idle: Duration,
    /// The answer to a PING.
    pub pong: Duration,
    /// The same, where another reader would take the place of one of this instance.
    pub takeover: Duration,
    /// Getting last words to a peer before its connection is closed.
    pub closing: Duration,
    /// How long relayed pipes may go on when the broker is stopped.
    pub stop: Duration,
    /// The pause after the system refused to give a connection, for want of descriptors or memory.
    pub pause: Duration,
}

/// A broker that listens.
pub struct Broker {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
    handle: Handle,
}

/// What may be done to a broker that serves, from any thread.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Requests>);

#[derive(Debug)]
struct Requests {
    stop: AtomicBool,
    secret: Mutex<Option<Secret>>,
    abandoned: Mutex<Vec<(Name, Role, Reason)>>,
    wakeup: OwnedFd,
}

impl Broker {
    /// Listens at an address; connections are served once [`run`](Self::run) is called.
    ///
    /// # Errors
    /// The address cannot be had; [`io::ErrorKind::PermissionDenied`]: it is not a loopback address, and there is no secret.
    ///
    /// # Blocking
    /// As long as name resolution takes, if the address is a name.
    pub fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Broker> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let open = config.secret.is_some() || config.insecure;
        if let Some(other) = addresses.iter().find(|address| !open && !is_loopback(address)) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "listen at {other}: without a secret a broker serves loopback only; give it a secret, or allow insecure"
                ),
            ));
        }
        let shown = || addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let listener = TcpListener::bind(&addresses[..]).map_err(|error| {
            io::Error::new(error.kind(), format!("listen at {}: {}", shown(), service::words(&error)))
        })?;
        listener.set_nonblocking(true)?;
        // The standard library asks for 128: with the instances of a big job at once, some would wait for TCP's second try.
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let handle = Handle(Arc::new(Requests {
            stop: AtomicBool::new(false),
            secret: Mutex::default(),
            abandoned: Mutex::default(),
            wakeup,
        }));
        Ok(Broker { listener, address, config, handle })
    }

    /// Returns the address at which it listens, with the port that the system chose if that was left open.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle that ends [`run`](Self::run), or changes how it serves.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until it is stopped. The process ignores SIGPIPE, as Rust's do unless told otherwise.
    ///
    /// # Errors
    /// The system gives no event queue. Nothing that a peer does is an error here.
    ///
    /// # Blocking
    /// Until [`Handle::stop`], and then for [`Times::stop`] at most.
    pub fn run(self) -> io::Result<()> {
        service::Service::new(self.listener, self.config, self.handle)?.run()
    }
}

impl Handle {
    /// Stops the broker: it accepts no more, closes its connections to instances, lets relayed pipes end within
    /// [`Times::stop`], resets what is left, and returns from [`Broker::run`].
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Has peers prove another secret, from the next handshake on. Whoever is connected stays.
    pub fn renew_secret(&self, secret: Secret) {
        *self.0.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret);
        self.wake();
    }

    /// Says that nobody comes to one end of a pipe any more, for a host that runs both: who waits for that end, or comes to do so
    /// later, is refused with this reason. Pipes whose ends have met go on.
    pub fn abandon(&self, name: Name, role: Role, reason: Reason) {
        self.0.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push((name, role, reason));
        self.wake();
    }

    fn wake(&self) {
        // It fails only if one is pending already.
        let _ = rustix::io::write(&self.0.wakeup, &1u64.to_ne_bytes());
    }
}

impl Default for Limits {
    /// For jobs of a thousand instances. Whatever peers with the secret do costs less than 512 MiB; a peer without it costs one of
    /// the handshakes, at less than 16 KiB.
    fn default() -> Self {
        Self {
            connections: 2048,
            connections_per_address: 1024,
            handshakes: 256,
            registrations: 65_536,
            registrations_per_connection: 8192,
            relays: 1024,
            output: 128 * 1024,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            handshake: crate::handshake::TIMEOUT,
            token: Duration::from_secs(30),
            half: Duration::from_secs(10),
            vanish: Duration::from_secs(60),
            discard: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            pong: Duration::from_secs(10),
            takeover: Duration::from_secs(3),
            closing: Duration::from_secs(2),
            stop: Duration::from_secs(2),
            pause: Duration::from_millis(100),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { secret, insecure, limits, times, log: _ } = self;
        f.debug_struct("Config")
            .field("secret", secret)
            .field("insecure", insecure)
            .field("limits", limits)
            .field("times", times)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("address", &self.address)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
