//! Why an attempt failed, and whether another one may help.

use rustix::io::Errno;
use std::time::Duration;
use std::{fmt, io};
use vfs_core::{Code, Error};

/// What an attempt comes to.
pub type Attempt<T> = Result<T, Failure>;

/// Why an attempt failed: a code, and words without operation and object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code for the caller.
    pub code: Code,
    /// The words; no secrets.
    pub text: String,
    /// Whether another attempt may help.
    pub retry: Retry,
}

/// Whether another attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It would fail alike.
    No,
    /// Nobody can be reached there: only worth it where somebody was before.
    Resuming,
    /// After a while; as long as the server asked for, if it did.
    Later(Option<Duration>),
}

impl Failure {
    /// A failure that stays.
    #[cold]
    pub fn new(code: Code, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into(), retry: Retry::No }
    }

    /// A failure that another attempt may mend.
    #[cold]
    pub fn later(code: Code, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into(), retry: Retry::Later(None) }
    }

    /// The other side broke the protocol.
    #[cold]
    pub fn protocol(text: impl Into<String>) -> Failure {
        Failure::new(Code::EPROTO, text)
    }

    /// An error of the system that has nothing to do with the other side.
    #[cold]
    pub fn system(errno: Errno) -> Failure {
        let code = code(errno);
        let text = code.name().map(|_| code.text().to_owned());
        Failure::new(code, text.unwrap_or_else(|| io::Error::from(errno).to_string()))
    }

    /// A connection that broke.
    #[cold]
    pub fn lost(errno: Errno) -> Failure {
        let text = match errno {
            Errno::CONNRESET | Errno::PIPE => "the connection was lost".to_owned(),
            errno => format!("the connection was lost ({})", words(errno)),
        };
        Failure::later(Code::ECONNRESET, text)
    }

    /// The same for a request that cannot be repeated.
    #[must_use]
    pub fn for_good(self) -> Failure {
        Failure { retry: Retry::No, ..self }
    }

    /// Adds words in front.
    #[must_use]
    pub fn context(mut self, words: &str) -> Failure {
        self.text = format!("{words}: {}", self.text);
        self
    }

    /// Adds words behind.
    #[must_use]
    pub fn followed_by(mut self, words: impl fmt::Display) -> Failure {
        self.text = format!("{}{words}", self.text);
        self
    }

    /// The error of a call that meets it.
    #[cold]
    pub fn error(&self, doing: &str, shown: &str) -> Error {
        let error = Error::new(self.code, format!("{doing} {shown}: {}", self.text));
        if self.retry == Retry::No { error } else { error.retryable() }
    }
}

/// So that a connection that is lost is so in every layer of it.
impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::lost(errno)
    }
}

impl From<Error> for Failure {
    /// A context's word: it ends the call.
    fn from(error: Error) -> Failure {
        Failure::new(error.code(), error.code().text())
    }
}

/// A thread that could not be started.
#[cold]
pub fn no_thread(to: &str, error: &io::Error) -> Failure {
    let why = error.raw_os_error().map_or("the system refused", |raw| words(Errno::from_raw_os_error(raw)));
    Failure::later(Code::EBUSY, format!("start a thread to {to}: {why}"))
}

/// The code of a system error.
pub fn code(errno: Errno) -> Code {
    Code::from_raw(errno.raw_os_error().into())
}

/// A few words for a system error.
pub fn words(errno: Errno) -> &'static str {
    code(errno).text()
}
