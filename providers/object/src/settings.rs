//! The settings: their schema, and what an instance and an open make of them.

use crate::credentials::{self, Credentials};
use crate::target::Kind;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use vfs_core::{Code, Error, Result, Scope, Setting, SettingKind, Settings};
use zvfs_net::policy::{self, Policy};
use zvfs_net::tls::{self, Tls};

/// Without a limit a silent store would hold its caller for ever.
const TIME_LEAST: i64 = 1_000_000;
/// S3 and Google take no part below 5 MiB but the last, and no store one above 4000 MiB.
const PART: std::ops::RangeInclusive<i64> = (5 << 20)..=(4000 << 20);
/// More at once would be an attack on somebody.
const PARALLEL: std::ops::RangeInclusive<i64> = 1..=64;
/// No store takes more in one request than a part may have.
const AT_ONCE: std::ops::RangeInclusive<i64> = 0..=*PART.end();

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    let time = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Duration, help).default_value(default).range(TIME_LEAST..)
    };
    let number = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Integer, help).default_value(default)
    };
    let both = Scope::OPERATOR | Scope::OPEN;
    let mut schema = vec![
        text(
            "store",
            "the kind of store that `object:` means, and that `endpoint`, `region` and the credentials are for",
        )
        .values(Kind::NAMES)
        .default_value(Kind::NAMES[0]),
        text("endpoint", "the URL of the store, with its account where that is a part of it; default: the cloud's own"),
        text("region", "the region that S3 requests are signed for").default_value("us-east-1"),
        text("addressing", "where S3 requests name the bucket; auto: in the host, of an `endpoint` of your own in the path")
            .values(Addressing::NAMES)
            .default_value(Addressing::NAMES[0]),
    ];
    schema.extend(credentials::settings());
    schema.extend([
        Setting::new(
            "part-size",
            SettingKind::Size,
            "bytes of a range that is read, and of a part that is written, at once",
        )
        .range(PART)
        .default_value("8m")
        .scope(both),
        number(
            "parallel",
            "4",
            "ranges or parts of one file that are under way at once; memory: one more than this, times `part-size`",
        )
        .range(PARALLEL)
        .scope(both),
        Setting::new(
            "put-size",
            SettingKind::Size,
            "bytes of an object that is sent as one request, from memory, if its size is known when it is opened; a larger one goes in parts, and what fits into a part is always one request",
        )
        .range(AT_ONCE)
        .default_value("64m")
        .scope(both),
        number("connections", "8", "idle connections to keep open, in total; 0: none").range(0..=10_000),
        time("connect-timeout", "15s", "how long a connection may take: name look-up, TCP and TLS together"),
        time("first-byte-timeout", "60s", "how long a store may take to answer a request"),
        time("stall-timeout", "30s", "how long a body may make no progress, in either direction"),
        number("retries", "5", "attempts after a transient failure of a request").range(0..=100),
        time(
            "retry-delay",
            "100ms",
            "the pause before the second attempt; each further one is longer, by chance up to twice",
        ),
        time("retry-delay-max", "15s", "the longest pause"),
    ]);
    schema.extend(tls::settings());
    schema.extend(policy::settings());
    schema.push(zvfs_runtime::threads());
    schema
}

/// Where S3 requests name the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// In the host, of a store of one's own in the path.
    Auto,
    /// `https://host/bucket/key`
    Path,
    /// `https://bucket.host/key`
    Host,
}

impl Addressing {
    const NAMES: [&str; 3] = ["auto", "path", "host"];

    fn of_name(name: &str) -> Option<Addressing> {
        let at = Addressing::NAMES.iter().position(|known| *known == name)?;
        Some([Addressing::Auto, Addressing::Path, Addressing::Host][at])
    }
}

/// What holds for every request of an instance.
pub struct Config {
    /// The kind of store that the rest is for.
    pub kind: Kind,
    /// `None`: the cloud's own.
    pub endpoint: Option<Url>,
    /// Of S3.
    pub region: String,
    /// Of S3.
    pub addressing: Addressing,
    /// Who we are.
    pub credentials: Credentials,
    /// Where connections may go.
    pub policy: Policy,
    /// Whom servers are trusted by.
    pub tls: Arc<Tls>,
    /// Connections that are kept open.
    pub connections: usize,
    /// How patient a request is.
    pub patience: Patience,
    /// For opens that give nothing else.
    pub tuning: Tuning,
}

/// How long a request may take, and how often it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// From a request to its answer.
    pub first_byte: Duration,
    /// Between two bytes.
    pub stall: Duration,
    /// Attempts after a failure.
    pub retries: usize,
    /// The pause before the second attempt.
    pub retry_delay: Duration,
    /// The longest one.
    pub retry_delay_max: Duration,
}

/// What an open may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes of a range or a part.
    pub part_size: usize,
    /// Of them at once.
    pub parallel: usize,
    /// Bytes of an object of known size that is sent as one request.
    pub put_size: usize,
}

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be. ENOENT, EACCES: a file that cannot be read.
    pub fn new(settings: &Settings) -> Result<Config> {
        let kind = settings.text("store").and_then(Kind::of_name).unwrap_or(Kind::S3);
        let time = |name: &str| settings.duration(name).unwrap_or_default();
        Ok(Config {
            kind,
            endpoint: settings.text("endpoint").map(endpoint).transpose()?,
            region: settings.text("region").map(region).transpose()?.unwrap_or_default(),
            addressing: settings.text("addressing").and_then(Addressing::of_name).unwrap_or(Addressing::Auto),
            credentials: Credentials::new(kind, settings)?,
            policy: Policy::new(settings)?,
            tls: Arc::new(Tls::new(settings, &[b"http/1.1"])?),
            connections: number(settings, "connections").unwrap_or_default(),
            patience: Patience {
                connect: time("connect-timeout"),
                first_byte: time("first-byte-timeout"),
                stall: time("stall-timeout"),
                retries: number(settings, "retries").unwrap_or_default(),
                retry_delay: time("retry-delay"),
                retry_delay_max: time("retry-delay-max"),
            },
            tuning: Tuning { part_size: 8 << 20, parallel: 4, put_size: 64 << 20 }.with(settings),
        })
    }
}

impl Tuning {
    /// Lays settings over these; what they don't say stays.
    #[must_use]
    pub fn with(self, settings: &Settings) -> Tuning {
        let size = |name: &str| settings.size(name).and_then(|size| usize::try_from(size).ok());
        Tuning {
            part_size: size("part-size").unwrap_or(self.part_size),
            put_size: size("put-size").unwrap_or(self.put_size),
            parallel: number(settings, "parallel").unwrap_or(self.parallel),
        }
    }
}

/// An integer; the schema bounds it.
fn number(settings: &Settings, name: &str) -> Option<usize> {
    settings.integer(name).and_then(|number| usize::try_from(number).ok())
}

/// A region, which becomes part of a host and of a field.
fn region(text: &str) -> Result<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match !text.is_empty() && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(Error::new(Code::EINVAL, "setting `region` must be letters, digits, `-` and `_`")),
    }
}

/// The URL of a store. It may hold what nobody is to see, so it is not repeated.
fn endpoint(text: &str) -> Result<Url> {
    let refuse = |why: &str| Error::new(Code::EINVAL, format!("setting `endpoint` {why}"));
    let url = Url::parse(text).map_err(|error| refuse("is not a URL").with_source(error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refuse("is not a URL of http or https"));
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(refuse("has a user, a query or a fragment: credentials are settings of their own"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Config::new(&Settings::check(&schema(), Scope::OPERATOR, &pairs)?)
    }

    #[test]
    fn defaults_are_those_of_the_schema() {
        let config = config(&[]).unwrap();
        assert_eq!((config.kind, config.addressing, config.endpoint), (Kind::S3, Addressing::Auto, None));
        assert_eq!(config.tuning, Tuning { part_size: 8 << 20, parallel: 4, put_size: 64 << 20 });
        assert_eq!((config.connections, config.patience.retries), (8, 5));
        assert_eq!(config.patience.first_byte, Duration::from_secs(60));
    }

    #[test]
    fn an_open_changes_what_it_gives_only() {
        let config = config(&[("part-size", "16m")]).unwrap();
        let open = [("parallel".to_owned(), "2".to_owned())];
        let open = Settings::check(&schema(), Scope::OPEN, &open).unwrap();
        assert_eq!(
            config.tuning.with(&open),
            Tuning { part_size: 16 << 20, parallel: 2, put_size: 64 << 20 }
        );
    }

    #[test]
    fn what_cannot_be_is_einval_and_names_the_setting() {
        for (name, text) in [
            ("store", "swift"),
            ("endpoint", "127.0.0.1:9000"),
            ("endpoint", "ftp://h"),
            ("endpoint", "https://u:s3cret@h"),
            ("endpoint", "https://h/?sig=s3cret"),
            ("addressing", "dns"),
            ("region", "eu/west"),
            ("part-size", "4m"),
            ("put-size", "5g"),
            ("parallel", "0"),
            ("stall-timeout", "0s"),
            ("retry-delay", "0s"),
            ("credentials", "file"),
        ] {
            let error = config(&[(name, text)]).err().unwrap();
            assert_eq!(error.code(), Code::EINVAL, "{name}: {error}");
            assert!(error.to_string().contains(name) && !error.chain().contains("s3cret"), "{name}: {error}");
        }
    }
}
