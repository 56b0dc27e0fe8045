//! The settings: their schema, and what an instance makes of them.

use crate::tls::Tls;
use netpipe::hello::FEATURE_SAME_HOST;
use netpipe::provider::{self, WINDOW, endpoint};
use netpipe::same_host::{Place, SameHost};
use netpipe::{BROKER_PORT, BrokerAt, Endpoint, Secret};
use std::net::SocketAddr;
use std::time::Duration;
use vfs_core::{Code, Error, Result, Scope, Setting, SettingKind, Settings};

/// Where none is set: at first, and the most that it grows to.
const WINDOW_GROWS: Windows = Windows { first: netpipe::hello::WINDOW_DEFAULT, most: 16 << 20 };
/// In nanoseconds: a shorter one would take a busy machine for a dead one.
const PEER_TIMEOUT_LEAST: i64 = 1_000_000_000;
/// In nanoseconds, and for the same reason: a peer gives a sign of life four times as often.
const SILENCE_LEAST: i64 = 2_000_000_000;

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let both = Scope::OPERATOR | Scope::OPEN;
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    let [digest, writers, node, job] = provider::settings();
    let [same_host, same_host_after] = provider::same_host_settings();
    vec![
        text("broker", "host[:port] of the broker for descriptors that name none; port 9713 by default")
            .scope(both),
        Setting::new(
            "discover",
            SettingKind::Boolean,
            "the broker for descriptors that name none announces itself on the local network, and proves the secret",
        )
        .default_value("false"),
        text("brokers", "brokers that a descriptor or an open may name besides `broker`; they get a proof")
            .list(),
        text(
            "secret",
            "at least 16 random bytes that peers and brokers share; each side proves that it has them",
        )
        .secret(),
        text(
            "listen",
            "address[:port] that accepts peers introduced by a broker; default: any port at the address that faces the broker",
        ),
        text("advertise", "host[:port] that a broker gives to peers, if it is not the address it sees").list(),
        Setting::new(
            "window",
            SettingKind::Size,
            "bytes in flight, sent and not yet read, for each writer of a pipe; by default 1m, growing up to 16m over long distances",
        )
        .range(WINDOW)
        .scope(both),
        text("crc", "checksums over the payload; auto: if the connection leaves this machine")
            .values(["auto", "on", "off"])
            .default_value("auto")
            .scope(both),
        digest,
        writers,
        node,
        job,
        Setting::new(
            "tls-ca",
            SettingKind::Path,
            "certificates, in PEM, of the authority to trust for peers; all three `tls-` settings: TLS between the ends of pipes",
        ),
        Setting::new(
            "tls-cert",
            SettingKind::Path,
            "this side's certificate, in PEM, followed by the intermediate ones up to the authority",
        ),
        Setting::new(
            "tls-key",
            SettingKind::Path,
            "the private key of that certificate, in PEM, in a file that nobody else can read",
        )
        .private(),
        Setting::new(
            "connect-timeout",
            SettingKind::Duration,
            "how long one address is tried before the next",
        )
        .default_value("3s")
        .range(1_000_000..),
        Setting::new(
            "peer-timeout",
            SettingKind::Duration,
            "how long a peer's machine may not answer, or a peer may accept connections and answer none",
        )
        .range(PEER_TIMEOUT_LEAST..)
        .default_value("60s"),
        Setting::new(
            "silence-timeout",
            SettingKind::Duration,
            "how long the other end of a pipe may send nothing, not even a sign of life, because its process is stopped; by default for ever",
        )
        .range(SILENCE_LEAST..),
        Setting::new(
            "takeover",
            SettingKind::Boolean,
            "a new reader takes over a name from a reader that does not answer the broker",
        )
        .default_value("false"),
        same_host,
        same_host_after,
        Setting::new("insecure", SettingKind::Boolean, "talk to other machines even without a secret")
            .default_value("false"),
    ]
}

/// When payload carries checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// Where the connection leaves this machine.
    Auto,
    /// Always, if the peer has them.
    On,
    /// Never.
    Off,
}

impl Checksums {
    /// Whether this side wants them on a connection.
    pub fn wanted(self, leaves_machine: bool) -> bool {
        match self {
            Checksums::Auto => leaves_machine,
            Checksums::On => true,
            Checksums::Off => false,
        }
    }
}

/// How many bytes may be on their way and not yet be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// At first.
    pub first: u32,
    /// What it may grow to.
    pub most: u32,
}

/// What holds for every pipe of an instance.
#[derive(Debug)]
pub struct Config {
    /// The broker of descriptors that name none.
    pub broker: Option<BrokerAt>,
    /// The brokers that may be named.
    pub listed: Vec<Endpoint>,
    /// Shared with peers and brokers.
    pub secret: Option<Secret>,
    /// Where introduced peers are accepted.
    pub listen: Option<SocketAddr>,
    /// What brokers tell others; a port of 0 is the listener's.
    pub advertise: Vec<Endpoint>,
    /// For opens that give none.
    pub window: Windows,
    /// For opens that give none.
    pub checksums: Checksums,
    /// For opens that give none.
    pub job: Option<String>,
    /// For one address.
    pub connect_timeout: Duration,
    /// Keep-alive and TCP_USER_TIMEOUT.
    pub peer_timeout: Duration,
    /// How long the other end of a pipe may send nothing at all.
    pub silence: Option<Duration>,
    /// TLS between the ends of pipes.
    pub tls: Option<Tls>,
    /// Readers take the names of those that are gone.
    pub takeover: bool,
    /// Where ends on one host meet.
    pub same_host: Option<SameHost>,
    /// Other machines are served without a secret.
    pub insecure: bool,
}

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be.
    pub fn new(settings: &Settings) -> Result<Config> {
        let named = broker(settings)?;
        let mut listed: Vec<Endpoint> = settings
            .texts("brokers")
            .map(|text| endpoint("brokers", text, BROKER_PORT))
            .collect::<Result<_>>()?;
        listed.extend(named.clone());
        let secret = settings.text("secret").map(|text| Secret::new(text.as_bytes())).transpose();
        let secret =
            secret.map_err(|error| Error::new(Code::EINVAL, format!("setting `secret`: {error}")))?;
        let broker = match (named, settings.boolean("discover")) {
            (Some(_), true) => {
                return Err(invalid("discover", "for pipes without a `broker`: leave out one of the two"));
            }
            (None, true) if secret.is_none() => {
                return Err(invalid("discover", "for brokers that prove the `secret`: set that too"));
            }
            (None, true) => Some(BrokerAt::Discovered),
            (named, false) => named.map(BrokerAt::Named),
        };
        let peer_timeout = settings.duration("peer-timeout").unwrap_or(Duration::from_secs(60));
        Ok(Config {
            broker,
            listed,
            secret,
            listen: settings.text("listen").map(listen).transpose()?,
            advertise: settings
                .texts("advertise")
                .map(|text| endpoint("advertise", text, 0))
                .collect::<Result<_>>()?,
            window: window(settings).unwrap_or(WINDOW_GROWS),
            checksums: checksums(settings).unwrap_or(Checksums::Auto),
            job: settings.text("job").map(str::to_owned),
            connect_timeout: settings.duration("connect-timeout").unwrap_or(Duration::from_secs(3)),
            peer_timeout,
            silence: settings.duration("silence-timeout"),
            tls: Tls::new(settings)?,
            takeover: settings.boolean("takeover"),
            same_host: provider::same_host(settings)?,
            insecure: settings.boolean("insecure"),
        })
    }

    /// The feature of a connection whose ends may meet on this host. Whoever is on another one has other abstract names, and so has a
    /// container with an address of its own; a folder may be shared with that.
    pub fn meets(&self, may_be_here: bool) -> u64 {
        match self.same_host.as_ref().map(|at| &at.place) {
            Some(Place::Folder(_)) => FEATURE_SAME_HOST,
            Some(Place::Abstract) if may_be_here => FEATURE_SAME_HOST,
            _ => 0,
        }
    }
}

/// The broker that these settings give.
///
/// # Errors
/// EINVAL: not a host with or without a port.
pub fn broker(settings: &Settings) -> Result<Option<Endpoint>> {
    settings.text("broker").map(|text| endpoint("broker", text, BROKER_PORT)).transpose()
}

/// The address to listen at; a name would have to be looked up first.
fn listen(text: &str) -> Result<SocketAddr> {
    let endpoint = endpoint("listen", text, 0)?;
    endpoint.literal().ok_or_else(|| invalid("listen", "an address of this machine, not a name"))
}

/// The window that these settings give; the schema bounds it. One that is given does not grow.
pub fn window(settings: &Settings) -> Option<Windows> {
    provider::window(settings).map(|size| Windows { first: size, most: size })
}

/// The checksums that these settings give.
pub fn checksums(settings: &Settings) -> Option<Checksums> {
    match settings.text("crc")? {
        "on" => Some(Checksums::On),
        "off" => Some(Checksums::Off),
        _ => Some(Checksums::Auto),
    }
}

fn invalid(name: &str, wanted: &str) -> Error {
    Error::new(Code::EINVAL, format!("setting `{name}` is {wanted}"))
}
