//! What a descriptor says: every form of it (the crate's page lists them), without the settings that complete it.

use crate::endpoint::{self, BROKER_PORT, Endpoint};
use std::borrow::Cow;
use vfs_core::{Code, Error, Request, Result};

/// Which way a pipe goes, as this side sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This side reads.
    Read,
    /// This side writes.
    Write,
}

/// Who waits for whom on a direct pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side listens.
    Listen,
    /// This side dials.
    Connect,
}

/// Where the other end is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address, or it comes to this one.
    Direct(Endpoint),
    /// Through a broker; `None`: the one that the settings name.
    Broker(Option<Endpoint>),
}

/// What name the pipe has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// None: a direct pipe is its address.
    None,
    /// The whole name.
    Whole(String),
    /// A name within the job.
    InJob(String),
    /// A name within the job, or the peer's node where this side's is known.
    PeerOrName(String),
}

/// A descriptor, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Where the other end is.
    pub place: Place,
    /// The name.
    pub label: Label,
    /// The direction, if the descriptor says.
    pub mode: Option<Mode>,
    /// The role, if the descriptor says.
    pub role: Option<Role>,
    /// What else stood in the query, to be checked as settings.
    pub options: Vec<(String, String)>,
}

/// Takes a request's descriptor apart.
///
/// # Errors
/// EINVAL: none of the forms.
pub fn parse(request: &Request<'_>) -> Result<Parsed> {
    parse_parts(request.scheme(), request.rest())
        .map_err(|text| Error::new(Code::EINVAL, format!("open {}: {text}", request.shown())))
}

type Outcome<T> = std::result::Result<T, Cow<'static, str>>;

fn parse_parts(scheme: &str, rest: &str) -> Outcome<Parsed> {
    let (body, query) = match rest.split_once('?') {
        Some((body, query)) => (body, Some(query)),
        None => (rest, None),
    };
    let mut parsed = match (scheme, body.strip_prefix("//")) {
        (_, Some(url)) => of_url(url)?,
        ("tcp", None) => match node_id(body) {
            Some(node) => plain(Place::Broker(None), Label::PeerOrName(node.to_owned()), None),
            None => direct(body)?,
        },
        ("opaque", None) => of_opaque(body)?,
        _ => of_short(body)?,
    };
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err("what follows `?` is key=value&...".into());
        };
        let value = decode(value)?;
        match key {
            "mode" => set(&mut parsed.mode, "mode", mode_of(&value).ok_or("`mode` is `r` or `w`")?)?,
            "role" => {
                set(&mut parsed.role, "role", role_of(&value).ok_or("`role` is `listen` or `connect`")?)?
            }
            "broker" => return Err("the broker stands before the name, not behind `?`".into()),
            _ => parsed.options.push((key.to_owned(), value)),
        }
    }
    if parsed.role.is_some() && matches!(parsed.place, Place::Broker(_)) {
        return Err("`role` is for direct pipes: behind a broker the reader listens".into());
    }
    Ok(parsed)
}

/// Notes what a descriptor may say once, or twice alike.
fn set<T: PartialEq>(slot: &mut Option<T>, what: &str, value: T) -> Outcome<()> {
    match slot {
        Some(earlier) if *earlier != value => Err(format!("`{what}` is given twice, and differs").into()),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn plain(place: Place, label: Label, mode: Option<Mode>) -> Parsed {
    Parsed { place, label, mode, role: None, options: Vec::new() }
}

/// `host:port` or `broker[:port]/name`.
fn of_url(url: &str) -> Outcome<Parsed> {
    match url.split_once('/') {
        None | Some((_, "")) => direct(url.trim_end_matches('/')),
        Some((broker, name)) => {
            let broker = (!broker.is_empty()).then(|| endpoint(broker, Some(BROKER_PORT))).transpose()?;
            Ok(plain(Place::Broker(broker), Label::Whole(decode(name)?), None))
        }
    }
}

fn direct(text: &str) -> Outcome<Parsed> {
    Ok(plain(Place::Direct(endpoint(text, None)?), Label::None, None))
}

/// ZeroVM's `tcp:2:` and `tcp:2:0`: the peer is a node, and where that is the network knows.
fn node_id(body: &str) -> Option<&str> {
    let (node, port) = body.split_once(':')?;
    let is_id = !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit());
    (is_id && matches!(port, "" | "0")).then_some(node)
}

/// `broker|name`, `broker|>name`; the broker `local`, as ZeroVM has it, is the one that the settings name.
fn of_opaque(body: &str) -> Outcome<Parsed> {
    let (broker, name) = body.split_once('|').ok_or("write opaque:broker|name, or |>name to write")?;
    let broker =
        (!matches!(broker, "" | "local")).then(|| endpoint(broker, Some(BROKER_PORT))).transpose()?;
    let (name, mode) = match name.strip_prefix('>') {
        Some(name) => (name, Mode::Write),
        None => (name, Mode::Read),
    };
    Ok(plain(Place::Broker(broker), Label::InJob(name.to_owned()), Some(mode)))
}

/// `[broker:]name[:mode]`.
fn of_short(body: &str) -> Outcome<Parsed> {
    let (body, mode) = match body.rsplit_once(':') {
        Some((before, last)) if mode_of(last).is_some() => (before, mode_of(last)),
        _ => (body, None),
    };
    let (broker, name) = match body.rsplit_once(':') {
        Some((broker, name)) => (Some(endpoint(broker, Some(BROKER_PORT))?), name),
        None => (None, body),
    };
    Ok(plain(Place::Broker(broker), Label::PeerOrName(decode(name)?), mode))
}

fn mode_of(text: &str) -> Option<Mode> {
    match text {
        "r" => Some(Mode::Read),
        "w" => Some(Mode::Write),
        _ => None,
    }
}

fn role_of(text: &str) -> Option<Role> {
    match text {
        "listen" => Some(Role::Listen),
        "connect" => Some(Role::Connect),
        _ => None,
    }
}

fn endpoint(text: &str, default: Option<u16>) -> Outcome<Endpoint> {
    endpoint::parse(text, default).map_err(|error| error.to_string().into())
}

/// Percent-decodes once: a name may hold what would end it.
fn decode(text: &str) -> Outcome<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => return Err("`%` is followed by two hexadecimal digits".into()),
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| "percent-encoded bytes that are not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Endpoint {
        Endpoint::parse(text, Some(BROKER_PORT)).unwrap()
    }

    fn parsed(descriptor: &str) -> Outcome<Parsed> {
        let (scheme, rest) = descriptor.split_once(':').unwrap();
        parse_parts(scheme, rest)
    }

    #[test]
    fn every_form() {
        use Mode::{Read, Write};
        let broker = |text| Place::Broker(Some(at(text)));
        let peer = |text: &str| Label::PeerOrName(text.to_owned());
        let whole = |text: &str| Label::Whole(text.to_owned());
        for (text, place, label, mode) in [
            ("tcp://10.0.0.1:80", Place::Direct(at("10.0.0.1:80")), Label::None, None),
            ("tcp://[::1]:80/?mode=w", Place::Direct(at("[::1]:80")), Label::None, Some(Write)),
            ("tcp:10.0.0.1:80", Place::Direct(at("10.0.0.1:80")), Label::None, None),
            ("tcp://b:80/a%2fb/c?mode=r", broker("b:80"), whole("a/b/c"), Some(Read)),
            ("netpipe://b/x?mode=r", broker("b"), whole("x"), Some(Read)),
            ("tcp:///x?mode=r", Place::Broker(None), whole("x"), Some(Read)),
            ("netpipe:192.168.0.1:2:w", broker("192.168.0.1"), peer("2"), Some(Write)),
            ("netpipe:192.168.0.1:80:2:r", broker("192.168.0.1:80"), peer("2"), Some(Read)),
            ("netpipe:[::1]:80:2:r", broker("[::1]:80"), peer("2"), Some(Read)),
            ("netpipe:[::1]:2:r", broker("[::1]"), peer("2"), Some(Read)),
            ("netpipe:2:w", Place::Broker(None), peer("2"), Some(Write)),
            ("netpipe:2/left:w", Place::Broker(None), peer("2/left"), Some(Write)),
            ("netpipe:2", Place::Broker(None), peer("2"), None),
            ("netpipe:r:r", Place::Broker(None), peer("r"), Some(Read)),
            ("opaque:b:80|x", broker("b:80"), Label::InJob("x".into()), Some(Read)),
            ("opaque:|>x", Place::Broker(None), Label::InJob("x".into()), Some(Write)),
            ("opaque:local|>x", Place::Broker(None), Label::InJob("x".into()), Some(Write)),
            ("tcp:2:", Place::Broker(None), peer("2"), None),
            ("tcp:2:0", Place::Broker(None), peer("2"), None),
        ] {
            let wanted = plain(place, label, mode);
            assert_eq!(parsed(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn queries() {
        let both = parsed("netpipe:2:r?writers=3&mode=r&window=64k").unwrap();
        assert_eq!(both.options, [("writers".into(), "3".into()), ("window".into(), "64k".into())]);
        assert_eq!(parsed("tcp:h:1?role=listen").unwrap().role, Some(Role::Listen));
        let odd = [
            "netpipe:2:r?mode=w",
            "netpipe:2:r?x",
            "netpipe:2?mode=x",
            "netpipe:2:r?broker=b",
            "netpipe:2?role=listen",
            "tcp:h:1?role=x",
            "tcp:h:1?x=%z",
            "tcp:h",
            "tcp:h:0",
            "tcp:h:",
            "tcp://",
            "tcp:",
            "opaque:x",
            "netpipe:::1:2:r",
            "tcp://b/%ff",
        ];
        for text in odd {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
