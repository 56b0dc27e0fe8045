//! How long a process may take for a call, and how much it may say meanwhile.

use super::child::Child;
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::flags::Events;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// A wait that patience is counted in: what it takes longer, on a machine that is busy or was asleep, is not the process's doing.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const WAIT_MOST: Duration = Duration::from_millis(50);
/// So many messages a process may send in a call that is to end, its upcalls among them.
const WORDS_MOST: u32 = 100_000;

/// How long a process may take.
pub(super) enum Patience<'c> {
    /// As long as it likes.
    Endless,
    /// Until the call's control has ended it, and so long more.
    Controlled(&'c Context, Duration),
    /// So long, and so many messages that are no reply; then it is killed, and this is why.
    Counted { left: Duration, words: u32, why: &'static str },
}

impl Patience<'_> {
    pub(super) fn counted(left: Duration, why: &'static str) -> Self {
        Patience::Counted { left, words: WORDS_MOST, why }
    }

    /// Waits until a connection has something.
    ///
    /// # Errors
    /// EIO: not in time, and the process was killed.
    pub(super) fn wait(&mut self, child: &Child, connection: BorrowedFd<'_>) -> Result<()> {
        let mut polled = [PollFd::from_borrowed_fd(connection, PollFlags::IN)];
        match self {
            Patience::Endless => {
                let _ = poll(&mut polled, None);
            }
            Patience::Controlled(context, _) => {
                if let Err(ended) = context.wait(Some(connection), Events::READ, None) {
                    return self.count(ended);
                }
            }
            Patience::Counted { left, why, .. } if left.is_zero() => return Err(child.kill(why)),
            Patience::Counted { left, .. } => {
                let since = Instant::now();
                let _ = poll(&mut polled, Some(&WAIT));
                *left = left.saturating_sub(since.elapsed().min(WAIT_MOST));
            }
        }
        Ok(())
    }

    /// Takes note of a message that is no reply: they put off no end, however many they are.
    ///
    /// # Errors
    /// EIO: one too many, and the process was killed.
    pub(super) fn bear(&mut self, child: &Child) -> Result<()> {
        match self {
            Patience::Endless => Ok(()),
            Patience::Controlled(context, _) => context.status().or_else(|ended| self.count(ended)),
            Patience::Counted { words: 0, .. } => {
                Err(child.kill("it said too much in a call that was to end"))
            }
            Patience::Counted { words, .. } => {
                *words -= 1;
                Ok(())
            }
        }
    }

    /// Counts from now on, since the control has ended the call.
    fn count(&mut self, ended: Error) -> Result<()> {
        let why = match ended.code() {
            Code::ECANCELED => "it did not end a call 1 s after its cancel",
            Code::ETIMEDOUT => "it did not end a call 1 s after its deadline",
            _ => return Err(ended),
        };
        if let Patience::Controlled(_, left) = *self {
            *self = Patience::counted(left, why);
        }
        Ok(())
    }
}
