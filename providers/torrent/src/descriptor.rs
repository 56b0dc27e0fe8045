//! What a descriptor names: where a torrent's metadata comes from, and a path in it.

use librqbit::dht::Id20;
use std::str::FromStr;
use url::form_urlencoded;
use vfs_core::{Code, Error, Request, Result};

/// Trackers that are asked for one torrent; what names more wants to have them flooded.
pub const TRACKERS_MAX: usize = 32;

/// A torrent, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where its metadata comes from.
    pub source: Source,
    /// The path in the torrent, `/` between names; `None`: none is given.
    pub path: Option<String>,
}

/// Where a torrent's metadata comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A `.torrent`, behind this descriptor of another provider's.
    File(String),
    /// The torrent's peers.
    Magnet(Magnet),
}

/// What a magnet link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// The hash of the metadata.
    pub hash: Id20,
    /// URLs of trackers.
    pub trackers: Vec<String>,
}

impl Target {
    /// What a request is about.
    ///
    /// # Errors
    /// EINVAL: not in the grammar. ENOTSUP: a magnet link of version 2 alone.
    pub fn of(request: &Request<'_>) -> Result<Target> {
        Target::parse(request.scheme(), request.rest())
    }

    fn parse(scheme: &str, rest: &str) -> Result<Target> {
        let (source, path) = match rest.split_once('#') {
            Some((source, path)) => (source, Some(path.to_owned())),
            None => (rest, None),
        };
        let source = match (scheme, source) {
            ("magnet", query) => Source::Magnet(Magnet::parse(query)?),
            (_, "") => {
                return Err(Error::new(Code::EINVAL, "write torrent:DESCRIPTOR-OF-A-.torrent[#path]"));
            }
            (_, path) if path.starts_with('/') => Source::File(format!("file:{path}")),
            (_, descriptor) => Source::File(descriptor.to_owned()),
        };
        Ok(Target { source, path })
    }
}

impl Magnet {
    /// Takes the hash and the trackers; what else a link may say is not used.
    fn parse(query: &str) -> Result<Magnet> {
        let invalid = |why| Error::new(Code::EINVAL, why);
        let query = query.strip_prefix('?').ok_or_else(|| invalid("write magnet:?xt=urn:btih:HASH"))?;
        let (mut hash, mut has_version_2, mut trackers) = (None, false, Vec::new());
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "xt" => match value.strip_prefix("urn:btih:") {
                    Some(text) => hash = Some(parse_hash(text).ok_or_else(|| invalid("xt is no hash"))?),
                    None => has_version_2 |= value.starts_with("urn:btmh:"),
                },
                "tr" if trackers.len() < TRACKERS_MAX => trackers.push(value.into_owned()),
                _ => {}
            }
        }
        match hash {
            Some(hash) => Ok(Magnet { hash, trackers }),
            None if has_version_2 => {
                let text = "only a hash of version 2 (urn:btmh): give the torrent's urn:btih too";
                Err(Error::new(Code::ENOTSUP, text))
            }
            None => Err(invalid("no xt=urn:btih:HASH in the magnet link")),
        }
    }

    /// The link, as librqbit reads it.
    pub fn to_url(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.trackers.iter().map(|tracker| ("tr", tracker)));
        format!("magnet:?xt=urn:btih:{}&{}", self.hash.as_string(), query.finish())
    }
}

/// 40 hexadecimal digits, or 32 of base 32.
fn parse_hash(text: &str) -> Option<Id20> {
    let is_base_32 = || text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
    match text.len() {
        40 => Id20::from_str(text).ok(),
        32 if is_base_32() => Id20::from_str(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "cab507494d02ebb1178b38f2e9d7be299c86b862";

    fn file(descriptor: &str) -> Source {
        Source::File(descriptor.to_owned())
    }

    #[test]
    fn a_descriptor_is_a_torrent_and_a_path() {
        for (rest, source, path) in [
            ("/a/x.torrent", file("file:/a/x.torrent"), None),
            ("/a/x.torrent#b/c#d", file("file:/a/x.torrent"), Some("b/c#d")),
            ("https://h/x.torrent?a=b#", file("https://h/x.torrent?a=b"), Some("")),
            ("mem:x#y", file("mem:x"), Some("y")),
        ] {
            let path = path.map(str::to_owned);
            assert_eq!(Target::parse("torrent", rest).unwrap(), Target { source, path }, "{rest}");
        }
        for rest in ["", "#a"] {
            assert_eq!(Target::parse("torrent", rest).unwrap_err().code(), Code::EINVAL, "{rest}");
        }
    }

    #[test]
    fn a_magnet_link_is_a_hash_and_trackers() {
        let link = format!("?dn=x&so=0-4000000000&xt=urn:btih:{HASH}&tr=http%3A%2F%2Fh%2F%3Fa%3D1%26b%3D2#c");
        let Target { source: Source::Magnet(magnet), path } = Target::parse("magnet", &link).unwrap() else {
            panic!("not a magnet");
        };
        assert_eq!((magnet.hash.as_string(), path.as_deref()), (HASH.to_owned(), Some("c")));
        assert_eq!(magnet.trackers, ["http://h/?a=1&b=2"]);
        let again = magnet.to_url();
        assert_eq!(Magnet::parse(again.strip_prefix("magnet:").unwrap()).unwrap(), magnet);
    }

    #[test]
    fn hashes_in_base_32_are_the_same() {
        let base_32 = "ZK2QOSKNALV3CF4LHDZOTV56FGOINODC";
        assert_eq!(parse_hash(base_32), parse_hash(HASH));
        assert!(parse_hash(base_32).is_some());
    }

    #[test]
    fn what_is_no_magnet_link_is_refused() {
        for (link, code) in [
            ("", Code::EINVAL),
            ("?dn=x", Code::EINVAL),
            ("?xt=urn:btih:abc", Code::EINVAL),
            ("?xt=urn:btih:A=======A=======A=======A=======", Code::EINVAL),
            ("?xt=urn:btih:AAAAAAAAAAAAAAAAAAAAAAAAA=======", Code::EINVAL),
            ("?xt=urn:btmh:1220caf1", Code::ENOTSUP),
        ] {
            assert_eq!(Target::parse("magnet", link).unwrap_err().code(), code, "{link}");
        }
    }

    #[test]
    fn no_link_names_more_trackers_than_are_asked() {
        let link = format!("?xt=urn:btih:{HASH}{}", "&tr=http://h/".repeat(10_000));
        assert_eq!(Magnet::parse(&link).unwrap().trackers.len(), TRACKERS_MAX);
    }
}
