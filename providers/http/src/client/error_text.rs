//! What a server says of its own refusal: the body of an answer that is an error, as far as a person may read it in a message.

use crate::target::{decoded_basic, percent_decoded};
use crate::wire::head::Head;
use vfs_core::{Printable, Shown};
use zvfs_net::failure::Attempt;

/// What is read of a body at most.
const BODY_MAX: usize = 4 << 10;
/// Characters of it that stand in a message.
const SHOWN_MAX: usize = 200;
/// What is shorter is no secret that could be told from a word.
const SECRET_MIN: usize = 4;

/// Texts that stand in no message, whoever says them.
#[derive(Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Adds one, as it stands and percent-decoded.
    pub fn add(&mut self, secret: &str) {
        let decoded = String::from_utf8(percent_decoded(secret)).unwrap_or_default();
        for text in [secret, &decoded] {
            if text.len() >= SECRET_MIN && !self.0.iter().any(|known| known == text) {
                self.0.push(text.to_owned());
            }
        }
    }

    /// Adds what an `Authorization` field says: with and without its scheme and encoding, and the parts.
    pub fn add_authorization(&mut self, field: &str) {
        let secret = field.split_once(' ').map_or(field, |(_, secret)| secret);
        self.add(secret);
        let pair = decoded_basic(field).unwrap_or_default();
        self.add(&pair);
        pair.split_once(':').into_iter().for_each(|(user, password)| {
            self.add(user);
            self.add(password);
        });
    }

    fn hide(&self, text: &str) -> String {
        // The longest first: one may be a part of another.
        let mut known: Vec<&String> = self.0.iter().collect();
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

/// Reads the words of an answer by a function that reads its body; `None`: there are none.
pub fn receive(
    head: &Head,
    secrets: &Secrets,
    mut read: impl FnMut(&mut [u8]) -> Attempt<usize>,
) -> Option<String> {
    if !are_in(head) {
        return None;
    }
    let (mut body, mut length, mut whole) = (vec![0; BODY_MAX], 0, false);
    while length < BODY_MAX && !whole {
        match read(&mut body[length..]) {
            Ok(0) => whole = true,
            Ok(count) => length += count,
            // What came may say enough.
            Err(_) => break,
        }
    }
    of(&body[..length], whole, secrets)
}

/// Whether a body is words: text, XML or JSON.
fn are_in(head: &Head) -> bool {
    let kind = head.text("content-type").unwrap_or_default().to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let encoded = head.all("content-encoding").any(|encoding| !encoding.eq_ignore_ascii_case(b"identity"));
    // Who does not say what it is, says something short.
    let is_words = kind.is_empty()
        || kind.starts_with("text/")
        || ["xml", "json"]
            .iter()
            .any(|form| kind.ends_with(&format!("/{form}")) || kind.ends_with(&format!("+{form}")));
    is_words && !encoded
}

/// A body's words, on one line; `None`: there are none. `whole`: nothing more of it would have come.
fn of(body: &[u8], whole: bool, secrets: &Secrets) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    if text.contains('\0') {
        return None;
    }
    let mut text = secrets.hide(&plain(&text));
    if !whole {
        // The beginning of a secret may stand at the end.
        let longest = secrets.0.iter().map(String::len).max().unwrap_or(0);
        let kept = text.char_indices().rev().map(|(at, _)| at).find(|at| text.len() - at > longest);
        text.truncate(kept.unwrap_or(0));
    }
    let words: Vec<String> = text.split_whitespace().map(shown).collect();
    let words = words.join(" ");
    let words = words.trim_end_matches('.'); // a message has no full stop
    if words.is_empty() {
        return None;
    }
    let cut = words.char_indices().nth(SHOWN_MAX).map(|(at, _)| at);
    Some(cut.map_or(words.to_owned(), |at| format!("{}...", &words[..at])))
}

/// A word for a message: of a URL neither credentials nor query, of other characters only those that can be seen.
fn shown(word: &str) -> String {
    let word = if word.contains("//") { Shown(word).to_cow().into_owned() } else { word.to_owned() };
    Printable(&word).to_string()
}

/// Text without a markup's tags, and its entities resolved. What stands in a head, a script or a style is not for readers.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        plain += &rest[..at];
        rest = &rest[at..];
        let lower = rest.get(..8).unwrap_or(rest).to_ascii_lowercase();
        let end = ["head", "script", "style", "!--"].iter().find_map(|name| {
            let opens = lower[1..].strip_prefix(name).is_some_and(|rest| {
                *name == "!--" || !rest.starts_with(|next: char| next.is_ascii_alphanumeric())
            });
            opens.then(|| if *name == "!--" { "-->".to_owned() } else { format!("</{name}") })
        });
        let from = match end {
            Some(end) => match rest.to_ascii_lowercase().find(&end) {
                Some(at) => at,
                None => return plain,
            },
            // A lone `<` is no tag.
            None if !rest[1..]
                .starts_with(|next: char| next.is_ascii_alphabetic() || "/!?".contains(next)) =>
            {
                plain.push('<');
                rest = &rest[1..];
                continue;
            }
            None => 0,
        };
        let Some(close) = rest[from..].find('>') else { return plain };
        rest = &rest[from + close + 1..];
        plain.push(' ');
    }
    plain += rest;
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
        ("\\/", "/"),
    ]
    .iter()
    .fold(plain, |text, (entity, char)| text.replace(entity, char))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str, secrets: &[&str]) -> String {
        let mut hidden = Secrets::default();
        secrets.iter().for_each(|secret| hidden.add(secret));
        of(body.as_bytes(), true, &hidden).unwrap_or_default()
    }

    #[test]
    fn markup_is_taken_off() {
        for (body, words) in [
            ("no such\r\n  bucket.\n", "no such bucket"),
            (
                "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
                "AccessDenied Request has expired",
            ),
            (
                "<html><head><title>404 Not Found</title></head>\n<body><h1>404 Not Found</h1><!-- a > b --><hr>nginx</body>",
                "404 Not Found nginx",
            ),
            ("<STYLE>b{}</STYLE><header>Kept</header>", "Kept"),
            ("a &lt;b&gt; &amp;amp; 1 < 2", "a <b> &amp; 1 < 2"),
            ("{\"error\": \"no\\/way\"}", "{\"error\": \"no/way\"}"),
            ("<script>never closed", ""),
            ("", ""),
            ("PK\u{3}\u{4}\0\0", ""),
        ] {
            assert_eq!(said(body, &[]), words, "{body}");
        }
    }

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        let mut secrets = Secrets::default();
        secrets.add("s%26same");
        secrets.add_authorization("Basic cmVhZGVyOnN3b3JkZmlzaA==");
        secrets.add_authorization("Bearer t0ken");
        secrets.add("abc");
        let body = "s%26same s&amp;same reader swordfish cmVhZGVyOnN3b3JkZmlzaA== t0ken abc \
                    http://u:p@h/x?key=value";
        let words = of(body.as_bytes(), true, &secrets).unwrap();
        assert_eq!(words, "*** *** *** *** *** *** abc http://***@h/x?key=***");
    }

    #[test]
    fn a_secret_that_was_cut_off_does_not_show_its_beginning() {
        let mut secrets = Secrets::default();
        secrets.add("swordfish");
        assert_eq!(of(b"the key is swordfi", false, &secrets).unwrap(), "the key");
        assert_eq!(of(b"swordfi", false, &secrets), None);
    }

    #[test]
    fn words_are_few_and_move_no_terminal() {
        assert_eq!(said("\u{1b}[31mred\u{202e}", &[]), "\\u{1b}[31mred\\u{202e}");
        let long = said(&"\u{fc}".repeat(1_000), &[]);
        assert_eq!(long, "\u{fc}".repeat(SHOWN_MAX) + "...");
    }

    #[test]
    fn only_text_xml_and_json_are_words() {
        for (fields, words) in [
            (&["Content-Type: text/html; charset=utf-8"][..], true),
            (&["Content-Type: application/xml"], true),
            (&["Content-Type: application/problem+json"], true),
            (&["Content-Type: application/octet-stream"], false),
            (&["Content-Type: text/plain", "Content-Encoding: gzip"], false),
            (&[], true),
        ] {
            assert_eq!(are_in(&Head::of(&[&["HTTP/1.1 404 x"], fields].concat())), words, "{fields:?}");
        }
    }
}
