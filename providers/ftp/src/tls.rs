//! TLS of one session: its data connections resume what its control connection began.

use crate::reply;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use suppaftp::tokio::{AsyncRustlsStream, AsyncTlsConnector};
use suppaftp::{FtpError, FtpResult};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, NamedGroup};
use zvfs_net::failure::Failure;
use zvfs_net::tls::server_name;

/// Tickets that the library keeps of one server.
const TICKETS: usize = 8;

/// Begins TLS on a session's connections.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    tickets: Arc<Tickets>,
    /// Why it failed: the library keeps no more of that than a text.
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Connector {
    /// A connector for one session. Servers accept on its data connections what was agreed on its control connection, and nothing
    /// of another session's (vsftpd's `require_ssl_reuse`): so each has a store of its own.
    pub fn new(config: &ClientConfig) -> Connector {
        let tickets = Arc::new(Tickets { cache: ClientSessionMemoryCache::new(1), left: Mutex::default() });
        let mut own = config.clone();
        own.resumption = Resumption::store(tickets.clone());
        Connector { tls: TlsConnector::from(Arc::new(own)), tickets, failure: Arc::default() }
    }

    /// What an error of the library means, where TLS failed.
    pub fn failure(&self, error: FtpError) -> Failure {
        self.failure.lock().take().unwrap_or_else(|| reply::failure(error))
    }

    /// Whether a further data connection would have nothing to resume, though the server gave something.
    pub fn is_spent(&self) -> bool {
        *self.tickets.left.lock() == Some(0)
    }
}

#[async_trait]
impl AsyncTlsConnector for Connector {
    type Stream = AsyncRustlsStream;

    async fn connect(&self, host: &str, stream: TcpStream) -> FtpResult<AsyncRustlsStream> {
        let connected = match server_name(host) {
            Ok(name) => self.tls.connect(name, stream).await.map_err(|error| reply::of_io(&error)),
            Err(failure) => Err(failure),
        };
        connected.map(AsyncRustlsStream::from).map_err(|failure| {
            let text = failure.text.clone();
            *self.failure.lock() = Some(failure);
            FtpError::SecureError(text)
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(...)")
    }
}

/// What a session may resume. Each of its data connections takes a ticket and, if it lasts, brings another one. So they can run out:
/// then a server that demands them takes no further data connection.
#[derive(Debug)]
struct Tickets {
    cache: ClientSessionMemoryCache,
    /// Tickets of TLS 1.3 that are there; `None`: none was given. What TLS 1.2 resumes stays.
    left: Mutex<Option<usize>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.set_tls12_session(server, value);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.cache.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.cache.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut left = self.left.lock();
        *left = Some((left.unwrap_or(0) + 1).min(TICKETS));
        self.cache.insert_tls13_ticket(server, value);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut left = self.left.lock();
        *left = left.map(|left| left.saturating_sub(1));
        self.cache.take_tls13_ticket(server)
    }
}
