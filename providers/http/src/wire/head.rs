//! The head of an answer.

use crate::wire::connection::Connection;
use std::ops::Range;
use std::time::{Duration, SystemTime};
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::waiting::Waiting;

/// More fields than any server sends.
const FIELDS_MAX: usize = 128;
/// More interim answers (100, 103) than any server sends.
const INTERIM_MAX: usize = 32;

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// HTTP/1.1, else 1.0.
    pub is_1_1: bool,
    text: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Head {
    /// Receives the final head; interim ones are passed over.
    ///
    /// # Errors
    /// ECONNRESET: the connection ended. EPROTO: not a head of HTTP/1, or one that is too large.
    pub fn receive(connection: &mut Connection, waiting: Waiting<'_>) -> Attempt<Head> {
        for _ in 0..INTERIM_MAX {
            let head = Head::receive_any(connection, waiting)?;
            if head.is_final()? {
                return Ok(head);
            }
        }
        Err(Failure::protocol("too many interim answers"))
    }

    /// Receives a head, also an interim one.
    ///
    /// # Errors
    /// As [`receive`](Head::receive).
    pub fn receive_any(connection: &mut Connection, waiting: Waiting<'_>) -> Attempt<Head> {
        loop {
            if let Some(head) = Head::take(connection)? {
                return Ok(head);
            }
            if connection.fill(waiting)? == 0 {
                let text = match connection.buffered().is_empty() {
                    true => "the connection ended without an answer",
                    false => "the connection ended in the head of the answer",
                };
                return Err(Failure::later(Code::ECONNRESET, text));
            }
        }
    }

    /// Takes a whole head out of what was received; `None`: it is not whole.
    ///
    /// # Errors
    /// EPROTO: not a head of HTTP/1.
    pub fn take(connection: &mut Connection) -> Attempt<Option<Head>> {
        match Head::parse(connection.buffered())? {
            Some((head, length)) => {
                connection.consume(length);
                Ok(Some(head))
            }
            None => Ok(None),
        }
    }

    /// Whether no other head follows for the same request.
    ///
    /// # Errors
    /// EPROTO: the server changes the protocol, unasked.
    pub fn is_final(&self) -> Attempt<bool> {
        match self.status {
            101 => Err(Failure::protocol("the server switches to another protocol")),
            status => Ok(status >= 200),
        }
    }

    /// Parses a head; `None`: it is not whole. Returns its length too.
    fn parse(bytes: &[u8]) -> Attempt<Option<(Head, usize)>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Failure::protocol(format!("an answer with more than {FIELDS_MAX} fields")));
            }
            Err(error) => return Err(Failure::protocol(format!("not an answer of HTTP/1: {error}"))),
        };
        // The parser's slices lie in `bytes`.
        let at = |part: *const u8, length: usize| {
            let start = part as usize - bytes.as_ptr() as usize;
            start..start + length
        };
        let spans = |field: &httparse::Header<'_>| {
            (at(field.name.as_ptr(), field.name.len()), at(field.value.as_ptr(), field.value.len()))
        };
        let fields = response.headers.iter().map(spans).collect();
        let (status, version) = (response.code.unwrap_or(0), response.version.unwrap_or(0));
        if !(100..600).contains(&status) {
            return Err(Failure::protocol(format!("the status {status}")));
        }
        Ok(Some((Head { status, is_1_1: version == 1, text: bytes[..length].to_vec(), fields }, length)))
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |(field, _): &&(Range<usize>, Range<usize>)| {
            self.text[field.clone()].eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.iter().filter(named).map(|(_, value)| self.text[value.clone()].trim_ascii())
    }

    /// The first value of a field that is text.
    pub fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).find_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether a field that is a list has a word in it, without case.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let is_word = |item: &[u8]| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes());
        self.all(name).any(|value| value.split(|byte| *byte == b',').any(is_word))
    }

    /// Whether another request may follow on the connection.
    pub fn keeps_alive(&self) -> bool {
        match self.is_1_1 {
            true => !self.lists("connection", "close"),
            false => self.lists("connection", "keep-alive") && !self.lists("connection", "close"),
        }
    }

    /// When the object was last changed.
    pub fn last_modified(&self) -> Option<SystemTime> {
        self.text("last-modified").and_then(|text| httpdate::parse_http_date(text).ok())
    }

    /// When the server made the answer, by its own clock.
    pub fn date(&self) -> Option<SystemTime> {
        self.text("date").and_then(|text| httpdate::parse_http_date(text).ok())
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.text("retry-after")?;
        match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            true => Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX >> 1))),
            false => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
impl Head {
    /// A head of these lines, for tests.
    pub fn of(lines: &[&str]) -> Head {
        let text = lines.join("\r\n") + "\r\n\r\n";
        Head::parse(text.as_bytes()).unwrap().unwrap().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_whole_and_its_fields_found_without_case() {
        let bytes =
            b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/2\r\nX: a\r\nx:  b \r\n\r\nbody";
        for length in 0..bytes.len() - 4 {
            assert_eq!(Head::parse(&bytes[..length]).unwrap(), None, "{length}");
        }
        let (head, length) = Head::parse(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.is_1_1, &bytes[length..]), (206, true, b"body".as_slice()));
        assert_eq!(head.text("content-range"), Some("bytes 0-1/2"));
        assert_eq!(head.all("X").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(head.text("y"), None);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 999 Odd\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01\x00\x01",
        ] {
            assert_eq!(Head::parse(text.as_bytes()).unwrap_err().code, Code::EPROTO, "{text:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(Head::parse(many.as_bytes()).unwrap_err().code, Code::EPROTO);
    }

    #[test]
    fn connections_are_kept_as_the_version_says() {
        for (lines, kept) in [
            (&["HTTP/1.1 200 OK"][..], true),
            (&["HTTP/1.1 200 OK", "Connection: x, Close"], false),
            (&["HTTP/1.0 200 OK"], false),
            (&["HTTP/1.0 200 OK", "connection: Keep-Alive"], true),
        ] {
            assert_eq!(Head::of(lines).keeps_alive(), kept, "{lines:?}");
        }
    }

    #[test]
    fn a_server_may_ask_to_wait_in_seconds_or_until_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        for (text, wanted) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let head = Head::of(&["HTTP/1.1 503 x", &format!("Retry-After: {text}")]);
            assert_eq!(head.retry_after(now), wanted.map(Duration::from_secs), "{text}");
        }
    }
}
