//! An answer that is no success: what its status means to a caller, and the store's own words.

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http_body::Body as _;
use object_store::client::{HttpResponse, HttpResponseBody};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use vfs_core::Code;
use zvfs_net::failure::{Failure, Retry};

/// What is read of an answer to find the store's words in.
const READ_MAX: usize = 16 << 10;
/// What is shown of them.
const SHOWN_MAX: usize = 200;
/// How stores say that they are full, or that a quota is used up, whatever the status.
const FULL: [&str; 5] = [
    "QuotaExceeded",
    "InsufficientStorage",
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "EntityTooLarge.Quota",
];
/// Where S3 says in which region a bucket is.
const REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");
/// A session's token.
const SESSION: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Why a request failed, inside the library's errors.
#[derive(Debug)]
pub struct Refusal {
    /// For the caller.
    pub failure: Failure,
    /// `None`: no answer came.
    pub status: Option<u16>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure.text)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// Reads the beginning of an answer that is no success.
    pub async fn receive(response: HttpResponse, secrets: &Secrets) -> Refusal {
        let (parts, body) = response.into_parts();
        let text = beginning(body).await;
        Refusal::new(parts.status, &parts.headers, &text, secrets)
    }

    /// The error that the body of a success turns out to be; `None`: it is none.
    pub fn in_success(body: &[u8], secrets: &Secrets) -> Option<Refusal> {
        let text = String::from_utf8_lossy(body);
        let status = match field(&text, "Code").filter(|_| text.contains("<Error>"))? {
            "SlowDown" | "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::OK,
        };
        Some(Refusal::new(status, &HeaderMap::new(), &text, secrets))
    }

    fn new(status: StatusCode, headers: &HeaderMap, text: &str, secrets: &Secrets) -> Refusal {
        let (code, meaning) = meaning(status.as_u16(), field(text, "Code"));
        let failure =
            Failure { code, text: words(status, meaning, headers, text, secrets), retry: retry(status) };
        Refusal { failure, status: Some(status.as_u16()) }
    }
}

/// What a request carries that nobody is to see, should the store repeat it.
#[derive(Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Those of a request's fields: a bearer's token, a session's. A key only signs, and is in none.
    pub fn of(headers: &HeaderMap) -> Secrets {
        let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = value(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        Secrets([bearer, value(SESSION)].into_iter().flatten().map(str::to_owned).collect())
    }

    fn hide(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| text.replace(secret, "***"))
    }
}

/// As much of a body as comes; what breaks it is less than what it says.
async fn beginning(mut body: HttpResponseBody) -> String {
    let mut text = Vec::new();
    while text.len() < READ_MAX {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        match frame.and_then(Result::ok).map(http_body::Frame::into_data) {
            Some(Ok(bytes)) => text.extend_from_slice(&bytes),
            Some(Err(_)) => {}
            None => break,
        }
    }
    text.truncate(READ_MAX);
    String::from_utf8_lossy(&text).into_owned()
}

/// The content of the first such element of XML.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content.trim())
}

fn words(status: StatusCode, meaning: &str, headers: &HeaderMap, text: &str, secrets: &Secrets) -> String {
    let mut words = format!("{} {meaning}", status.as_u16());
    if let Some(region) =
        headers.get(REGION).and_then(|region| region.to_str().ok()).filter(|_| status.is_redirection())
    {
        words += &format!(": set `region` to {}", region.escape_debug());
    }
    let said: Vec<&str> = ["Code", "Message"].into_iter().filter_map(|name| field(text, name)).collect();
    if !said.is_empty() {
        let said: String = secrets.hide(said.join(": ")).chars().take(SHOWN_MAX).collect();
        words += &format!(" ({})", said.escape_debug());
    }
    words
}

fn retry(status: StatusCode) -> Retry {
    match status.as_u16() {
        408 | 429 | 500 | 502..=504 | 508..=599 => Retry::Later(None),
        _ => Retry::No,
    }
}

/// A status's code and words. `said` is the store's own name for the error, where it tells more than the status.
fn meaning(status: u16, said: Option<&str>) -> (Code, &'static str) {
    match (status, said) {
        (_, Some(said)) if FULL.contains(&said) => (Code::ENOSPC, "the store is full"),
        (400, Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired")) => {
            (Code::EACCES, "the credentials are not valid")
        }
        (400, Some("EntityTooLarge")) | (413, _) => (Code::EFBIG, "too large for the store"),
        (400, Some("KeyTooLongError")) | (414, _) => (Code::ENAMETOOLONG, "too long a key"),
        (300..=399, _) => (Code::EPROTO, "the bucket is elsewhere"),
        (400, _) => (Code::EINVAL, "bad request"),
        (401, _) => (Code::EACCES, "unauthorized"),
        (403, _) => (Code::EACCES, "forbidden"),
        (404, Some("NoSuchBucket" | "ContainerNotFound")) => (Code::ENOENT, "no such bucket"),
        (404 | 410, _) => (Code::ENOENT, "not found"),
        (405 | 501, _) => (Code::ENOTSUP, "the store cannot do that"),
        (408, _) => (Code::EBUSY, "request timeout"),
        (409, _) => (Code::EBUSY, "conflict: it is being changed"),
        (412, _) => (Code::ESTALE, "precondition failed"),
        (416, _) => (Code::ESTALE, "range not satisfiable"),
        (429, _) => (Code::EBUSY, "too many requests"),
        (503, _) => (Code::EBUSY, "service unavailable"),
        (507, _) => (Code::ENOSPC, "insufficient storage"),
        (200, _) => (Code::EIO, "and yet it failed"),
        _ => (Code::EIO, "the store failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_words_are_found_and_cut() {
        let text = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The key\ndoes not exist.</Message></Error>";
        let said = words(StatusCode::NOT_FOUND, "not found", &HeaderMap::new(), text, &Secrets::default());
        assert_eq!(said, "404 not found (NoSuchKey: The key\\ndoes not exist.)");
        let long = format!("<Message>{}</Message>", "x".repeat(1000));
        assert!(
            words(StatusCode::NOT_FOUND, "not found", &HeaderMap::new(), &long, &Secrets::default()).len()
                < 250
        );
        assert_eq!(
            words(StatusCode::FORBIDDEN, "forbidden", &HeaderMap::new(), "<html>", &Secrets::default()),
            "403 forbidden"
        );
    }

    #[test]
    fn a_bucket_elsewhere_says_where() {
        let mut headers = HeaderMap::new();
        headers.insert(REGION, "eu-west-1".parse().unwrap());
        let said = words(
            StatusCode::MOVED_PERMANENTLY,
            "the bucket is elsewhere",
            &headers,
            "",
            &Secrets::default(),
        );
        assert_eq!(said, "301 the bucket is elsewhere: set `region` to eu-west-1");
    }

    #[test]
    fn the_stores_own_name_tells_more_than_a_status() {
        for (status, said, code) in [
            (404, None, Code::ENOENT),
            (400, None, Code::EINVAL),
            (400, Some("ExpiredToken"), Code::EACCES),
            (400, Some("EntityTooLarge"), Code::EFBIG),
            (403, Some("QuotaExceeded"), Code::ENOSPC),
            (507, None, Code::ENOSPC),
            (500, None, Code::EIO),
        ] {
            assert_eq!(meaning(status, said).0, code, "{status} {said:?}");
        }
    }
}
