//! Lists of hosts, as an operator writes them.

use crate::address::within;
use crate::origin::Origin;
use crate::socket::is_loopback;
use std::net::IpAddr;
use vfs_core::{Code, Error, Result};

/// A list of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// `http://`, `https://`, `ftp://` or `ftps://` before it: in the clear only, or over TLS only.
    secure: Option<bool>,
    host: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Any,
    Exact(String),
    /// `*.example.org`: what lies below, with its dot.
    Below(String),
    Net(IpAddr, u8),
}

impl Hosts {
    /// Reads the values of a setting.
    ///
    /// # Errors
    /// EINVAL: one is not a host.
    pub fn parse<'a>(setting: &str, texts: impl Iterator<Item = &'a str>) -> Result<Hosts> {
        let wrong = |text: &str| {
            let wanted = "[http://|https://]host[:port], *.domain, an address, address/bits or *";
            let (hidden, shown) = without_user(text);
            Error::new(
                Code::EINVAL,
                format!("setting `{setting}`: `{hidden}{}` is not {wanted}", shown.escape_debug()),
            )
        };
        let patterns = texts.map(|text| Pattern::parse(text).ok_or_else(|| wrong(text)));
        patterns.collect::<Result<_>>().map(Hosts)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This list, or if it is empty the other one.
    ///
    /// # Errors
    /// EINVAL: both are empty; `missing` says what to set.
    pub fn or(self, other: &Hosts, missing: &'static str) -> Result<Hosts> {
        [self, other.clone()]
            .into_iter()
            .find(|hosts| !hosts.is_empty())
            .ok_or_else(|| Error::new(Code::EINVAL, missing))
    }

    /// Whether an origin is in it.
    pub fn contains(&self, origin: &Origin) -> bool {
        self.0.iter().any(|pattern| pattern.matches(origin))
    }

    /// Whether an origin is in it, and fit for a secret: over TLS, on this machine, or because the entry says `http://` or `ftp://`.
    pub fn trusts(&self, origin: &Origin) -> bool {
        let local = origin.address().is_some_and(is_loopback);
        let fit = |pattern: &Pattern| origin.secure || local || pattern.secure == Some(false);
        self.0.iter().any(|pattern| fit(pattern) && pattern.matches(origin))
    }
}

/// What may be shown of an entry that somebody took for a URL with credentials: what hides them, and the rest.
fn without_user(text: &str) -> (&'static str, &str) {
    text.rsplit_once('@').map_or(("", text), |(_, rest)| ("***@", rest))
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let schemes = [("https://", true), ("http://", false), ("ftps://", true), ("ftp://", false)];
        let begins = |(scheme, secure)| Some((Some(secure), text.strip_prefix(scheme)?));
        let (secure, rest) = schemes.into_iter().find_map(begins).unwrap_or((None, text));
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (address, port.strip_prefix(':'))
            }
            // An address of version 6 has colons of its own.
            None if rest.matches(':').count() > 1 => (rest, None),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        Some(Pattern { secure, host: Name::parse(host)?, port })
    }

    fn matches(&self, origin: &Origin) -> bool {
        self.secure.is_none_or(|secure| secure == origin.secure)
            && self.port.is_none_or(|port| port == origin.port)
            && self.host.matches(origin)
    }
}

impl Name {
    fn parse(text: &str) -> Option<Name> {
        if text == "*" {
            return Some(Name::Any);
        }
        let plain = |text: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || !byte.is_ascii();
            // As a URL has it: lower case, and punycode.
            (!text.is_empty() && text.bytes().all(fits)).then(|| url::Host::parse(text).ok()).flatten()
        };
        if let Some(below) = text.strip_prefix("*.") {
            return plain(below).map(|name| Name::Below(format!(".{name}")));
        }
        if let Some((address, bits)) = text.split_once('/') {
            let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (bits <= most).then_some(Name::Net(address, bits));
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Some(Name::Net(address, if address.is_ipv4() { 32 } else { 128 })),
            Err(_) => plain(text).map(|name| Name::Exact(name.to_string())),
        }
    }

    fn matches(&self, origin: &Origin) -> bool {
        let host = origin.host.strip_suffix('.').unwrap_or(&origin.host);
        match self {
            Name::Any => true,
            Name::Exact(name) => name == host,
            Name::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Name::Net(net, bits) => origin.address().is_some_and(|address| within(address, *net, *bits)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn origin(url: &str) -> Origin {
        Origin::of(&Url::parse(url).unwrap(), url.starts_with("https"), 0)
    }

    fn hosts(texts: &[&str]) -> Hosts {
        Hosts::parse("hosts", texts.iter().copied()).unwrap()
    }

    #[test]
    fn hosts_are_matched_by_name_domain_net_port_and_scheme() {
        for (pattern, inside, outside) in [
            ("example.org", "http://EXAMPLE.org/", "http://a.example.org/"),
            ("example.org", "http://example.org./", "http://example.org.evil/"),
            ("*.example.org", "http://a.b.example.org/", "http://example.org/"),
            ("*.example.org", "http://a.example.org/", "http://evilexample.org/"),
            ("example.org:8080", "http://example.org:8080/", "http://example.org/"),
            ("https://example.org", "https://example.org:1/", "http://example.org/"),
            ("10.0.0.0/8", "http://10.9.8.7/", "http://11.0.0.1/"),
            ("0.0.0.0/0", "http://1.2.3.4/", "http://name/"),
            ("127.0.0.1", "http://127.0.0.1:5/", "http://127.0.0.2/"),
            ("127.0.0.1", "http://[::ffff:127.0.0.1]/", "http://[::1]/"),
            ("[::1]:80", "http://[::1]/", "http://[::1]:81/"),
            ("2001:db8::/32", "http://[2001:db8:1::]/", "http://[2001:db9::]/"),
            ("b\u{fc}cher.example", "http://b\u{fc}cher.example/", "http://bucher.example/"),
        ] {
            assert!(hosts(&[pattern]).contains(&origin(inside)), "{pattern} {inside}");
            assert!(!hosts(&[pattern]).contains(&origin(outside)), "{pattern} {outside}");
        }
        assert!(hosts(&["*"]).contains(&origin("http://anything/")));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in
            ["", "a b", "a/b", "10.0.0.0/33", "::1/129", "a:b", "a:99999", "*x", "sftp://a", "http://"]
        {
            let error = Hosts::parse("no-proxy", [text].into_iter()).unwrap_err();
            assert!(error.to_string().contains("no-proxy"), "{error}");
        }
    }

    /// A proxy's or server's whole URL in a list of hosts had its password printed.
    #[test]
    fn credentials_before_a_host_are_refused_and_not_shown() {
        for text in [
            "http://u:s3cret@h",
            "u:s3cret@h:80",
            "s3cret@h",
            "http://u:p@s3cret@h/x",
            "https://u:s3cret@[::1]",
        ] {
            for setting in ["allowed-hosts", "no-proxy", "credentials-for", "headers-for"] {
                let error = Hosts::parse(setting, [text].into_iter()).unwrap_err().to_string();
                assert!(!error.contains("s3cret") && error.contains("`***@"), "{error}");
            }
        }
    }

    #[test]
    fn a_secret_goes_in_the_clear_only_where_the_operator_says_so() {
        let plain = hosts(&["example.org", "127.0.0.1"]);
        assert!(plain.trusts(&origin("https://example.org/")));
        assert!(!plain.trusts(&origin("http://example.org/")));
        assert!(plain.trusts(&origin("http://127.0.0.1/")));
        for entry in ["http://example.org", "ftp://example.org"] {
            assert!(hosts(&[entry]).trusts(&origin("http://example.org/")), "{entry}");
        }
        assert!(!hosts(&["ftps://example.org"]).contains(&origin("http://example.org/")));
    }
}
