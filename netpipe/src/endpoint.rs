//! Where a peer, a broker or a listener is: a host and a port, or for a broker somewhere on the local network.

use crate::error::{Error, Result};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The port of a broker that is named without one.
pub const BROKER_PORT: u16 = 9713;

/// The port of a NATS server that is named without one.
pub const NATS_PORT: u16 = 4222;

/// A host, by name or address, and a port. Two that are written alike are equal, whatever the case of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokerAt {
    /// Where somebody said that it is.
    Named(Endpoint),
    /// Somewhere on the local network, where it announces itself.
    Discovered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Host {
    Address(IpAddr),
    /// In lower case.
    Name(String),
}

impl Endpoint {
    /// Parses `host:port`, or `host` alone where there is a default. IPv6 addresses stand in brackets.
    ///
    /// # Errors
    /// [`Error::Invalid`]: it is neither. The text is not repeated: what stands before an `@` may be a password.
    pub fn parse(text: &str, default: Option<u16>) -> Result<Endpoint> {
        let wrong = || {
            Error::Invalid(match default {
                Some(_) => "not host[:port] (an IPv6 address stands in brackets)".into(),
                None => "not host:port (an IPv6 address stands in brackets)".into(),
            })
        };
        let end = if text.starts_with('[') { text.find(']').map_or(text.len(), |at| at + 1) } else { 0 };
        let (host, port) = match text[end..].split_once(':') {
            Some((rest, port)) => (&text[..end + rest.len()], parse_port(port).ok_or_else(wrong)?),
            None => (text, default.ok_or_else(wrong)?),
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => Host::Address(IpAddr::V6(address.parse().map_err(|_| wrong())?)),
            None => match host.parse() {
                Ok(address) => Host::Address(IpAddr::V4(address)),
                Err(_) if is_host_name(host) => Host::Name(host.to_ascii_lowercase()),
                Err(_) => return Err(wrong()),
            },
        };
        Ok(Endpoint { host, port })
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// The port; 0 where the default was 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with another port.
    pub fn with_port(&self, port: u16) -> Endpoint {
        Endpoint { host: self.host.clone(), port }
    }

    /// The address, if it needs no resolver.
    pub fn literal(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(address) => Some(SocketAddr::new(address, self.port)),
            Host::Name(_) => None,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint { host: Host::Address(address.ip()), port: address.port() }
    }
}

/// `host:port`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Behind the word `broker`.
impl fmt::Display for BrokerAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokerAt::Named(endpoint) => endpoint.fmt(f),
            BrokerAt::Discovered => f.write_str("on the local network"),
        }
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().filter(|port| *port != 0) } else { None }
}

/// Letters, digits, `-`, `.` and `_`, not beginning with `-`: what a resolver can be asked for.
fn is_host_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1:9713"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("Broker.example", "broker.example:9713"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]", "[::1]:9713"),
            ("node_1:65535", "node_1:65535"),
        ] {
            assert_eq!(Endpoint::parse(text, Some(BROKER_PORT)).unwrap().to_string(), shown);
        }
        let odd = [
            "", ":80", "a:", "a:0", "a:65536", "a:+1", "::1", "[::1", "[a]:1", "[::1]x:1", "a b:1", "-a:1",
            "a/b:1", "u:pw@h", "u@h:1",
        ];
        for text in odd {
            assert!(matches!(Endpoint::parse(text, Some(1)), Err(Error::Invalid(_))), "{text}");
        }
        assert!(Endpoint::parse("host", None).is_err());
    }
}
