//! Who we are to servers.

use std::fmt;
use vfs_core::{Code, Error, Result, Settings};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::hosts::Hosts;
use zvfs_net::origin::Origin;

/// A user and a password, as commands have them.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// The operator's login, and who gets it.
#[derive(Debug, Default)]
pub struct Credentials {
    login: Option<Login>,
    hosts: Hosts,
}

impl Login {
    /// Whoever may come in without a name. The password is by custom an address for complaints.
    pub fn anonymous() -> Login {
        Login { user: "anonymous".to_owned(), password: "anonymous@".to_owned() }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

impl Credentials {
    /// Reads the operator's settings.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be, or no hosts are named.
    pub fn new(settings: &Settings, allowed: &Hosts) -> Result<Credentials> {
        let Some(pair) = settings.text("login") else { return Ok(Credentials::default()) };
        // A file ends in a newline.
        let (user, password) = pair
            .trim_end_matches(['\r', '\n'])
            .split_once(':')
            .filter(|(user, password)| {
                !user.is_empty() && ![user, password].iter().any(|part| part.contains(char::is_control))
            })
            .ok_or_else(|| Error::new(Code::EINVAL, "setting `login` must be user:password"))?;
        let missing = "setting `login` needs `credentials-for`: the hosts that may get it";
        let hosts =
            Hosts::parse("credentials-for", settings.texts("credentials-for"))?.or(allowed, missing)?;
        Ok(Credentials { login: Some(Login { user: user.to_owned(), password: password.to_owned() }), hosts })
    }

    /// What a server gets.
    ///
    /// # Errors
    /// EACCES: it would be sent in the clear.
    pub fn of(&self, origin: &Origin) -> Attempt<Login> {
        match &self.login {
            Some(login) if self.hosts.trusts(origin) => Ok(login.clone()),
            Some(_) if self.hosts.contains(origin) => {
                let text = format!(
                    "`login` is not sent to {origin} in the clear: use ftps, or write ftp://{} in `credentials-for`",
                    origin.host
                );
                Err(Failure::new(Code::EACCES, text))
            }
            _ => Ok(Login::anonymous()),
        }
    }
}
