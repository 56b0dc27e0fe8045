//! One request, as it came.

use std::io::{self, BufRead, ErrorKind};
use std::time::Instant;

/// The most that a head may have.
const HEAD_MAX: usize = 256 << 10;

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which of the server's connections it came over, from 0.
    pub connection: usize,
    /// When its head was complete.
    pub at: Instant,
    /// `GET`.
    pub method: String,
    /// What is asked for, as written: a path, with its query.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// Its fields, in order.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A field's value, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The first and, if it is named, the last byte of `Range: bytes=first-last`.
    pub fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.header("Range")?.strip_prefix("bytes=")?.split_once('-')?;
        let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
        Some((first.parse().ok()?, last))
    }

    /// The offset that it asks to begin at.
    pub fn first(&self) -> u64 {
        self.range().map_or(0, |(first, _)| first)
    }

    /// Reads a head. `None`: the client closed instead.
    pub(super) fn read(from: &mut impl BufRead, connection: usize) -> io::Result<Option<Request>> {
        let mut left = HEAD_MAX;
        let Some(first) = line(from, &mut left)? else { return Ok(None) };
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed(&first));
        };
        let mut headers = Vec::new();
        loop {
            let line = line(from, &mut left)?.ok_or(ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Request { connection, at: Instant::now(), method, target, version, headers }))
    }
}

/// A line without its end; `None` at the end of the stream.
pub(super) fn line(from: &mut impl BufRead, left: &mut usize) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    io::Read::take(&mut *from, *left as u64).read_until(b'\n', &mut bytes)?;
    *left -= bytes.len();
    if bytes.is_empty() {
        return if *left == 0 { Err(malformed("too long")) } else { Ok(None) };
    }
    let line = String::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(Some(line.to_owned())),
        None => Err(malformed(&line)),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not a request: {what}"))
}
