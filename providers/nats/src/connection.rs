//! The connection to the server: how it is made, and why it cannot be.

use crate::names::Names;
use crate::permissions::Violation;
use crate::settings::{Config, Credentials};
use async_nats::{
    Client, ClientError, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError,
    rustls,
};
use netpipe::lossy::{MESSAGE_MAX, Timing};
use nkeys::KeyPair;
use rustix::io::Errno;
use std::error::Error as _;
use std::time::{Duration, Instant};
use std::{fmt, io};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use vfs_core::{Code, Error, written_duration};
use zvfs_net::failure::{Attempt, Failure, words};
use zvfs_net::tls::of_tls;

/// Between two attempts to reach a server again, at most.
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// What may wait to be written to the socket, in messages: whoever has more keeps it.
const QUEUE: usize = 64;

/// A connection, which the library makes again when it is lost.
pub struct Connection {
    /// The library's.
    pub client: Client,
    /// What becomes of it, from now on.
    pub news: UnboundedReceiver<News>,
    /// Why it is not up at this moment.
    pub cut: Option<String>,
    /// Who keeps the names.
    pub names: Names,
}

/// What becomes of a connection, in the order in which it happens.
#[derive(Debug)]
pub enum News {
    /// It is up. What was forbidden before may be allowed now, or is forbidden again.
    Up,
    /// It was lost, or could not be made again: words for whoever waits.
    Down(String),
    /// The server does not let this side do something.
    Forbidden(Violation),
}

impl Connection {
    /// Connects to the first server that answers. `note` is told why that takes long.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ...: no server answers. EACCES: the server does not accept the credentials, or does not
    /// let their user have names. EPROTO: it is no NATS server, or its certificate is not accepted. ENOTSUP: it lacks what pipes need.
    pub async fn open(config: &Config, instance: &str, note: impl Fn(String)) -> Attempt<Connection> {
        let (tell, mut news) = unbounded_channel();
        let told = move |event: Event| {
            // The service may be gone.
            drop(News::of(event).map(|news| tell.send(news)));
            std::future::ready(())
        };
        let options = options(config)?.event_callback(told);
        let servers = config.servers.iter().map(|server| {
            format!("nats://{server}")
                .parse::<ServerAddr>()
                .map_err(|error| Failure::new(Code::EINVAL, format!("setting `servers`: {server}: {error}")))
        });
        let servers = servers.collect::<Attempt<Vec<_>>>()?;
        // The library bounds each address, and not the look-ups of their names.
        let limit = config.connect_timeout * u32::try_from(servers.len() + 1).unwrap_or(u32::MAX);
        let client = match timeout(limit, options.connect(servers)).await {
            Ok(outcome) => outcome.map_err(|error| of_connect(&error, config))?,
            Err(_) => {
                return Err(Failure::later(
                    Code::ETIMEDOUT,
                    format!("no server answered within {}", written_duration(limit)),
                ));
            }
        };
        let most = client.max_payload();
        if most < MESSAGE_MAX {
            let text =
                format!("the server takes messages of {most} bytes: set its max_payload to 1MB, its default");
            return Err(Failure::new(Code::ENOTSUP, text));
        }
        let mut cut = None;
        let names = match config.replicas {
            Some(replicas) => tokio::select! {
                names = kept_names(&client, config, replicas, instance, note) => names?,
                violation = violation(&mut news, &mut cut) => return Err(violation.failure(&config.prefix)),
            },
            None => Names::unkept(instance),
        };
        Ok(Connection { client, news, cut, names })
    }
}

impl News {
    fn of(event: Event) -> Option<News> {
        match event {
            Event::Connected => Some(News::Up),
            Event::Disconnected | Event::Closed => {
                Some(News::Down("there is no connection to a server".to_owned()))
            }
            Event::ClientError(ClientError::Other(why)) => {
                Some(News::Down(format!("there is no connection to a server ({why})")))
            }
            Event::ServerError(ServerError::Other(words)) => Violation::of(&words).map(News::Forbidden),
            _ => None,
        }
    }
}

/// Waits until the server forbids something, and keeps what else becomes of the connection.
async fn violation(news: &mut UnboundedReceiver<News>, cut: &mut Option<String>) -> Violation {
    loop {
        match news.recv().await {
            Some(News::Up) => *cut = None,
            Some(News::Down(why)) => *cut = Some(why),
            Some(News::Forbidden(violation)) => return violation,
            None => std::future::pending().await,
        }
    }
}

/// Whoever keeps the names. A cluster in the middle of a fail-over answers again in a while.
async fn kept_names(
    client: &Client,
    config: &Config,
    replicas: usize,
    instance: &str,
    note: impl Fn(String),
) -> Attempt<Names> {
    let bucket = format!("{}-names", config.prefix);
    let until = Instant::now() + config.peer_timeout;
    loop {
        match Names::kept(client, &bucket, replicas, instance).await {
            Err(failure) if failure.code == Code::ETIMEDOUT && Instant::now() < until => note(failure.text),
            outcome => return outcome,
        }
    }
}

fn options(config: &Config) -> Attempt<ConnectOptions> {
    let interval = Timing { peer_timeout: config.peer_timeout }.interval();
    let mut options = ConnectOptions::new()
        .name("zvfs")
        .connection_timeout(config.connect_timeout)
        .request_timeout(Some(config.connect_timeout))
        // Two that are not answered, and the server counts as lost.
        .ping_interval(interval)
        .client_capacity(QUEUE)
        .reconnect_delay_callback(|attempts| {
            let doubled = Duration::from_millis(1_u64 << attempts.saturating_sub(1).min(10));
            if attempts <= 1 { Duration::ZERO } else { doubled.min(PAUSE_MOST) }
        })
        .ignore_discovered_servers();
    options = match config.credentials.clone() {
        Credentials::None => options,
        Credentials::User { user, password } => options.user_and_password(user, password),
        Credentials::Token(token) => options.token(token),
        Credentials::Nkey(seed) => {
            KeyPair::from_seed(&seed).map_err(|error| unusable("nkey", &error))?;
            options.nkey(seed)
        }
        Credentials::Creds(text) => options.credentials(&text).map_err(|error| unusable("creds", &error))?,
    };
    if let Some(tls) = &config.tls {
        let made = tls.config().map_err(|error: Error| Failure::new(error.code(), error.chain()))?;
        options = options.require_tls(config.tls_required).tls_client_config((*made).clone());
    }
    Ok(if config.tls_first { options.tls_first() } else { options })
}

fn unusable(setting: &str, error: &impl fmt::Display) -> Failure {
    Failure::new(Code::EINVAL, format!("setting `{setting}`: {error}"))
}

/// Why no server lets this side in.
fn of_connect(error: &ConnectError, config: &Config) -> Failure {
    let whom = match config.servers.as_slice() {
        [server] => format!("connect to {server}"),
        _ => "no server of the setting `servers`; of the last one".to_owned(),
    };
    let failure = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => Failure::new(
            Code::EACCES,
            "the server does not accept these credentials: see `user`, `token`, `nkey` and `creds`",
        ),
        ConnectErrorKind::TimedOut => Failure::later(
            Code::ETIMEDOUT,
            format!("no answer within {}", written_duration(config.connect_timeout)),
        ),
        ConnectErrorKind::Dns => Failure::later(Code::ENOENT, "there is no such name"),
        _ => of_io(error, config),
    };
    failure.context(&whom)
}

fn of_io(error: &ConnectError, config: &Config) -> Failure {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let of_library = cause.and_then(io::Error::get_ref);
    if let Some(error) = of_library.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        // The library begins TLS where the server demands it, whatever it was told.
        let text = match config.tls_off {
            true => {
                format!("it asks for TLS, and the setting `tls` is off: set it to on ({})", of_tls(error))
            }
            false => of_tls(error),
        };
        return Failure::protocol(text);
    }
    match cause.and_then(Errno::from_io_error) {
        Some(errno) => Failure::later(zvfs_net::failure::code(errno), words(errno)),
        None => {
            let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Failure::protocol(format!("it does not speak NATS as this side does: {text}"))
        }
    }
}
