//! The settings: their schema, and what an instance makes of them.

use crate::names::is_prefix;
use netpipe::provider::{self, endpoint};
use netpipe::same_host::SameHost;
use netpipe::{Endpoint, NATS_PORT};
use std::net::IpAddr;
use std::time::Duration;
use vfs_core::{Code, Error, Result, Setting, SettingKind, Settings};
use zvfs_net::tls::{self, Tls};

/// A shorter one would take a server that is restarted for a peer that is lost.
const PEER_TIMEOUT_LEAST: i64 = 1_000_000_000;

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    let mut schema = vec![
        text(
            "servers",
            "host[:port] of each server that may be used, all of one cluster; default: 127.0.0.1:4222. Servers that these tell of are not used",
        )
        .list(),
        text("prefix", "the first part of all subjects, and of the bucket's name: pipes of other prefixes never meet")
            .default_value("zvfs"),
        text(
            "names",
            "where the names of pipes are kept: in a bucket of the server's JetStream; best-effort: nowhere, so two readers of a name that open at once may both have it",
        )
        .values(["jetstream", "best-effort"])
        .default_value("jetstream"),
        Setting::new(
            "replicas",
            SettingKind::Integer,
            "servers that keep the names, where the bucket is made: 3 survive the loss of one",
        )
        .range(1..=5)
        .default_value("1"),
        text("user", "the user to be at the server; with `password`"),
        text("password", "its password").secret(),
        text("token", "what the server asks for instead of user and password").secret(),
        text("nkey", "the seed of the user's NKEY, whose public key the server has").secret(),
        text("creds", "a credentials file of NATS: a user's JWT, and the seed of its NKEY").secret(),
        text(
            "tls",
            "auto: on, unless every server is a loopback address; first: on, and before the server's first word",
        )
        .values(["auto", "on", "first", "off"])
        .default_value("auto"),
    ];
    schema.extend(tls::settings());
    schema.extend([
        Setting::new(
            "connect-timeout",
            SettingKind::Duration,
            "how long one address of a server is tried before the next",
        )
        .default_value("5s")
        .range(1_000_000..),
        Setting::new(
            "peer-timeout",
            SettingKind::Duration,
            "how long the other end of a pipe may not be heard of, be it its process, a server or the network: longer than a fail-over takes",
        )
        .range(PEER_TIMEOUT_LEAST..)
        .default_value("30s"),
        provider::window_setting(),
    ]);
    schema.extend(provider::settings());
    schema.extend(provider::same_host_settings());
    schema.push(zvfs_runtime::threads());
    schema
}

/// What holds for every pipe of an instance.
pub struct Config {
    /// At least one.
    pub servers: Vec<Endpoint>,
    /// Of subjects and of the bucket.
    pub prefix: String,
    /// Replicas of the bucket where names are kept; `None`: they are not.
    pub replicas: Option<usize>,
    /// Who this side is to the server.
    pub credentials: Credentials,
    /// `None`: a server that asks for it is verified by the system's list.
    pub tls: Option<Tls>,
    /// TLS comes before the server's first word.
    pub tls_first: bool,
    /// Nothing is said without.
    pub tls_required: bool,
    /// The operator wants none.
    pub tls_off: bool,
    /// For one address.
    pub connect_timeout: Duration,
    /// After this much silence the other end is lost.
    pub peer_timeout: Duration,
    /// For opens that give none.
    pub window: u32,
    /// For opens that give none.
    pub job: Option<String>,
    /// Where ends on one host meet.
    pub same_host: Option<SameHost>,
    /// What the runtime is made of.
    pub settings: Settings,
}

/// Who this side is to the server.
#[derive(Clone)]
pub enum Credentials {
    /// Nobody in particular.
    None,
    /// A user.
    User { user: String, password: String },
    /// Whoever has this.
    Token(String),
    /// Whose NKEY has this seed.
    Nkey(String),
    /// Whom the JWT of a credentials file names.
    Creds(String),
}

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be. Those of TLS's files.
    pub fn new(settings: &Settings) -> Result<Config> {
        let mut servers = settings.texts("servers").map(server).collect::<Result<Vec<_>>>()?;
        if servers.is_empty() {
            servers.push(server("127.0.0.1")?);
        }
        let prefix = settings.text("prefix").unwrap_or("zvfs");
        if !is_prefix(prefix) {
            return Err(invalid("prefix", "1 to 32 letters, digits, `-` and `_`"));
        }
        let is_kept = settings.text("names") != Some("best-effort");
        let replicas = settings.integer("replicas").and_then(|number| usize::try_from(number).ok());
        let is_far = servers.iter().any(|server| !is_loopback(server));
        // Where it is off by itself a server may ask for it, and be one that this file alone makes trusted.
        let is_told = settings.path("ca-file").or(settings.path("client-cert")).is_some();
        let (tls_required, tls) = match settings.text("tls") {
            Some("off") => (false, false),
            Some("on" | "first") => (true, true),
            _ => (is_far, is_far || is_told),
        };
        Ok(Config {
            servers,
            prefix: prefix.to_owned(),
            replicas: is_kept.then_some(replicas.unwrap_or(1)),
            credentials: Credentials::new(settings)?,
            tls: if tls { Some(Tls::new(settings, &[])?) } else { None },
            tls_required,
            tls_off: settings.text("tls") == Some("off"),
            tls_first: settings.text("tls") == Some("first"),
            connect_timeout: settings.duration("connect-timeout").unwrap_or(Duration::from_secs(5)),
            peer_timeout: settings.duration("peer-timeout").unwrap_or(Duration::from_secs(30)),
            window: provider::window(settings).unwrap_or(1 << 20),
            job: settings.text("job").map(str::to_owned),
            same_host: provider::same_host(settings)?,
            settings: settings.clone(),
        })
    }
}

impl Credentials {
    fn new(settings: &Settings) -> Result<Credentials> {
        // A file ends in a newline.
        let secret =
            |name: &str| settings.text(name).map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        let user = match (settings.text("user"), secret("password")) {
            (Some(user), Some(password)) => Some(Credentials::User { user: user.to_owned(), password }),
            (None, None) => None,
            _ => return Err(Error::new(Code::EINVAL, "set both `user` and `password`, or neither")),
        };
        let token = secret("token").map(Credentials::Token);
        let nkey = secret("nkey").map(Credentials::Nkey);
        // The library looks for the end of the last line.
        let creds = secret("creds").map(|text| Credentials::Creds(text + "\n"));
        let mut given = [user, token, nkey, creds].into_iter().flatten();
        match (given.next(), given.next()) {
            (given, None) => Ok(given.unwrap_or(Credentials::None)),
            _ => {
                let text = "settings `user`, `token`, `nkey` and `creds` exclude each other";
                Err(Error::new(Code::EINVAL, text))
            }
        }
    }
}

fn server(text: &str) -> Result<Endpoint> {
    endpoint("servers", text, NATS_PORT)
}

fn is_loopback(server: &Endpoint) -> bool {
    let address: Option<IpAddr> = server.literal().map(|address| address.ip());
    address.is_some_and(|address| address.is_loopback())
}

fn invalid(name: &str, wanted: &str) -> Error {
    Error::new(Code::EINVAL, format!("setting `{name}` is {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfs_core::Scope;

    fn config(written: &[(&str, &str)]) -> Result<Config> {
        let written: Vec<_> = written.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        Config::new(&Settings::check(&schema(), Scope::OPERATOR, &written)?)
    }

    #[test]
    fn tls_is_on_where_a_server_is_far() {
        for (written, expected) in [
            (&[][..], false),
            (&[("servers", "[::1]:4222")], false),
            (&[("servers", "127.0.0.1"), ("servers", "10.0.0.1")], true),
            (&[("servers", "localhost")], true),
            (&[("servers", "10.0.0.1"), ("tls", "off")], false),
            (&[("tls", "first")], true),
        ] {
            assert_eq!(config(written).unwrap().tls_required, expected, "{written:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_no_secret_repeated() {
        for written in [
            &[("servers", "u:S3CRET@h")][..],
            &[("prefix", "a.b")],
            &[("user", "u")],
            &[("password", "S3CRET")],
            &[("user", "u"), ("password", "S3CRET"), ("token", "S3CRET")],
            &[("nkey", "S3CRET"), ("creds", "S3CRET")],
            &[("peer-timeout", "10ms")],
            &[("addresses", "public")],
            &[("allowed-hosts", "a")],
        ] {
            let error = config(written).err().unwrap();
            assert_eq!(error.code(), Code::EINVAL, "{written:?}");
            assert!(!error.chain().contains("S3CRET"), "{}", error.chain());
        }
    }
}
