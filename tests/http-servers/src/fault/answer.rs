//! One answer, before it is spoilt.

use std::ops::Range;

/// A status line, header fields and a body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `HTTP/1.1`.
    pub version: &'static str,
    /// 100 to 999.
    pub status: u16,
    /// The fields, in order. `Content-Length` is among them only if somebody put it there.
    pub headers: Vec<(String, String)>,
    /// What follows the head.
    pub body: Body,
}

/// What follows a head.
#[derive(Clone, Debug)]
pub enum Body {
    /// These bytes, as they are: framing too, if there is any.
    Bytes(Vec<u8>),
    /// What [`crate::pattern`] has in this range.
    Pattern(Range<u64>),
}

impl Body {
    /// How many bytes.
    pub fn size(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Pattern(range) => range.end - range.start,
        }
    }
}

impl Answer {
    /// An answer without a body.
    pub fn new(status: u16) -> Answer {
        let headers = vec![("Content-Length".to_owned(), "0".to_owned())];
        Answer { version: "HTTP/1.1", status, headers, body: Body::Bytes(Vec::new()) }
    }

    /// A redirect.
    pub fn redirect(status: u16, to: &str) -> Answer {
        Answer::new(status).with("Location", to)
    }

    /// Sets a field, in the place of those with its name.
    pub fn with(mut self, name: &str, value: impl ToString) -> Answer {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a field, beside those with its name.
    pub fn and(mut self, name: &str, value: impl ToString) -> Answer {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Takes the fields of this name out.
    pub fn without(mut self, name: &str) -> Answer {
        self.headers.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        self
    }

    /// Sets the body, and its length.
    pub fn body(self, bytes: impl Into<Vec<u8>>) -> Answer {
        let bytes = bytes.into();
        let mut answer = self.with("Content-Length", bytes.len());
        answer.body = Body::Bytes(bytes);
        answer
    }

    /// Sets what follows the head, framing and all, without a length.
    pub fn raw_body(self, bytes: impl Into<Vec<u8>>) -> Answer {
        let mut answer = self.without("Content-Length");
        answer.body = Body::Bytes(bytes.into());
        answer
    }

    /// Speaks an older version.
    pub fn version(mut self, version: &'static str) -> Answer {
        self.version = version;
        self
    }

    /// Whether the connection must be closed to show where the body ends, or since it says so.
    pub fn ends_by_close(&self) -> bool {
        let says = |name: &str, word: &str| {
            self.headers.iter().any(|(field, value)| {
                field.eq_ignore_ascii_case(name) && value.to_ascii_lowercase().contains(word)
            })
        };
        let framed = says("Content-Length", "") || says("Transfer-Encoding", "chunked");
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        says("Connection", "close") || self.version == "HTTP/1.0" || !(framed || bodiless)
    }

    /// The status line and the fields, with the empty line.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.version, self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}

/// Frames bytes as chunks of at most this size, with the last one.
pub fn chunked(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut framed = Vec::new();
    for chunk in bytes.chunks(size) {
        framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        410 => "Gone",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Something",
    }
}
