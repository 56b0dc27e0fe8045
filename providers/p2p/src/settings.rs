//! The settings: their schema, and what an instance makes of them.

use crate::key;
use crate::peers::Peers;
use iroh::{RelayUrl, SecretKey};
use netpipe::provider;
use netpipe::same_host::SameHost;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;
use vfs_core::{Code, Error, Result, Setting, SettingKind, Settings, Shown};

/// A busy machine must not be taken for a lost one; iroh gives up a path after 15 s at the latest.
const PEER_TIMEOUT: RangeInclusive<i64> = 1_000_000_000..=15_000_000_000;

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let text = |name: &str, help: &str| Setting::new(name, SettingKind::Text, help);
    let mut schema = vec![
        Setting::new(
            "key-file",
            SettingKind::Path,
            "this side's private key, readable by its owner only; made there at the first use, with the public key beside it in `<key-file>.pub`; default: a new key for each instance",
        ),
        text(
            "peers",
            "`[name=]key[@address:port,...]` of each peer that may be the other end of a pipe: a name is a node's, or for descriptors; nobody else is served",
        )
        .list(),
        text(
            "listen",
            "address:port of the UDP socket, one of IPv4 and one of IPv6; default: any port of 127.0.0.1, which reaches this machine only",
        )
        .list(),
        text(
            "relays",
            "URL, https://host[:port], of each relay through which peers may meet that do not reach each other; its operator learns who meets whom",
        )
        .list(),
        Setting::new(
            "discover",
            SettingKind::Boolean,
            "this side announces its key and its address on the local network, and asks there for peers",
        )
        .default_value("false"),
        Setting::new(
            "peer-timeout",
            SettingKind::Duration,
            "how long a peer may not be heard of, be it its process, its machine or the network, before its pipes break",
        )
        .range(PEER_TIMEOUT)
        .default_value("15s"),
        provider::window_setting(),
    ];
    schema.extend(provider::settings());
    schema.extend(provider::same_host_settings());
    schema.push(zvfs_runtime::threads());
    schema
}

/// What holds for every pipe of an instance.
#[derive(Debug)]
pub struct Config {
    /// This side's.
    pub key: SecretKey,
    /// Whom it serves.
    pub peers: Peers,
    /// At most one of each family, one at least.
    pub listen: Vec<SocketAddr>,
    /// Where peers meet that do not reach each other.
    pub relays: Vec<RelayUrl>,
    /// Peers of the local network find each other.
    pub discover: bool,
    /// After this much silence a peer is lost.
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

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be. What is wrong with the file of the key.
    pub fn new(settings: &Settings) -> Result<Config> {
        let key = match settings.text("key-file") {
            Some(path) => key::load(Path::new(path)).map_err(|error| error.context("setting `key-file`"))?,
            None => SecretKey::generate(),
        };
        let (listen, discover) = (listen(settings)?, settings.boolean("discover"));
        if discover && listen.iter().all(|at| at.ip().is_loopback()) {
            return Err(invalid(
                "discover",
                "for what other machines reach: set `listen` too, 0.0.0.0:0 for example",
            ));
        }
        Ok(Config {
            key,
            peers: Peers::new(settings.texts("peers"))?,
            listen,
            relays: settings.texts("relays").map(relay).collect::<Result<_>>()?,
            discover,
            peer_timeout: settings.duration("peer-timeout").unwrap_or(Duration::from_secs(15)),
            window: provider::window(settings).unwrap_or(1 << 20),
            job: settings.text("job").map(str::to_owned),
            same_host: provider::same_host(settings)?,
            settings: settings.clone(),
        })
    }
}

fn listen(settings: &Settings) -> Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for text in settings.texts("listen") {
        let address: SocketAddr = text.parse().map_err(|_| {
            let text = format!("setting `listen`: `{}` is not address:port", Shown(text));
            Error::new(Code::EINVAL, text)
        })?;
        if addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            return Err(invalid("listen", "at most one address of IPv4 and one of IPv6"));
        }
        addresses.push(address);
    }
    if addresses.is_empty() {
        addresses.push((Ipv4Addr::LOCALHOST, 0).into());
    }
    Ok(addresses)
}

fn relay(text: &str) -> Result<RelayUrl> {
    let url = text.parse().ok().filter(|url: &RelayUrl| matches!(url.scheme(), "https" | "http"));
    url.ok_or_else(|| {
        let text = format!("setting `relays`: `{}` is not https://host[:port]", Shown(text));
        Error::new(Code::EINVAL, text)
    })
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
    fn without_settings_nothing_leaves_the_machine() {
        let config = config(&[]).unwrap();
        assert!(config.listen.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(config.peers.keys().count(), 0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for written in [
            &[("listen", "host:7")][..],
            &[("listen", "127.0.0.1:0"), ("listen", "0.0.0.0:7")],
            &[("peers", "a=b")],
            &[("discover", "true")],
            &[("discover", "true"), ("listen", "127.0.0.1:7")],
            &[("peer-timeout", "10ms")],
            &[("peer-timeout", "1m")],
            &[("key-file", "key")],
            &[("addresses", "public")],
            &[("allowed-hosts", "a")],
        ] {
            assert_eq!(config(written).unwrap_err().code(), Code::EINVAL, "{written:?}");
        }
        assert_eq!(config(&[("listen", "127.0.0.1:7"), ("listen", "[::1]:7")]).unwrap().listen.len(), 2);
    }
}
