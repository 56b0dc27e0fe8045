//! Credentials that the operator gives for servers.

use crate::target::basic;
use vfs_core::{Code, Error, Result, Settings};
use zvfs_net::hosts::Hosts;
use zvfs_net::origin::Origin;

/// Secrets for servers, and for which.
#[derive(Clone, Default)]
pub struct Credentials {
    authorization: Option<String>,
    hosts: Hosts,
}

impl Credentials {
    /// Reads the operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be, or no hosts are named.
    pub fn new(settings: &Settings, allowed: &Hosts) -> Result<Credentials> {
        let authorization = match (settings.text("bearer"), settings.text("basic")) {
            (None, None) => return Ok(Credentials::default()),
            (Some(_), Some(_)) => {
                return Err(Error::new(Code::EINVAL, "settings `bearer` and `basic` exclude each other"));
            }
            (Some(token), None) => {
                let token = token.trim();
                let fits = |byte: u8| byte.is_ascii_graphic();
                if token.is_empty() || !token.bytes().all(fits) {
                    return Err(invalid("bearer", "a token of printable ASCII without spaces"));
                }
                format!("Bearer {token}")
            }
            (None, Some(pair)) => user_and_password("basic", pair)?,
        };
        let missing = "settings `bearer` and `basic` need `credentials-for`: the hosts that may get them";
        let hosts =
            Hosts::parse("credentials-for", settings.texts("credentials-for"))?.or(allowed, missing)?;
        Ok(Credentials { authorization: Some(authorization), hosts })
    }

    /// What any of them gets.
    pub fn any(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// What an origin gets.
    pub fn authorization(&self, origin: &Origin) -> Option<&str> {
        self.authorization.as_deref().filter(|_| self.hosts.trusts(origin))
    }
}

/// The field's value for a secret `user:password`, which may end in a newline, as a file does.
pub fn user_and_password(setting: &str, pair: &str) -> Result<String> {
    let pair = pair.trim_end_matches(['\r', '\n']);
    if !pair.contains(':') || pair.contains(char::is_control) {
        return Err(invalid(setting, "user:password"));
    }
    Ok(basic(pair.as_bytes()))
}

fn invalid(name: &str, wanted: &str) -> Error {
    Error::new(Code::EINVAL, format!("setting `{name}` must be {wanted}"))
}
