//! Which servers need not be asked whether they set the time of what is uploaded.

use crate::target::Account;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, MutexGuard as TurnHeld};

/// What the uploads of an instance know of servers.
#[derive(Default)]
pub struct Asked {
    /// The account that need not be asked again: its server has set the time of a file that was being uploaded, or does not say in time
    /// whether it does.
    last: Mutex<Option<Account>>,
    /// Held by the one that asks: those that begin at once hear what it has heard.
    turn: Turn<()>,
}

impl Asked {
    /// Waits until nobody asks; whoever has what this returns does.
    pub async fn turn(&self) -> TurnHeld<'_, ()> {
        self.turn.lock().await
    }

    /// Whether this account need not be asked about.
    pub fn is_answered(&self, account: &Account) -> bool {
        self.last.lock().as_ref() == Some(account)
    }

    /// Says that this one need not be asked about any more.
    pub fn answer(&self, account: Account) {
        *self.last.lock() = Some(account);
    }
}
