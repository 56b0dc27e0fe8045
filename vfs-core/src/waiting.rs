//! What a call waits for, in words: the provider states it, the host shows it to whoever waits.

use std::fmt;
use std::time::{Duration, Instant};

/// What a file's call waits for. `Display` is a line for a person: what, for how long, and what was last refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// In words: "a reader of netpipe `a`".
    pub object: String,
    /// When the wait for this object began.
    pub since: Instant,
    /// Why the last attempt failed, if one did: "connect 10.0.0.1:7: connection refused".
    pub refusal: Option<String>,
}

impl Waiting {
    /// A wait that begins now.
    pub fn new(object: impl Into<String>) -> Waiting {
        Waiting { object: object.into(), since: Instant::now(), refusal: None }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.object, Span(self.since.elapsed()))?;
        match &self.refusal {
            Some(refusal) => write!(f, " (last refusal: {refusal})"),
            None => Ok(()),
        }
    }
}

/// A time as a person says it: seconds from one second on, milliseconds below.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds => write!(f, "{seconds} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_reads_as_a_line() {
        let since = |ago| Instant::now().checked_sub(Duration::from_millis(ago)).expect("a clock that old");
        let mut waiting = Waiting::new("a reader of netpipe `a`");
        waiting.since = since(12_300);
        assert_eq!(waiting.to_string(), "a reader of netpipe `a` for 12 s");
        waiting.refusal = Some("connect 10.0.0.1:7: connection refused".into());
        assert!(waiting.to_string().ends_with(" (last refusal: connect 10.0.0.1:7: connection refused)"));
        waiting.since = since(300);
        assert!(waiting.to_string().contains(" ms ("), "{waiting}");
    }
}
