//! How a provider's process ended, for the errors of all calls after that.

use crate::code::Code;
use crate::error::{Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::time::Timespec;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::OnceLock;

/// How long the news may take from the supervisor, once a socket says that the process is gone.
const NEWS: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

pub(super) struct Death {
    /// `provider `x``
    provider: String,
    /// Why the host had it killed.
    killed: OnceLock<Error>,
    story: OnceLock<Error>,
    /// Readable once there is a story.
    known: OwnedFd,
}

impl Death {
    /// It lives.
    pub(super) fn new(provider: &str) -> Result<Death> {
        let known = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from)?;
        Ok(Death {
            provider: format!("provider `{provider}`"),
            killed: OnceLock::new(),
            story: OnceLock::new(),
            known,
        })
    }

    /// Whose process it is: `provider `x``.
    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// Whether it is gone, or about to be.
    pub(super) fn has_come(&self) -> bool {
        self.killed.get().is_some() || self.story.get().is_some()
    }

    /// Says that the host has it killed, and why: the first reason counts.
    pub(super) fn caused(&self, why: &str) {
        let _ = self.killed.set(self.error(format!("was killed: {why}")));
    }

    /// Says that it ended by itself with an error of its own.
    pub(super) fn explained(&self, error: Error) {
        let _ = self.killed.set(error);
    }

    /// It has ended, as wait(2) says.
    pub(super) fn ended(&self, status: i32) {
        self.tell(self.error(words(ExitStatus::from_raw(status))));
    }

    /// It is gone, and nobody says how.
    pub(super) fn lost(&self, why: Error) {
        self.tell(why);
    }

    fn tell(&self, story: Error) {
        let story = self.killed.get().map_or(story, Error::flattened);
        if self.story.set(story).is_ok() {
            let _ = rustix::io::write(&self.known, &1u64.to_ne_bytes());
        }
    }

    /// Waits for news of its end; `false`: there is none in time.
    pub(super) fn comes_within(&self, limit: Timespec) -> bool {
        let mut known = [PollFd::new(&self.known, PollFlags::IN)];
        while poll(&mut known, Some(&limit)) == Err(rustix::io::Errno::INTR) {}
        self.story.get().is_some()
    }

    /// The error of a call that the process did not end, or that it is not there for.
    pub(super) fn of_call(&self) -> Error {
        self.comes_within(NEWS);
        match self.story.get().or(self.killed.get()) {
            Some(story) => story.flattened(),
            None => self.error("closed what the call went through".to_owned()),
        }
    }

    pub(super) fn error(&self, what: String) -> Error {
        Error::new(Code::EIO, format!("{}'s process {what}", self.provider))
    }
}

/// `was killed by SIGSEGV`, `exited with status 3`.
fn words(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => match name(signal) {
            Some(name) => format!("was killed by {name}"),
            None => format!("was killed by signal {signal}"),
        },
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// A signal that ends a process by itself, or that somebody sends to end one.
fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_told_in_words() {
        for (status, text) in [
            (libc::SIGSEGV | 0x80, "provider `x`'s process was killed by SIGSEGV"),
            (3 << 8, "provider `x`'s process exited with status 3"),
            (libc::SIGUSR1, "provider `x`'s process was killed by signal 10"),
        ] {
            let death = Death::new("x").unwrap();
            assert!(!death.has_come());
            death.ended(status);
            assert!(death.has_come());
            assert_eq!((death.of_call().code(), death.of_call().to_string().as_str()), (Code::EIO, text));
        }
    }

    #[test]
    fn why_the_host_killed_it_counts_more_than_the_signal() {
        let death = Death::new("x").unwrap();
        death.caused("it does not read");
        death.caused("later");
        death.ended(libc::SIGKILL);
        assert_eq!(death.of_call().to_string(), "provider `x`'s process was killed: it does not read");
    }
}
