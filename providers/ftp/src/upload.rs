//! An upload: a new file beside its target, which gets the target's name on COMMIT.
//!
//! It runs by itself, so that whoever writes may leave: then it removes what it made. What the server does not confirm in time
//! is looked at in another session: the new file's size decides.

use crate::client::Client;
use crate::reply::{self, End};
use crate::session::{Data, Session};
use crate::settings::Tuning;
use crate::target::{Path, Target};
use crate::times::Times;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use vfs_core::{Code, written_duration};
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::retry::Budget;

/// What a DISCARD may take, all its steps together: the host gives it 5 s. Removing the file takes no longer after a failure either.
const CLEARING: Duration = Duration::from_secs(4);

/// What the writer wants.
pub enum Order {
    /// These bytes come next.
    Block(Vec<u8>),
    /// That was all: it gets this time, and its name.
    Commit(Option<SystemTime>),
}

/// How far it is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// It takes orders.
    Open,
    /// It has its name.
    Complete,
    /// It never will.
    Failed {
        why: Failure,
        /// Why what was sent is still there, under the new file's name.
        left: Option<Failure>,
    },
    /// It was discarded, and the server does not say what became of it.
    Unknown,
}

impl Stage {
    fn failed(why: Failure) -> Stage {
        Stage::Failed { why, left: None }
    }
}

/// An upload that has begun.
pub struct Upload {
    file: NewFile,
    session: Session,
    data: Data,
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

/// What was sent.
struct Sent {
    /// Bytes.
    count: u64,
    /// The time that the file is to have.
    modified: Option<SystemTime>,
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
                Ok(Upload { file, session, data })
            }
            Err(failure) => {
                client.keep(session).await;
                Err(failure)
            }
        }
    }

    /// Who asks whether it can be given a time; `None`: it cannot.
    pub fn times(&self) -> Option<Times> {
        let NewFile { client, target, name, tuning, .. } = &self.file;
        let times = || Times::new(client.clone(), target.account.clone(), name.clone(), tuning.clone());
        self.session.features().mfmt.then(times)
    }

    /// Does what the writer wants, until it says COMMIT, or `left` has it that it wants nothing more.
    pub async fn run(
        self,
        mut orders: mpsc::Receiver<Order>,
        stage: watch::Sender<Stage>,
        mut left: oneshot::Receiver<()>,
    ) {
        let Upload { file, mut session, mut data } = self;
        let sent = tokio::select! {
            sent = file.send_all(&mut data, &mut orders) => sent,
            _ = &mut left => {
                let removed = timeout(CLEARING, async {
                    session.break_off(data).await;
                    file.client.keep(session).await;
                    file.clear().await
                });
                stage.send_replace(discarded(removed.await, false));
                return;
            }
        };
        match sent {
            Ok(sent) => drop(stage.send_replace(file.commit(session, data, sent, left).await)),
            Err(broken) => {
                let until = Instant::now() + CLEARING;
                let said = session.last_words(data).await;
                let why = said.map_or(broken, Failure::for_good);
                stage.send_replace(Stage::failed(why.clone()));
                drop(orders);
                // For a DISCARD, which may come.
                let left = left_of(timeout_at(until, file.clear()).await);
                stage.send_replace(Stage::Failed { why, left });
            }
        }
    }
}

impl NewFile {
    /// Sends what comes until COMMIT, and says how many bytes that were.
    async fn send_all(&self, data: &mut Data, orders: &mut mpsc::Receiver<Order>) -> Attempt<Sent> {
        let mut sent = 0;
        loop {
            let block = match orders.recv().await {
                Some(Order::Block(block)) => block,
                Some(Order::Commit(modified)) => return Ok(Sent { count: sent, modified }),
                // The writer is leaving.
                None => pending().await,
            };
            let mut left = &block[..];
            while !left.is_empty() {
                let taken = timeout(self.tuning.stall_timeout, data.write(left)).await;
                let count = match taken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                    Ok(0) => return Err(self.interrupted(&io::ErrorKind::WriteZero.into(), sent)),
                    Ok(count) => count,
                    Err(error) => return Err(self.interrupted(&error, sent)),
                };
                (left, sent) = (&left[count..], sent + count as u64);
            }
        }
    }

    /// An upload is not repeated: nobody has its bytes any more. So ETIMEDOUT, after which a call may be, is no code for it.
    fn interrupted(&self, error: &io::Error, sent: u64) -> Failure {
        let why = match error.kind() {
            io::ErrorKind::TimedOut => {
                format!("no byte taken for {}", written_duration(self.tuning.stall_timeout))
            }
            _ => reply::of_io(error).text,
        };
        Failure::new(Code::ECONNRESET, format!("{why} (after {sent} bytes; an upload is not repeated)"))
    }

    async fn commit(
        &self,
        session: Session,
        data: Data,
        Sent { count: sent, modified }: Sent,
        mut left: oneshot::Receiver<()>,
    ) -> Stage {
        let whole = tokio::select! {
            whole = self.confirm(session, data, sent, modified) => whole,
            _ = &mut left => return discarded(timeout(CLEARING, self.clear()).await, false),
        };
        let outcome = match whole {
            Ok(session) => tokio::select! {
                renamed = self.rename(session, sent) => renamed,
                _ = left => return discarded(timeout(CLEARING, self.remove()).await, true),
            },
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => Stage::Complete,
            Err(failure) => {
                // It stays under a name that says whose it is, where it cannot be removed in time.
                let left = left_of(timeout(CLEARING, self.clear()).await);
                Stage::Failed { why: for_good(failure), left }
            }
        }
    }

    /// Ends the transfer: the server has all bytes, and the target's name is free if it must be. If the server does not say so itself,
    /// another session asks. Then the file has the time that it is to have.
    async fn confirm(
        &self,
        mut session: Session,
        data: Data,
        sent: u64,
        modified: Option<SystemTime>,
    ) -> Attempt<Session> {
        let whole = match session.complete(data).await {
            End::Complete => self.look(&mut session, sent, None).await,
            // It may have lost what it took: the size proves nothing then.
            End::Refused(refusal) => Err(refusal),
            End::Unheard(unheard) => {
                session = self.client.session(&self.target.account, &self.tuning).await?;
                self.look(&mut session, sent, Some(unheard)).await
            }
        };
        let outcome = match (whole, modified) {
            (Ok(()), Some(time)) => session.set_modified(&self.name, time).await,
            (whole, _) => whole,
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

    /// Removes the file, in another session each time that one is lost in it: a kept one may be on the way to be.
    ///
    /// # Errors
    /// ENOENT: it has the target's name, or is gone. ECONNRESET: an answer was lost, and it is gone. The server's word. As
    /// [`Client::session`].
    async fn remove(&self) -> Attempt<()> {
        let mut budget = Budget::resuming();
        let mut unheard = None;
        loop {
            match (self.remove_once().await, unheard) {
                // A rename may have come first, or the removal.
                (Err(gone), Some(lost)) if gone.code == Code::ENOENT => return Err(lost),
                (Err(failure), _) if failure.retry != Retry::No => {
                    unheard = Some(failure.clone());
                    tokio::time::sleep(budget.pause(failure, self.tuning.retries)?).await;
                }
                (removed, _) => return removed,
            }
        }
    }

    /// Removes the file where it can have no other name. Servers answer 550 for one that is gone, and for one that they do not remove.
    ///
    /// # Errors
    /// EIO: it is there still, or may be.
    async fn clear(&self) -> Attempt<()> {
        let Err(refused) = self.remove().await else { return Ok(()) };
        let name = self.name.argument();
        let left = |why: &str| Failure::new(Code::EIO, format!("the new file {name} is left: {why}"));
        let mut session =
            self.client.session(&self.target.account, &self.tuning).await.map_err(|_| left(&refused.text))?;
        let facts = session.facts(&self.name).await;
        self.client.keep(session).await;
        match facts {
            Err(gone) if gone.code == Code::ENOENT => Ok(()),
            _ => Err(left(&refused.text)),
        }
    }

    async fn remove_once(&self) -> Attempt<()> {
        let mut session = self.client.session(&self.target.account, &self.tuning).await?;
        let removed = session.remove(&self.name).await;
        self.client.keep(session).await;
        removed
    }
}

/// What a discarded upload comes to. Of a rename that was under way and a removal the server does one, and says which.
fn discarded(removed: Result<Attempt<()>, Elapsed>, was_renaming: bool) -> Stage {
    match removed {
        Ok(Err(failure)) if was_renaming && failure.code == Code::ENOENT => Stage::Complete,
        Ok(Err(_)) if was_renaming => Stage::Unknown,
        Ok(removed) => {
            Stage::Failed { why: Failure::new(Code::ECANCELED, "it was discarded"), left: removed.err() }
        }
        Err(_) => Stage::Unknown,
    }
}

/// Why a new file is still there.
fn left_of(cleared: Result<Attempt<()>, Elapsed>) -> Option<Failure> {
    let late = |_| Err(Failure::new(Code::EIO, "the server does not say what became of the new file"));
    cleared.unwrap_or_else(late).err()
}

/// ETIMEDOUT of a COMMIT would say that it may be repeated.
fn for_good(failure: Failure) -> Failure {
    let code = if failure.code == Code::ETIMEDOUT { Code::ECONNRESET } else { failure.code };
    Failure { code, ..failure.for_good() }
}
