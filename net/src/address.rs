//! Which addresses may be dialled, in whatever disguise they come.

use crate::failure::{Attempt, Failure};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vfs_core::Code;

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
    /// The words of the setting.
    pub const NAMES: [&str; 3] = ["no-link-local", "public", "any"];

    /// What a word of the setting says; `None`: it is none.
    pub fn of_name(name: &str) -> Option<Addresses> {
        let at = Addresses::NAMES.iter().position(|known| *known == name)?;
        Some([Addresses::NoLinkLocal, Addresses::Public, Addresses::Any][at])
    }

    /// Looks at an address that is about to be dialled.
    ///
    /// # Errors
    /// EACCES: it is of a kind that may not be.
    pub fn check(self, address: IpAddr) -> Attempt<()> {
        if self.allows(address) {
            return Ok(());
        }
        let why = match is_close(address) {
            true => "is a link-local or metadata address, which the operator's `addresses` does not allow",
            false => "is not a public address, and the operator's `addresses` allows no other",
        };
        Err(Failure::new(Code::EACCES, format!("{address} {why}")))
    }

    fn allows(self, address: IpAddr) -> bool {
        match self {
            Addresses::Any => true,
            Addresses::NoLinkLocal => !is_close(address),
            Addresses::Public => is_public(address) && !is_close(address),
        }
    }
}

/// Whether an address lies in a net; `::ffff:a.b.c.d` counts as a.b.c.d.
pub fn within(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    let differ = match (address.to_canonical(), net) {
        (IpAddr::V4(address), IpAddr::V4(net)) => {
            u128::from(u32::from(address) ^ u32::from(net)).checked_shr(32 - u32::from(bits))
        }
        (IpAddr::V6(address), IpAddr::V6(net)) => {
            (u128::from(address) ^ u128::from(net)).checked_shr(128 - u32::from(bits))
        }
        _ => return false,
    };
    differ.unwrap_or(0) == 0
}

/// The address itself, and those of version 4 inside it that the network, or a translator in it, would take out.
fn meanings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let inner = match address {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(six) => inner(six),
    };
    std::iter::once(address).chain(inner.into_iter().map(IpAddr::V4))
}

/// The addresses of version 4 inside one of version 6: mapped, compatible, translated (RFC 7915), NAT64 (RFC 6052), 6to4
/// (RFC 3056), Teredo (RFC 4380: server and client) and ISATAP (RFC 5214).
fn inner(six: Ipv6Addr) -> Vec<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match six.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => vec![v4(high, low)],
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => vec![v4(high, low)],
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => vec![v4(high, low)],
        // A network's own translator (RFC 8215): which length it took, nobody outside knows.
        [0x64, 0xff9b, 1, ..] => translated(six).to_vec(),
        [0x2002, high, low, ..] => vec![v4(high, low)],
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            vec![v4(high, low), v4(!client_high, !client_low)]
        }
        [.., 0 | 0x0200, 0x5efe, high, low] => vec![v4(high, low)],
        _ => Vec::new(),
    }
}

/// What stands at each place where RFC 6052, section 2.2, puts an address of version 4: behind prefixes of 32, 40, 48, 56, 64
/// and 96 bits, bits 64 to 71 left out.
fn translated(six: Ipv6Addr) -> [Ipv4Addr; 6] {
    let octets = six.octets();
    [[4, 5, 6, 7], [5, 6, 7, 9], [6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]]
        .map(|places| Ipv4Addr::from(places.map(|at| octets[at])))
}

/// Where clouds serve their machines' secrets, beside the link-local addresses: Alibaba, Oracle, Azure; AWS, Google, Oracle
/// and Scaleway by version 6, with the nets that the first two keep for it.
const METADATA: [(IpAddr, u8); 7] = [
    (IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), 32),
    (IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)), 32),
    (IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), 32),
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0)), 32),
    (IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0)), 32),
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)), 128),
];

/// The one that all other clouds share.
const METADATA_LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

fn is_metadata(address: IpAddr) -> bool {
    METADATA.iter().any(|(net, bits)| within(address, *net, *bits))
}

/// Whether an address is a link-local one or a metadata service's.
///
/// The prefix of a network's own NAT64 is any, so that an address that holds a metadata service's where RFC 6052 would put it
/// is taken for that: a chance likeness is rarer than one in 2^27.
fn is_close(address: IpAddr) -> bool {
    let is_local = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let holds_metadata = |six: Ipv6Addr| {
        let found = translated(six);
        found.iter().any(|four| *four == METADATA_LINK_LOCAL || is_metadata(IpAddr::V4(*four)))
    };
    meanings(address).any(|address| is_local(address) || is_metadata(address))
        || matches!(address, IpAddr::V6(six) if holds_metadata(six))
}

/// IANA's registry of special-purpose addresses of version 4, as far as they are not globally reachable, and multicast.
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

/// Whether an address is one of the public internet's, and what it holds too.
fn is_public(address: IpAddr) -> bool {
    meanings(address).all(|address| match address {
        IpAddr::V4(_) => !NOT_PUBLIC_V4.iter().any(|(net, bits)| within(address, IpAddr::V4(*net), *bits)),
        IpAddr::V6(six) => match six.segments() {
            // Judged by what it holds.
            [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => true,
            // Documentation, Teredo and the rest of IETF's own, ORCHID.
            [0x2001, 0x0db8, ..] | [0x2001, 0..=0x01ff, ..] | [0x3fff, 0..=0x0fff, ..] => false,
            // All that has been given out as global unicast lies here.
            [first, ..] => first & 0xe000 == 0x2000,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(addresses: Addresses, text: &str) -> bool {
        addresses.check(text.parse().unwrap()).is_ok()
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
            "fd00:ec2::23",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "::ffff:0:169.254.169.254",
            // Behind each prefix of RFC 6052 that a network may have chosen for itself.
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            "64:ff9b:1:2:3:4:168.63.129.16",
            "2a00:1:a9fe:a9fe::",
            "2a00:1:aaa9:fea9:fe::",
            "2a00:1:2:a9fe:a9:fe00::",
            "2a00:1:2:3:a9:fea9:fe00:0",
            "2a00:1:2:3:4:5:169.254.169.254",
            // Teredo, by its client (every bit turned over) and by its server.
            "2001:0:808:808:0:1234:5601:5601",
            "2001:0:a9fe:a9fe:0:1234:f7f7:f7f7",
            // ISATAP.
            "2a00:1::5efe:169.254.1.1",
            "2a00:1::200:5efe:169.254.1.1",
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
            "100::1",
            "64:ff9b:1::8.8.8.8",
            "2001:0:808:808:0:1234:f7f7:f7f7",
            "2a00:1::5efe:10.0.0.1",
            "3fff::1",
            "5f00::1",
            "fec0::1",
            "192.88.99.1",
            "198.19.0.1",
        ] {
            assert!(allowed(Addresses::NoLinkLocal, text), "{text}");
            assert!(!allowed(Addresses::Public, text), "{text}");
        }
        for text in [
            "8.8.8.8",
            "168.63.129.17",
            "172.32.0.1",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2a00:1::5efe:8.8.8.8",
        ] {
            assert!(allowed(Addresses::Public, text), "{text}");
        }
    }
}
