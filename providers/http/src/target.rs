//! What a request goes to: a URL, split as HTTP needs it, its credentials apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use url::Url;
use vfs_core::{Code, Error, Request, Result, Shown};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::origin::Origin;

/// A URL of http or https.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    /// `Basic ...` of the URL's own user and password.
    credentials: Option<String>,
}

impl Target {
    /// The URL of a request.
    ///
    /// # Errors
    /// EINVAL: not a URL with a host.
    pub fn of(request: &Request<'_>) -> Result<Target> {
        let refuse = |why: &str| Error::new(Code::EINVAL, why.to_owned());
        let (scheme, rest) = (request.scheme(), request.rest());
        // The parser would take `http:host` and `http:///host` too: what looks odd is a mistake.
        if !rest.starts_with("//") || rest[2..].starts_with(['/', '\\']) {
            return Err(refuse(&format!("write {scheme}://host/path")));
        }
        // To the parser it is a `/`, to others a part of a name: they would see another host.
        if rest[..rest.find(['?', '#']).unwrap_or(rest.len())].contains('\\') {
            return Err(refuse("write / instead of \\, or %5C for a backslash in a name"));
        }
        let url = Url::parse(&format!("{scheme}:{rest}"))
            .map_err(|error| refuse("not a valid URL").with_source(error))?;
        Target::new(url).ok_or_else(|| refuse("not a URL of http or https"))
    }

    /// The URL of a request, as text.
    #[cfg(test)]
    pub fn parse(text: &str) -> Result<Target> {
        let context = vfs_core::Control::new().context();
        let descriptor = vfs_core::Descriptor::parse(text).unwrap();
        Target::of(&Request::new(&context, &descriptor.scheme().to_ascii_lowercase(), descriptor))
    }

    /// Takes user and password out of a URL; `None`: not one of http or https.
    fn new(mut url: Url) -> Option<Target> {
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return None;
        }
        let decoded = |text: &str| percent_decoded(text);
        let credentials = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or("")));
            basic(&[user.as_slice(), b":", &password].concat())
        });
        // It cannot be refused: there is a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Some(Target { url, credentials })
    }

    /// The target of a redirect. Credentials stay within the origin; those that a server puts into a location are not used.
    ///
    /// # Errors
    /// EPROTO: not a URL of http or https.
    pub fn join(&self, location: &str) -> Attempt<Target> {
        let wrong = || {
            Failure::protocol(format!(
                "a redirect to `{}`, which is not a URL of http or https",
                Shown(location)
            ))
        };
        let url = self.url.join(location).map_err(|_| wrong())?;
        let mut target = Target::new(url).ok_or_else(wrong)?;
        target.credentials = self.credentials.clone().filter(|_| target.origin() == self.origin());
        Ok(target)
    }

    /// Whether it is https.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Where connections go.
    pub fn origin(&self) -> Origin {
        Origin::of(&self.url, self.is_secure(), 0)
    }

    /// What a request's first line names: path and query.
    pub fn path(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Whether its path ends as a directory's does: in `/`, `.` or `..`, percent-encoded or not.
    pub fn is_directory(&self) -> bool {
        let path = percent_decoded(self.url.path());
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        matches!(last, b"" | b"." | b"..")
    }

    /// The same for a proxy: the whole URL.
    pub fn absolute(&self) -> &str {
        &self.url[..url::Position::AfterQuery]
    }

    /// The `Host` field: with the port unless it is the scheme's own.
    pub fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// What may be a secret in it: of the pairs of its query and of its path's parameters the values, and what is no pair.
    pub fn secret_values(&self) -> impl Iterator<Item = &str> {
        let query = self.url.query().unwrap_or_default().split('&');
        let parameters = self.url.path().split('/').flat_map(|part| part.split(';').skip(1));
        query.chain(parameters).map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value))
    }

    /// `Basic ...` of the URL's own user and password.
    pub fn credentials(&self) -> Option<&str> {
        self.credentials.as_deref()
    }
}

impl fmt::Display for Target {
    /// For messages: the values of a query and of a path's parameters are hidden; credentials are not in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.url.as_str()).fmt(f)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// The value of an `Authorization` field for `user:password`.
pub fn basic(user_and_password: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

/// The `user:password` of such a value; `None`: it is another one.
pub fn decoded_basic(field: &str) -> Option<String> {
    let encoded = field.strip_prefix("Basic ")?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

/// Undoes percent-encoding; what is no encoding stays as it is.
pub fn percent_decoded(text: &str) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let pair =
            (byte == b'%').then(|| Some((hex(*bytes.get(at + 1)?)?, hex(*bytes.get(at + 2)?)?))).flatten();
        decoded.push(pair.map_or(byte, |(high, low)| high << 4 | low));
        at += if pair.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_as_http_needs_it() {
        let one = Target::parse("https://example.org/a%20b/c?x=1&y=%2F#part").unwrap();
        assert_eq!(one.path(), "/a%20b/c?x=1&y=%2F");
        assert_eq!(one.absolute(), "https://example.org/a%20b/c?x=1&y=%2F");
        assert_eq!(one.authority(), "example.org");
        assert_eq!(one.origin().to_string(), "example.org:443");
        let other = Target::parse("http://[::1]:8080").unwrap();
        assert_eq!((other.path(), other.authority()), ("/", "[::1]:8080"));
        assert_eq!(
            (other.origin().host.as_str(), other.origin().to_string().as_str()),
            ("::1", "[::1]:8080")
        );
        assert_eq!(Target::parse("HTTP://h:80/").unwrap().authority(), "h");
    }

    #[test]
    fn a_directory_is_told_by_the_end_of_its_path() {
        for end in ["", "/", "/d/", "/d/?x=1", "/d/.", "/d/..", "/d/%2E", "/d/.%2e?x", "/d%2f", "/d%2f%2e"] {
            assert!(Target::parse(&format!("http://h{end}")).unwrap().is_directory(), "{end}");
        }
        for end in ["/d", "/d?x=/", "/d.", "/...", "/d/.x", "/d%252f"] {
            assert!(!Target::parse(&format!("http://h{end}")).unwrap().is_directory(), "{end}");
        }
    }

    #[test]
    fn credentials_are_taken_out_of_the_url_and_decoded() {
        let target = Target::parse("http://us%65r:p%40ss%zz@h/x?sig=abc").unwrap();
        assert_eq!(target.credentials(), Some(basic(b"user:p@ss%zz").as_str()));
        assert_eq!(target.absolute(), "http://h/x?sig=abc");
        assert_eq!(target.to_string(), "http://h/x?sig=***");
        assert!(!format!("{target:?}").contains("abc"));
    }

    #[test]
    fn what_is_no_url_with_a_host_is_einval() {
        for text in [
            "http:",
            "http:x",
            "http://",
            "http:/x",
            "http:///x",
            "http://h:99999/",
            "http://a b/",
            "http://h:1\\@localhost/",
        ] {
            let error = Target::parse(text).unwrap_err();
            assert_eq!(error.code(), Code::EINVAL, "{text}");
        }
        let secret = Target::parse("http://u:pw@h:x/?k=v").unwrap_err();
        assert!(!secret.chain().contains("pw"), "{}", secret.chain());
    }

    #[test]
    fn a_redirect_keeps_credentials_within_its_origin_only() {
        let from = Target::parse("https://u:p@a/x/y").unwrap();
        let near = from.join("../z?q=1").unwrap();
        assert_eq!((near.absolute(), near.credentials()), ("https://a/z?q=1", from.credentials()));
        for far in ["http://a/", "https://a:444/", "https://b/", "//b/", "https://other:pw@b/"] {
            assert_eq!(from.join(far).unwrap().credentials(), None, "{far}");
        }
        for wrong in ["ftp://a/", "file:///etc/passwd", "https://"] {
            assert_eq!(from.join(wrong).unwrap_err().code, Code::EPROTO, "{wrong}");
        }
    }
}
