//! What tells one content of an object from another.

use crate::wire::head::Head;
use crate::wire::request::Pinned;
use std::time::Duration;
use vfs_core::Stat;

/// A version tag's room in the ABI, without its NUL.
const VERSION_MAX: usize = 127;

/// What tells one content from another: pinned at the first answer, asked for with every later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// A strong entity tag, quotes and all.
    Tag(String),
    /// The `Last-Modified` field as it came, older than its answer; the size goes with it.
    Date(String),
}

/// What an answer says of the content, whether it proves anything or not: if it stays, that is no proof; if it doesn't, it is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// The entity tag, be it weak.
    tag: Option<String>,
    /// The `Last-Modified` field, be it too young; `None` beside a strong tag, which is enough.
    date: Option<String>,
}

impl Fingerprint {
    /// Those of an answer.
    pub fn of(head: &Head) -> Fingerprint {
        let owned = |name| head.text(name).map(str::to_owned);
        let tag = owned("etag");
        let date = if tag.as_deref().is_some_and(is_strong) { None } else { owned("last-modified") };
        Fingerprint { tag, date }
    }

    /// Whether there is a tag. Then a date may not go as `If-Range` (RFC 9110, section 13.1.5).
    pub fn has_tag(&self) -> bool {
        self.tag.is_some()
    }

    /// Whether an answer is of another content: its tag is another one, or gone, or its date is another one.
    pub fn differ_from(&self, head: &Head) -> bool {
        let differs =
            |own: &Option<String>, name| own.as_deref().is_some_and(|own| head.text(name) != Some(own));
        differs(&self.tag, "etag")
            || (head.text("last-modified").is_some() && differs(&self.date, "last-modified"))
    }
}

impl Validator {
    /// The best that an answer has; `None`: it has none that proves anything.
    pub fn of(head: &Head) -> Option<Validator> {
        if let Some(tag) = head.text("etag").filter(|tag| is_strong(tag)) {
            return Some(Validator::Tag(tag.to_owned()));
        }
        is_settled(head).then(|| head.text("last-modified").map(str::to_owned).map(Validator::Date))?
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

/// Whether `Last-Modified` lies at least a second before the answer's `Date`: in the second of a change, another one may follow that
/// the date doesn't show (RFC 9110, section 8.8.2.2). Only the server's own clock tells.
fn is_settled(head: &Head) -> bool {
    let age =
        head.last_modified().zip(head.date()).and_then(|(modified, date)| date.duration_since(modified).ok());
    age.is_some_and(|age| age >= Duration::from_secs(1))
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
        let date = "Date: Sun, 06 Nov 1994 08:49:38 GMT";
        let both = head(&["ETag: \"abc\"", &modified, date]);
        assert_eq!(Validator::of(&both), Some(Validator::Tag("\"abc\"".to_owned())));
        for tag in ["ETag: W/\"abc\"", "ETag: abc", "ETag: \"a\"b\"", "ETag: \""] {
            assert_eq!(Validator::of(&head(&[tag])), None, "{tag}");
            let pinned = Validator::of(&head(&[tag, &modified, date]));
            assert_eq!(pinned, Some(Validator::Date(DATE.to_owned())), "{tag}");
        }
        assert_eq!(Validator::of(&head(&["Last-Modified: yesterday", date])), None);
    }

    #[test]
    fn a_date_proves_nothing_in_the_second_of_the_change() {
        let modified = format!("Last-Modified: {DATE}");
        for date in
            ["Date: Sun, 06 Nov 1994 08:49:37 GMT", "Date: Sun, 06 Nov 1994 08:49:36 GMT", "Date: today"]
        {
            assert_eq!(Validator::of(&head(&[&modified, date])), None, "{date}");
        }
        assert_eq!(Validator::of(&head(&[&modified])), None);
    }

    #[test]
    fn marks_differ_if_a_tag_or_a_date_does() {
        let modified = format!("Last-Modified: {DATE}");
        let later = "Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT";
        let weak = Fingerprint::of(&head(&["ETag: W/\"x1\"", &modified]));
        assert!(!weak.differ_from(&head(&["ETag: W/\"x1\""])));
        for fields in
            [&["ETag: W/\"x2\"", &modified][..], &["ETag: W/\"x1\"", later], &["ETag: \"x1\""], &[&modified]]
        {
            assert!(weak.differ_from(&head(fields)), "{fields:?}");
        }
        // Servers that share a strong tag need not share a date.
        assert!(
            !Fingerprint::of(&head(&["ETag: \"x\"", &modified])).differ_from(&head(&["ETag: \"x\"", later]))
        );
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
