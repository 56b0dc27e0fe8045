//! The descriptors of netpipes: which pipe is meant, and where its other end is.
//!
//! | Descriptor | |
//! |---|---|
//! | `tcp://host:port`, `tcp:host:port` | direct: the reader listens there, the writer dials; `?role=listen` or `connect` turns it round |
//! | `tcp://broker:port/name` | through a broker; the name as it stands, percent-decoded once |
//! | `netpipe:broker:port:name:mode` | read from the right: mode (`r`, `w`), name; what is left is the broker, or the configured one |
//! | `tcp:2:`, `tcp:2:0` | ZeroVM's: the node 2, as in `netpipe:2` |
//! | `opaque:broker\|name`, `opaque:broker\|>name` | read; write; the broker `local` is the configured one |
//! | `nats:name:mode`, `nats://server:port/name` | as `netpipe:` and `tcp://`; the broker is a NATS server |
//! | `p2p:name:mode`, `p2p:peer:name:mode`, `p2p://peer/name` | the same; instead of a broker a peer, by name or key, without a port |
//!
//! Each may end in `?key=value&...`: `mode`, `role`, and the settings that an open may give.
//!
//! What is dialled, what a pipe is called and what counts its ends take it from one [`Descriptor`]. An error says what is wrong
//! and repeats nothing of the text, where a secret may stand in the wrong place: the one form for messages is the host's.

use crate::endpoint::{BROKER_PORT, Endpoint, NATS_PORT};
use crate::error::{Error, Result};
use crate::values::{Name, Role};

/// The schemes whose descriptors these are: the back-ends' own names, and those that every back-end serves.
pub const SCHEMES: [&str; 5] = ["tcp", "nats", "p2p", "netpipe", "opaque"];

/// A descriptor, taken apart, without the settings that complete it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Where the other end is.
    pub location: Location,
    /// Which end this side is, if the descriptor says.
    pub role: Option<Role>,
    /// What else stood in the query: settings of this open, not checked yet.
    pub options: Vec<(String, String)>,
}

/// Where the other end of a pipe is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// At an address, or it comes to this one.
    Direct {
        /// Where one side listens, and the other dials.
        at: Endpoint,
        /// Whether this side listens; `None`: the reader does.
        listens: Option<bool>,
    },
    /// Through a broker.
    Broker {
        /// `None`: the one that the settings name.
        broker: Option<Endpoint>,
        /// The name as written, percent-decoded. Not empty.
        name: String,
        /// What the pipe's own name is made of.
        naming: Naming,
    },
}

/// How a written name becomes the pipe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// It is the whole name.
    Whole,
    /// It is a name within the job.
    InJob,
    /// It is a name within the job, or the peer's node where this side's is known.
    PeerOrName,
}

impl Descriptor {
    /// Takes apart what follows one of the [`SCHEMES`], in lower case, and its colon.
    ///
    /// # Errors
    /// [`Error::Invalid`]: none of the forms.
    pub fn parse(scheme: &str, rest: &str) -> Result<Descriptor> {
        let (body, query) = rest.split_once('?').unwrap_or((rest, ""));
        let hub = match scheme {
            "nats" => Hub { what: "the server", port: NATS_PORT },
            "p2p" => Hub { what: "the peer", ..BROKER },
            _ => BROKER,
        };
        let mut descriptor = match (scheme, body.strip_prefix("//")) {
            (_, Some(url)) => of_url(url, hub)?,
            ("tcp", None) => of_tcp(body)?,
            ("opaque", None) => of_opaque(body)?,
            _ => of_short(body, hub)?,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            descriptor.add(pair)?;
        }
        Ok(descriptor)
    }

    /// The pipe's name: `[job/]name`, or `[job/]writer>reader[/label]` where the nodes of both sides are known. `node` and `job`
    /// are this side's, where the descriptor gives no others.
    ///
    /// # Errors
    /// [`Error::Invalid`]: no pipe can be called so.
    pub fn name(&self, role: Role, node: Option<&str>, job: Option<&str>) -> Result<Name> {
        let Location::Broker { name, naming, .. } = &self.location else { return Ok(Name::unnamed()) };
        let name = match (naming, self.option("node").or(node)) {
            (Naming::PeerOrName, Some(node)) => between(role, node, name)?,
            _ => name.clone(),
        };
        match (naming, self.option("job").or(job)) {
            (Naming::InJob | Naming::PeerOrName, Some(job)) => Name::new(&format!("{job}/{name}")),
            _ => Name::new(&name),
        }
    }

    fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Takes a pair of the query.
    fn add(&mut self, pair: &str) -> Result<()> {
        let (key, value) = pair.split_once('=').ok_or(invalid("what follows `?` is key=value&..."))?;
        let value = decode(value)?;
        match (key, &mut self.location) {
            ("mode", _) => {
                let role = role_of(&value).ok_or(invalid("`mode` is `r` or `w`"))?;
                set(&mut self.role, role, "`mode` is given twice, and differs")
            }
            ("role", Location::Direct { listens, .. }) => match value.as_str() {
                "listen" | "connect" => set(listens, value == "listen", "`role` is given twice, and differs"),
                _ => Err(invalid("`role` is `listen` or `connect`")),
            },
            ("role", _) => Err(invalid("`role` is for direct pipes: behind a broker the reader listens")),
            ("broker", _) => Err(invalid("the broker stands before the name, not behind `?`")),
            _ => {
                self.options.push((key.to_owned(), value));
                Ok(())
            }
        }
    }
}

/// `host:port` or `broker[:port]/name`.
fn of_url(url: &str, hub: Hub) -> Result<Descriptor> {
    match url.split_once('/') {
        None | Some((_, "")) => direct(url.trim_end_matches('/')),
        Some((broker, name)) => {
            behind((!broker.is_empty()).then_some((broker, hub)), decode(name)?, Naming::Whole, None)
        }
    }
}

/// `host:port`, or ZeroVM's `2:` and `2:0`: the peer is a node, and where that is the network knows.
fn of_tcp(body: &str) -> Result<Descriptor> {
    match body.split_once(':') {
        Some((node, "" | "0")) if !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit()) => {
            behind(None, node.to_owned(), Naming::PeerOrName, None)
        }
        _ => direct(body),
    }
}

/// `broker|name`, `broker|>name`.
fn of_opaque(body: &str) -> Result<Descriptor> {
    let (broker, name) =
        body.split_once('|').ok_or(invalid("write opaque:broker|name, or |>name to write"))?;
    let (name, role) = match name.strip_prefix('>') {
        Some(name) => (name, Role::Writer),
        None => (name, Role::Reader),
    };
    let broker = (!matches!(broker, "" | "local")).then_some((broker, BROKER));
    behind(broker, name.to_owned(), Naming::InJob, Some(role))
}

/// `[broker:]name[:mode]`, read from the right: an address of a broker has colons too.
fn of_short(body: &str, hub: Hub) -> Result<Descriptor> {
    let (body, role) = match body.rsplit_once(':') {
        Some((before, last)) if role_of(last).is_some() => (before, role_of(last)),
        _ => (body, None),
    };
    let (broker, name) = match body.rsplit_once(':') {
        Some((broker, name)) => (Some((broker, hub)), name),
        None => (None, body),
    };
    behind(broker, decode(name)?, Naming::PeerOrName, role)
}

fn direct(at: &str) -> Result<Descriptor> {
    let location = Location::Direct { at: endpoint("the address", at, None)?, listens: None };
    Ok(Descriptor { location, role: None, options: Vec::new() })
}

/// What stands before a pipe's name: how it is called, and its port where it gives none.
#[derive(Clone, Copy)]
struct Hub {
    what: &'static str,
    port: u16,
}

const BROKER: Hub = Hub { what: "the broker", port: BROKER_PORT };

fn behind(
    broker: Option<(&str, Hub)>,
    name: String,
    naming: Naming,
    role: Option<Role>,
) -> Result<Descriptor> {
    if name.is_empty() {
        return Err(invalid("the pipe has no name"));
    }
    let broker = broker.map(|(text, hub)| endpoint(hub.what, text, Some(hub.port))).transpose()?;
    Ok(Descriptor { location: Location::Broker { broker, name, naming }, role, options: Vec::new() })
}

fn endpoint(what: &str, text: &str, default: Option<u16>) -> Result<Endpoint> {
    Endpoint::parse(text, default).map_err(|error| Error::Invalid(format!("{what} is {error}").into()))
}

/// `writer>reader[/label]` out of this side's node and `peer[/label]`.
fn between(role: Role, node: &str, peer: &str) -> Result<String> {
    let (peer, label) = peer.split_at(peer.find('/').unwrap_or(peer.len()));
    let is_node = |text: &str| !text.is_empty() && !text.contains(['/', '>']);
    if !is_node(node) {
        return Err(invalid("this side's `node` is empty, or has a `/` or `>`"));
    }
    if !is_node(peer) {
        return Err(invalid("the peer's node is empty, or has a `>`"));
    }
    let (writer, reader) = match role {
        Role::Reader => (peer, node),
        Role::Writer => (node, peer),
    };
    Ok(format!("{writer}>{reader}{label}"))
}

fn role_of(mode: &str) -> Option<Role> {
    match mode {
        "r" => Some(Role::Reader),
        "w" => Some(Role::Writer),
        _ => None,
    }
}

/// Notes what a descriptor may say once, or twice alike.
fn set<T: PartialEq>(slot: &mut Option<T>, value: T, differs: &'static str) -> Result<()> {
    if slot.as_ref().is_some_and(|earlier| *earlier != value) {
        return Err(invalid(differs));
    }
    *slot = Some(value);
    Ok(())
}

fn invalid(text: &'static str) -> Error {
    Error::Invalid(text.into())
}

/// Percent-decodes once: a name may hold what would end it.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => return Err(invalid("`%` is followed by two hexadecimal digits")),
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("percent-encoded bytes that are not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(descriptor: &str) -> Result<Descriptor> {
        let (scheme, rest) = descriptor.split_once(':').unwrap();
        Descriptor::parse(scheme, rest)
    }

    #[test]
    fn every_form() {
        use Naming::{InJob, PeerOrName, Whole};
        let (read, write) = (Some(Role::Reader), Some(Role::Writer));
        for (text, at, role) in [
            ("tcp://10.0.0.1:80", "10.0.0.1:80", None),
            ("tcp://[::1]:80/?mode=w", "[::1]:80", write),
            ("tcp:10.0.0.1:80", "10.0.0.1:80", None),
            ("tcp:2:80", "2:80", None),
        ] {
            let location = Location::Direct { at: Endpoint::parse(at, None).unwrap(), listens: None };
            assert_eq!(parsed(text).unwrap(), Descriptor { location, role, options: Vec::new() }, "{text}");
        }
        for (text, broker, name, naming, role) in [
            ("tcp://b:80/a%2fb/c?mode=r", "b:80", "a/b/c", Whole, read),
            ("netpipe://b/x?mode=r", "b", "x", Whole, read),
            ("tcp:///x?mode=r", "", "x", Whole, read),
            ("netpipe:192.168.0.1:2:w", "192.168.0.1", "2", PeerOrName, write),
            ("netpipe:192.168.0.1:80:2:r", "192.168.0.1:80", "2", PeerOrName, read),
            ("netpipe:[::1]:80:2:r", "[::1]:80", "2", PeerOrName, read),
            ("netpipe:[::1]:2:r", "[::1]", "2", PeerOrName, read),
            ("netpipe:2:w", "", "2", PeerOrName, write),
            ("netpipe:2/left:w", "", "2/left", PeerOrName, write),
            ("netpipe:2", "", "2", PeerOrName, None),
            ("netpipe:r:r", "", "r", PeerOrName, read),
            ("opaque:b:80|x", "b:80", "x", InJob, read),
            ("opaque:|>x", "", "x", InJob, write),
            ("opaque:local|>x", "", "x", InJob, write),
            ("tcp:2:", "", "2", PeerOrName, None),
            ("tcp:2:0", "", "2", PeerOrName, None),
            ("nats:2:w", "", "2", PeerOrName, write),
            ("nats:n:2:r", "n:4222", "2", PeerOrName, read),
            ("nats://n/x?mode=w", "n:4222", "x", Whole, write),
            ("nats://n:80/x", "n:80", "x", Whole, None),
            ("p2p:2:w", "", "2", PeerOrName, write),
            ("p2p:peer:2:r", "peer", "2", PeerOrName, read),
        ] {
            let broker = Endpoint::parse(broker, Some(BROKER_PORT)).ok();
            let location = Location::Broker { broker, name: name.to_owned(), naming };
            assert_eq!(parsed(text).unwrap(), Descriptor { location, role, options: Vec::new() }, "{text}");
        }
    }

    #[test]
    fn queries() {
        let both = parsed("netpipe:2:r?writers=3&mode=r&window=64k").unwrap();
        assert_eq!(both.options, [("writers".into(), "3".into()), ("window".into(), "64k".into())]);
        let listening = parsed("tcp:h:1?role=listen").unwrap().location;
        assert!(matches!(listening, Location::Direct { listens: Some(true), .. }));
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
            "opaque:|",
            "netpipe:",
            "netpipe::2",
            "netpipe:::1:2:r",
            "tcp://b/%ff",
        ];
        for text in odd {
            assert!(parsed(text).is_err(), "{text}");
        }
        for (text, what) in [("netpipe", "the broker"), ("nats", "the server"), ("p2p", "the peer")] {
            let error = parsed(&format!("{text}:u:S3CRET@h:1:x:r")).unwrap_err().to_string();
            assert!(error.starts_with(what) && !error.contains("S3CRET"), "{error}");
        }
    }

    #[test]
    fn both_ends_of_a_short_form_find_the_same_name() {
        use Role::{Reader, Writer};
        for (text, role, node, job, name) in [
            ("netpipe:2", Writer, Some("1"), Some("j"), "j/1>2"),
            ("netpipe:1", Reader, Some("2"), Some("j"), "j/1>2"),
            ("netpipe:1?node=2&job=j", Reader, Some("9"), Some("k"), "j/1>2"),
            ("netpipe:2/left", Writer, Some("1"), Some("j"), "j/1>2/left"),
            ("netpipe:x", Writer, None, Some("j"), "j/x"),
            ("netpipe:x", Reader, None, None, "x"),
            ("opaque:|x", Reader, Some("2"), Some("j"), "j/x"),
            ("tcp:///j/1>2", Reader, Some("2"), Some("k"), "j/1>2"),
        ] {
            assert_eq!(parsed(text).unwrap().name(role, node, job).unwrap().as_str(), name, "{text}");
        }
        for (text, node) in
            [("netpipe:2>3", "1"), ("netpipe:/left", "1"), ("netpipe:2", "a/b"), ("netpipe:2", "")]
        {
            assert!(parsed(text).unwrap().name(Reader, Some(node), None).is_err(), "{text} {node:?}");
        }
    }
}
