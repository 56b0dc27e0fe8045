//! The connection to one peer: dialled as long as somebody wants it, or taken when the peer dials.

use crate::discovery::Discovery;
use iroh::endpoint::{ConnectError, ConnectingError, Connection, ConnectionError, TransportErrorCode};
use iroh::{Endpoint, EndpointAddr};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// What the two sides of a connection agree to speak: netpipe's protocol in the streams of QUIC.
pub const ALPN: &[u8] = b"zvfs-netpipe/1";

/// How long a peer is dialled before it is dialled anew, at first and at most. One that starts meanwhile dials itself.
const DIAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));
/// Before a peer that refused is dialled again: its operator may have listed this side.
const REFUSED: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// TLS's alert that a key is not the one that was looked for (RFC 8446, section 6).
const UNKNOWN_CA: u8 = 48;
/// The code that closes a connection of a peer that is not served: EACCES.
pub const STRANGER: u32 = netpipe::code::EACCES;
/// The code that closes a connection of a peer that has too many: EBUSY.
const CROWDED: u32 = netpipe::code::EBUSY;
/// Connections of one peer. Two are usual, if both sides dial at once; more are left of a process that was killed and came back.
pub const CONNECTIONS: usize = 4;

/// The way to one peer.
pub struct Link {
    /// The peer's.
    name: String,
    /// Its key, and where the operator says that it is.
    listed: EndpointAddr,
    /// Where it may be besides.
    discovery: Option<Arc<Discovery>>,
    /// The newest one; it may have ended.
    connection: watch::Sender<Option<Connection>>,
    /// Those that may live, the oldest first.
    all: Mutex<VecDeque<Connection>>,
    /// How many want it.
    wanted: watch::Sender<usize>,
    /// Why there is none.
    trouble: watch::Sender<Option<String>>,
}

impl Link {
    /// A link that nobody wants yet.
    pub fn new(name: String, listed: EndpointAddr, discovery: Option<Arc<Discovery>>) -> Link {
        Link {
            name,
            listed,
            discovery,
            connection: watch::Sender::new(None),
            all: Mutex::default(),
            wanted: watch::Sender::new(0),
            trouble: watch::Sender::new(None),
        }
    }

    /// How the peer is told of.
    pub fn told_of(&self) -> String {
        format!("the peer {}", self.name)
    }

    /// Has the peer dialled whenever it is not connected, as long as this runs. `note` is told why it is not, as far as that is known.
    pub async fn watch(&self, note: impl Fn(Option<String>)) -> Infallible {
        loop {
            let connection = self.connection(&note).await;
            note(None);
            connection.closed().await;
        }
    }

    /// Has the peer dialled until the result is dropped.
    fn want(&self) -> Wanted {
        self.wanted.send_modify(|count| *count += 1);
        Wanted(self.wanted.clone())
    }

    /// Waits for a connection that lives. `note` is told why there is none yet, as far as that is known.
    pub async fn connection(&self, note: impl Fn(Option<String>)) -> Connection {
        let _wanted = self.want();
        let (mut connections, mut troubles) = (self.connection.subscribe(), self.trouble.subscribe());
        loop {
            connections.borrow_and_update();
            if let Some(connection) = self.live() {
                return connection;
            }
            let trouble = troubles.borrow_and_update().clone();
            note(trouble.or_else(|| self.refusal().map(|failure| failure.text)));
            tokio::select! {
                _ = connections.changed() => {}
                _ = troubles.changed() => {}
            }
        }
    }

    /// Takes a connection that was dialled, or taken. Where there are too many, the oldest ends.
    pub fn connected(&self, connection: Connection) {
        let surplus = {
            let mut all = self.all.lock();
            all.retain(is_live);
            all.push_back(connection.clone());
            if all.len() > CONNECTIONS { all.pop_front() } else { None }
        };
        if let Some(oldest) = surplus {
            oldest.close(CROWDED.into(), b"this peer has newer connections here, as many as it may have");
        }
        self.trouble.send_replace(None);
        self.connection.send_replace(Some(connection));
    }

    /// Dials whenever somebody wants a connection and there is none; `connected` is given each.
    pub async fn keep(&self, endpoint: Endpoint, connected: impl Fn(Connection)) {
        let mut wanted = self.wanted.subscribe();
        let mut limit = DIAL.0;
        // The sender is here.
        while wanted.wait_for(|count| *count > 0).await.is_ok() {
            if let Some(connection) = self.live() {
                connection.closed().await;
                limit = DIAL.0;
                if self.refusal().is_some() {
                    sleep(REFUSED).await;
                }
                continue;
            }
            let _sought = self.discovery.as_ref().map(|discovery| discovery.seek(self.listed.id));
            let address = self.address();
            if address.is_empty() {
                self.trouble.send_replace(Some(self.nowhere()));
                self.elsewhere(&mut wanted).await;
                continue;
            }
            // Not given up where the peer connects meanwhile: if both did that, each would end the other's.
            match timeout(limit, endpoint.connect(address.clone(), ALPN)).await {
                Ok(Ok(connection)) => connected(connection),
                Ok(Err(error)) => self.failed(&why(&error), &address).await,
                Err(_) => self.failed("no answer", &address).await,
            }
            limit = (limit * 2).min(DIAL.1);
        }
    }

    /// Why the peer ended the connection, if it did so because it does not serve this side.
    pub fn refusal(&self) -> Option<Failure> {
        match self.connection.borrow().as_ref()?.close_reason()? {
            ConnectionError::ApplicationClosed(close) if close.error_code == STRANGER.into() => {
                let why = String::from_utf8_lossy(&close.reason);
                Some(Failure::new(Code::EACCES, format!("refused: {why}")))
            }
            _ => None,
        }
    }

    fn live(&self) -> Option<Connection> {
        self.connection.borrow().clone().filter(is_live)
    }

    /// Where the peer may be, as far as that is known by now.
    fn address(&self) -> EndpointAddr {
        let found = self.discovery.iter().flat_map(|discovery| discovery.addresses(self.listed.id));
        found.fold(self.listed.clone(), EndpointAddr::with_ip_addr)
    }

    /// Why there is nowhere to dial.
    fn nowhere(&self) -> String {
        match &self.discovery {
            Some(discovery) => discovery.trouble(),
            None => "`peers` has no address of it, and it has not connected".to_owned(),
        }
    }

    /// Waits until the peer has connected, more is known of where it is, or nobody wants it any more.
    async fn elsewhere(&self, wanted: &mut watch::Receiver<usize>) {
        let mut connections = self.connection.subscribe();
        let mut answers = self.discovery.as_ref().map(|discovery| discovery.watch());
        // The senders are here.
        tokio::select! {
            _ = connections.wait_for(|connection| connection.as_ref().is_some_and(is_live)) => {}
            _ = wanted.wait_for(|count| *count == 0) => {}
            _ = async { answers.as_mut()?.changed().await.ok() }, if self.discovery.is_some() => {}
        }
    }

    async fn failed(&self, why: &str, address: &EndpointAddr) {
        let relays = address.relay_urls().map(ToString::to_string);
        let places: Vec<String> = address.ip_addrs().map(ToString::to_string).chain(relays).collect();
        self.trouble.send_replace(Some(format!("{why} from {}", places.join(", "))));
        sleep(PAUSE).await;
    }
}

/// Why a peer could not be dialled.
fn why(error: &ConnectError) -> String {
    let ended = match error {
        ConnectError::Connection { source, .. }
        | ConnectError::Connecting { source: ConnectingError::ConnectionError { source, .. }, .. } => source,
        _ => return error.to_string(),
    };
    match ended {
        ConnectionError::TransportError(broken) if broken.code == TransportErrorCode::crypto(UNKNOWN_CA) => {
            "an answer with another key".to_owned()
        }
        _ => error.to_string(),
    }
}

fn is_live(connection: &Connection) -> bool {
    connection.close_reason().is_none()
}

/// Somebody wants a connection, until this is dropped.
struct Wanted(watch::Sender<usize>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
