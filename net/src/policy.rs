//! Where connections may go: which hosts, and which addresses. A name proves nothing, so the address that is about to be
//! dialled is what is looked at, after each look-up and each redirect.

use crate::address::Addresses;
use crate::failure::{Attempt, Failure};
use crate::hosts::Hosts;
use crate::origin::Origin;
use std::net::SocketAddr;
use vfs_core::{Code, Result, Setting, SettingKind, Settings};

/// Where connections may go.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Empty: everywhere.
    pub hosts: Hosts,
    /// Which addresses.
    pub addresses: Addresses,
}

/// The settings of [`Policy::new`].
pub fn settings() -> [Setting; 2] {
    [
        Setting::new(
            "allowed-hosts",
            SettingKind::Text,
            "hosts that may be reached: [http://|https://]host[:port], *.domain, address/bits; default: all",
        )
        .list(),
        Setting::new(
            "addresses",
            SettingKind::Text,
            "addresses that may be dialled; no-link-local also excludes metadata services",
        )
        .values(Addresses::NAMES)
        .default_value("no-link-local"),
    ]
}

impl Policy {
    /// Reads an operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that is no host.
    pub fn new(settings: &Settings) -> Result<Policy> {
        let hosts = Hosts::parse("allowed-hosts", settings.texts("allowed-hosts"))?;
        let addresses = settings.text("addresses").and_then(Addresses::of_name).unwrap_or_default();
        Ok(Policy { hosts, addresses })
    }

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

    /// Those of a host's addresses that may be dialled.
    ///
    /// # Errors
    /// EACCES: there are addresses, and none may be.
    pub fn allowed(&self, addresses: Vec<SocketAddr>) -> Attempt<Vec<SocketAddr>> {
        let mut refusal = None;
        let allowed = |address: &SocketAddr| match self.addresses.check(address.ip()) {
            Ok(()) => true,
            Err(failure) => {
                refusal = Some(failure);
                false
            }
        };
        let addresses: Vec<SocketAddr> = addresses.into_iter().filter(allowed).collect();
        match refusal {
            Some(refusal) if addresses.is_empty() => Err(refusal),
            _ => Ok(addresses),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
