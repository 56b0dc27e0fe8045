//! Failures of the command, and what the shell sees of them.

use crate::log;
use signal_hook::low_level;
use std::io;
use vfs_core::{Code, Error, Level};

/// Why the command fails: its exit code, and a line for standard error unless nobody needs one.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: Option<String>,
    /// Whatever else the command would do fails alike: a signal came, or standard output is gone.
    last: bool,
}

impl Failure {
    /// A failure with a code of ours.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code: number(code), message: Some(message.into()), last: false }
    }

    /// A failure that has been told already: only the code is left to say.
    pub fn told(code: u8) -> Failure {
        Failure { code, message: None, last: false }
    }

    /// An end by a signal: 128 and its number, as shells say it. Why a call failed then is told, too.
    pub fn signal(signal: i32, call: Option<&Error>) -> Failure {
        let why = call.map(|error| format!(": {}", error.chain())).unwrap_or_default();
        let message = format!("ended by signal {signal}{why}");
        Failure { code: of_signal(signal), message: Some(message), last: true }
    }

    /// The time is over that the command had.
    pub fn timeout(message: impl Into<String>) -> Failure {
        Failure { last: true, ..Failure::new(Code::ETIMEDOUT, message) }
    }

    /// A failed write to standard output. If its reader left, as `head` does, that is nobody's concern: no word, EPIPE.
    pub fn output(error: impl Into<Error>) -> Failure {
        let failure = match error.into() {
            error if error.code() == Code::EPIPE => Failure::told(number(Code::EPIPE)),
            error if error.code() == Code::EBADF => {
                let text = "write standard output: it is closed, or not open for writing, or the provider `file` runs in a process \
                            that may not use it (`standard-streams`)";
                Failure::new(Code::EBADF, text)
            }
            error => Failure::from(error.context("write standard output")),
        };
        Failure { last: true, ..failure }
    }

    /// Its line, if somebody needs one.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Its exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Whether whatever else the command would do fails alike.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Tells it on standard error, in one line.
    pub fn tell(&self) {
        if let Some(message) = &self.message {
            log::tell(Level::Error, message);
        }
    }

    /// Tells it, and ends the process with its code without waiting for any thread.
    pub fn leave(&self) -> ! {
        self.tell();
        leave(self.code)
    }

    /// Tells it, and returns its code for the shell.
    pub fn report(&self) -> u8 {
        self.tell();
        self.code
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(error.code(), error.chain())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::from(Error::from(error))
    }
}

/// Tells something on standard error that is no failure of the command, or that has told its code.
pub fn warn(message: &str) {
    log::tell(Level::Warning, message);
}

/// An errno as an exit code. The few beyond a byte, and our own from 4096 on, become EIO.
pub fn number(code: Code) -> u8 {
    u8::try_from(code.raw()).unwrap_or(5)
}

/// The exit code of an end by a signal.
pub fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// Ends the process without waiting for any thread: one of them may be stuck in a provider.
pub fn leave(code: u8) -> ! {
    low_level::exit(code.into())
}

/// Does something for each of several objects: tells a failure at once and goes on. The first one is the command's.
pub fn each<T>(list: &[T], mut call: impl FnMut(&T) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut first = None;
    for item in list {
        if let Err(failure) = call(item) {
            failure.tell();
            first.get_or_insert(failure.code);
            if failure.last {
                break;
            }
        }
    }
    first.map_or(Ok(()), |code| Err(Failure::told(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_errno_and_fit_a_byte() {
        assert_eq!(number(Code::ENOENT), 2);
        assert_eq!(number(Code::ECANCELED), 125);
        assert_eq!(number(Code::from_raw(4096)), 5);
        assert_eq!(of_signal(15), 143);
    }

    #[test]
    fn the_first_failure_counts_and_the_others_have_their_turn() {
        let mut seen = Vec::new();
        let result = each(&[Code::ENOENT, Code::EACCES], |code| {
            seen.push(*code);
            Err(Failure::new(*code, "no"))
        });
        assert_eq!((result.unwrap_err().code, seen.len()), (2, 2));
        assert!(each(&[1], |_| Ok(())).is_ok());
    }

    #[test]
    fn a_reader_that_left_is_not_told() {
        let failure = Failure::output(io::Error::from_raw_os_error(32));
        assert_eq!((failure.code, failure.message), (32, None));
    }
}
