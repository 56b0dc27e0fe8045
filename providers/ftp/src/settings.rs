//! The settings: their schema, and what an instance and an open make of them.

mod credentials;

pub use credentials::{Credentials, Login};

use std::time::Duration;
use vfs_core::{Code, Error, Result, Scope, Setting, SettingKind, Settings};
use zvfs_net::policy::{self, Policy};
use zvfs_net::retry::Retries;
use zvfs_net::tls;

/// Without a limit a silent server would hold its caller for ever.
const TIME_LEAST: i64 = 1_000_000;

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let both = Scope::OPERATOR | Scope::OPEN;
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    let time = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Duration, help).default_value(default).scope(both)
    };
    let mut schema = vec![
        text("tls", "whether connections are encrypted: not at all, from AUTH TLS on, or from the first byte; default: off for ftp, explicit for ftps")
            .values(Security::NAMES),
        time(
            "connect-timeout",
            "15s",
            "how long a session may take to begin: name look-up, TCP, TLS and login together",
        )
        .range(TIME_LEAST..),
        time("reply-timeout", "60s", "how long a server may take to answer a command").range(TIME_LEAST..),
        time("stall-timeout", "30s", "how long a transfer may make no progress, in either direction").range(TIME_LEAST..),
        Setting::new("retries", SettingKind::Integer, "attempts after a transient failure; every received byte resets the count")
            .default_value("5")
            .range(0..=1000)
            .scope(both),
        time("retry-delay", "200ms", "the pause before the second attempt; it doubles before each further one, less a random part"),
        time("retry-delay-max", "60s", "the longest pause"),
        text("login", "user:password for the servers in `credentials-for`; without it, and without a user in the descriptor: anonymous").secret(),
        text(
            "credentials-for",
            "hosts that get `login`, with TLS only unless written as ftp://host; default: `allowed-hosts`",
        )
        .list(),
        Setting::new("sessions", SettingKind::Integer, "idle sessions to keep open, in total; 0: none")
            .default_value("4")
            .range(0..=1000),
        zvfs_runtime::threads(),
    ];
    schema.extend(tls::settings());
    schema.extend(policy::settings());
    schema
}

/// Whether and when a session is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Never.
    Off,
    /// From AUTH TLS on, before the login.
    Explicit,
    /// From the first byte on.
    Implicit,
}

impl Security {
    /// The words of the setting.
    pub const NAMES: [&str; 3] = ["off", "explicit", "implicit"];

    fn of_name(name: &str) -> Option<Security> {
        let at = Security::NAMES.iter().position(|known| *known == name)?;
        Some([Security::Off, Security::Explicit, Security::Implicit][at])
    }

    /// The port of servers, where a descriptor names none.
    pub fn port(self) -> u16 {
        match self {
            Security::Off | Security::Explicit => 21,
            Security::Implicit => 990,
        }
    }
}

/// What holds for every open of an instance.
#[derive(Debug)]
pub struct Config {
    /// Where connections may go.
    pub policy: Policy,
    /// What the operator says for every scheme.
    security: Option<Security>,
    /// Secrets for servers.
    pub credentials: Credentials,
    /// Sessions that are kept open.
    pub sessions: usize,
    /// For opens that give nothing else.
    pub tuning: Tuning,
}

/// What an open may change.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// For a session to begin.
    pub connect_timeout: Duration,
    /// From a command to its answer.
    pub reply_timeout: Duration,
    /// Between two bytes of a transfer.
    pub stall_timeout: Duration,
    /// After a failure.
    pub retries: Retries,
}

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be.
    pub fn new(settings: &Settings) -> Result<Config> {
        let policy = Policy::new(settings)?;
        let sessions = settings.integer("sessions").and_then(|number| usize::try_from(number).ok());
        Ok(Config {
            security: settings.text("tls").and_then(Security::of_name),
            credentials: Credentials::new(settings, &policy.hosts)?,
            policy,
            sessions: sessions.unwrap_or(0),
            tuning: Tuning::default().with(settings),
        })
    }

    /// How a session of a scheme is secured.
    ///
    /// # Errors
    /// EINVAL: the operator turned off what the scheme demands.
    pub fn security(&self, scheme: &str) -> Result<Security> {
        match (self.security, scheme) {
            (Some(Security::Off), "ftps") => {
                let text = "ftps demands TLS, which the operator's `tls = \"off\"` excludes: write ftp";
                Err(Error::new(Code::EINVAL, text))
            }
            (Some(security), _) => Ok(security),
            (None, "ftps") => Ok(Security::Explicit),
            (None, _) => Ok(Security::Off),
        }
    }
}

impl Default for Tuning {
    /// As the schema has it.
    fn default() -> Tuning {
        Tuning {
            connect_timeout: Duration::from_secs(15),
            reply_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            retries: Retries::default(),
        }
    }
}

impl Tuning {
    /// Lays settings over these; what they don't say stays.
    pub fn with(mut self, settings: &Settings) -> Tuning {
        for (name, value) in [
            ("connect-timeout", &mut self.connect_timeout),
            ("reply-timeout", &mut self.reply_timeout),
            ("stall-timeout", &mut self.stall_timeout),
            ("retry-delay", &mut self.retries.delay),
            ("retry-delay-max", &mut self.retries.delay_max),
        ] {
            *value = settings.duration(name).unwrap_or(*value);
        }
        if let Some(most) = settings.integer("retries").and_then(|number| u32::try_from(number).ok()) {
            self.retries.most = most;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Settings::check(&schema(), Scope::OPERATOR, &pairs)
    }

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        Config::new(&settings(pairs)?)
    }

    #[test]
    fn defaults_are_those_of_the_schema() {
        let config = config(&[]).unwrap();
        assert_eq!(format!("{:?}", config.tuning), format!("{:?}", Tuning::default()));
        assert_eq!(config.sessions, 4);
    }

    #[test]
    fn ftps_is_never_in_the_clear() {
        let of = |tls: Option<&str>, scheme| {
            let pairs: Vec<_> = tls.into_iter().map(|tls| ("tls", tls)).collect();
            config(&pairs).unwrap().security(scheme)
        };
        assert_eq!(of(None, "ftp").unwrap(), Security::Off);
        assert_eq!(of(None, "ftps").unwrap(), Security::Explicit);
        assert_eq!(of(Some("explicit"), "ftp").unwrap(), Security::Explicit);
        assert_eq!(of(Some("implicit"), "ftps").unwrap().port(), 990);
        assert_eq!(of(Some("off"), "ftps").unwrap_err().code(), Code::EINVAL);
    }

    #[test]
    fn what_cannot_be_is_einval_and_names_the_setting() {
        for (name, text) in [
            ("tls", "maybe"),
            ("retries", "-1"),
            ("stall-timeout", "0s"),
            ("sessions", "-1"),
            ("threads", "0"),
            ("allowed-hosts", "a/b"),
            ("login", "nobody"),
            ("login", "a:b\r\nDELE x"),
        ] {
            let error = config(&[(name, text), ("credentials-for", "h")]).unwrap_err();
            assert_eq!(error.code(), Code::EINVAL, "{name}: {error}");
            assert!(error.to_string().contains(name), "{name}: {error}");
            assert!(!error.to_string().contains("nobody"), "{error}");
        }
    }
}
