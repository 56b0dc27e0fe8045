//! Whom this side knows: names, keys, and where they are.

use ed25519_dalek::VerifyingKey;
use iroh::{EndpointAddr, PublicKey};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use vfs_core::{Code, Error, Result, Shown};

/// The peers of the setting `peers`.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// Several names may mean one peer.
    names: HashMap<String, PublicKey>,
    listed: HashMap<PublicKey, Listed>,
}

/// What is listed of one peer.
#[derive(Clone, Debug, Default)]
struct Listed {
    /// The first one.
    name: Option<String>,
    addresses: Vec<SocketAddr>,
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
    /// EINVAL: no such entry; a key that nobody can have; a name that means two keys.
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
            let key = key_of(key.trim()).map_err(&wrong)?;
            let listed = peers.listed.entry(key).or_default();
            for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
                let at: SocketAddr =
                    address.parse().map_err(|_| wrong("what follows `@` is address:port,..."))?;
                if !is_one_peer(at) {
                    return Err(wrong(
                        "an address is that of one machine, with the port where the peer listens",
                    ));
                }
                listed.addresses.push(at);
            }
            if let Some(name) = name {
                if name.is_empty() {
                    return Err(wrong("the name before `=` is empty"));
                }
                listed.name.get_or_insert_with(|| name.to_owned());
                if peers.names.insert(name.to_owned(), key).is_some_and(|other| other != key) {
                    return Err(wrong("the name has another key as well"));
                }
            }
        }
        Ok(peers)
    }

    /// Each key, once.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> {
        self.listed.keys().copied()
    }

    /// Where a peer is, as far as it is known.
    pub fn address(&self, key: PublicKey) -> EndpointAddr {
        let addresses = self.listed.get(&key).into_iter().flat_map(|listed| &listed.addresses);
        addresses.fold(EndpointAddr::new(key), |address, at| address.with_ip_addr(*at))
    }

    /// The peer that is called so, or has this key.
    pub fn find(&self, name: &str) -> Option<PublicKey> {
        let is_known = |key: &PublicKey| self.listed.contains_key(key);
        self.names.get(name).copied().or_else(|| name.parse().ok().filter(is_known))
    }

    /// The first name that the list gives to a key, if there is one.
    pub fn name(&self, key: PublicKey) -> Option<&str> {
        self.listed.get(&key)?.name.as_deref()
    }
}

/// The key of an entry, or why it is none.
fn key_of(text: &str) -> Result<PublicKey, &'static str> {
    if text.len() != 2 * PublicKey::LENGTH || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("the key is not 64 hexadecimal digits");
    }
    // Of a weak one nobody has the private part, and a handshake never succeeds.
    let key =
        text.to_ascii_lowercase().parse().ok().filter(|key: &PublicKey| {
            VerifyingKey::from_bytes(key.as_bytes()).is_ok_and(|key| !key.is_weak())
        });
    key.ok_or("no peer can have this key: copy what `zvfs cat p2p:` prints there")
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
        assert_eq!(peers.keys().count(), 2);
        let at = "an address is that of one machine";
        for (wrong, words) in [
            ("a=1".to_owned(), "64 hexadecimal digits"),
            // As it is announced, and not as it is listed.
            (format!("a={}", one.to_z32()), "64 hexadecimal digits"),
            (format!("={one}"), "the name before `=` is empty"),
            (format!("{one}@host:7"), "what follows `@`"),
            (format!("{one}@10.0.0.1"), "what follows `@`"),
            (format!("{one}@10.0.0.1:0"), at),
            (format!("{one}@0.0.0.0:7"), at),
            (format!("{one}@255.255.255.255:7"), at),
            (format!("{one}@224.0.0.1:7"), at),
            (format!("{one}@[::ffff:224.0.0.1]:7"), at),
            (format!("a={one}|a={other}"), "the name has another key as well"),
        ] {
            is_refused(&wrong, words);
        }
    }

    /// A handshake with such a key fails for ever, which looked like a peer that is not there.
    #[test]
    fn a_key_that_nobody_can_have_is_none() {
        // The neutral element, one of order 4 and one of order 8; digits that are no point.
        for key in [
            format!("01{}", "00".repeat(31)),
            "00".repeat(32),
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".to_owned(),
            format!("02{}", "00".repeat(31)),
        ] {
            is_refused(&format!("a={key}@10.0.0.1:7"), "no peer can have this key");
        }
    }

    #[test]
    fn a_peer_is_told_of_by_the_first_name_of_the_list() {
        let [one, other] = [1, 2].map(|seed| SecretKey::from_bytes(&[seed; 32]).public());
        let text = format!("{one}|z={one}|a={one}|{other}");
        let peers = Peers::new(text.split('|')).unwrap();
        assert_eq!((peers.name(one), peers.name(other)), (Some("z"), None));
        assert_eq!((peers.find("z"), peers.find("a")), (Some(one), Some(one)));
    }

    #[track_caller]
    fn is_refused(entries: &str, words: &str) {
        let error = Peers::new(entries.split('|')).unwrap_err();
        assert_eq!(error.code(), Code::EINVAL, "{entries}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
