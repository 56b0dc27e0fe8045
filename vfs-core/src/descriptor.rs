//! The string that names a channel: a scheme, and what follows it.

use crate::code::Code;
use crate::error::{Error, Result};
use std::fmt;
use url::Url;

mod shown;

pub use shown::Shown;

/// The longest descriptor, in bytes.
pub const DESCRIPTOR_MAX: usize = 64 * 1024;

/// A descriptor, split at its first colon: `scheme:rest`. A bare absolute path `/a` is `file` with the rest `/a`.
///
/// What follows the scheme is opaque to the host. `Display` is the one form for messages and logs: credentials and the
/// values of a query are hidden, control characters are escaped, and a long one is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Descriptor<'a> {
    text: &'a str,
    scheme: &'a str,
    rest: &'a str,
}

impl<'a> Descriptor<'a> {
    /// Splits a descriptor.
    ///
    /// # Errors
    /// EINVAL: empty, no scheme and no absolute path, a scheme that is not 2 to 32 of RFC 3986's characters, or a control
    /// character (percent-encode it). ENAMETOOLONG: over [`DESCRIPTOR_MAX`].
    pub fn parse(text: &'a str) -> Result<Descriptor<'a>> {
        if text.len() > DESCRIPTOR_MAX {
            let length = text.len();
            return Err(Error::new(
                Code::ENAMETOOLONG,
                format!("a descriptor of {length} bytes: the limit is {DESCRIPTOR_MAX}"),
            ));
        }
        // All of them, which the compiler does sixteen at a time.
        if text.bytes().fold(false, |found, byte| found | byte.is_ascii_control()) {
            let (shown, at) = (Shown(text), text.bytes().position(|byte| byte.is_ascii_control()));
            return Err(Error::new(
                Code::EINVAL,
                format!(
                    "descriptor `{shown}` has a control character at byte {}: percent-encode it",
                    at.unwrap_or_default()
                ),
            ));
        }
        if text.starts_with('/') {
            return Ok(Descriptor { text, scheme: "file", rest: text });
        }
        match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => Ok(Descriptor { text, scheme, rest }),
            _ => Err(Error::new(
                Code::EINVAL,
                format!(
                    "`{}` is not a descriptor: write scheme:rest (a scheme has 2 to 32 letters, digits, +, -, .) \
                     or an absolute path",
                    Shown(text)
                ),
            )),
        }
    }

    /// The scheme as written; schemes are compared without case.
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// What follows the scheme and its colon; the whole of a bare path.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// The descriptor as written. May hold credentials: for messages use `Display`.
    pub fn as_written(&self) -> &'a str {
        self.text
    }

    /// Whether it is a bare absolute path, which is never percent-decoded.
    pub fn is_bare_path(&self) -> bool {
        self.text.starts_with('/')
    }

    /// The descriptor as a URL.
    ///
    /// # Errors
    /// EINVAL: not a URL.
    pub fn url(&self) -> Result<Url> {
        Url::parse(self.text).map_err(|error| {
            Error::new(Code::EINVAL, format!("`{self}` is not a valid URL")).with_source(error)
        })
    }
}

impl fmt::Display for Descriptor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.text).fmt(f)
    }
}

impl fmt::Debug for Descriptor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Descriptor({self})")
    }
}

/// Whether a text is a scheme: 2 to 32 characters of RFC 3986's set, a letter first. (One letter would be a drive.)
pub(crate) fn is_scheme(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_colon() {
        let descriptor = Descriptor::parse("netpipe:192.168.0.1:2:w").unwrap();
        assert_eq!((descriptor.scheme(), descriptor.rest()), ("netpipe", "192.168.0.1:2:w"));
        let bare = Descriptor::parse("/srv/a:b").unwrap();
        assert_eq!((bare.scheme(), bare.rest(), bare.is_bare_path()), ("file", "/srv/a:b", true));
    }

    #[test]
    fn refuses_what_is_not_a_descriptor() {
        let long = format!("{}:", "s".repeat(33));
        for text in ["", "relative/path", ":rest", "c:\\x", "1ab:x", "a b:x", "na\u{ef}ve:x", long.as_str()] {
            assert_eq!(Descriptor::parse(text).unwrap_err().code(), Code::EINVAL, "{text}");
        }
        for text in ["file:/a\0b", "file:/a\nb", "/a\x1b[2J"] {
            let error = Descriptor::parse(text).unwrap_err();
            assert_eq!(error.code(), Code::EINVAL);
            assert!(!error.to_string().contains(['\0', '\n', '\x1b']), "{error}");
        }
        let huge = format!("file:/{}", "x".repeat(1 << 20));
        assert_eq!(Descriptor::parse(&huge).unwrap_err().code(), Code::ENAMETOOLONG);
    }

    #[test]
    fn display_hides_secrets() {
        for (text, shown) in [
            ("http://user:pw@host/x", "http://***@host/x"),
            ("tcp:h:1?mode=w&role=listen&mode=secret&x=r", "tcp:h:1?mode=w&role=listen&mode=***&x=***"),
            ("http://user:p/w@host/x", "http:***"),
            ("cache:https://u:p@h/x?X-Sig=abc&y=1&z", "cache:https://***@h/x?X-Sig=***&y=***&***"),
            ("file:/srv/a@b", "file:/srv/a@b"),
            ("http://host/@me", "http://host/@me"),
            ("http://host:80/@me", "http://host:80/@me"),
            ("/srv//a@b", "/srv//a@b"),
        ] {
            assert_eq!(Descriptor::parse(text).unwrap().to_string(), shown);
            assert_eq!(Shown(text).to_cow(), shown);
        }
    }

    #[test]
    fn display_is_short() {
        let text = format!("file:/{}", "x".repeat(60_000));
        assert!(Descriptor::parse(&text).unwrap().to_string().len() < 400);
    }
}
