//! What tells one content of an object from another.

use crate::request::Pinned;
use crate::response::Head;
use vfs_core::Stat;

/// A version tag's room in the ABI, without its NUL.
const VERSION_MAX: usize = 127;

/// What tells one content from another: pinned at the first answer, asked for with every later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// A strong entity tag, quotes and all.
    Tag(String),
    /// The `Last-Modified` field as it came; the size goes with it.
    Date(String),
}

impl Validator {
    /// The best that an answer has; `None`: it has none that proves anything.
    pub fn of(head: &Head) -> Option<Validator> {
        if let Some(tag) = head.text("etag").filter(|tag| is_strong(tag)) {
            return Some(Validator::Tag(tag.to_owned()));
        }
        let date = head.text("last-modified")?;
        httpdate::parse_http_date(date).is_ok().then(|| Validator::Date(date.to_owned()))
    }

    /// How a request names it. `plainly`: the server takes a date for too weak to compare ranges by, as it may for a minute
    /// after a change; then the answer's own fields are compared, and it need only refuse what has changed.
    pub fn pinned(&self, plainly: bool) -> Pinned<'_> {
        match self {
            Validator::Date(date) if plainly => Pinned::UnmodifiedSince(date),
            Validator::Tag(text) | Validator::Date(text) => Pinned::IfRange(text),
        }
    }

    /// Whether an answer is of the same content. One that doesn't say is not: the server said it before.
    pub fn matches(&self, head: &Head) -> bool {
        match self {
            Validator::Tag(tag) => head.text("etag") == Some(tag),
            Validator::Date(date) => head.text("last-modified") == Some(date),
        }
    }
}

/// A quoted tag without `W/`, and nothing that would break out of a field.
fn is_strong(tag: &str) -> bool {
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| byte != b'"' && byte > b' ' && byte != 0x7f))
}

/// Adds what an answer says of the object's version: its tag, and the time of its last change. A weak tag will do here; one
/// that is too long is none.
pub fn describe(stat: Stat, head: &Head) -> Stat {
    let stat = match head.last_modified() {
        Some(time) => stat.modified(time),
        None => stat,
    };
    match head.text("etag") {
        Some(tag) if tag.len() <= VERSION_MAX && !tag.contains(char::is_control) => stat.version(tag),
        _ => stat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn head(fields: &[&str]) -> Head {
        Head::of(&[&["HTTP/1.1 200 OK"], fields].concat())
    }

    #[test]
    fn a_strong_tag_is_pinned_before_a_date() {
        let modified = format!("Last-Modified: {DATE}");
        let both = head(&["ETag: \"abc\"", &modified]);
        assert_eq!(Validator::of(&both), Some(Validator::Tag("\"abc\"".to_owned())));
        for tag in ["ETag: W/\"abc\"", "ETag: abc", "ETag: \"a\"b\"", "ETag: \""] {
            assert_eq!(Validator::of(&head(&[tag])), None, "{tag}");
            let pinned = Validator::of(&head(&[tag, &modified]));
            assert_eq!(pinned, Some(Validator::Date(DATE.to_owned())), "{tag}");
        }
        assert_eq!(Validator::of(&head(&["Last-Modified: yesterday"])), None);
    }

    #[test]
    fn an_answer_without_the_pinned_validator_is_not_of_the_same_content() {
        let tag = Validator::Tag("\"abc\"".to_owned());
        assert!(tag.matches(&head(&["ETag: \"abc\""])));
        for fields in [&["ETag: \"abd\""][..], &["ETag: W/\"abc\""], &[]] {
            assert!(!tag.matches(&head(fields)), "{fields:?}");
        }
    }
}
