//! The settings: their schema, and what an instance and an open make of them.

pub mod credentials;
pub mod headers;
pub mod proxy;

use crate::settings::credentials::Credentials;
use crate::settings::headers::{Headers, SecretHeaders};
use crate::settings::proxy::Proxies;
use std::fmt;
use std::time::Duration;
use vfs_core::{Code, Error, Result, Scope, Setting, SettingKind, Settings};
use zvfs_net::policy::{self, Policy};
use zvfs_net::retry::Retries;
use zvfs_net::tls::{self, Tls};

/// Without a limit a silent server would hold its caller for ever.
const TIME_LEAST: i64 = 1_000_000;
/// More at once would be an attack on somebody.
const AHEAD_MAX: usize = 64;
/// The word for what is found out while a file is read.
const AHEAD_AUTO: &str = "auto";
/// What one range of a read-ahead may be.
const AHEAD_SIZE: std::ops::RangeInclusive<i64> = (64 << 10)..=(256 << 20);

/// What becomes of an object with a Content-Encoding.
const CONTENT_ENCODING: [&str; 2] = ["refuse", "as-stored"];

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let both = Scope::OPERATOR | Scope::OPEN;
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    let time = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Duration, help).default_value(default).scope(both)
    };
    let number = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Integer, help).default_value(default)
    };
    let mut schema = vec![
        time(
            "connect-timeout",
            "15s",
            "how long a connection may take: name look-up, TCP, a proxy's answer and TLS together",
        )
        .range(TIME_LEAST..),
        time("first-byte-timeout", "60s", "how long a server may take to answer a request").range(TIME_LEAST..),
        time("stall-timeout", "30s", "how long a body may make no progress, in either direction").range(TIME_LEAST..),
        time("expect-timeout", "1s", "how long an upload waits for 100 Continue before it sends its body; 0s: not at all"),
        Setting::new("least-rate", SettingKind::Size, "the lowest rate of a body in bytes a second, over `least-rate-time`, in either direction; 0: no limit")
            .default_value("100")
            .scope(both),
        time("least-rate-time", "60s", "the period of `least-rate`; only time spent waiting for the body counts, attempts included").range(TIME_LEAST..),
        number("retries", "5", "attempts after a transient failure; every received byte resets the count").range(0..=1000).scope(both),
        time("retry-delay", "200ms", "the pause before the second attempt; it doubles before each further one, less a random part"),
        time("retry-delay-max", "60s", "the longest pause; if a server asks for more with Retry-After: EBUSY"),
        number("redirects", "10", "redirects to follow; 0: none").range(0..=1000).scope(both),
        text("proxy", "http://host:port of a proxy; https goes through it by CONNECT"),
        text("no-proxy", "hosts to reach without the proxy: host[:port], *.domain, address/bits").list(),
        text("proxy-credentials", "user:password for the proxy").secret(),
        text("bearer", "token for the servers in `credentials-for`").secret(),
        text("basic", "user:password for the servers in `credentials-for`").secret(),
        text(
            "credentials-for",
            "hosts that get `bearer` or `basic`, over https only unless written as http://host; default: `allowed-hosts`",
        )
        .list(),
        text("headers", "further fields of every request, `Name: value`; not sent on to another origin by a redirect").list().scope(both),
        Setting::new(
            "headers-file",
            SettingKind::Path,
            "a file of further fields, one `Name: value` per line, for the servers in `headers-for`; nobody else may read it",
        )
        .private(),
        text(
            "headers-for",
            "hosts that get the fields of `headers-file`, over https only unless written as http://host; default: `allowed-hosts`",
        )
        .list(),
        Setting::new(
            "trust-ranges",
            SettingKind::Boolean,
            "read at positions, and resume, even without a strong ETag or an old enough Last-Modified to show that the object is the same",
        )
        .default_value("false")
        .scope(both),
        text("content-encoding", "an object with a Content-Encoding: refuse it, or read the bytes as they are stored")
            .values(CONTENT_ENCODING)
            .default_value(CONTENT_ENCODING[0])
            .scope(both),
        text("user-agent", "the User-Agent field").default_value(concat!("zvfs/", env!("CARGO_PKG_VERSION"))).scope(both),
        number("connections", "8", "idle connections to keep open, in total; 0: none").range(0..=10_000),
        text(
            "read-ahead",
            "ranges to fetch at once, ahead of a file that is read from start to end: 0 to 64, or auto: up to 4, where that turns out to be faster",
        )
        .default_value(AHEAD_AUTO)
        .scope(both),
        Setting::new("read-ahead-size", SettingKind::Size, "bytes of one such range")
            .range(AHEAD_SIZE)
            .default_value("4m")
            .scope(both),
    ];
    schema.extend(tls::settings());
    schema.extend(policy::settings());
    schema
}

/// What holds for every request of an instance.
pub struct Config {
    /// Where connections may go.
    pub policy: Policy,
    /// Through whom they go.
    pub proxies: Proxies,
    /// Whom servers are trusted by.
    pub tls: Tls,
    /// Secrets for servers.
    pub credentials: Credentials,
    /// Secret fields for servers.
    pub secret_headers: SecretHeaders,
    /// Connections that are kept open.
    pub connections: usize,
    /// For opens that give nothing else.
    pub tuning: Tuning,
}

/// What an open may change.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// For a connection.
    pub connect_timeout: Duration,
    /// From a request to its answer.
    pub first_byte_timeout: Duration,
    /// Between two bytes.
    pub stall_timeout: Duration,
    /// For the word before an upload.
    pub expect_timeout: Duration,
    /// Bytes a second that a body has to come or go at; 0: any.
    pub least_rate: u64,
    /// What that is looked at over.
    pub least_rate_time: Duration,
    /// After a failure.
    pub retries: Retries,
    /// Redirects that are followed.
    pub redirects: u32,
    /// Further fields.
    pub headers: Headers,
    /// Ranges are believed to be of the same object without anything that tells.
    pub trust_ranges: bool,
    /// Encoded objects are read as they are stored.
    pub as_stored: bool,
    /// Who we say we are.
    pub user_agent: String,
    /// Ranges at once.
    pub read_ahead: Ranges,
    /// Bytes of each.
    pub read_ahead_size: u64,
}

/// How many ranges are fetched at once, ahead of a file that is read from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Several, where that turns out to be faster than one answer.
    Auto,
    /// So many; 0: one answer is read.
    Fixed(usize),
}

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be. ENOENT, EACCES: a file that cannot be read.
    pub fn new(settings: &Settings) -> Result<Config> {
        let policy = Policy::new(settings)?;
        Ok(Config {
            credentials: Credentials::new(settings, &policy.hosts)?,
            secret_headers: SecretHeaders::new(settings, &policy.hosts)?,
            policy,
            proxies: Proxies::new(settings)?,
            tls: Tls::new(settings, &[b"http/1.1"])?,
            connections: number(settings, "connections").unwrap_or(8),
            tuning: Tuning::default().with(settings)?,
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("policy", &self.policy)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

impl Default for Tuning {
    /// As the schema has it.
    fn default() -> Tuning {
        Tuning {
            connect_timeout: Duration::from_secs(15),
            first_byte_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            expect_timeout: Duration::from_secs(1),
            least_rate: 100,
            least_rate_time: Duration::from_secs(60),
            retries: Retries::default(),
            redirects: 10,
            headers: Headers::default(),
            trust_ranges: false,
            as_stored: false,
            user_agent: concat!("zvfs/", env!("CARGO_PKG_VERSION")).to_owned(),
            read_ahead: Ranges::Auto,
            read_ahead_size: 4 << 20,
        }
    }
}

impl Tuning {
    /// Lays settings over these; what they don't say stays. Fields are added, one of the same name is replaced.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be.
    pub fn with(mut self, settings: &Settings) -> Result<Tuning> {
        for (name, value) in [
            ("connect-timeout", &mut self.connect_timeout),
            ("first-byte-timeout", &mut self.first_byte_timeout),
            ("stall-timeout", &mut self.stall_timeout),
            ("expect-timeout", &mut self.expect_timeout),
            ("least-rate-time", &mut self.least_rate_time),
            ("retry-delay", &mut self.retries.delay),
            ("retry-delay-max", &mut self.retries.delay_max),
        ] {
            *value = settings.duration(name).unwrap_or(*value);
        }
        self.retries.most = number(settings, "retries").unwrap_or(self.retries.most);
        self.redirects = number(settings, "redirects").unwrap_or(self.redirects);
        if let Some(text) = settings.text("read-ahead") {
            self.read_ahead = Ranges::parse(text)?;
        }
        self.read_ahead_size = settings.size("read-ahead-size").unwrap_or(self.read_ahead_size);
        self.least_rate = settings.size("least-rate").unwrap_or(self.least_rate);
        if settings.text("trust-ranges").is_some() {
            self.trust_ranges = settings.boolean("trust-ranges");
        }
        if let Some(text) = settings.text("content-encoding") {
            self.as_stored = text == CONTENT_ENCODING[1];
        }
        if let Some(text) = settings.text("user-agent") {
            self.user_agent = headers::value("user-agent", text)?;
        }
        self.headers.add("headers", settings.texts("headers"))?;
        Ok(self)
    }
}

impl Ranges {
    fn parse(text: &str) -> Result<Ranges> {
        if text == AHEAD_AUTO {
            return Ok(Ranges::Auto);
        }
        match text.parse() {
            Ok(ranges) if ranges <= AHEAD_MAX => Ok(Ranges::Fixed(ranges)),
            _ => {
                let text = text.escape_debug();
                let text = format!(
                    "setting `read-ahead` is `{text}`, not `{AHEAD_AUTO}` or an integer, 0 to {AHEAD_MAX}"
                );
                Err(Error::new(Code::EINVAL, text))
            }
        }
    }
}

/// An integer; the schema bounds it.
fn number<T: TryFrom<i64>>(settings: &Settings, name: &str) -> Option<T> {
    settings.integer(name).and_then(|number| T::try_from(number).ok())
}

/// Settings as a host checks them.
#[cfg(test)]
fn checked(scope: Scope, pairs: &[(&str, &str)]) -> Result<Settings> {
    let pairs: Vec<_> = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Settings::check(&schema(), scope, &pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zvfs_net::address::Addresses;
    use zvfs_net::origin::Origin;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        Config::new(&checked(Scope::OPERATOR, pairs)?)
    }

    fn origin(secure: bool, host: &str) -> Origin {
        Origin { secure, host: host.to_owned(), port: if secure { 443 } else { 80 } }
    }

    #[test]
    fn defaults_are_those_of_the_schema() {
        let config = config(&[]).unwrap();
        assert_eq!(format!("{:?}", config.tuning), format!("{:?}", Tuning::default()));
        assert_eq!(config.policy.addresses, Addresses::NoLinkLocal);
        assert_eq!(config.connections, 8);
    }

    #[test]
    fn read_ahead_is_a_number_or_left_to_be_found_out() {
        for (text, ranges) in [("auto", Ranges::Auto), ("0", Ranges::Fixed(0)), ("64", Ranges::Fixed(64))] {
            assert_eq!(config(&[("read-ahead", text)]).unwrap().tuning.read_ahead, ranges);
        }
    }

    #[test]
    fn an_open_changes_what_it_gives_only() {
        let config = config(&[("retries", "2"), ("headers", "A: 1"), ("headers", "B: 2")]).unwrap();
        let open = checked(Scope::OPEN, &[("stall-timeout", "5s"), ("headers", "a: 3")]).unwrap();
        let tuning = config.tuning.clone().with(&open).unwrap();
        assert_eq!((tuning.retries.most, tuning.stall_timeout), (2, Duration::from_secs(5)));
        let fields: Vec<_> = tuning.headers.iter().collect();
        assert_eq!(fields, [("B", "2"), ("a", "3")]);
    }

    #[test]
    fn what_cannot_be_is_einval_and_names_the_setting() {
        for (name, text) in [
            ("retries", "-1"),
            ("redirects", "1001"),
            ("stall-timeout", "0s"),
            ("connections", "-1"),
            ("read-ahead", "65"),
            ("read-ahead", "-1"),
            ("read-ahead", "on"),
            ("read-ahead-size", "1k"),
            ("user-agent", "a\nb"),
            ("headers", "no colon"),
            ("addresses", "all"),
            ("allowed-hosts", "a/b"),
            ("proxy", "socks5://h:1"),
            ("client-cert", "/nonexistent"),
            ("proxy-credentials", "nobody"),
        ] {
            let error = config(&[(name, text)]).unwrap_err();
            assert_eq!(error.code(), Code::EINVAL, "{name}: {error}");
            let named = error.to_string().contains(name) || name == "client-cert";
            assert!(named, "{name}: {error}");
        }
    }

    #[test]
    fn secrets_need_hosts_and_go_to_those_only() {
        let error = config(&[("bearer", "t0ken")]).unwrap_err();
        assert!(error.to_string().contains("credentials-for") && !error.to_string().contains("t0ken"));
        assert!(config(&[("bearer", "a"), ("basic", "b:c"), ("credentials-for", "h")]).is_err());
        let config = config(&[("bearer", "t0ken\n"), ("credentials-for", "a.example")]).unwrap();
        let sent = |secure, host| config.credentials.authorization(&origin(secure, host)).map(str::to_owned);
        assert_eq!(sent(true, "a.example").as_deref(), Some("Bearer t0ken"));
        assert_eq!(sent(false, "a.example"), None);
        assert_eq!(sent(true, "b.example"), None);
        assert!(!format!("{config:?}").contains("t0ken"));
    }
}
