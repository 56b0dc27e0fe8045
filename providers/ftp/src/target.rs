//! What a descriptor names: a server, who we are to it, and a path there.

use crate::settings::{Config, Login, Security};
use percent_encoding::percent_decode_str;
use std::fmt;
use url::Url;
use vfs_core::{Code, Error, Request, Result};
use zvfs_net::origin::Origin;

/// A file or folder of a server.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server, and in which session.
    pub account: Account,
    /// Which file.
    pub path: Path,
}

/// What a session is for: two files of one account may be served by the same one, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The server.
    pub origin: Origin,
    /// Whether and when it is encrypted.
    pub security: Security,
    /// Who we are.
    pub login: Login,
}

/// A path on a server, as the bytes that commands send: relative to where the login leads, or from the root if it begins with `/`.
#[derive(Clone, PartialEq, Eq)]
pub struct Path(Vec<u8>);

impl Target {
    /// The target of a request.
    ///
    /// # Errors
    /// EINVAL: not a URL with a host, or a path that no command can send. EACCES: the operator's login would go in the clear.
    pub fn of(request: &Request<'_>, config: &Config) -> Result<Target> {
        let refuse = |why: &str| Error::new(Code::EINVAL, why.to_owned());
        let (scheme, rest) = (request.scheme(), request.rest());
        // The parser would take `ftp:host` and `ftp:///host` too: what looks odd is a mistake.
        if !rest.starts_with("//") || rest[2..].starts_with(['/', '\\']) {
            return Err(refuse(&format!("write {scheme}://host/path")));
        }
        // No part of these URLs; in a name they are written as %3F, %23 and %5C.
        if let Some(odd) = rest.chars().find(|character| "?#\\".contains(*character)) {
            return Err(refuse(&format!("write %{:02X} instead of {odd} in a name", u32::from(odd))));
        }
        // Known to the parser under one of the two names only.
        let url = Url::parse(&format!("ftp:{rest}"))
            .map_err(|error| refuse("not a valid URL").with_source(error))?;
        let security = config.security(scheme)?;
        // The parser drops the port that it knows.
        let authority = rest[2..].split('/').next().unwrap_or_default();
        let port = url.port().or(authority.ends_with(":21").then_some(21)).unwrap_or(security.port());
        let origin = Origin { port, ..Origin::of(&url, security != Security::Off, port) };
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let path = Path::new(decoded(path)).ok_or_else(|| refuse("no path has a line break or a NUL"))?;
        let login = match (url.username(), url.password()) {
            ("", None) => {
                config.credentials.of(&origin).map_err(|failure| failure.error("open", request.shown()))?
            }
            (user, password) => {
                let part = |text| {
                    String::from_utf8(decoded(text)).ok().filter(|text| !text.contains(char::is_control))
                };
                let parts = part(user).zip(part(password.unwrap_or_default()));
                let (user, password) = parts
                    .ok_or_else(|| refuse("user and password must be UTF-8 without control characters"))?;
                Login { user, password }
            }
        };
        Ok(Target { account: Account { origin, security, login }, path })
    }
}

impl Path {
    /// A path; `None`: it cannot be sent in a line.
    pub fn new(bytes: Vec<u8>) -> Option<Path> {
        (!bytes.iter().any(|byte| b"\r\n\0".contains(byte))).then_some(Path(bytes))
    }

    /// Whether it is that of a folder by its form: empty, or its last name is, or is `.` or `..`.
    pub fn is_folder(&self) -> bool {
        matches!(self.name(), b"" | b"." | b"..")
    }

    /// Its last part.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// Another name in the same folder.
    pub fn beside(&self, name: &str) -> Path {
        let folder = self.0.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        Path([&self.0[..folder], name.as_bytes()].concat())
    }

    /// As a command's argument, a character for each byte. What would be taken for an option, or trimmed, is written otherwise.
    pub fn argument(&self) -> String {
        let prefix = if self.0.starts_with(b"-") || self.0.starts_with(b" ") { "./" } else { "" };
        prefix.chars().chain(self.0.iter().map(|byte| char::from(*byte))).collect()
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfs_core::{Control, Descriptor, Scope, Settings};

    fn parsed(text: &str, tls: &str) -> Result<Target> {
        let tls = ("tls".to_owned(), tls.to_owned());
        let settings = Settings::check(&crate::settings::schema(), Scope::OPERATOR, &[tls])?;
        let context = Control::new().context();
        let descriptor = Descriptor::parse(text)?;
        Target::of(&Request::new(&context, descriptor.scheme(), descriptor), &Config::new(&settings)?)
    }

    #[test]
    fn a_descriptor_is_a_server_a_login_and_a_path() {
        let target = parsed("ftp://us%65r:p%40ss@h.example/a%20b/%FF", "off").unwrap();
        assert_eq!(target.account.origin.to_string(), "h.example:21");
        assert!(target.account.login == Login { user: "user".into(), password: "p@ss".into() });
        assert_eq!(target.path.argument().chars().next_back(), Some(char::from(0xff)));
        assert_eq!(parsed("ftp://h//etc/x", "off").unwrap().path.argument(), "/etc/x");
        assert_eq!(parsed("ftp://h", "off").unwrap().path.argument(), "");
        assert!(parsed("ftp://h/x", "off").unwrap().account.login == Login::anonymous());
        assert!(!format!("{target:?}").contains("p@ss"));
    }

    #[test]
    fn ports_are_those_of_the_security_unless_written() {
        for (text, tls, port) in [
            ("ftps://h/x", "explicit", 21),
            ("ftps://h/x", "implicit", 990),
            ("ftps://h:21/x", "implicit", 21),
            ("ftp://h:2121/x", "off", 2121),
        ] {
            assert_eq!(parsed(text, tls).unwrap().account.origin.port, port, "{text} {tls}");
        }
    }

    /// With a line break in it, a path would be two commands.
    #[test]
    fn what_no_command_can_send_is_einval() {
        for text in [
            "ftp:h/x",
            "ftp:///x",
            "ftp://",
            "ftp://h/a?b",
            "ftp://h/a#b",
            "ftp://h/a\\b",
            "ftp://h/a%0d%0aDELE%20b",
            "ftp://h/a%0Ab",
            "ftp://h/a%00",
            "ftp://u%0a:p@h/x",
            "ftp://u:p%0dq@h/x",
            "ftp://u:%FF@h/x",
        ] {
            let error = parsed(text, "off").unwrap_err();
            assert_eq!(error.code(), Code::EINVAL, "{text}");
        }
    }

    #[test]
    fn a_path_is_written_so_that_no_server_takes_it_for_an_option() {
        let path = |text: &str| Path::new(text.into()).unwrap();
        assert_eq!(path("-la").argument(), "./-la");
        assert_eq!(path(" x").argument(), "./ x");
        assert_eq!(path("a/-la").argument(), "a/-la");
        assert_eq!(path("/a/b").beside("c"), path("/a/c"));
        assert_eq!(path("b").beside("c"), path("c"));
        for folder in ["", "a/", "a/.", ".."] {
            assert!(path(folder).is_folder(), "{folder}");
        }
        assert!(!path("a/.x").is_folder());
    }
}
