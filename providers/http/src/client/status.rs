//! What a status means to a caller. The table is the crate's documentation.

use crate::wire::head::Head;
use std::time::SystemTime;
use vfs_core::Code;
use zvfs_net::failure::{Failure, Retry};

/// The failure that an answer is which is not a success.
pub fn failure(head: &Head) -> Failure {
    let (code, words) = meaning(head.status);
    let text = match words {
        "" => format!("the server answers {}", head.status),
        words => format!("{} {words}", head.status),
    };
    let retry = match head.status {
        408 | 429 | 500 | 502..=504 | 506 | 508..=510 | 512..=599 => {
            Retry::Later(head.retry_after(SystemTime::now()))
        }
        _ => Retry::No,
    };
    Failure { code, text, retry }
}

/// Whether a status says that a change was made: not 202, which puts it off, and neither 206, of a range, nor 207, of several things.
pub fn is_done(status: u16) -> bool {
    matches!(status, 200..=299) && !matches!(status, 202 | 206 | 207)
}

fn meaning(status: u16) -> (Code, &'static str) {
    match status {
        300..=399 => (Code::EPROTO, "is a redirect that cannot be followed"),
        400 => (Code::EINVAL, "bad request"),
        401 => (Code::EACCES, "unauthorized: it requires credentials, or other ones"),
        403 => (Code::EACCES, "forbidden"),
        404 => (Code::ENOENT, "not found"),
        405 => (Code::ENOTSUP, "method not allowed"),
        407 => (Code::EACCES, "the proxy requires credentials, or other ones"),
        408 => (Code::EBUSY, "request timeout"),
        409 => (Code::EBUSY, "conflict: its folder may not exist, or it is being changed"),
        410 => (Code::ENOENT, "gone"),
        411 => (Code::ENOTSUP, "length required: the server takes no upload of unknown size"),
        412 => (Code::ESTALE, "precondition failed"),
        413 => (Code::EFBIG, "content too large"),
        414 => (Code::ENAMETOOLONG, "URI too long"),
        416 => (Code::EINVAL, "range not satisfiable"),
        423 => (Code::EBUSY, "locked"),
        429 => (Code::EBUSY, "too many requests"),
        451 => (Code::EACCES, "unavailable for legal reasons"),
        500 => (Code::EIO, "internal server error"),
        501 => (Code::ENOTSUP, "not implemented"),
        502 => (Code::EIO, "bad gateway"),
        503 => (Code::EBUSY, "service unavailable"),
        504 => (Code::EIO, "gateway timeout"),
        505 => (Code::EPROTO, "HTTP version not supported"),
        507 => (Code::ENOSPC, "insufficient storage"),
        511 => (Code::EACCES, "network authentication required"),
        202 => (Code::EIO, "accepted, and not done yet: no further word comes, so look later whether it was"),
        200..=299 => (Code::EPROTO, "is not an answer to this request"),
        _ => (Code::EIO, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn of(status: u16) -> Failure {
        failure(&Head::of(&[&format!("HTTP/1.1 {status} x"), "Retry-After: 3"]))
    }

    #[test]
    fn codes_are_those_of_the_table() {
        for (status, code) in [
            (404, Code::ENOENT),
            (410, Code::ENOENT),
            (401, Code::EACCES),
            (403, Code::EACCES),
            (407, Code::EACCES),
            (429, Code::EBUSY),
            (503, Code::EBUSY),
            (413, Code::EFBIG),
            (507, Code::ENOSPC),
            (418, Code::EIO),
            (500, Code::EIO),
            (202, Code::EIO),
            (206, Code::EPROTO),
        ] {
            assert_eq!(of(status).code, code, "{status}");
            assert!(of(status).text.contains(&status.to_string()));
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504, 520, 599] {
            assert_eq!(of(status).retry, Retry::Later(Some(Duration::from_secs(3))), "{status}");
        }
        for status in [400, 401, 403, 404, 405, 407, 409, 410, 412, 416, 501, 505, 507] {
            assert_eq!(of(status).retry, Retry::No, "{status}");
        }
    }
}
