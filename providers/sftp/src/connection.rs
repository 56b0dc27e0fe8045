//! One SSH connection to a server: dialled, its host key checked, logged in; and the SFTP sessions on it.

use crate::failure::{Fault, lost, of_ssh};
use crate::known_hosts::{self, KnownHosts};
use crate::login;
use crate::session::{Reason, Session};
use crate::settings::Config;
use crate::target::Login;
use parking_lot::Mutex;
use russh::client::{self, DisconnectReason, Handle};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, cipher, compression};
use rustix::net::{Shutdown, shutdown};
use std::borrow::Cow;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use vfs_core::{Code, written_duration};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::origin::Origin;
use zvfs_runtime::Dialler;

/// How many keep-alives a server may leave without an answer.
const KEEP_ALIVES: usize = 3;

/// What a server may send on a channel before it is told that it arrived, at least: as OpenSSH has it.
const WINDOW: u32 = 2 << 20;

/// The host keys that can be checked, the ones that OpenSSH likes best first.
const HOST_KEYS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// The fastest first, on processors that have instructions for AES.
const CIPHERS: [cipher::Name; 5] = [
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

/// Host keys that were trusted because they came first, if the operator wants that.
pub type FirstSeen = Arc<Mutex<HashMap<Origin, PublicKey>>>;

/// A connection. Ends when it is dropped.
pub struct Connection {
    handle: Handle<Guard>,
    sessions: tokio::sync::Mutex<Vec<Arc<Session>>>,
    reason: Reason,
    patience: Duration,
    channels: usize,
    _line: Line,
}

/// A session, and the connection that it needs.
#[derive(Clone)]
pub struct Link {
    /// The session.
    pub session: Arc<Session>,
    connection: Arc<Connection>,
}

impl Link {
    /// Has whoever comes next connect anew: what was asked here was lost, and the connection may be, too.
    pub fn abandon(&self, why: &Failure) {
        // The first reason counts.
        let _ = self.connection.reason.set(why.clone());
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// EACCES: the operator's policy, an unknown or changed host key, refused credentials. EPROTO: not SSH, or nothing in common.
    /// ENOENT, ECONNREFUSED, ...: as [`Dialler::connect`]. ETIMEDOUT: not within `connect-timeout`.
    pub async fn open(
        config: &Arc<Config>,
        dialler: &Dialler,
        first_seen: &FirstSeen,
        login: &Login,
    ) -> Attempt<Connection> {
        let limit = config.connect_timeout;
        let Ok(outcome) = tokio::time::timeout(limit, connect(config, dialler, first_seen, login)).await
        else {
            let text =
                format!("not connected and logged in ({}) within {}", login.origin, written_duration(limit));
            return Err(Failure::later(Code::ETIMEDOUT, text));
        };
        outcome
    }

    /// Whether it is over.
    pub fn is_lost(&self) -> bool {
        self.handle.is_closed() || self.reason.get().is_some()
    }

    /// A session for one more file: the one that the fewest files use, or a new one as long as there may be more.
    ///
    /// # Errors
    /// As [`Session::start`].
    pub async fn link(self: &Arc<Connection>) -> Attempt<Link> {
        let connection = self.clone();
        // On a task of its own: a channel that is being opened when the caller leaves is the next one's, and not lost.
        let chosen =
            tokio::spawn(async move { connection.choose().await.map(|session| (connection, session)) });
        let (connection, session) = chosen.await.unwrap_or_else(|_| Err(lost()))?;
        Ok(Link { session, connection })
    }

    async fn choose(&self) -> Attempt<Arc<Session>> {
        let mut sessions = self.sessions.lock().await;
        sessions.retain(|session| !session.is_lost());
        let least = sessions.iter().min_by_key(|session| Arc::strong_count(session));
        let least = least.map(|session| (session.clone(), Arc::strong_count(session) > 1));
        match least {
            Some((session, in_use)) if !in_use || sessions.len() >= self.channels => Ok(session),
            least => match (self.start_session().await, least) {
                (Ok(session), _) => {
                    sessions.push(session.clone());
                    Ok(session)
                }
                // The server has a limit of its own.
                (Err(failure), Some((session, _))) if failure.code == Code::EBUSY => Ok(session),
                (Err(failure), _) => Err(failure),
            },
        }
    }

    /// Opens one more channel. A server that does not even do that is lost, whatever else it has said.
    async fn start_session(&self) -> Attempt<Arc<Session>> {
        let patience = self.patience;
        let Ok(outcome) = tokio::time::timeout(patience, self.open_channel()).await else {
            let failure =
                Failure::later(Code::ETIMEDOUT, format!("no channel within {}", written_duration(patience)));
            // It may have been lost for another reason meanwhile.
            let _ = self.reason.set(failure.clone());
            return Err(failure);
        };
        outcome
    }

    async fn open_channel(&self) -> Attempt<Arc<Session>> {
        let channel = self.handle.channel_open_session().await;
        let channel = channel.map_err(|error| match (&error, self.reason.get()) {
            (russh::Error::Disconnect | russh::Error::SendError, Some(reason)) => reason.clone(),
            _ => of_ssh(&error),
        })?;
        Session::start(channel, self.patience, self.reason.clone()).await
    }
}

async fn connect(
    config: &Arc<Config>,
    dialler: &Dialler,
    first_seen: &FirstSeen,
    login: &Login,
) -> Attempt<Connection> {
    let stream = dialler.connect(&login.origin, config.connect_timeout).await?;
    let line = Line::of(&stream)?;
    let files = config.clone();
    let known = tokio::task::spawn_blocking(move || KnownHosts::read(&files.known_hosts)).await;
    let known = known.unwrap_or_else(|_| Err(Failure::new(Code::EIO, "reading the known hosts broke")))?;
    let reason = Reason::new(OnceLock::new());
    let ssh = ssh_config(config, &known.algorithms(&login.origin));
    let guard = Guard {
        origin: login.origin.clone(),
        known,
        files: config.known_hosts.clone(),
        first_seen: config.trust_first.then(|| first_seen.clone()),
        reason: reason.clone(),
    };
    let connected = client::connect_stream(Arc::new(ssh), stream, guard).await;
    let mut handle = connected.map_err(|Fault(failure)| match failure.code {
        Code::ECONNRESET => {
            failure.followed_by(" before it was set up: is it an SSH server, and has it room for one more?")
        }
        _ => failure,
    })?;
    login::log_in(&mut handle, login, &config.credentials).await.map_err(|failure| match reason.get() {
        Some(reason) if failure.code == Code::ECONNRESET => reason.clone(),
        _ => failure,
    })?;
    Ok(Connection {
        handle,
        sessions: tokio::sync::Mutex::default(),
        reason,
        patience: config.reply_timeout,
        channels: config.channels,
        _line: line,
    })
}

/// What is negotiated. Kinds of host keys that are known of the server come first: it has others, too.
fn ssh_config(config: &Config, known: &[Algorithm]) -> client::Config {
    // A key of RSA does not say which hash is signed.
    let is_rsa = |kind: &Algorithm| matches!(kind, Algorithm::Rsa { .. });
    let is_known = |kind: &Algorithm| known.contains(kind) || is_rsa(kind) && known.iter().any(is_rsa);
    let (mut keys, others): (Vec<_>, Vec<_>) = HOST_KEYS.into_iter().partition(is_known);
    keys.extend(others);
    client::Config {
        client_id: russh::SshId::Standard(concat!("SSH-2.0-zvfs_", env!("CARGO_PKG_VERSION")).into()),
        preferred: Preferred {
            key: keys.into(),
            cipher: Cow::Borrowed(&CIPHERS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        window_size: u32::try_from(config.tuning.window).map_or(u32::MAX, |window| window.max(WINDOW)),
        keepalive_interval: Some(config.keep_alive),
        keepalive_max: KEEP_ALIVES,
        ..client::Config::default()
    }
}

/// What the SSH library asks, and tells, of a connection.
pub struct Guard {
    origin: Origin,
    known: KnownHosts,
    files: Vec<PathBuf>,
    first_seen: Option<FirstSeen>,
    reason: Reason,
}

impl Guard {
    fn check(&self, key: &PublicKey) -> Attempt<()> {
        if self.known.check(&self.origin, key)? {
            return Ok(());
        }
        let Some(first_seen) = &self.first_seen else {
            return Err(known_hosts::unknown(&self.files, &self.origin, key));
        };
        let mut seen = first_seen.lock();
        let first = seen.entry(self.origin.clone()).or_insert_with(|| key.clone());
        if first.key_data() == key.key_data() {
            return Ok(());
        }
        let text = format!("the host key of {} is another than the first that it showed", self.origin);
        Err(Failure::new(Code::EACCES, text))
    }
}

impl client::Handler for Guard {
    type Error = Fault;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Fault> {
        self.check(&key.public_key()).map(|()| true).map_err(Fault)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Fault>) -> Result<(), Fault> {
        let failure = match reason {
            DisconnectReason::Error(Fault(failure)) => failure,
            DisconnectReason::ReceivedDisconnect(said) => {
                let said = said.message.escape_debug().to_string();
                Failure::later(Code::ECONNRESET, format!("the server closed the connection: {said}"))
            }
        };
        // The first reason counts.
        let _ = self.reason.set(failure.clone());
        Err(Fault(failure))
    }
}

/// The connection's socket: closed with it, whatever the library's task waits for.
struct Line(OwnedFd);

impl Line {
    fn of(stream: &TcpStream) -> Attempt<Line> {
        let socket = stream.as_fd().try_clone_to_owned();
        socket.map(Line).map_err(|error| {
            let error = vfs_core::Error::from(error);
            Failure::new(error.code(), format!("set up a connection: {error}"))
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // The server may have closed it.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}
