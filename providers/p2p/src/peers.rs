//! Whom this side knows: names, keys, and where they are.

use iroh::{EndpointAddr, PublicKey};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use vfs_core::{Code, Error, Result, Shown};

/// The peers of the setting `peers`.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// Several names may mean one peer.
    names: HashMap<String, PublicKey>,
    addresses: HashMap<PublicKey, Vec<SocketAddr>>,
}

/// Who may be the other end of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parties {
    /// This one.
    One(PublicKey),
    /// Whoever is known, this side included.
    Known,
}

impl Parties {
    /// Whether this key is one of them, of those that are known.
    pub fn contains(&self, key: PublicKey) -> bool {
        match self {
            Parties::One(only) => *only == key,
            Parties::Known => true,
        }
    }
}

impl Peers {
    /// Reads entries `[name=]key[@address:port,...]`.
    ///
    /// # Errors
    /// EINVAL: no such entry; a name that means two keys.
    pub fn new<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Peers> {
        let mut peers = Peers::default();
        for entry in entries {
            let wrong =
                |text: &str| Error::new(Code::EINVAL, format!("setting `peers`: `{}`: {text}", Shown(entry)));
            let (name, rest) = match entry.split_once('=') {
                Some((name, rest)) => (Some(name.trim()), rest),
                None => (None, entry),
            };
            let (key, addresses) = rest.split_once('@').unwrap_or((rest, ""));
            let key: PublicKey =
                key.trim().parse().map_err(|_| wrong("the key is not 64 hexadecimal digits"))?;
            let known = peers.addresses.entry(key).or_default();
            for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
                let at: SocketAddr =
                    address.parse().map_err(|_| wrong("what follows `@` is address:port,..."))?;
                if !is_one_peer(at) {
                    return Err(wrong(
                        "an address is that of one machine, with the port where the peer listens",
                    ));
                }
                known.push(at);
            }
            match name {
                Some("") => return Err(wrong("the name before `=` is empty")),
                Some(name) if peers.names.insert(name.to_owned(), key).is_some_and(|other| other != key) => {
                    return Err(wrong("the name has another key as well"));
                }
                _ => {}
            }
        }
        Ok(peers)
    }

    /// Each key, once.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> {
        self.addresses.keys().copied()
    }

    /// Where a peer is, as far as it is known.
    pub fn address(&self, key: PublicKey) -> EndpointAddr {
        let addresses = self.addresses.get(&key).into_iter().flatten();
        addresses.fold(EndpointAddr::new(key), |address, at| address.with_ip_addr(*at))
    }

    /// The peer that is called so, or has this key.
    pub fn find(&self, name: &str) -> Option<PublicKey> {
        let is_known = |key: &PublicKey| self.addresses.contains_key(key);
        self.names.get(name).copied().or_else(|| name.parse().ok().filter(is_known))
    }

    /// How a peer is told of: by its first name, or its key.
    pub fn name(&self, key: PublicKey) -> String {
        let names = self.names.iter().filter(|(_, other)| **other == key).map(|(name, _)| name);
        names.min().cloned().unwrap_or_else(|| key.fmt_short().to_string())
    }
}

/// Whether one peer can be at an address.
fn is_one_peer(at: SocketAddr) -> bool {
    let ip = at.ip().to_canonical();
    at.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && ip != Ipv4Addr::BROADCAST
}

#[cfg(test)]
mod tests {
    use super::*;
    use iroh::SecretKey;

    #[test]
    fn entries_name_keys_and_addresses() {
        let [one, other] = [1, 2].map(|seed| SecretKey::from_bytes(&[seed; 32]).public());
        let text = format!("a={one}@10.0.0.1:7,[::1]:8|b={one}|{other}");
        let peers = Peers::new(text.split('|')).unwrap();
        assert_eq!((peers.find("a"), peers.find("b")), (Some(one), Some(one)));
        assert_eq!((peers.find(&other.to_string()), peers.find("c")), (Some(other), None));
        let stranger = SecretKey::from_bytes(&[3; 32]).public();
        assert_eq!(peers.find(&stranger.to_string()), None);
        assert_eq!(peers.address(one).ip_addrs().count(), 2);
        assert_eq!(peers.name(one), "a");
        assert_eq!(peers.keys().count(), 2);
        for wrong in [
            "a=1".to_owned(),
            format!("={one}"),
            format!("{one}@host:7"),
            format!("{one}@10.0.0.1"),
            format!("{one}@10.0.0.1:0"),
            format!("{one}@0.0.0.0:7"),
            format!("{one}@255.255.255.255:7"),
            format!("{one}@224.0.0.1:7"),
            format!("{one}@[::ffff:224.0.0.1]:7"),
            format!("a={one}|a={other}"),
        ] {
            assert_eq!(Peers::new(wrong.split('|')).unwrap_err().code(), Code::EINVAL, "{wrong}");
        }
    }
}
