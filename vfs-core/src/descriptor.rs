//! The string that names a channel: a scheme, and what follows it.

use crate::code::Code;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fmt;
use url::Url;

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
        if let Some(at) = text.bytes().position(|byte| byte.is_ascii_control()) {
            let shown = Shown(text);
            return Err(Error::new(
                Code::EINVAL,
                format!("descriptor `{shown}` has a control character at byte {at}: percent-encode it"),
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

/// The form for messages of any text that may be a descriptor.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

/// Longer ones are cut: a message is read by a person.
const SHOWN_MAX: usize = 300;

impl<'a> Shown<'a> {
    /// The text itself where nothing needs hiding, so that an ordinary open allocates nothing for its messages.
    pub fn to_cow(self) -> Cow<'a, str> {
        let plain = self.0.len() <= SHOWN_MAX
            && self.0.bytes().all(|byte| !byte.is_ascii_control() && byte != b'@' && byte != b'?');
        if plain { Cow::Borrowed(self.0) } else { Cow::Owned(self.to_string()) }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = hide_query(&hide_credentials(self.0)).into_owned();
        for (count, character) in hidden.chars().enumerate() {
            if count == SHOWN_MAX {
                return write!(f, "... ({} bytes)", self.0.len());
            }
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        Ok(())
    }
}

/// Hides what stands before an `@` in each authority (`//user:password@host`), also inside a layer's inner descriptor.
fn hide_credentials(text: &str) -> Cow<'_, str> {
    if text.starts_with('/') {
        return Cow::Borrowed(text); // a bare path has no authority
    }
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("//") {
        let (before, after) = rest.split_at(start + 2);
        let authority = &after[..after.find(['/', '?', '#']).unwrap_or(after.len())];
        // A password may itself hold an unencoded `/`, `?` or `#`: then what follows the colon is no port number.
        let password =
            authority.split_once(':').is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()));
        let at = authority.rfind('@').or_else(|| password.then(|| after.rfind('@')).flatten());
        shown.push_str(before);
        rest = match at {
            Some(at) => {
                shown.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    if shown.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(shown + rest) }
}

/// Hides the values of `?key=value&...`: presigned URLs carry their secret there.
fn hide_query(text: &str) -> Cow<'_, str> {
    let Some((path, query)) = text.split_once('?') else { return Cow::Borrowed(text) };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !is_plain(key, value) => format!("{key}=***"),
            Some(_) => pair.to_owned(),
            None => pair.to_owned(),
        })
        .collect();
    Cow::Owned(format!("{path}?{}", pairs.join("&")))
}

/// Whether a pair is one of those that say how a pipe is opened: a message is of no use without them, and they have no values but
/// these.
fn is_plain(key: &str, value: &str) -> bool {
    match key {
        "mode" => matches!(value, "r" | "w"),
        "role" => matches!(value, "listen" | "connect"),
        _ => false,
    }
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
            ("http://user:p/w@host/x", "http://***@host/x"),
            ("cache:https://u:p@h/x?X-Sig=abc&y=1&z", "cache:https://***@h/x?X-Sig=***&y=***&z"),
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
