//! The one form of a descriptor for messages: no secret in it, and no other host than the one that is dialled.
//!
//! What is dialled is what [`Url`] finds in a text, so that is asked here too. Only what it cannot read, or has no host, is looked at
//! piece by piece, and then everything that might be a secret is hidden.

use crate::descriptor::is_scheme;
use crate::printable::{is_printable, write_printable};
use std::borrow::Cow;
use std::fmt;
use url::{Position, Url};

/// The form for messages of any text that may be a descriptor.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

/// Longer ones are cut: a message is read by a person.
const SHOWN_MAX: usize = 300;
/// No descriptor has more layers; what is nested deeper is not read further.
const LAYERS_MAX: usize = 16;
const HIDDEN: &str = "***";
/// What follows the first `#` of these is a path, and no place for a secret.
const PATH_SCHEMES: [&str; 2] = ["magnet", "torrent"];
/// What follows these is a host, after any number of slashes.
const HOST_SCHEMES: [&str; 5] = ["ftp", "http", "https", "ws", "wss"];

/// Hides something, or has to be escaped.
const SPECIAL: u8 = 1;
/// Two of them begin an authority.
const SLASH: u8 = 2;
/// Separates layers.
const COLON: u8 = 4;
const NOT_ASCII: u8 = 8;
/// What each byte may mean for a text's form.
const BYTE_KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'@' | b'?' | b'#' | b';' | b'\\' | b'%' | 0..=31 | 127 => SPECIAL,
            b'/' => SLASH,
            b':' => COLON,
            128.. => NOT_ASCII,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

impl<'a> Shown<'a> {
    /// The text itself where nothing needs hiding, so that an ordinary open allocates nothing for its messages.
    pub fn to_cow(self) -> Cow<'a, str> {
        if self.is_plain() { Cow::Borrowed(self.0) } else { Cow::Owned(self.to_string()) }
    }

    /// Whether there is nothing to hide, to escape or to cut. Each open asks, so that it is one pass over most texts.
    fn is_plain(self) -> bool {
        if self.0.len() > SHOWN_MAX {
            return false;
        }
        let (mut found, mut twice, mut before) = (0, 0, 0);
        for byte in self.0.bytes() {
            let kind = BYTE_KINDS[usize::from(byte)];
            found |= kind;
            twice |= kind & before;
            before = kind;
        }
        let has_host = |part: &str| HOST_SCHEMES.iter().any(|scheme| part.eq_ignore_ascii_case(scheme));
        let is_plain_layer = |(depth, part): (usize, &str)| depth < LAYERS_MAX && !has_host(part);
        found & SPECIAL == 0
            && twice & SLASH == 0
            && (found & NOT_ASCII == 0 || self.0.chars().all(is_printable))
            && (found & COLON == 0 || self.0.split(':').enumerate().all(is_plain_layer))
    }

    /// Secrets hidden and nothing else: whole, and with the characters that a terminal obeys. For a form that escapes them in its
    /// own way, such as JSON, so that whoever reads it can open the descriptor again.
    pub fn unescaped(self) -> String {
        hide(self.0)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, character) in hide(self.0).chars().enumerate() {
            if count == SHOWN_MAX {
                return write!(f, "... ({} bytes)", self.0.len());
            }
            write_printable(f, character)?;
        }
        Ok(())
    }
}

fn hide(text: &str) -> String {
    // A path is no URL, though something that lost its scheme may look like one: a query or a fragment of pairs, `//user:pw@host`.
    if text.starts_with('/') {
        let (path, end) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
        return match (path.starts_with("//"), end.contains('=')) {
            (true, _) => hide_inner(&hide_authority(path)) + &hide_end(end),
            (false, true) => path.to_owned() + &hide_end(end),
            (false, false) => text.to_owned(),
        };
    }
    hide_layer(text, 0)
}

fn hide_layer(text: &str, depth: usize) -> String {
    if depth == LAYERS_MAX {
        return HIDDEN.to_owned();
    }
    if let (Some((scheme, _)), Some((source, path))) = (text.split_once(':'), text.split_once('#'))
        && PATH_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
    {
        // Or the source's password had one.
        let path = if path.contains('@') && source.contains("//") { HIDDEN } else { path };
        return format!("{}#{path}", hide_layer(source, depth));
    }
    let (place, end) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    let scheme = place.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
    let place = match (Url::parse(place), scheme) {
        (Ok(url), _) if url.has_host() => of_url(&url, place),
        // A layer, whose descriptor holds another one, or whatever else its provider makes of it.
        (_, Some((scheme, rest))) if is_layered(rest) => {
            return format!("{scheme}:{}", hide_layer(&text[scheme.len() + 1..], depth + 1));
        }
        (Err(_), Some((scheme, rest))) if rest.contains('@') => format!("{scheme}:{HIDDEN}"),
        (_, Some((scheme, rest))) => format!("{scheme}:{}", hide_opaque(rest)),
        (_, None) => hide_opaque(place),
    };
    place + &hide_end(end)
}

/// Whether what follows a scheme is a descriptor of its own, and not `user:password@host`, whose user looks like a scheme.
fn is_layered(rest: &str) -> bool {
    let first = &rest[..rest.find(['/', '\\']).unwrap_or(rest.len())];
    let has_host = || Url::parse(rest).is_ok_and(|url| url.has_host());
    rest.split_once(':').is_some_and(|(inner, _)| is_scheme(inner)) && (!first.contains('@') || has_host())
}

/// A URL with a host, as it was written unless that names another host than the one that is dialled.
fn of_url(url: &Url, written: &str) -> String {
    let path = hide_inner(&url[Position::BeforePath..Position::AfterPath]);
    let (host, port) =
        (&url[Position::BeforeHost..Position::AfterHost], &url[Position::AfterHost..Position::AfterPort]);
    if !url.username().is_empty() || url.password().is_some() {
        return format!("{}://{HIDDEN}@{host}{port}{path}", url.scheme());
    }
    let authority = written.split_once("://").map(|(_, rest)| {
        let end = rest.find(['/', '\\']).unwrap_or(rest.len());
        (&rest[..end], &rest[end..])
    });
    match authority {
        Some((authority, rest)) if is_the_same(authority, host) && !rest.contains('\\') => {
            format!("{}{}", &written[..written.len() - rest.len()], hide_inner(rest))
        }
        _ => format!("{}://{host}{port}{path}", url.scheme()),
    }
}

/// Whether an authority as written, without user and password, names this host.
fn is_the_same(authority: &str, host: &str) -> bool {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    name.eq_ignore_ascii_case(host)
}

/// What follows a scheme that has no host: a name, a path, a broker's address.
fn hide_opaque(rest: &str) -> String {
    if rest.starts_with(['/', '\\']) {
        return hide_inner(&hide_authority(rest));
    }
    match rest.rsplit_once('@') {
        Some((_, after)) => format!("{HIDDEN}@{}", hide_parameters(after)),
        None => hide_parameters(rest),
    }
}

/// Hides user and password in the first component of what begins with slashes.
fn hide_authority(text: &str) -> String {
    let slashes = text.len() - text.trim_start_matches(['/', '\\']).len();
    let (slashes, rest) = text.split_at(slashes);
    let (first, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    match first.rsplit_once('@') {
        Some((_, after)) => format!("{slashes}{HIDDEN}@{after}{path}"),
        None => text.to_owned(),
    }
}

/// Hides what a path has of secrets: what stands before an `@` in each authority, since there may be further URLs in it, and the
/// parameters of its parts.
fn hide_inner(path: &str) -> String {
    let mut shown = String::new();
    let mut rest = path;
    while let Some(start) = rest.find("//") {
        let (before, after) = rest.split_at(start + 2);
        let authority = &after[..after.find('/').unwrap_or(after.len())];
        shown.push_str(before);
        rest = match authority.rfind('@') {
            Some(at) => {
                shown.push_str(HIDDEN);
                &after[at..]
            }
            None => after,
        };
    }
    hide_parameters(&(shown + rest))
}

/// Hides the values of `;key=value` behind the parts of a path, where servers without cookies have the session.
fn hide_parameters(path: &str) -> String {
    let parts: Vec<Cow<'_, str>> = path
        .split('/')
        .map(|part| match part.split_once(';') {
            Some((name, parameters)) => format!("{name};{}", hide_pairs(parameters, ';')).into(),
            None => part.into(),
        })
        .collect();
    parts.join("/")
}

/// Hides the values of `?key=value&...`, where presigned URLs carry their secret; a fragment too.
fn hide_end(end: &str) -> String {
    let (query, fragment) = end.split_at(end.find('#').unwrap_or(end.len()));
    let fragment = if fragment.len() > 1 { format!("#{HIDDEN}") } else { fragment.to_owned() };
    match query.strip_prefix('?') {
        Some(query) => format!("?{}{fragment}", hide_pairs(query, '&')),
        None => fragment,
    }
}

/// Hides the values of pairs, and whole what is no pair.
fn hide_pairs(text: &str, separator: char) -> String {
    let pairs: Vec<Cow<'_, str>> = text
        .split(separator)
        .map(|pair| match pair.split_once('=') {
            _ if pair.is_empty() => pair.into(),
            Some((key, value)) if is_plain(key, value) => pair.into(),
            Some((key, _)) => format!("{key}={HIDDEN}").into(),
            None => HIDDEN.into(),
        })
        .collect();
    pairs.join(separator.encode_utf8(&mut [0; 4]))
}

/// Whether a pair is one of those that say how a pipe is opened, or which torrent is meant: a message is of no use without them, and
/// they have no values but these.
fn is_plain(key: &str, value: &str) -> bool {
    let is_hash = |hash: &str| hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match key {
        "xt" => value.strip_prefix("urn:btih:").is_some_and(is_hash),
        "mode" => matches!(value, "r" | "w"),
        "role" => matches!(value, "listen" | "connect"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A password, a token or another host was shown in each of these.
    #[test]
    fn what_is_secret_is_hidden_however_it_is_written() {
        for (text, shown) in [
            ("http:/user:PW@h/x", "http://***@h/x"),
            ("http:user:PW@h", "http://***@h/"),
            ("//user:PW@h/x", "//***@h/x"),
            ("http:\\\\user:PW@h", "http://***@h/"),
            ("http://h/x?TOKEN", "http://h/x?***"),
            ("http://h/x?a=1&TOKEN&", "http://h/x?a=***&***&"),
            ("http://h/x#access_token=T", "http://h/x#***"),
            ("http://h/#a?b=c", "http://h/#***"),
            ("http://user:p/w@host/x", "http:***"),
            ("http://user:p?w@host/x", "http://user:p?***"),
            ("https://a:b@h/https://c:d@i/x", "https://***@h/https://***@i/x"),
            ("sftp:user:PW@h/x", "sftp:***@h/x"),
            ("gzip:sftp:user:PW@h/x", "gzip:***@h/x"),
            ("ftp:/user:PW@h/x", "ftp://***@h/x"),
            ("s3:/user:PW@h/x", "s3:/***@h/x"),
            ("tool:param,https://u:p@h/", "tool:***@h/"),
            ("/x#access_token=T", "/x#***"),
            ("user:PW@h", "user:***@h"),
            ("PW@h", "***@h"),
            ("http://h/x;jsessionid=T/y;a=1;T?b=2", "http://h/x;jsessionid=***/y;a=***;***?b=***"),
            ("gzip:https://h/x;jsessionid=T", "gzip:https://h/x;jsessionid=***"),
            ("s3:bucket/x;sig=T", "s3:bucket/x;sig=***"),
            ("//h/x;jsessionid=T", "//h/x;jsessionid=***"),
            ("magnet:?xt=urn:btih:abc&tr=http://t/T/announce#a/b", "magnet:?xt=urn:btih:abc&tr=***#a/b"),
            ("magnet:?xt=urn:btih:a%20T", "magnet:?xt=***"),
            ("torrent:https://u:PW@h/x.torrent?t=T#a/b", "torrent:https://***@h/x.torrent?t=***#a/b"),
            ("torrent:https://u:P#W@h/x.torrent", "torrent:https://u:P#***"),
        ] {
            assert_eq!(Shown(text).to_string(), shown, "{text}");
            assert_eq!(Shown(text).to_cow(), shown, "{text}");
        }
    }

    #[test]
    fn the_host_that_is_shown_is_the_one_that_is_dialled() {
        for (text, shown) in [
            ("http://127.0.0.1:1\\@localhost/", "http://127.0.0.1:1/@localhost/"),
            ("http://0x7f.1/x", "http://127.0.0.1/x"),
            ("http://ex%61mple.org/", "http://example.org/"),
            ("http:\\\\h\\x", "http://h/x"),
            ("http:0x7f.1/x", "http://127.0.0.1/x"),
            ("gzip:HTTP:/0x7f.1/x", "gzip:http://127.0.0.1/x"),
            ("http://EXAMPLE.org:80/x", "http://EXAMPLE.org:80/x"),
            ("tcp://[::1]:80/?mode=w", "tcp://[::1]:80/?mode=w"),
        ] {
            assert_eq!(Shown(text).to_string(), shown, "{text}");
            assert_eq!(Shown(text).to_cow(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_not_escaped_can_be_opened_again_and_has_no_secret() {
        let long = format!("/srv/{}", "x".repeat(2 * SHOWN_MAX));
        for text in ["/srv/a\u{200b}b\u{ad}\n\\", "mem:\u{feff}x", &long] {
            assert_eq!(Shown(text).unescaped(), text);
            assert_ne!(Shown(text).to_string(), text);
        }
        assert_eq!(Shown("http://u:PW@h/\u{ad}?t=T").unescaped(), "http://***@h/%C2%AD?t=***");
    }

    #[test]
    fn what_is_not_secret_stays_as_it_was_written() {
        for text in [
            "http://host:80/@me",
            "file:/srv/a@b",
            "/srv//a@b",
            "/srv/a@b",
            "/srv/what?#1",
            "/srv/a;b=c",
            "netpipe:192.168.0.1:2:w",
            "netpipe:broker:7:w",
            "opaque:b:80|>x",
            "tcp:h:1?mode=w&role=listen",
            "gzip:file:/srv/x.gz",
            "torrent:/srv/x.torrent#folder/a=b?c#d@e",
            "gzip:Torrent:https://h/x.torrent#folder/file",
            "relative/path",
            "http://h:99999/",
        ] {
            assert_eq!(Shown(text).to_string(), text);
            assert_eq!(Shown(text).to_cow(), text);
        }
    }

    /// Marks in every place where a secret can stand, put together at random: none comes out, and the host is the one dialled.
    #[test]
    fn no_secret_survives_and_no_other_host_is_shown() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut pick = |list: &[&'static str]| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            list[(state >> 33) as usize % list.len()]
        };
        let schemes =
            ["http:", "https:", "HTTP:", "gzip:http:", "ftp:", "sftp:", "a+b:", "cache:gzip:https:", ""];
        let slashes = ["//", "/", "", "\\\\", "///", "/\\", "////"];
        let users = [
            "S3CRET@",
            "u:S3CRET@",
            "S3CRET:S3CRET@",
            ":S3CRET@",
            "u%3AS3CRET@",
            "u:S3CRET@@",
            "u:S3CRET@x@",
            "",
        ];
        let hosts = ["host.example", "host.example:80", "[::1]", "[::1]:80", "127.0.0.1", "0x7f.1"];
        let paths = ["", "/", "/x/y", "/x@y", "/http://u:S3CRET@i/", "\\x", "/x;S3CRET/y;k=S3CRET"];
        let ends = [
            "",
            "?S3CRET",
            "?a=S3CRET",
            "#S3CRET",
            "?a=S3CRET&S3CRET#S3CRET",
            "#a?S3CRET",
            "?a=S3CRET?S3CRET",
        ];
        for _ in 0..20_000 {
            let text =
                [pick(&schemes), pick(&slashes), pick(&users), pick(&hosts), pick(&paths), pick(&ends)]
                    .concat();
            // Without a scheme it is a path of this machine, or what looks like one is a user's name.
            if !text.starts_with("//") && !schemes[..8].iter().any(|scheme| text.starts_with(scheme)) {
                continue;
            }
            let shown = Shown(&text).to_string();
            assert!(!shown.contains("S3CRET"), "{text} is shown as {shown}");
            if let Ok(url) = Url::parse(&text)
                && let Some(host) = url.host_str()
            {
                let seen = Url::parse(&shown.replace("***@", "")).unwrap();
                assert_eq!(seen.host_str(), Some(host), "{text} is shown as {shown}");
            }
        }
    }
}
