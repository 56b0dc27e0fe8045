//! What is right to answer for a file of the pattern's bytes.

use super::answer::{Answer, Body};
use super::request::Request;

/// When every answer is made: long after each change.
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// A file whose content is [`crate::pattern`]'s, with a version.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its size in bytes.
    pub size: u64,
    /// Its tag, with the quotes.
    pub etag: Option<String>,
    /// When it was changed, as HTTP writes dates.
    pub modified: Option<String>,
    /// Whether ranges are honoured; otherwise each answer is the whole.
    pub ranges: bool,
}

impl Object {
    /// A file of this size with a strong tag and a date, on a server that has ranges.
    pub fn new(size: u64) -> Object {
        Object {
            size,
            etag: Some("\"one\"".to_owned()),
            modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
            ranges: true,
        }
    }

    /// The same with another tag.
    pub fn tagged(mut self, etag: &str) -> Object {
        self.etag = Some(etag.to_owned());
        self
    }

    /// The same without a tag.
    pub fn untagged(mut self) -> Object {
        self.etag = None;
        self
    }

    /// The same with neither tag nor date.
    pub fn unversioned(mut self) -> Object {
        (self.etag, self.modified) = (None, None);
        self
    }

    /// The same on a server that ignores ranges.
    pub fn without_ranges(mut self) -> Object {
        self.ranges = false;
        self
    }

    /// The right answer: 200, 206, 412 or 416.
    pub fn answer(&self, request: &Request) -> Answer {
        if request.header("If-Match").is_some_and(|tag| tag != "*" && Some(tag) != self.etag.as_deref()) {
            return Answer::new(412);
        }
        let unchanged = request.header("If-Range").is_none_or(|seen| self.is_version(seen));
        let range = if self.ranges && unchanged { self.range(request) } else { None };
        match range {
            None => self.described(Answer::new(200), 0, self.size),
            Some((first, _)) if first >= self.size => {
                Answer::new(416).with("Content-Range", format!("bytes */{}", self.size))
            }
            Some((first, last)) => {
                let end = last.map_or(self.size, |last| self.size.min(last.saturating_add(1)));
                let range = format!("bytes {first}-{}/{}", end - 1, self.size);
                self.described(Answer::new(206).with("Content-Range", range), first, end)
            }
        }
    }

    /// What a range asks for; one from the end is made one from the start. `None`: no range, or none that makes sense.
    fn range(&self, request: &Request) -> Option<(u64, Option<u64>)> {
        let suffix = || request.header("Range")?.strip_prefix("bytes=-")?.parse::<u64>().ok();
        match suffix() {
            Some(0) => Some((self.size, None)),
            Some(count) => Some((self.size.saturating_sub(count), None)),
            None => request.range().filter(|(first, last)| last.is_none_or(|last| *first <= last)),
        }
    }

    /// If-Range compares strongly: a weak tag matches nothing.
    fn is_version(&self, seen: &str) -> bool {
        let is = |own: &Option<String>| own.as_deref() == Some(seen);
        !seen.starts_with("W/") && (is(&self.etag) || is(&self.modified))
    }

    fn described(&self, answer: Answer, first: u64, end: u64) -> Answer {
        let mut answer = answer.with("Content-Length", end - first);
        if self.ranges {
            answer = answer.with("Accept-Ranges", "bytes");
        }
        if let Some(etag) = &self.etag {
            answer = answer.with("ETag", etag);
        }
        if let Some(modified) = &self.modified {
            answer = answer.with("Last-Modified", modified).with("Date", DATE);
        }
        answer.body = Body::Pattern(first..end);
        answer
    }
}
