//! The settings: their schema, and what an instance and an open make of them.

use crate::login::Credentials;
use std::path::PathBuf;
use std::time::Duration;
use vfs_core::{Result, Scope, Setting, SettingKind, Settings};
use zvfs_net::policy::{self, Policy};
use zvfs_net::retry::Retries;

/// Without a limit a silent server would hold its caller for ever.
const TIME_LEAST: i64 = 1_000_000;

/// What becomes of a server of which no host key is known.
const UNKNOWN_HOSTS: [&str; 2] = ["refuse", "trust-first"];

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let both = Scope::OPERATOR | Scope::OPEN;
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    let path = |name: &str, help: &str| Setting::new(name, SettingKind::Path, help);
    let time = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Duration, help).default_value(default)
    };
    let number = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Integer, help).default_value(default)
    };
    let mut schema = vec![
        path("known-hosts", "files of host keys, as OpenSSH has them; ports, patterns, hashed names and @revoked count")
            .list()
            .default_value("/etc/ssh/ssh_known_hosts"),
        text(
            "unknown-hosts",
            "a server of which no key is known: refuse it, or trust the first key that it shows until the instance ends",
        )
        .values(UNKNOWN_HOSTS)
        .default_value(UNKNOWN_HOSTS[0]),
        text("user", "whom to log in as, if the descriptor does not say"),
        path("key-file", "a private key to log in with (Ed25519, ECDSA), in a file that nobody else can read").private(),
        text("passphrase", "the passphrase of `key-file`").secret(),
        text("agent", "an agent whose keys to log in with: the path of its socket, or SSH_AUTH_SOCK for the environment's"),
        text("password", "the password to log in with, for the servers in `credentials-for`").secret(),
        text("credentials-for", "hosts that get `password`; default: `allowed-hosts`").list(),
        time("connect-timeout", "15s", "how long a connection may take: name look-up, TCP, keys and login together")
            .range(TIME_LEAST..),
        time("reply-timeout", "60s", "how long a server may leave requests without a word").range(TIME_LEAST..),
        time("keep-alive", "15s", "how often a silent server is asked whether it is there; after 3 without an answer the connection is lost")
            .range(TIME_LEAST..),
        time("idle-timeout", "60s", "when a connection that nobody uses is closed, twice as late at most").range(TIME_LEAST..),
        number("channels", "4", "sessions on one connection: files of one session wait for each other on most servers")
            .range(1..=64),
        Setting::new("window", SettingKind::Size, "bytes of one file that may be under way at once, in either direction")
            .default_value("2m")
            .range(32 << 10..=64 << 20)
            .scope(both),
        number("retries", "5", "attempts after a transient failure; received bytes reset the count").range(0..=1000).scope(both),
        time("retry-delay", "200ms", "the pause before the second attempt; it doubles before each further one, less a random part")
            .scope(both),
        time("retry-delay-max", "30s", "the longest pause").scope(both),
    ];
    schema.extend(policy::settings());
    schema.push(zvfs_runtime::threads());
    schema
}

/// What holds for all connections of an instance.
pub struct Config {
    /// Files of host keys.
    pub known_hosts: Vec<PathBuf>,
    /// Whether the first key of an unknown server is trusted.
    pub trust_first: bool,
    /// What to log in with.
    pub credentials: Credentials,
    /// For a connection and its login.
    pub connect_timeout: Duration,
    /// For a server's silence.
    pub reply_timeout: Duration,
    /// Between two keep-alives.
    pub keep_alive: Duration,
    /// For a connection that nobody uses.
    pub idle_timeout: Duration,
    /// Sessions on a connection.
    pub channels: usize,
    /// For opens that give nothing else.
    pub tuning: Tuning,
}

/// What an open may change.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Bytes under way.
    pub window: u64,
    /// Attempts after a failure.
    pub retries: Retries,
}

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be. ENOENT, EACCES: a file that cannot be read.
    pub fn new(settings: &Settings, policy: &Policy) -> Result<Config> {
        let time = |name| settings.duration(name).unwrap_or_default();
        Ok(Config {
            known_hosts: settings.texts("known-hosts").map(PathBuf::from).collect(),
            trust_first: settings.text("unknown-hosts") == Some(UNKNOWN_HOSTS[1]),
            credentials: Credentials::new(settings, &policy.hosts)?,
            connect_timeout: time("connect-timeout"),
            reply_timeout: time("reply-timeout"),
            keep_alive: time("keep-alive"),
            idle_timeout: time("idle-timeout"),
            channels: number(settings, "channels").unwrap_or(1),
            tuning: Tuning::complete(settings),
        })
    }
}

impl Tuning {
    /// What an operator's settings, which are complete, are laid over.
    fn complete(settings: &Settings) -> Tuning {
        Tuning { window: 0, retries: Retries::default() }.with(settings)
    }

    /// Lays settings over these; what they don't say stays.
    #[must_use]
    pub fn with(self, settings: &Settings) -> Tuning {
        let Retries { most, delay, delay_max } = self.retries;
        Tuning {
            window: settings.size("window").unwrap_or(self.window),
            retries: Retries {
                most: number(settings, "retries").unwrap_or(most),
                delay: settings.duration("retry-delay").unwrap_or(delay),
                delay_max: settings.duration("retry-delay-max").unwrap_or(delay_max),
            },
        }
    }
}

/// An integer; the schema bounds it.
fn number<T: TryFrom<i64>>(settings: &Settings, name: &str) -> Option<T> {
    settings.integer(name).and_then(|number| T::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfs_core::Code;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let settings = Settings::check(&schema(), Scope::OPERATOR, &pairs)?;
        Config::new(&settings, &Policy::new(&settings)?)
    }

    #[test]
    fn an_open_changes_what_it_gives_only() {
        let given = [("retries".to_owned(), "2".to_owned())];
        let open = Settings::check(&schema(), Scope::OPEN, &given).unwrap();
        let tuning = config(&[("window", "1m")]).unwrap().tuning.with(&open);
        assert_eq!(
            (tuning.window, tuning.retries.most, tuning.retries.delay),
            (1 << 20, 2, Duration::from_millis(200))
        );
    }

    #[test]
    fn what_cannot_be_is_refused_and_names_the_setting() {
        for (name, text, code) in [
            ("retries", "-1", Code::EINVAL),
            ("reply-timeout", "0s", Code::EINVAL),
            ("window", "1k", Code::EINVAL),
            ("channels", "0", Code::EINVAL),
            ("unknown-hosts", "ask", Code::EINVAL),
            ("agent", "relative", Code::EINVAL),
            ("allowed-hosts", "a/b", Code::EINVAL),
            ("credentials-for", "a/b", Code::EINVAL),
            ("key-file", "/nonexistent", Code::ENOENT),
            ("key-file", "/etc/passwd", Code::EINVAL),
        ] {
            let error = config(&[(name, text)]).err().unwrap();
            assert_eq!(error.code(), code, "{name}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_password_needs_hosts() {
        let error = config(&[("password", "s3cret")]).err().unwrap().to_string();
        assert!(error.contains("credentials-for") && !error.contains("s3cret"), "{error}");
        config(&[("password", "s3cret"), ("allowed-hosts", "a.example")]).unwrap();
    }
}
