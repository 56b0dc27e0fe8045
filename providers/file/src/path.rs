//! Descriptor to path: RFC 8089 for `file:`, nothing at all for a bare path.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use vfs_core::{Code, Descriptor, Error, Request, Result, Shown};

/// Finds the absolute path that a request names. It may hold bytes that are not UTF-8.
///
/// # Errors
/// EINVAL: relative, of another host, or not a valid `file` URI.
pub fn of_request<'a>(request: &Request<'a>) -> Result<Cow<'a, Path>> {
    of(&request.descriptor())
        .map_err(|why| Error::new(Code::EINVAL, format!("open {}: {why}", request.shown())))
}

/// Finds the folder that a request must lie in, if it names one.
///
/// # Errors
/// EINVAL: as [`of_request`].
pub fn within(request: &Request<'_>) -> Result<Option<PathBuf>> {
    let Some(text) = request.settings().text("within") else { return Ok(None) };
    let failed = |why: &str| {
        Error::new(Code::EINVAL, format!("open {}: within {}: {why}", request.shown(), Shown(text)))
    };
    let folder = Descriptor::parse(text).map_err(|error| failed(&error.chain()))?;
    of(&folder).map(|path| Some(path.into_owned())).map_err(failed)
}

fn of<'a>(descriptor: &Descriptor<'a>) -> std::result::Result<Cow<'a, Path>, &'static str> {
    match descriptor.is_bare_path() {
        true => Ok(Cow::Borrowed(Path::new(descriptor.rest()))),
        false => of_uri(descriptor.rest()),
    }
}

/// Reads what follows `file:`. Strict, because a path that was not meant is worse than an error.
fn of_uri(rest: &str) -> Result<Cow<'_, Path>, &'static str> {
    let path = match rest.strip_prefix("//") {
        Some(after) => {
            let (host, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err("names another host: write file:///path for a file of this machine");
            }
            path
        }
        None => rest,
    };
    if !path.starts_with('/') {
        return Err("the path is relative: write it from / down");
    }
    if path.contains(['?', '#']) {
        return Err("a file has no query or fragment: write ? as %3F and # as %23, or the bare path");
    }
    if !path.contains('%') {
        return Ok(Cow::Borrowed(Path::new(path)));
    }
    Ok(Cow::Owned(PathBuf::from(OsString::from_vec(decode(path)?))))
}

fn decode(path: &str) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        match after {
            [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            _ => return Err("a % without two hexadecimal digits: write % as %25"),
        }
    }
    if bytes.contains(&0) {
        return Err("a path cannot contain NUL");
    }
    Ok(bytes)
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// One of the host's own three streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    /// fd 0.
    In,
    /// fd 1.
    Out,
    /// fd 2.
    Error,
}

impl Standard {
    /// Recognises the three names; they are compared as text, whatever links `/dev` may hold.
    pub fn of_path(path: &Path) -> Option<Standard> {
        // Each open asks: most paths are told apart by their first name.
        let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
        let mut names = parts.filter(|part| !matches!(*part, b"" | b"."));
        if names.next()? != b"dev" {
            return None;
        }
        match (names.next()?, names.next()) {
            (b"stdin", None) => Some(Standard::In),
            (b"stdout", None) => Some(Standard::Out),
            (b"stderr", None) => Some(Standard::Error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_decoded_exactly_once() {
        for (rest, path) in [
            ("/srv/a", "/srv/a"),
            ("///srv/a", "/srv/a"),
            ("//localhost/srv/a", "/srv/a"),
            ("//LocalHost/a", "/a"),
            ("/a%20b", "/a b"),
            ("/a%2520b", "/a%20b"),
            ("/%3F%23%25", "/?#%"),
            ("/100%25", "/100%"),
            ("////a", "//a"),
            ("/gr%c3%bc%C3%9f", "/gr\u{fc}\u{df}"),
        ] {
            assert_eq!(of_uri(rest).unwrap(), Path::new(path), "{rest}");
        }
        assert_eq!(of_uri("/a%FF").unwrap().as_os_str().as_bytes(), b"/a\xff");
    }

    #[test]
    fn what_is_not_a_local_absolute_path_is_refused() {
        for rest in [
            "",
            "a",
            "a/b",
            "./a",
            "//",
            "//localhost",
            "//host/a",
            "//127.0.0.1/a",
            "//localhost:80/a",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%00b",
            "/a?b",
            "/a#b",
            "%2Fa",
        ] {
            assert!(of_uri(rest).is_err(), "{rest}");
        }
    }

    #[test]
    fn the_standard_streams_are_known_by_name() {
        assert_eq!(Standard::of_path(Path::new("/dev/stdin")), Some(Standard::In));
        assert_eq!(Standard::of_path(Path::new("//dev/./stdout")), Some(Standard::Out));
        assert_eq!(Standard::of_path(Path::new("/dev/stderr/")), Some(Standard::Error));
        for other in ["/dev", "/dev/null", "/dev/stdin/x", "/stdin", "/dev/../stdin", "/x/dev/stdin"] {
            assert_eq!(Standard::of_path(Path::new(other)), None, "{other}");
        }
    }
}
