//! The error that every call returns: a code, a text, and what caused it.

use crate::code::Code;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// What every fallible call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A code with its text, and the error beneath it if there is one.
///
/// The text says operation, object and value in lower case, without a full stop and without secrets: descriptors go in
/// through [`Descriptor`](crate::Descriptor)'s `Display`. What caused it is [`source`](StdError::source), never a part of
/// the text; [`chain`](Error::chain) prints both.
pub struct Error(Box<Parts>);

/// On the heap, so that a call's result fits into registers: errors are rare, and calls are counted in nanoseconds.
struct Parts {
    code: Code,
    message: Cow<'static, str>,
    retryable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error of a code and a text. An empty text becomes the code's own words.
    #[cold] // out of line, so that the paths without an error stay short
    #[inline(never)]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Error {
        let message = message.into();
        let message = if message.is_empty() { Cow::Borrowed(code.text()) } else { message };
        Error(Box::new(Parts { code, message, retryable: false, source: None }))
    }

    /// Marks that the same open may succeed later with nothing changed.
    pub fn retryable(mut self) -> Error {
        self.0.retryable = true;
        self
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// Wraps this error in what was being done; code and retryability stay.
    pub fn context(self, doing: impl Into<Cow<'static, str>>) -> Error {
        let Parts { code, retryable, .. } = *self.0;
        Error(Box::new(Parts { code, retryable, message: doing.into(), source: Some(Box::new(self)) }))
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// A thread that the system does not give: its own words, "try again" or "resource unavailable", help nobody, and its EAGAIN is ENOMEM
    /// here, since an open that returns EAGAIN has broken a rule.
    pub fn no_thread(error: &io::Error) -> Error {
        let code = error.raw_os_error().map(|number| Code::from_raw(number.into()));
        let code = code.filter(|code| *code != Code::EAGAIN).unwrap_or(Code::ENOMEM);
        Error::new(code, "no thread available: raise the limit of processes (ulimit -u) or of memory")
    }

    /// Whether the same open may succeed later with nothing changed.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The texts of this error and of all its causes, joined by `: `, each once: what a provider said it was doing, and its host
    /// too, is not repeated.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.to_string();
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            add(&mut text, &error.to_string());
            cause = error.source();
        }
        text
    }

    /// What the causes add to this error's own text: why, where that says what was being done.
    #[cfg(feature = "host")]
    pub(crate) fn why(&self) -> String {
        let text = self.chain();
        let after = text.strip_prefix(&*self.0.message).and_then(|rest| rest.split_once(": "));
        after.map_or_else(|| text.clone(), |(_, why)| why.to_owned())
    }

    /// A copy with the causes folded into the text: what can be kept and returned again.
    pub fn flattened(&self) -> Error {
        let Parts { code, retryable, .. } = *self.0;
        Error(Box::new(Parts { code, retryable, message: self.chain().into(), source: None }))
    }
}

/// Adds a cause's words to a text, each part once.
fn add(text: &mut String, words: &str) {
    let new = unsaid(text, words);
    if new.is_empty() {
        return;
    }
    // What the cause says again is left to it: it may say more, as "open a with ATOMIC: it is a FIFO" does of "open a".
    let last = text.rfind(": ").map_or(0, |at| at + 2);
    if says(new, &text[last..]) {
        text.truncate(last);
    } else {
        text.push_str(": ");
    }
    text.push_str(new);
}

/// What words add to a text: all of them, but for those at their beginning that a part of the text is already.
fn unsaid<'a>(text: &str, words: &'a str) -> &'a str {
    if text.ends_with(words) || says(text, words) {
        return "";
    }
    let parts = format!(": {text}: ");
    let ends = words.match_indices(": ").map(|(at, _)| at);
    let said = ends.filter(|at| *at > 0 && parts.contains(&format!(": {}: ", &words[..*at]))).max();
    said.map_or(words, |at| &words[at + 2..])
}

/// Whether a part of a text is these words, or begins with them.
fn says(text: &str, words: &str) -> bool {
    let parts = format!(": {text}: ");
    let ends = |(at, found): (usize, &str)| {
        let rest = &parts[at + found.len()..];
        rest.starts_with(": ") || rest.starts_with(' ')
    };
    parts.match_indices(&format!(": {words}")).any(ends)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Error {
        Error::new(code, code.text())
    }
}

impl From<io::Error> for Error {
    /// Takes our own error back out of the wrapper; else keeps the system's number, or the nearest code of its kind.
    fn from(error: io::Error) -> Error {
        let (kind, number, text) = (error.kind(), error.raw_os_error(), error.to_string());
        if let Some(inner) = error.into_inner()
            && let Ok(ours) = inner.downcast::<Error>()
        {
            return *ours;
        }
        let code = match number {
            Some(number) => Code::from_raw(number.into()),
            None => code_of_kind(kind),
        };
        let text = match number {
            Some(_) if code.name().is_some() => code.text().into(),
            _ => text,
        };
        Error::new(code, text)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        // Linux's own number carries the kind, so that callers of std can match on it.
        let kind = io::Error::from_raw_os_error(error.code().raw()).kind();
        io::Error::new(kind, error)
    }
}

fn code_of_kind(kind: io::ErrorKind) -> Code {
    match kind {
        io::ErrorKind::NotFound => Code::ENOENT,
        io::ErrorKind::PermissionDenied => Code::EACCES,
        io::ErrorKind::AlreadyExists => Code::EEXIST,
        io::ErrorKind::InvalidInput => Code::EINVAL,
        io::ErrorKind::InvalidData => Code::EBADMSG,
        io::ErrorKind::TimedOut => Code::ETIMEDOUT,
        io::ErrorKind::BrokenPipe => Code::EPIPE,
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => Code::ECONNRESET,
        io::ErrorKind::ConnectionRefused => Code::ECONNREFUSED,
        io::ErrorKind::AddrInUse => Code::EADDRINUSE,
        io::ErrorKind::AddrNotAvailable => Code::EADDRNOTAVAIL,
        io::ErrorKind::NetworkUnreachable => Code::ENETUNREACH,
        io::ErrorKind::HostUnreachable => Code::EHOSTUNREACH,
        io::ErrorKind::OutOfMemory => Code::ENOMEM,
        io::ErrorKind::StorageFull => Code::ENOSPC,
        io::ErrorKind::Unsupported => Code::ENOTSUP,
        _ => Code::EIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_std() {
        let error: io::Error = Error::new(Code::EDQUOT, "write out: quota").into();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        let back = Error::from(error);
        assert_eq!((back.code(), back.to_string().as_str()), (Code::EDQUOT, "write out: quota"));
    }

    #[test]
    fn a_system_error_keeps_its_number() {
        let error = Error::from(io::Error::from_raw_os_error(28));
        assert_eq!(error.code(), Code::ENOSPC);
    }

    #[test]
    fn a_chain_says_each_text_once() {
        let error = Error::new(Code::ENOENT, "no such file").context("open a").context("copy a to b");
        assert_eq!(error.chain(), "copy a to b: open a: no such file");
        assert_eq!(error.code(), Code::ENOENT);
    }

    /// A writer in a job was told "commit netpipe:a:w: timed out waiting for its reader: commit netpipe:a:w: timed out".
    #[test]
    fn a_chain_says_nothing_again_that_its_text_has_further_back() {
        let cause = Error::new(Code::ETIMEDOUT, "commit a: timed out");
        let error = Error::new(Code::ETIMEDOUT, "commit a: timed out waiting for b").with_source(cause);
        assert_eq!(error.chain(), "commit a: timed out waiting for b");
        let error =
            Error::new(Code::EIO, "commit a: refused").with_source(Error::new(Code::EIO, "commit a: no"));
        assert_eq!(error.chain(), "commit a: refused: no");
        let error = Error::new(Code::EIO, "read a: not there").with_source(Error::new(Code::EIO, "no"));
        assert_eq!(error.chain(), "read a: not there: no");
    }

    /// A case report: "read netpipe:a:r: read netpipe:a:r: connection lost", since provider and host both said what was done.
    #[test]
    fn a_chain_says_once_what_was_being_done() {
        let chain = |cause: &'static str, contexts: &[&'static str]| {
            contexts.iter().fold(Error::new(Code::EIO, cause), |error, doing| error.context(*doing)).chain()
        };
        for (cause, contexts, text) in [
            ("read netpipe:a:r: lost", &["read netpipe:a:r"][..], "read netpipe:a:r: lost"),
            ("read a: lost", &["read a", "copy a to b"], "copy a to b: read a: lost"),
            ("commit u: put u: 404", &["commit u: put u", "x"], "x: commit u: put u: 404"),
            ("read a: lost", &["read ba"], "read ba: read a: lost"),
            ("read a", &["read a"], "read a"),
            (": odd", &["x"], "x: : odd"),
            ("open a with ATOMIC: a pipe", &["open a", "x"], "x: open a with ATOMIC: a pipe"),
            ("open ab: a pipe", &["open a"], "open a: open ab: a pipe"),
            ("read a: timed out after 3 s", &["timed out", "read a"], "read a: timed out after 3 s"),
            (
                "read a: stopped",
                &["timed out waiting for b", "read a"],
                "read a: timed out waiting for b: stopped",
            ),
        ] {
            assert_eq!(chain(cause, contexts), text);
        }
    }

    #[test]
    #[cfg(feature = "host")]
    fn why_leaves_out_what_was_being_done() {
        for cause in ["a pipe", "open a: a pipe", "open a with ATOMIC: a pipe"] {
            assert_eq!(Error::new(Code::ENOTSUP, cause).context("open a").why(), "a pipe");
        }
    }
}
