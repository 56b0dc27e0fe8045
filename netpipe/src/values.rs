//! The small values that frames carry: names, addresses, tokens, roles.

use crate::error::{Error, Result};
use std::fmt;

/// The most bytes of a name.
pub(crate) const NAME_MAX: usize = 255;
/// The most bytes of an address: a DNS name of 253, a colon, a port.
pub(crate) const ADDRESS_MAX: usize = 259;

/// A pipe's name: 1 to 255 bytes of UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// Empty, too long, or with a control character: [`Error::Invalid`].
    pub fn new(text: &str) -> Result<Name> {
        if text.is_empty() || text.len() > NAME_MAX {
            return Err(Error::Invalid(
                format!("a pipe's name has 1 to {NAME_MAX} bytes, not {}", text.len()).into(),
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::Invalid("a pipe's name has no control characters".into()));
        }
        Ok(Name(text.to_owned()))
    }

    /// The name of a direct pipe whose descriptor gives none: `-`.
    pub fn unnamed() -> Name {
        Name("-".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an instance accepts connections: `host:port`, at most 259 bytes; an IPv6 host stands in brackets, an empty one
/// means the address that the broker sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// Checks an address.
    ///
    /// # Errors
    /// Not `host:port` with a port from 1 to 65535, or too long: [`Error::Invalid`].
    pub fn new(text: &str) -> Result<Address> {
        let valid = text.len() <= ADDRESS_MAX
            && text.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && is_port(port));
        if !valid {
            return Err(Error::Invalid("an address is host:port, an IPv6 host in brackets".into()));
        }
        Ok(Address(text.to_owned()))
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, without brackets; empty: the address that the broker sees.
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|ip| {
            let ip = ip.split_once('%').map_or(ip, |(ip, _zone)| ip);
            ip.parse::<std::net::Ipv6Addr>().is_ok()
        }),
        None => host.bytes().all(|b| b.is_ascii_graphic() && !b":[]/@".contains(&b)),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// What a broker gives two opens so that they know each other. Whoever has it may take part: it is never printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 16]);

impl Token {
    /// Makes a new one of random bytes.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn random() -> Result<Token> {
        random().map(Token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

/// Which end of a pipe the sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// Reads.
    Reader = 1,
    /// Writes.
    Writer = 2,
}

impl Role {
    /// The other end.
    pub fn other(self) -> Role {
        match self {
            Role::Reader => Role::Writer,
            Role::Writer => Role::Reader,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Role> {
        match byte {
            1 => Some(Role::Reader),
            2 => Some(Role::Writer),
            _ => None,
        }
    }
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}
