//! Where connections may go: which hosts, and which addresses. A name proves nothing, so the address that is about to be
//! dialled is what is looked at, after each look-up and each redirect.

use crate::hosts::Hosts;
use crate::target::Origin;
use vfs_core::Code;
use zvfs_net::address::Addresses;
use zvfs_net::failure::{Attempt, Failure};

/// Where connections may go.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Empty: everywhere.
    pub hosts: Hosts,
    /// Which addresses.
    pub addresses: Addresses,
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
