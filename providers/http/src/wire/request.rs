//! The head of a request.

use crate::settings::Tuning;
use crate::settings::credentials::Credentials;
use crate::settings::headers::{Headers, SecretHeaders};
use crate::target::Target;
use crate::wire::range::Span;

/// What is asked of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Its content.
    Get,
    /// To take a new one.
    Put,
    /// To be no more.
    Delete,
    /// What it is, by WebDAV. Without a body, which means all properties: a server that doesn't know the method might not read one.
    Propfind,
}

/// A request without its target.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// What is asked.
    pub method: Method,
    /// Which bytes; `None`: it is not a matter of bytes.
    pub span: Option<Span>,
    /// These bytes only if the object is still the pinned one.
    pub pinned: Option<Pinned<'a>>,
    /// Fields of an upload.
    pub upload: Option<Upload>,
}

/// How the pinned object is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned<'a> {
    /// By `If-Range`: another object comes whole.
    IfRange(&'a str),
    /// By `If-Unmodified-Since`: of another object comes nothing.
    UnmodifiedSince(&'a str),
}

/// What the head of an upload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The length; `None`: chunks.
    pub length: Option<u64>,
    /// Wait for the server's word before the body.
    pub expect: bool,
    /// Only if there is no object yet.
    pub exclusive: bool,
}

impl HttpRequest<'_> {
    /// Asks for bytes.
    pub fn get(span: Option<Span>) -> HttpRequest<'static> {
        HttpRequest { method: Method::Get, span, pinned: None, upload: None }
    }
}

/// Whom a request goes to, and how.
#[derive(Clone, Debug)]
pub struct Place {
    /// The URL.
    pub target: Target,
    /// Reached without leaving the first origin: what was meant for that one may go there.
    pub is_first_origin: bool,
}

impl Place {
    /// Where a request begins.
    pub fn first(target: Target) -> Place {
        Place { target, is_first_origin: true }
    }
}

/// How to write a request for one connection.
#[derive(Clone, Copy)]
pub struct RequestOptions<'a> {
    /// For a proxy that is no tunnel: the whole URL, and the proxy's credentials.
    pub proxy: Option<Option<&'a str>>,
    /// Secrets of the operator's.
    pub credentials: &'a Credentials,
    /// Fields that are secrets.
    pub secret_headers: &'a SecretHeaders,
    /// Further fields, and who we are.
    pub tuning: &'a Tuning,
}

/// Writes a request's head.
pub fn write(place: &Place, request: &HttpRequest<'_>, options: RequestOptions<'_>) -> Vec<u8> {
    let Place { target, is_first_origin } = place;
    let RequestOptions { proxy, credentials, secret_headers, tuning } = options;
    let mut head = Text(Vec::with_capacity(512));
    let method = match request.method {
        Method::Get => "GET ",
        Method::Put => "PUT ",
        Method::Delete => "DELETE ",
        Method::Propfind => "PROPFIND ",
    };
    head.add(&[method, if proxy.is_some() { target.absolute() } else { target.path() }, " HTTP/1.1\r\n"]);
    head.field("Host", target.authority());
    let headers = Some(&tuning.headers).filter(|_| *is_first_origin);
    let secret = secret_headers.of(&target.origin());
    let is_set = |name: &str| [headers, secret].into_iter().flatten().any(|headers| headers.has(name));
    if !is_set("user-agent") && !tuning.user_agent.is_empty() {
        head.field("User-Agent", &tuning.user_agent);
    }
    if !is_set("accept") {
        head.field("Accept", "*/*");
    }
    if matches!(request.method, Method::Get | Method::Propfind) {
        head.field("Accept-Encoding", "identity");
    }
    if request.method == Method::Propfind {
        head.field("Depth", "0");
        head.field("Content-Length", "0");
    }
    if let Some(span) = request.span {
        head.field("Range", &span.to_string());
        match request.pinned {
            Some(Pinned::IfRange(validator)) => head.field("If-Range", validator),
            Some(Pinned::UnmodifiedSince(date)) => head.field("If-Unmodified-Since", date),
            None => {}
        }
    }
    if let Some(upload) = request.upload {
        match upload.length {
            Some(length) => head.field("Content-Length", &length.to_string()),
            None => head.field("Transfer-Encoding", "chunked"),
        }
        if upload.expect {
            head.field("Expect", "100-continue");
        }
        if upload.exclusive {
            head.field("If-None-Match", "*");
        }
    }
    if !is_set("authorization")
        && let Some(value) = target.credentials().or_else(|| credentials.authorization(&target.origin()))
    {
        head.field("Authorization", value);
    }
    if let Some(Some(value)) = proxy {
        head.field("Proxy-Authorization", value);
    }
    // The operator's word counts before the opener's.
    let replaced = |name: &str| secret.is_some_and(|secret| secret.has(name));
    let open = headers.into_iter().flat_map(Headers::iter).filter(|(name, _)| !replaced(name));
    for (name, value) in open.chain(secret.into_iter().flat_map(Headers::iter)) {
        head.field(name, value);
    }
    head.add(&["\r\n"]);
    head.0
}

/// Writes the head that asks a proxy for a tunnel.
pub fn write_connect(authority: &str, authorization: Option<&str>, user_agent: &str) -> Vec<u8> {
    let mut head = Text(Vec::with_capacity(256));
    head.add(&["CONNECT ", authority, " HTTP/1.1\r\n"]);
    head.field("Host", authority);
    if !user_agent.is_empty() {
        head.field("User-Agent", user_agent);
    }
    if let Some(value) = authorization {
        head.field("Proxy-Authorization", value);
    }
    head.add(&["\r\n"]);
    head.0
}

struct Text(Vec<u8>);

impl Text {
    fn add(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.0.extend_from_slice(part.as_bytes()));
    }

    fn field(&mut self, name: &str, value: &str) {
        self.add(&[name, ": ", value, "\r\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        Place::first(Target::parse(url).unwrap())
    }

    fn written(place: &Place, request: &HttpRequest<'_>, proxy: Option<Option<&str>>) -> String {
        let mut tuning = Tuning { user_agent: "t".to_owned(), ..Tuning::default() };
        tuning.headers.add("headers", ["X-Key: 1"].into_iter()).unwrap();
        let (credentials, secret_headers) = (&Credentials::default(), &SecretHeaders::default());
        let options = RequestOptions { proxy, credentials, secret_headers, tuning: &tuning };
        String::from_utf8(write(place, request, options)).unwrap()
    }

    #[test]
    fn a_range_is_asked_for() {
        let span = Some(Span { start: 5, end: None });
        let text = written(
            &place("http://u:p@h:81/a?b=c"),
            &HttpRequest { pinned: Some(Pinned::IfRange("\"x\"")), ..HttpRequest::get(span) },
            None,
        );
        assert_eq!(
            text,
            "GET /a?b=c HTTP/1.1\r\nHost: h:81\r\nUser-Agent: t\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\
             Range: bytes=5-\r\nIf-Range: \"x\"\r\nAuthorization: Basic dTpw\r\nX-Key: 1\r\n\r\n"
        );
    }

    #[test]
    fn another_origin_gets_neither_fields_nor_credentials() {
        let mut place = place("http://h/");
        place.is_first_origin = false;
        assert!(!written(&place, &HttpRequest::get(None), None).contains("X-Key"));
    }

    #[test]
    fn a_proxy_gets_the_whole_url_and_its_own_credentials() {
        let text = written(&place("http://h/a"), &HttpRequest::get(None), Some(Some("Basic eA==")));
        assert!(text.starts_with("GET http://h/a HTTP/1.1\r\nHost: h\r\n"), "{text}");
        assert!(text.contains("Proxy-Authorization: Basic eA==\r\n"), "{text}");
    }

    #[test]
    fn an_upload_says_its_length_or_comes_in_chunks() {
        let upload = |length| Some(Upload { length, expect: true, exclusive: true });
        let request =
            |length| HttpRequest { method: Method::Put, upload: upload(length), ..HttpRequest::get(None) };
        let text = written(&place("http://h/a"), &request(Some(7)), None);
        assert!(text.contains("Content-Length: 7\r\nExpect: 100-continue\r\nIf-None-Match: *\r\n"), "{text}");
        let text = written(&place("http://h/a"), &request(None), None);
        assert!(
            text.contains("Transfer-Encoding: chunked\r\n") && !text.contains("Accept-Encoding"),
            "{text}"
        );
    }
}
