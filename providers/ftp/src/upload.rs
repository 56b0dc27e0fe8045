//! An upload: a new file beside its target, which gets the target's name on COMMIT.
//!
//! It runs by itself, so that whoever writes may leave: without COMMIT it removes what it made. What the server does not confirm in time
//! is looked at in another session: the new file's size decides.

use crate::client::Client;
use crate::reply::{self, End};
use crate::session::{Data, Session};
use crate::settings::Tuning;
use crate::target::{Path, Target};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure, Retry};

/// How long it is tried to remove what an upload made.
const CLEARING: Duration = Duration::from_secs(4);

/// What the writer wants.
pub enum Order {
    /// These bytes come next.
    Block(Vec<u8>),
    /// That was all: it gets its name.
    Commit,
}

/// How far it is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// It takes orders.
    Open,
    /// It has its name.
    Complete,
    /// It never will.
    Failed(Failure),
}

/// An upload that has begun.
pub struct Upload {
    file: NewFile,
    session: Session,
    data: Data,
    /// Bytes that went out.
    sent: u64,
}

/// The file that an upload makes.
struct NewFile {
    client: Arc<Client>,
    target: Target,
    /// Its name for now.
    name: Path,
    tuning: Tuning,
    /// Only if there is no file of the target's name.
    exclusive: bool,
}

impl Upload {
    /// Makes the new file.
    ///
    /// # Errors
    /// EACCES, ENOENT, ENOSPC: the server's word. As [`Client::session`].
    pub async fn begin(
        client: Arc<Client>,
        target: Target,
        tuning: Tuning,
        exclusive: bool,
    ) -> Attempt<Upload> {
        let name = target.path.beside(&format!(".zvfs-{:016x}", fastrand::u64(..)));
        let mut session = client.session(&target.account, &tuning).await?;
        match session.store(&name).await {
            Ok(data) => {
                let file = NewFile { client, target, name, tuning, exclusive };
                Ok(Upload { file, session, data, sent: 0 })
            }
            Err(failure) => {
                client.keep(session).await;
                Err(failure)
            }
        }
    }

    /// Does what the writer wants, until it says COMMIT or nothing more.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>, stage: watch::Sender<Stage>) {
        loop {
            match orders.recv().await {
                Some(Order::Block(block)) => {
                    if let Err(failure) = self.send(&block).await {
                        return self.fail(failure, orders, &stage).await;
                    }
                }
                Some(Order::Commit) => return self.commit(orders, &stage).await,
                None => break,
            }
        }
        let Upload { file, mut session, data, .. } = self;
        session.break_off(data).await;
        file.client.keep(session).await;
        file.clear().await;
    }

    async fn fail(self, broken: Failure, orders: mpsc::Receiver<Order>, stage: &watch::Sender<Stage>) {
        let Upload { file, session, data, .. } = self;
        let said = session.last_words(data).await;
        stage.send_replace(Stage::Failed(said.map_or(broken, Failure::for_good)));
        drop(orders);
        file.clear().await;
    }

    async fn commit(self, mut orders: mpsc::Receiver<Order>, stage: &watch::Sender<Stage>) {
        let Upload { file, session, data, sent } = self;
        let is_left = async { while orders.recv().await.is_some() {} };
        let whole = tokio::select! {
            whole = file.confirm(session, data, sent) => whole,
            () = is_left => Err(Failure::new(Code::ECANCELED, "it was discarded")),
        };
        // From here on nobody can call it back.
        let outcome = match whole {
            Ok(session) => file.rename(session, sent).await,
            Err(failure) => Err(failure),
        };
        if outcome.is_err() {
            file.clear().await;
        }
        stage.send_replace(
            outcome.map_or_else(|failure| Stage::Failed(for_good(failure)), |()| Stage::Complete),
        );
    }

    async fn send(&mut self, block: &[u8]) -> Attempt<()> {
        let mut left = block;
        while !left.is_empty() {
            let stall = self.file.tuning.stall_timeout;
            let taken = timeout(stall, self.data.write(left)).await;
            let count = taken
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(|error| self.interrupted(&error))?;
            if count == 0 {
                return Err(self.interrupted(&io::ErrorKind::WriteZero.into()));
            }
            (left, self.sent) = (&left[count..], self.sent + count as u64);
        }
        Ok(())
    }

    /// An upload is not repeated: nobody has its bytes any more. So ETIMEDOUT, after which a call may be, is no code for it.
    fn interrupted(&self, error: &io::Error) -> Failure {
        let why = match error.kind() {
            io::ErrorKind::TimedOut => format!("no byte taken for {:?}", self.file.tuning.stall_timeout),
            _ => reply::of_io(error).text,
        };
        Failure::new(
            Code::ECONNRESET,
            format!("{why} (after {} bytes; an upload is not repeated)", self.sent),
        )
    }
}

impl NewFile {
    /// Ends the transfer: the server has all bytes, and the target's name is free if it must be. If the server does not say so itself,
    /// another session asks.
    async fn confirm(&self, mut session: Session, data: Data, sent: u64) -> Attempt<Session> {
        let outcome = match session.complete(data).await {
            End::Complete => self.look(&mut session, sent, None).await,
            // It may have lost what it took: the size proves nothing then.
            End::Refused(refusal) => Err(refusal),
            End::Unheard(unheard) => {
                session = self.client.session(&self.target.account, &self.tuning).await?;
                self.look(&mut session, sent, Some(unheard)).await
            }
        };
        match outcome {
            Ok(()) => Ok(session),
            Err(failure) => {
                self.client.keep(session).await;
                Err(failure)
            }
        }
    }

    async fn look(&self, session: &mut Session, sent: u64, unheard: Option<Failure>) -> Attempt<()> {
        match (session.facts(&self.name).await?.size, unheard) {
            (Some(size), _) if size != sent => {
                return Err(Failure::new(Code::EIO, format!("the server has {size} of {sent} bytes")));
            }
            (None, Some(unheard)) => return Err(unheard),
            (_, _) => {}
        }
        if !self.exclusive {
            return Ok(());
        }
        match session.facts(&self.target.path).await {
            Ok(_) => Err(Failure::new(Code::EEXIST, "it was made meanwhile")),
            Err(failure) if failure.code == Code::ENOENT => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Gives the file its name.
    async fn rename(&self, mut session: Session, sent: u64) -> Attempt<()> {
        let renamed = session.rename(&self.name, &self.target.path).await;
        self.client.keep(session).await;
        match renamed {
            Err(failure) if failure.retry != Retry::No && self.was_renamed(sent).await => Ok(()),
            renamed => renamed,
        }
    }

    /// Whether a rename came about though the connection was lost: in another session, the new name is gone and the target has the size.
    async fn was_renamed(&self, sent: u64) -> bool {
        let Ok(mut session) = self.client.session(&self.target.account, &self.tuning).await else {
            return false;
        };
        let gone = session.facts(&self.name).await.is_err_and(|failure| failure.code == Code::ENOENT);
        let there =
            gone && session.facts(&self.target.path).await.is_ok_and(|facts| facts.size == Some(sent));
        self.client.keep(session).await;
        there
    }

    /// Removes the file; what cannot be removed in time stays under a name that says whose it is.
    async fn clear(&self) {
        let removed = timeout(CLEARING, async {
            let mut session = self.client.session(&self.target.account, &self.tuning).await?;
            let removed = session.remove(&self.name).await;
            self.client.keep(session).await;
            removed
        });
        // Nobody waits for this who could be told.
        let _ = removed.await;
    }
}

/// ETIMEDOUT of a COMMIT would say that it may be repeated.
fn for_good(failure: Failure) -> Failure {
    let code = if failure.code == Code::ETIMEDOUT { Code::ECONNRESET } else { failure.code };
    Failure { code, ..failure.for_good() }
}
