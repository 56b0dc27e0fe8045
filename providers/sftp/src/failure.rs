//! Why something failed, in our codes: SSH's errors and SFTP's statuses.

use crate::packet::{Malformed, status};
use russh::AlgorithmKind;
use rustix::io::Errno;
use std::io;
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// What a server says, at most.
const TEXT_MAX: usize = 200;

/// An error of the SSH library's tasks.
#[derive(Debug)]
pub struct Fault(pub Failure);

impl From<russh::Error> for Fault {
    fn from(error: russh::Error) -> Fault {
        Fault(of_ssh(&error))
    }
}

/// A connection that is gone.
pub fn lost() -> Failure {
    Failure::lost(Errno::CONNRESET)
}

/// What a server sent is not SFTP.
pub fn malformed(why: Malformed) -> Failure {
    Failure::protocol(format!("not SFTP: {why}"))
}

/// What went wrong with a connection.
pub fn of_ssh(error: &russh::Error) -> Failure {
    use russh::Error as Why;
    match error {
        Why::HUP | Why::Disconnect | Why::SendError | Why::RecvError => lost(),
        Why::IO(error) => match Errno::from_io_error(error) {
            Some(errno) => Failure::lost(errno),
            None if error.kind() == io::ErrorKind::UnexpectedEof => lost(),
            None => Failure::later(Code::ECONNRESET, format!("the connection was lost ({error})")),
        },
        Why::ConnectionTimeout | Why::KeepaliveTimeout | Why::InactivityTimeout | Why::Elapsed(_) => {
            Failure::later(Code::ECONNRESET, "the connection was lost (the server is silent)")
        }
        Why::NoCommonAlgo { kind, theirs, .. } => {
            let what = match kind {
                AlgorithmKind::Kex => "key exchanges",
                AlgorithmKind::Key => "host keys of types",
                AlgorithmKind::Cipher => "ciphers",
                AlgorithmKind::Compression => "compressions",
                AlgorithmKind::Mac => "MACs",
            };
            Failure::protocol(format!(
                "the server has only {what} that are unknown here: {}",
                theirs.join(", ")
            ))
        }
        Why::Version => Failure::protocol("not an SSH server"),
        Why::WrongServerSig | Why::UnknownKey => {
            Failure::new(Code::EACCES, "the server does not prove its host key")
        }
        Why::ChannelOpenFailure(_) => {
            Failure::later(Code::EBUSY, "the server opens no channel: it may have too many")
        }
        error => Failure::protocol(format!("SSH: {error}")),
    }
}

/// What a status other than success says of an operation.
pub fn of_status(code: u32, text: &str) -> Failure {
    let (code, generic) = match code {
        status::NO_SUCH_FILE => (Code::ENOENT, "no such file"),
        status::PERMISSION_DENIED => (Code::EACCES, "permission denied"),
        status::BAD_MESSAGE => (Code::EPROTO, "bad message"),
        status::NO_CONNECTION | status::CONNECTION_LOST => return lost(),
        status::UNSUPPORTED => (Code::ENOTSUP, "operation unsupported"),
        status::NO_SPACE => (Code::ENOSPC, "no space left"),
        status::QUOTA_EXCEEDED => (Code::EDQUOT, "quota exceeded"),
        status::FAILURE => (told_in(text), "failure"),
        status::END => (Code::EIO, "end of file"),
        other => {
            return Failure::new(Code::EIO, format!("the server refuses with status {other}{}", said(text)));
        }
    };
    let repeats = text.trim().trim_end_matches('.').eq_ignore_ascii_case(generic);
    Failure::new(code, format!("{}{}", code.text(), if repeats { String::new() } else { said(text) }))
}

/// The code of a failure that has a status for no more than that: many servers say in words what their system said.
fn told_in(text: &str) -> Code {
    const WORDS: [(&str, Code); 11] = [
        ("no space left on device", Code::ENOSPC),
        ("disk quota exceeded", Code::EDQUOT),
        ("file too large", Code::EFBIG),
        ("read-only file system", Code::EROFS),
        ("file exists", Code::EEXIST),
        ("file already exists", Code::EEXIST),
        ("is a directory", Code::EISDIR),
        ("not a directory", Code::ENOTDIR),
        ("file name too long", Code::ENAMETOOLONG),
        ("too many open files", Code::EMFILE),
        ("invalid argument", Code::EINVAL),
    ];
    let text = text.to_lowercase();
    WORDS.iter().find(|(words, _)| text.contains(words)).map_or(Code::EIO, |(_, code)| *code)
}

/// A server's own words, as an appendix: one line, and nothing that a terminal would obey.
fn said(text: &str) -> String {
    let line: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect();
    if line.is_empty() { line } else { format!(" (the server: {line})") }
}

/// What a writer is told: it cannot begin again, so that a time-out is a loss for good.
pub fn of_writing(failure: Failure) -> Failure {
    let code = if failure.code == Code::ETIMEDOUT { Code::ECONNRESET } else { failure.code };
    Failure { code, ..failure.for_good() }
}

/// A failure that its code says all of.
pub fn plain(code: Code) -> Failure {
    Failure::new(code, code.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_once_and_a_servers_words_are_kept() {
        for (code, text, wanted) in [
            (2, "No such file", "no such file"),
            (2, "", "no such file"),
            (3, "Quota exceeded.\x1b[2J", "access denied (the server: Quota exceeded. [2J)"),
            (4, "Failure", "input/output error"),
            (
                4,
                "write /x: no space left on device",
                "no space left (the server: write /x: no space left on device)",
            ),
            (14, "No space.", "no space left (the server: No space.)"),
            (31, "odd", "the server refuses with status 31 (the server: odd)"),
        ] {
            assert_eq!(of_status(code, text).text, wanted);
        }
        let long = of_status(4, &"x".repeat(1000)).text;
        assert!(long.len() < 300, "{long}");
    }
}
