//! Where connections may go: which hosts, and which addresses. A name proves nothing, so the address that is about to be
//! dialled is what is looked at, after each look-up and each redirect.

use crate::failure::{Attempt, Failure};
use crate::hosts::{Hosts, within};
use crate::target::Origin;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vfs_core::{Code, Error, Result};

/// Where connections may go.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Empty: everywhere.
    pub hosts: Hosts,
    /// Which addresses.
    pub addresses: Addresses,
}

/// Which addresses may be dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// All but link-local ones and those at which clouds serve their machines' secrets.
    #[default]
    NoLinkLocal,
    /// Those of the public internet.
    Public,
    /// All.
    Any,
}

impl Addresses {
    /// Reads the setting.
    ///
    /// # Errors
    /// EINVAL: not one of the three words.
    pub fn parse(text: &str) -> Result<Addresses> {
        match text {
            "no-link-local" => Ok(Addresses::NoLinkLocal),
            "public" => Ok(Addresses::Public),
            "any" => Ok(Addresses::Any),
            _ => {
                let text = "setting `addresses` is not `no-link-local`, `public` or `any`";
                Err(Error::new(Code::EINVAL, text))
            }
        }
    }

    fn allows(self, address: IpAddr) -> bool {
        match self {
            Addresses::Any => true,
            Addresses::NoLinkLocal => !is_link_local(inner(address)),
            Addresses::Public => is_public(address) && is_public(inner(address)),
        }
    }
}

impl Policy {
    /// Looks at a host before it is looked up.
    ///
    /// # Errors
    /// EACCES: it is not in the list.
    pub fn host(&self, origin: &Origin) -> Attempt<()> {
        if self.hosts.is_empty() || self.hosts.contains(origin) {
            return Ok(());
        }
        let text = format!("{origin} is not in the operator's `allowed-hosts`");
        Err(Failure::new(Code::EACCES, text))
    }

    /// Looks at an address that is about to be dialled.
    ///
    /// # Errors
    /// EACCES: it is of a kind that may not be.
    pub fn address(&self, address: IpAddr) -> Attempt<()> {
        if self.addresses.allows(address) {
            return Ok(());
        }
        let why = match self.addresses {
            Addresses::Public => "is not a public address, and the operator's `addresses` allows no other",
            _ => "is a link-local or metadata address, which the operator's `addresses` does not allow",
        };
        Err(Failure::new(Code::EACCES, format!("{address} {why}")))
    }
}

/// The address of version 4 inside one of version 6, where the network, or a translator in it, would take it out: mapped,
/// compatible, NAT64 (RFC 6052, and RFC 8215 for a network's own), 6to4 (RFC 3056).
fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match six.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, .., high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// Metadata services that do not live at a link-local address: AWS and Google by version 6, Alibaba, Oracle.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

fn is_link_local(address: IpAddr) -> bool {
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}

/// What IANA's registries of special-purpose addresses mark as not globally reachable, and multicast.
const NOT_PUBLIC_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => !NOT_PUBLIC_V4.iter().any(|(net, bits)| within(address, IpAddr::V4(*net), *bits)),
        IpAddr::V6(six) => match six.segments() {
            // An address of version 4 in disguise is judged by that.
            [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => true,
            // Documentation, Teredo and the rest of IETF's own, ORCHID.
            [0x2001, 0x0db8, ..] | [0x2001, 0..=0x01ff, ..] | [0x3fff, 0..=0x0fff, ..] => false,
            // All that has been given out as global unicast lies here.
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(addresses: Addresses, text: &str) -> bool {
        Policy { addresses, ..Policy::default() }.address(text.parse().unwrap()).is_ok()
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_disguise() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:2:3:4:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "192.0.0.192",
        ] {
            assert!(!allowed(Addresses::NoLinkLocal, text), "{text}");
            assert!(!allowed(Addresses::Public, text), "{text}");
            assert!(allowed(Addresses::Any, text), "{text}");
        }
    }

    #[test]
    fn private_addresses_are_allowed_unless_only_public_ones_are() {
        for text in [
            "127.0.0.1",
            "::1",
            "::",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "224.0.0.1",
            "255.255.255.255",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(allowed(Addresses::NoLinkLocal, text), "{text}");
            assert!(!allowed(Addresses::Public, text), "{text}");
        }
        for text in ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "172.32.0.1"] {
            assert!(allowed(Addresses::Public, text), "{text}");
        }
    }

    #[test]
    fn a_host_that_is_not_listed_is_refused() {
        let hosts = Hosts::parse("allowed-hosts", ["a.example"].into_iter()).unwrap();
        let policy = Policy { hosts, ..Policy::default() };
        let origin = |host: &str| Origin { secure: true, host: host.to_owned(), port: 443 };
        assert!(policy.host(&origin("a.example")).is_ok());
        let failure = policy.host(&origin("b.example")).unwrap_err();
        assert_eq!(failure.code, Code::EACCES);
        assert!(failure.text.contains("allowed-hosts"), "{}", failure.text);
    }
}
