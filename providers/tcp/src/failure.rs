//! How a pipe came to its end, or why it cannot go on: kept, and told to every later call.

use rustix::io::Errno;
use std::time::Duration;
use vfs_core::{Code, Error};

/// A code and a text that can be told again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code for the caller.
    pub code: Code,
    /// The words, without operation and object.
    pub text: String,
}

/// How a writer's pipe came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reader has taken everything.
    Done,
    /// The reader closed before that.
    Closed,
    /// It broke, or was refused.
    Failed(Failure),
}

impl Failure {
    /// Makes one.
    pub fn new(code: Code, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }

    /// Makes one of a system error.
    pub fn from_errno(errno: Errno) -> Failure {
        let code = Code::from_raw(errno.raw_os_error().into());
        Failure::new(code, code.text())
    }

    /// The error of a call that meets it.
    pub fn error(&self, doing: &str, shown: &str) -> Error {
        Error::new(self.code, format!("{doing} {shown}: {}", self.text))
    }
}

impl From<netpipe::pairing::Failure> for Failure {
    fn from(failure: netpipe::pairing::Failure) -> Failure {
        Failure::new(Code::from_raw(failure.code.into()), failure.text)
    }
}

impl From<Failure> for netpipe::pairing::Failure {
    fn from(failure: Failure) -> netpipe::pairing::Failure {
        netpipe::pairing::Failure::new(failure.code.raw().unsigned_abs(), failure.text)
    }
}

impl From<&netpipe::Error> for Failure {
    fn from(error: &netpipe::Error) -> Failure {
        Failure::new(Code::from_raw(error.code().into()), error.to_string())
    }
}

impl From<netpipe::Error> for Failure {
    fn from(error: netpipe::Error) -> Failure {
        Failure::from(&error)
    }
}

/// A connection that broke. Whatever the kernel calls it, the other side was lost.
pub fn lost(errno: Errno) -> Failure {
    let cause = Code::from_raw(errno.raw_os_error().into());
    let text = match cause {
        Code::ECONNRESET | Code::EPIPE => "the other side was lost".to_owned(),
        cause => format!("the other side was lost ({})", cause.text()),
    };
    Failure::new(Code::ECONNRESET, text)
}

/// A peer that gives no sign of life, though its machine does.
pub fn silent(whom: &str, silence: Duration) -> Failure {
    let text =
        format!("the {whom} gave no sign of life for {} s: its process may be stopped", silence.as_secs());
    Failure::new(Code::ECONNRESET, text)
}

/// An error of the system in an operation of ours.
pub fn system(doing: &str, object: &str, errno: Errno) -> Error {
    let code = Code::from_raw(errno.raw_os_error().into());
    Error::new(code, format!("{doing} {object}: {}", code.text()))
}
