//! The settings: their schema, and what an instance makes of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use vfs_core::{Code, Error, Result, Scope, Setting, SettingKind, Settings};

/// librqbit hands out requests of 16 KiB: a lower rate would never let one pass.
const RATE: std::ops::RangeInclusive<i64> = (64 << 10)..=(1 << 31);
/// Without a limit a torrent without peers would hold its reader for ever.
const TIME_LEAST: i64 = 1_000_000;
/// Connections for one torrent.
const PEERS_MAX: i64 = 1000;

/// What an operator, and each open, may set.
pub fn schema() -> Vec<Setting> {
    let switch = |name: &str, default: &str, help: &str| {
        Setting::new(name, SettingKind::Boolean, help).default_value(default)
    };
    vec![
        Setting::new("folder", SettingKind::Path, "where pieces are kept for later runs; default: temporary files without a name, gone with a torrent's last open file"),
        Setting::new("disk", SettingKind::Size, "the most bytes that pieces may take; kept torrents that nobody reads make room, the oldest first").default_value("16g"),
        Setting::new("peers", SettingKind::Text, "host:port of peers to ask for every torrent, besides those that are found").list(),
        Setting::new("peer-limit", SettingKind::Integer, "connections for one torrent").range(1..=PEERS_MAX).default_value("64"),
        switch("trackers", "true", "ask the trackers that a torrent names for peers; they learn this address and the torrent"),
        switch("dht", "false", "find peers through the DHT, a network of strangers: they learn this address and the torrent"),
        switch("lsd", "false", "find peers on the local network by multicast; all of it learns the torrent"),
        Setting::new("listen", SettingKind::Text, "address:port that accepts peers; default: none does"),
        switch("upload", "false", "give pieces of open torrents to peers"),
        Setting::new("upload-rate", SettingKind::Size, "bytes a second to all peers together; default: no limit").range(RATE),
        Setting::new("stall-timeout", SettingKind::Duration, "how long a read waits while not a byte of the torrent comes; for a magnet link also how long its metadata may take")
            .range(TIME_LEAST..)
            .default_value("5m")
            .scope(Scope::OPERATOR | Scope::OPEN),
        zvfs_runtime::threads(),
    ]
}

/// What holds for an instance.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where pieces are kept; `None`: nowhere.
    pub folder: Option<PathBuf>,
    /// Bytes that they may take.
    pub disk: u64,
    /// host:port.
    pub peers: Vec<String>,
    /// Connections for one torrent.
    pub peer_limit: usize,
    /// Whether trackers are asked.
    pub trackers: bool,
    /// Whether the DHT is.
    pub dht: bool,
    /// Whether the local network is.
    pub lsd: bool,
    /// Where peers are accepted.
    pub listen: Option<SocketAddr>,
    /// Whether they get pieces.
    pub upload: bool,
    /// Bytes a second.
    pub upload_rate: Option<NonZeroU32>,
    /// For opens that give no other.
    pub stall: Duration,
}

impl Config {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be. ENOTDIR: `folder` is none.
    pub fn new(settings: &Settings) -> Result<Config> {
        let folder = settings.path("folder").map(PathBuf::from);
        if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
            let text = format!("setting `folder`: {} is no folder: make it", folder.display());
            return Err(Error::new(Code::ENOTDIR, text));
        }
        let peers: Vec<String> = settings.texts("peers").map(str::to_owned).collect();
        if let Some(peer) = peers.iter().find(|peer| !is_host_and_port(peer)) {
            return Err(Error::new(Code::EINVAL, format!("setting `peers`: `{peer}` is not host:port")));
        }
        let config = Config {
            folder,
            disk: settings.size("disk").unwrap_or(16 << 30),
            peers,
            peer_limit: settings
                .integer("peer-limit")
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(64),
            trackers: settings.boolean("trackers"),
            dht: settings.boolean("dht"),
            lsd: settings.boolean("lsd"),
            listen: settings.text("listen").map(listen).transpose()?,
            upload: settings.boolean("upload"),
            upload_rate: settings
                .size("upload-rate")
                .and_then(|rate| u32::try_from(rate).ok()?.try_into().ok()),
            stall: stall(settings).unwrap_or(Duration::from_secs(300)),
        };
        match config.upload_rate {
            Some(_) if !config.upload => {
                Err(Error::new(Code::EINVAL, "setting `upload-rate` without `upload = true`"))
            }
            _ => Ok(config),
        }
    }
}

/// How long a read waits, if it is said.
pub fn stall(settings: &Settings) -> Option<Duration> {
    settings.duration("stall-timeout")
}

fn is_host_and_port(text: &str) -> bool {
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    text.rsplit_once(':').is_some_and(|(host, number)| !host.is_empty() && port(number))
}

/// `:port` is that port of every IPv4 address.
fn listen(text: &str) -> Result<SocketAddr> {
    let any = || Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, text.strip_prefix(':')?.parse().ok()?)));
    text.parse()
        .ok()
        .or_else(any)
        .ok_or_else(|| Error::new(Code::EINVAL, format!("setting `listen`: `{text}` is not address:port")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        let pairs: Vec<_> = pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        Config::new(&Settings::check(&schema(), Scope::OPERATOR, &pairs)?)
    }

    #[test]
    fn by_default_nobody_is_told_but_trackers() {
        let config = config(&[]).unwrap();
        assert!(config.trackers && !config.dht && !config.lsd && !config.upload && config.listen.is_none());
        assert_eq!((config.disk, config.peer_limit), (16 << 30, 64));
        assert_eq!(config.stall, Duration::from_secs(300));
    }

    #[test]
    fn what_cannot_be_names_the_setting() {
        for (name, text) in [
            ("folder", "/nonexistent"),
            ("peers", "nobody"),
            ("peers", ":1"),
            ("peers", "h:0"),
            ("listen", "here"),
            ("listen", "127.0.0.1"),
            ("peer-limit", "0"),
            ("upload-rate", "1k"),
            ("upload-rate", "1m"),
            ("stall-timeout", "0s"),
        ] {
            let error = config(&[(name, text)]).unwrap_err();
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn addresses_to_listen_at_are_whole_or_a_port() {
        let at = |text| config(&[("listen", text)]).unwrap().listen.unwrap().to_string();
        assert_eq!(at("127.0.0.1:7"), "127.0.0.1:7");
        assert_eq!(at("[::1]:7"), "[::1]:7");
        assert_eq!(at(":7"), "0.0.0.0:7");
    }
}
