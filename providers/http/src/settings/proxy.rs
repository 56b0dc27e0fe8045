//! Through whom connections go: a proxy, for all hosts but some.
//!
//! The proxy's own address is the operator's choice, and no policy of addresses applies to it. Nor does it to a name that
//! the proxy looks up: which addresses those may have is for the proxy to say. Addresses written into a URL, and the list
//! of allowed hosts, are looked at all the same.

use crate::settings::credentials::user_and_password;
use url::Url;
use vfs_core::{Code, Error, Result, Settings};
use zvfs_net::hosts::Hosts;
use zvfs_net::origin::Origin;

/// The proxy, and who is reached without it.
#[derive(Clone, Default)]
pub struct Proxies {
    proxy: Option<Proxy>,
    except: Hosts,
}

/// A proxy.
#[derive(Clone)]
pub struct Proxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

impl Proxies {
    /// Reads the operator's settings.
    ///
    /// # Errors
    /// EINVAL: not a proxy's URL, or credentials without one.
    pub fn new(settings: &Settings) -> Result<Proxies> {
        let except = Hosts::parse("no-proxy", settings.texts("no-proxy"))?;
        let authorization = settings
            .text("proxy-credentials")
            .map(|pair| user_and_password("proxy-credentials", pair))
            .transpose()?;
        let proxy = settings.text("proxy").map(|text| Proxy::parse(text, authorization)).transpose()?;
        Ok(Proxies { proxy, except })
    }

    /// The proxy for an origin; `None`: directly.
    pub fn of(&self, origin: &Origin) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.except.contains(origin))
    }
}

impl Proxy {
    fn parse(text: &str, authorization: Option<String>) -> Result<Proxy> {
        let refuse = |why: &str| Err(Error::new(Code::EINVAL, format!("setting `proxy` {why}")));
        let Ok(url) = Url::parse(text) else { return refuse("is not a URL: write http://host:port") };
        if url.scheme() != "http" {
            return refuse("must be http://host:port: other kinds of proxy are not known");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("contains credentials: put them into the secret `proxy-credentials`");
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return refuse("names no host");
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Proxy { host, port, authorization })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::checked;
    use vfs_core::Scope;

    fn proxies(pairs: &[(&str, &str)]) -> Result<Proxies> {
        Proxies::new(&checked(Scope::OPERATOR, pairs)?)
    }

    fn origin(host: &str) -> Origin {
        Origin { secure: false, host: host.to_owned(), port: 80 }
    }

    #[test]
    fn some_hosts_are_reached_without_the_proxy() {
        let proxies = proxies(&[
            ("proxy", "http://[::1]:3128"),
            ("no-proxy", "*.local"),
            ("no-proxy", "10.0.0.0/8"),
            ("proxy-credentials", "u:p\n"),
        ])
        .unwrap();
        let proxy = proxies.of(&origin("example.org")).unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("::1", 3128));
        assert_eq!(proxy.authorization.as_deref(), Some("Basic dTpw"));
        assert!(proxies.of(&origin("a.local")).is_none());
        assert!(proxies.of(&origin("10.1.1.1")).is_none());
        assert!(Proxies::default().of(&origin("example.org")).is_none());
    }

    #[test]
    fn credentials_in_the_proxys_url_are_refused_and_not_repeated() {
        let error = proxies(&[("proxy", "http://user:hunter2@h:1")]).err().unwrap();
        assert!(error.to_string().contains("proxy-credentials"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
