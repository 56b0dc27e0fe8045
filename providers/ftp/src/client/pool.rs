//! Idle sessions.

use crate::session::Session;
use crate::target::Account;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Sessions that nobody uses, the longest idle first.
pub struct Pool {
    most: usize,
    idle: Mutex<Vec<(Session, Instant)>>,
}

impl Pool {
    /// For so many.
    pub fn new(most: usize) -> Pool {
        Pool { most, idle: Mutex::default() }
    }

    /// Takes the one of an account that was used last, and says how long it has been idle.
    pub fn take(&self, account: &Account) -> Option<(Session, Duration)> {
        let mut idle = self.idle.lock();
        let at = idle.iter().rposition(|(session, _)| session.account() == account)?;
        let (session, since) = idle.remove(at);
        Some((session, since.elapsed()))
    }

    /// Keeps one that is well; for that the longest idle one may have to go.
    pub fn put(&self, session: Session) {
        if session.is_broken() || self.most == 0 {
            return;
        }
        let mut idle = self.idle.lock();
        let gone = (idle.len() >= self.most).then(|| idle.remove(0));
        idle.push((session, Instant::now()));
        drop(idle);
        drop(gone);
    }
}
