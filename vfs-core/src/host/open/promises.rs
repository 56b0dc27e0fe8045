//! What the answers of a file bind it to, in the calls that wait for nothing.

use crate::bridge::outcome::broken_rule;
use crate::error::Result;
use crate::file::Interest;
use crate::flags::Wanted;
use std::os::fd::{AsRawFd, RawFd};

/// So often a provider may say that something is ready which then is not.
const EMPTY_PROMISES: u32 = 1000;

/// What the earlier answers of a file bind it to.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// The one descriptor that it lends.
    fd: Option<RawFd>,
    /// What the last interest said is ready.
    ready: Wanted,
    /// How often that was not so, since something moved.
    broken: u32,
}

impl Promises {
    /// Holds an interest against what was asked, and against earlier ones.
    pub(super) fn check(&mut self, interest: &Interest<'_>, wanted: Wanted) -> Result<()> {
        let (ready, fd) = (interest.ready, interest.fd.map(|fd| fd.as_raw_fd()));
        if !wanted.contains(ready) {
            return Err(broken_rule(&format!("interest: {ready:?} is ready, and {wanted:?} was asked for")));
        }
        if let (Some(earlier), Some(now)) = (self.fd, fd)
            && earlier != now
        {
            return Err(broken_rule(&format!("interest: it lent fd {earlier}, and now fd {now}")));
        }
        if ready.is_empty() && fd.is_none() && interest.after.is_none() {
            return Err(broken_rule("interest: nothing is ready, and there is nothing to wait for"));
        }
        if !ready.is_empty() && self.broken >= EMPTY_PROMISES {
            let text = format!("interest: {ready:?} is ready, but {EMPTY_PROMISES} tries moved nothing");
            return Err(broken_rule(&text));
        }
        self.fd = self.fd.or(fd);
        self.ready = ready;
        Ok(())
    }

    /// Takes note of what a try came to.
    pub(super) fn tried<T>(&mut self, what: Wanted, result: &Result<Option<T>>) {
        match result {
            Ok(None) if self.ready.contains(what) => self.broken += 1,
            Ok(None) => {}
            _ => self.broken = 0,
        }
        self.ready = Wanted::empty();
    }
}
