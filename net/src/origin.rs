//! A server, as lists of hosts and pools of connections have it.

use std::fmt;
use std::net::IpAddr;
use url::{Host, Url};

/// Where connections go: two URLs of one origin may share them, and credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Over TLS or SSH: what is sent there, nobody on the way can read.
    pub secure: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// The server of a URL; `port` is that of its scheme, where `url` does not know it.
    pub fn of(url: &Url, secure: bool, port: u16) -> Origin {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        };
        Origin { secure, host, port: url.port_or_known_default().unwrap_or(port) }
    }

    /// The host, if it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Origin {
    /// `host:port`, as CONNECT and messages have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
