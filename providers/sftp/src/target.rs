//! What a descriptor names: `sftp://[user[:password]@]host[:port]/path`.

use bytes::Bytes;
use std::fmt;
use url::Host;
use vfs_core::{Code, Error, Request, Result};
use zvfs_net::origin::Origin;

/// SSH's own.
const PORT: u16 = 22;

/// A file of a server, and as whom to ask for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Where and as whom.
    pub login: Login,
    /// The path as the server gets it: absolute, or relative to the user's home.
    pub path: Bytes,
}

/// Whom to log in as, and where. Two of them that are equal share a connection.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// The server.
    pub origin: Origin,
    /// The user, if the descriptor names one.
    pub user: Option<String>,
    /// The password, if it has one.
    pub password: Option<String>,
}

impl Target {
    /// Reads a request's descriptor.
    ///
    /// # Errors
    /// EINVAL: it is no such URL.
    pub fn of(request: &Request<'_>) -> Result<Target> {
        Target::parse(request.rest())
            .map_err(|why| Error::new(Code::EINVAL, format!("open {}: {why}", request.shown())))
    }

    /// Reads what follows the scheme. Strict, because a path that was not meant is worse than an error.
    fn parse(rest: &str) -> Result<Target, &'static str> {
        let rest = rest.strip_prefix("//").ok_or("write sftp://[user@]host[:port]/path")?;
        let (authority, path) = rest.split_at(rest.find('/').ok_or("there is no path after the host")?);
        if path.contains(['?', '#']) {
            return Err("a path has no query or fragment: write ? as %3F and # as %23");
        }
        let (userinfo, address) = match authority.rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo), address),
            None => (None, authority),
        };
        let (user, password) = match userinfo.map(|text| text.split_once(':').unwrap_or((text, ""))) {
            Some((user, password)) => (filled(user)?, filled(password)?),
            None => (None, None),
        };
        let path = match path.strip_prefix("/~/") {
            Some("") => Bytes::from_static(b"."),
            Some(below_home) => decoded(below_home)?.into(),
            None => decoded(path)?.into(),
        };
        Ok(Target { login: Login { origin: origin(address)?, user, password }, path })
    }
}

impl fmt::Debug for Login {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?} at {})", self.user, self.origin)
    }
}

fn origin(address: &str) -> Result<Origin, &'static str> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse().ok().filter(|port| *port != 0).ok_or("a port is a number, 1 to 65535")?)
        }
        _ => (address, PORT),
    };
    let host = match Host::parse(host).map_err(|_| "there is no host, or it is no name or address")? {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Ok(Origin { secure: true, host, port })
}

/// A part of a URL; `None`: it is empty.
fn filled(text: &str) -> Result<Option<String>, &'static str> {
    let text = String::from_utf8(decoded(text)?).map_err(|_| "user and password are UTF-8")?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Undoes percent-encoding, once.
fn decoded(text: &str) -> Result<Vec<u8>, &'static str> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let pair = (bytes.next().and_then(digit), bytes.next().and_then(digit));
        let (Some(high), Some(low)) = pair else {
            return Err("a % without two hexadecimal digits: write % as %25");
        };
        decoded.push(high << 4 | low);
    }
    if decoded.contains(&0) { Err("a path cannot contain NUL") } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_names_server_user_and_path() {
        let parts = |rest: &str| {
            let Target { login, path } = Target::parse(rest).unwrap();
            (
                login.user.unwrap_or_default(),
                login.password.unwrap_or_default(),
                login.origin.to_string(),
                path,
            )
        };
        for (rest, user, password, origin, path) in [
            ("//h/a/b", "", "", "h:22", "/a/b"),
            ("//me@H.Example:2222/a%20b", "me", "", "h.example:2222", "/a b"),
            ("//me:p%40ss@h/x", "me", "p@ss", "h:22", "/x"),
            ("//a@b:c@h/x", "a@b", "c", "h:22", "/x"),
            ("//[::1]:2/x", "", "", "[::1]:2", "/x"),
            ("//[::1]/x", "", "", "[::1]:22", "/x"),
            ("//h/~/x/y", "", "", "h:22", "x/y"),
            ("//h/~/", "", "", "h:22", "."),
            ("//h/%7E/x", "", "", "h:22", "/~/x"),
            ("//h//x/../y", "", "", "h:22", "//x/../y"),
            ("//h/", "", "", "h:22", "/"),
        ] {
            let wanted = (user.into(), password.into(), origin.into(), Bytes::from_static(path.as_bytes()));
            assert_eq!(parts(rest), wanted, "{rest}");
        }
        assert_eq!(Target::parse("//h/%FF").unwrap().path[..], *b"/\xff");
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for rest in [
            "",
            "h/x",
            "/x",
            "//",
            "//h",
            "///x",
            "//h:0/x",
            "//h:x/x",
            "//h:99999/x",
            "//h/x?y",
            "//h/x#y",
            "//h/%",
            "//h/%0",
            "//h/%00",
            "//a b/x",
            "//[::1/x",
            "//%FF@h/x",
        ] {
            assert!(Target::parse(rest).is_err(), "{rest}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", Target::parse("//u:s3cret@h/x").unwrap().login).contains("s3cret"));
    }
}
