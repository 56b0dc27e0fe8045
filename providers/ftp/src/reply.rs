//! What a server answered, as a failure: its code, and its own words.

use std::fmt;
use std::io::{self, ErrorKind};
use suppaftp::types::Response;
use suppaftp::{FtpError, ReplyTooLarge};
use vfs_core::{Code, Printable};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::tls;

/// Characters of a server's words that stand in a message.
const SHOWN_MAX: usize = 200;

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The server says that it is complete.
    Complete,
    /// The server says that it is not.
    Refused(Failure),
    /// The server says nothing, or cannot any more.
    Unheard(Failure),
}

impl End {
    /// Where nothing but the server's word tells whether a transfer is complete.
    ///
    /// # Errors
    /// What it says. Why it says nothing.
    pub fn confirmed(self) -> Attempt<()> {
        match self {
            End::Complete => Ok(()),
            End::Refused(failure) | End::Unheard(failure) => Err(failure),
        }
    }
}

/// Whether a server refused a command, and is ready for the next one.
pub fn is_refusal(error: &FtpError) -> bool {
    matches!(error, FtpError::UnexpectedResponse(reply) if (400..600).contains(&code(reply)) && code(reply) != 421)
}

/// The number of a reply; 0: it has none.
pub fn code(reply: &Response) -> u16 {
    let digits = reply.body.get(..3).and_then(|digits| str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The last word of a reply.
pub fn value(reply: &Response) -> Option<&str> {
    str::from_utf8(&reply.body).ok()?.split_ascii_whitespace().last()
}

/// Whether it does not know a command, or not for this.
pub fn is_unknown_command(error: &FtpError) -> bool {
    matches!(error, FtpError::UnexpectedResponse(reply) if matches!(code(reply), 500..=504))
}

/// What an error of the library means.
pub fn failure(error: FtpError) -> Failure {
    match error {
        FtpError::UnexpectedResponse(reply) => of_reply(&reply),
        FtpError::ConnectionError(error) => of_io(&error),
        FtpError::SecureError(text) => Failure::protocol(text),
        FtpError::BadResponse | FtpError::InvalidAddress(_) => {
            Failure::protocol("the server's answer is not one of FTP")
        }
        FtpError::DataConnectionAlreadyOpen => Failure::new(Code::EIO, "a transfer is still open"),
    }
}

/// What becomes of a refusal (RFC 959, section 4.2; RFC 2228, section 5.1). Servers use 550 for whatever they don't do, so their words
/// decide.
fn of_reply(reply: &Response) -> Failure {
    let (number, words) = (code(reply), words(reply));
    let says = |texts: &[&str]| {
        let words = words.to_ascii_lowercase();
        texts.iter().any(|text| words.contains(text))
    };
    let full = || says(&["no space", "disk full", "quota", "insufficient storage"]);
    let denied = || says(&["permission", "denied", "not allowed", "read-only", "forbidden", "privilege"]);
    let (code, is_final) = match number {
        400..=599 if says(&["name too long"]) => (Code::ENAMETOOLONG, true),
        421 => (Code::EBUSY, false),
        425 | 426 if !full() => (Code::ECONNRESET, false),
        450 => (Code::EBUSY, false),
        452 | 552 => (Code::ENOSPC, true),
        400..=599 if full() => (Code::ENOSPC, true),
        // A server that lets no more in from here says 530 to the login.
        530 if says(&["maximum", "too many"]) => (Code::EBUSY, false),
        500..=599 if says(&["no such file or directory"]) => (Code::ENOENT, true),
        430 | 530 | 532..=534 | 536 | 553 => (Code::EACCES, true),
        400..=499 => (Code::EIO, false),
        501 => (Code::EINVAL, true),
        500 | 502 | 504 => (Code::ENOTSUP, true),
        503 | 521 | 522 | 535 | 537 => (Code::EPROTO, true),
        500..=599 if says(&["is a directory", "not a plain file", "not a regular file"]) => {
            (Code::EISDIR, true)
        }
        500..=599 if says(&["not empty"]) => (Code::ENOTEMPTY, true),
        500..=599 if says(&["exists"]) && !says(&["no such", "not exist"]) => (Code::EEXIST, true),
        500..=599 if denied() => (Code::EACCES, true),
        550 => (Code::ENOENT, true),
        500..=599 => (Code::EIO, true),
        _ => return Failure::protocol(format!("an answer that does not fit: {words}")),
    };
    // What a server says of a missing file may be anything.
    let text = format!("{} (the server: {words})", code.text());
    if is_final { Failure::new(code, text) } else { Failure::later(code, text) }
}

/// What a session in the clear is told by a server that wants TLS, if that is it.
pub fn demands_tls(reply: &Response) -> Option<Failure> {
    let words = words(reply);
    let lower = words.to_ascii_lowercase();
    let has =
        |any: &[&str]| lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| any.contains(&word));
    let is_demand = has(&["ssl", "tls", "encryption", "encrypted", "cleartext"])
        && has(&["required", "requires", "must", "need", "accepted", "only"])
        || code(reply) == 503 && lower.contains("auth first");
    let text = format!("the server wants TLS: use ftps:// (the server: {words})");
    ((400..600).contains(&code(reply)) && is_demand).then(|| Failure::new(Code::EACCES, text))
}

/// What a server answers to AUTH TLS that has no TLS, if that is it. Some want a login first, which must not be sent in the clear.
pub fn has_no_tls(reply: &Response) -> Option<Failure> {
    let text = format!("the server does not offer TLS (the server: {})", words(reply));
    matches!(code(reply), 500..=504 | 530).then(|| Failure::protocol(text))
}

/// The reply as it may stand in a message: one line, printable, not too long, without a full stop.
fn words(reply: &Response) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line: String = lines.join(" ").chars().take(SHOWN_MAX).collect();
    Printable(line.trim_end_matches('.')).to_string()
}

/// What an error of a connection means.
pub fn of_io(error: &io::Error) -> Failure {
    if let Some(inner) = error.get_ref() {
        if let Some(Passed(failure)) = inner.downcast_ref() {
            return failure.clone();
        }
        if let Some(error) = inner.downcast_ref() {
            return Failure::protocol(tls::of_tls(error));
        }
        if inner.is::<ReplyTooLarge>() {
            return Failure::protocol("an answer of more than 256 KiB");
        }
    }
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::UnexpectedEof, _) => Failure::later(Code::ECONNRESET, "the server closed the connection"),
        (_, Some(raw)) => Failure::lost(rustix::io::Errno::from_raw_os_error(raw)),
        _ => Failure::later(
            Code::ECONNRESET,
            format!("the connection broke: {}", Printable(&error.to_string())),
        ),
    }
}

/// A failure of ours on its way through the library.
#[derive(Debug)]
struct Passed(Failure);

/// Gives a failure to the library, which gives it back.
pub fn passed(failure: Failure) -> FtpError {
    FtpError::ConnectionError(io::Error::other(Passed(failure)))
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl std::error::Error for Passed {}

#[cfg(test)]
mod tests {
    use super::*;
    use suppaftp::Status;
    use zvfs_net::failure::Retry;

    fn response(text: &str) -> Response {
        let number = text[..3].parse::<u32>().unwrap();
        Response::new(Status::from(number), text.into())
    }

    fn of(text: &str) -> Failure {
        failure(FtpError::UnexpectedResponse(response(text)))
    }

    /// In the words of proftpd and pyftpdlib, vsftpd, pure-ftpd, FileZilla and IIS.
    #[test]
    fn a_demand_for_tls_is_told_from_a_name() {
        for text in [
            "550 SSL/TLS required on the control channel",
            "530 Non-anonymous sessions must use encryption.",
            "522 Data connections must be encrypted.",
            "421 Sorry, cleartext sessions and weak ciphers are not accepted on this server.",
            "503 Use AUTH first.",
            "534 Policy requires SSL.",
        ] {
            let failure = demands_tls(&response(text)).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((failure.code, failure.retry), (Code::EACCES, Retry::No), "{text}");
        }
        for text in ["550 openssl.cnf: No such file", "550 tls: Permission denied", "230 TLS is required"] {
            assert_eq!(demands_tls(&response(text)), None, "{text}");
        }
    }

    #[test]
    fn a_refusal_has_the_code_that_its_number_and_words_say() {
        for (text, code) in [
            ("550 Failed to open file.", Code::ENOENT),
            ("550 Permission denied.", Code::EACCES),
            ("550 x: Is a directory", Code::EISDIR),
            ("550 File exists", Code::EEXIST),
            ("553 Could not create file.", Code::EACCES),
            ("553 Can't open that file: No such file or directory", Code::ENOENT),
            ("530 Login incorrect.", Code::EACCES),
            ("530 Sorry, the maximum number of clients for this host are already connected.", Code::EBUSY),
            ("421 Too many connections", Code::EBUSY),
            ("425 Cannot open data connection.", Code::ECONNRESET),
            ("451 Failure writing to local file.", Code::EIO),
            ("426 No space left on device.", Code::ENOSPC),
            ("452 Insufficient storage", Code::ENOSPC),
            ("552 Disk full", Code::ENOSPC),
            ("550 x: File name too long", Code::ENAMETOOLONG),
            ("553 Filename too long", Code::ENAMETOOLONG),
            ("502 Command not implemented", Code::ENOTSUP),
            ("522 SSL connection failed; session reuse required", Code::EPROTO),
            ("200 What?", Code::EPROTO),
            ("999 What?", Code::EPROTO),
        ] {
            assert_eq!(of(text).code, code, "{text}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let is_final = |text| of(text).retry == Retry::No;
        assert!(
            !is_final("421 x") && !is_final("426 x") && !is_final("451 x") && !is_final("530 too many users")
        );
        assert!(is_final("550 x") && is_final("530 x") && is_final("452 x"));
    }

    #[test]
    fn a_servers_words_are_one_printable_line() {
        let text = of(&format!("550-Dear\x1b[2J\r\n user,\r\n550 no {}.\r\n", "x".repeat(1000))).text;
        assert!(text.starts_with("no such file (the server: 550-Dear\\u{1b}[2J user, 550 no xxx"), "{text}");
        assert!(text.len() < 300);
    }

    #[test]
    fn a_failure_of_ours_comes_back_as_it_was() {
        let ours = Failure::later(Code::ECONNREFUSED, "127.0.0.1:1: connection refused");
        assert_eq!(failure(passed(ours.clone())), ours);
    }
}
