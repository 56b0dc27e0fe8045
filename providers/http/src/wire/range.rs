//! Ranges of bytes: how they are asked for, and whether what came is what was asked for.

use std::fmt;
use zvfs_net::failure::{Attempt, Failure};

/// The bytes from `start` to `end`, which is not among them; `None`: to the object's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: Option<u64>,
}

impl Span {
    /// All of an object.
    pub const ALL: Span = Span { start: 0, end: None };
    /// As little as every server can be asked for.
    pub const PROBE: Span = Span { start: 0, end: Some(2) };

    /// What to ask for of an object of this size to get the span: never a single byte, which some servers refuse (whitenoise),
    /// and the first of all some take for everything (busybox). It may begin a byte earlier, or end one later.
    #[must_use]
    pub fn askable(self, size: Option<u64>) -> Span {
        let Span { start, end } = self;
        if end.or(size) != Some(start + 1) {
            return self;
        }
        match size {
            Some(size) if start + 1 < size => Span { start, end: Some(start + 2) },
            _ if start > 0 => Span { start: start - 1, end },
            _ => Span::ALL,
        }
    }
}

impl fmt::Display for Span {
    /// The value of a `Range` field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(end) => write!(f, "bytes={}-{}", self.start, end.saturating_sub(1)),
            None => write!(f, "bytes={}-", self.start),
        }
    }
}

/// A `Content-Range` field: which bytes came, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte, and that behind the last; `None`: none came (416).
    pub bytes: Option<(u64, u64)>,
    /// The object's size; `None`: not said.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Parses a field.
    ///
    /// # Errors
    /// EPROTO: it is none, or contradicts itself.
    pub fn parse(text: &str) -> Attempt<ContentRange> {
        ContentRange::parsed(text)
            .ok_or_else(|| Failure::protocol(format!("`{}` is not a Content-Range", text.escape_debug())))
    }

    fn parsed(text: &str) -> Option<ContentRange> {
        let (unit, rest) = text.split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, total) = rest.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        // webfs counts to the last byte of an empty file; that it has none is all it can mean.
        if range == "*" || (range, total) == ("0--1", Some(0)) {
            return Some(ContentRange { bytes: None, total });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let sound = first <= last && total.is_none_or(|total| last < total);
        sound.then_some(ContentRange { bytes: Some((first, last + 1)), total })
    }

    /// Checks that the bytes begin where was asked for. Returns the byte behind the last one that came: a server may send
    /// fewer than were asked for, or more.
    ///
    /// # Errors
    /// EPROTO: they begin elsewhere.
    pub fn verify(&self, asked: Span) -> Attempt<u64> {
        let wrong = |came: String| Failure::protocol(format!("asked for {asked}, got {came}"));
        match self.bytes {
            Some((start, end)) if start == asked.start => Ok(end),
            Some((start, end)) => Err(wrong(format!("bytes {start}-{}", end - 1))),
            None if self.total == Some(0) && asked.start == 0 => Ok(0),
            None => Err(wrong("no bytes".to_owned())),
        }
    }
}

/// Digits only, and no more than a position can be.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| text.parse().ok())??;
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_asked_for_with_both_ends() {
        assert_eq!(Span::ALL.to_string(), "bytes=0-");
        assert_eq!(Span::PROBE.to_string(), "bytes=0-1");
        assert_eq!(Span { start: 10, end: Some(20) }.to_string(), "bytes=10-19");
    }

    #[test]
    fn a_content_range_is_parsed() {
        let parse = |text| ContentRange::parse(text).unwrap();
        assert_eq!(parse("bytes 0-9/100"), ContentRange { bytes: Some((0, 10)), total: Some(100) });
        assert_eq!(parse("Bytes  5-5/*"), ContentRange { bytes: Some((5, 6)), total: None });
        assert_eq!(parse("bytes */0"), ContentRange { bytes: None, total: Some(0) });
        assert_eq!(parse("bytes 0--1/0"), ContentRange { bytes: None, total: Some(0) });
    }

    #[test]
    fn what_is_no_content_range_is_refused() {
        for text in [
            "",
            "bytes",
            "bytes 0-9",
            "items 0-9/10",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes 0-9/x",
            "bytes -5/10",
            "bytes 0--1/10",
            "bytes 0--1/*",
            "bytes 0-/10",
            "bytes +1-2/10",
            "bytes 0-9223372036854775808/*",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9/10, 3-4/10",
        ] {
            assert!(ContentRange::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_bytes_than_those_asked_for_are_refused() {
        let asked = Span { start: 10, end: Some(20) };
        let verify = |text| ContentRange::parse(text).unwrap().verify(asked);
        assert_eq!(verify("bytes 10-19/100").unwrap(), 20);
        assert_eq!(verify("bytes 10-14/100").unwrap(), 15);
        assert_eq!(verify("bytes 10-99/100").unwrap(), 100);
        for text in ["bytes 0-9/100", "bytes 11-19/100", "bytes 9-20/100", "bytes */100", "bytes */0"] {
            assert!(verify(text).is_err(), "{text}");
        }
        assert_eq!(ContentRange::parse("bytes 0--1/0").unwrap().verify(Span::ALL), Ok(0));
    }

    #[test]
    fn no_byte_is_asked_for_alone() {
        let span = |start, end| Span { start, end };
        for (wanted, size, asked) in [
            (span(0, Some(1)), Some(9), Span::PROBE),
            (span(0, Some(1)), Some(1), Span::ALL),
            (span(0, None), Some(1), Span::ALL),
            (span(5, Some(6)), Some(9), span(5, Some(7))),
            (span(8, Some(9)), Some(9), span(7, Some(9))),
            (span(8, None), Some(9), span(7, None)),
            (span(5, Some(6)), None, span(4, Some(6))),
            (span(5, Some(7)), Some(9), span(5, Some(7))),
            (span(5, None), Some(9), span(5, None)),
            (span(5, None), None, span(5, None)),
        ] {
            assert_eq!(wanted.askable(size), asked, "{wanted:?} of {size:?}");
        }
    }
}
