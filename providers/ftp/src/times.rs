//! Whether a server sets the time of what is uploaded. FEAT says that it knows the command; it may refuse it all the same, and is better
//! asked while nothing is lost by that.

use crate::client::Client;
use crate::settings::Tuning;
use crate::target::{Account, Path};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure, Retry};

/// How long a server is asked: meanwhile the upload's own connections stand still. COMMIT shows what it has not said by then.
const ASKING: Duration = Duration::from_secs(5);

/// Who asks, for a file that is being uploaded.
#[derive(Clone)]
pub struct Times {
    client: Arc<Client>,
    account: Account,
    /// The file's name for now.
    name: Path,
    tuning: Tuning,
}

impl Times {
    /// For the file that has this name during its upload.
    pub fn new(client: Arc<Client>, account: Account, name: Path, tuning: Tuning) -> Times {
        Times { client, account, name, tuning }
    }

    /// Asks in another session, since one with a transfer takes no commands; of an account whose server has set a time, not again. What
    /// cannot be known during the upload, COMMIT shows: the server has no room for another session, keeps quiet, or hides what is not whole.
    ///
    /// # Errors
    /// ENOTSUP: it sets no time of this file.
    pub async fn ask(self, time: SystemTime) -> Attempt<()> {
        let asked = self.client.asked();
        if asked.is_answered(&self.account) {
            return Ok(());
        }
        let Ok(_turn) = timeout(ASKING, asked.turn()).await else { return Ok(()) };
        if asked.is_answered(&self.account) {
            return Ok(());
        }
        timeout(ASKING, self.ask_server(time)).await.unwrap_or_else(|_| {
            // Nor would it tell the next one.
            asked.answer(self.account.clone());
            Ok(())
        })
    }

    async fn ask_server(&self, time: SystemTime) -> Attempt<()> {
        let mut session = match self.client.session(&self.account, &self.tuning).await {
            Ok(session) => session,
            Err(failure) => {
                if failure.code == Code::ETIMEDOUT {
                    self.client.asked().answer(self.account.clone());
                }
                return Ok(());
            }
        };
        let outcome = match session.set_modified(&self.name, time).await {
            Ok(()) => {
                self.client.asked().answer(self.account.clone());
                Ok(())
            }
            Err(refused) if refused.retry == Retry::No && session.facts(&self.name).await.is_ok() => {
                let text = format!("the server sets no time of what is uploaded: {}", refused.text);
                Err(Failure { code: Code::ENOTSUP, text, ..refused })
            }
            Err(_) => Ok(()),
        };
        self.client.keep(session).await;
        outcome
    }
}
