//! A file open for writing: what is written is handed to its upload in blocks.

use crate::caller::Caller;
use crate::client::Client;
use crate::target::Target;
use crate::times::Times;
use crate::upload::{Order, Stage, Upload};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{mpsc, oneshot, watch};
use vfs_core::{Capabilities, Code, Error, File, Finish, Flush, Result};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::retry::{Budget, Retrying, persist};

/// What is gathered before it is handed on, at most.
const BLOCK: usize = 256 << 10;
/// Blocks on their way.
const BEHIND: usize = 4;

/// A file open for writing.
pub struct Writer {
    client: Arc<Client>,
    caller: Caller,
    gathered: Vec<u8>,
    orders: mpsc::Sender<Order>,
    stage: watch::Receiver<Stage>,
    /// Dropped: whatever is under way is to be discarded.
    present: Option<oneshot::Sender<()>>,
    /// The time that it is to have.
    modified: Option<SystemTime>,
    /// `None`: it can have none.
    times: Option<Times>,
    is_committing: bool,
}

impl Writer {
    /// Begins an upload; `exclusive`: only if there is no such file at its end either.
    ///
    /// # Errors
    /// As [`Upload::begin`].
    pub fn open(client: &Arc<Client>, target: Target, caller: Caller, exclusive: bool) -> Result<Writer> {
        let begun = persist(&caller, &mut Budget::new(), || {
            let (theirs, target, tuning) = (client.clone(), target.clone(), caller.tuning.clone());
            caller.wait(client, "the upload", Upload::begin(theirs, target, tuning, exclusive))
        });
        let upload = begun.map_err(|failure| failure.error("open", &caller.shown))?;
        let (orders, theirs) = mpsc::channel(BEHIND);
        let (stages, stage) = watch::channel(Stage::Open);
        let (present, left) = oneshot::channel();
        let times = upload.times();
        client.spawn(upload.run(theirs, stages, left));
        Ok(Writer {
            client: client.clone(),
            caller,
            gathered: Vec::new(),
            orders,
            stage,
            present: Some(present),
            modified: None,
            times,
            is_committing: false,
        })
    }

    fn failed(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.caller.shown)
    }

    /// Why nothing can be written any more.
    fn why_not(&self) -> Failure {
        match &*self.stage.borrow() {
            Stage::Failed { why, .. } => why.clone(),
            Stage::Open | Stage::Complete | Stage::Unknown => Failure::new(Code::EIO, "the upload broke"),
        }
    }

    /// Hands something on; waits until there is room for it. If that wait ends early, nothing was handed on.
    fn order(&self, order: impl FnOnce() -> Order) -> Attempt<()> {
        let permit = match self.orders.clone().try_reserve_owned() {
            Ok(permit) => permit,
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(self.why_not()),
            Err(mpsc::error::TrySendError::Full(orders)) => {
                let reserved = self.caller.wait(&self.client, "room for the upload", async move {
                    Ok(orders.reserve_owned().await.ok())
                })?;
                reserved.ok_or_else(|| self.why_not())?
            }
        };
        permit.send(order());
        Ok(())
    }

    fn push(&mut self) -> Attempt<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.gathered);
        let outcome = self.order(|| Order::Block(std::mem::take(&mut block)));
        self.gathered = block; // empty, unless it was not handed on
        outcome
    }

    fn commit(&mut self) -> Attempt<()> {
        if !self.is_committing {
            self.push()?;
            self.order(|| Order::Commit(self.modified))?;
            self.is_committing = true;
        }
        self.wait_for_end()?;
        match &*self.stage.borrow() {
            Stage::Complete => Ok(()),
            _ => Err(self.why_not()),
        }
    }

    /// Waits until the upload is complete or has failed, and nothing of it is left.
    fn wait_for_end(&self) -> Attempt<()> {
        let mut stage = self.stage.clone();
        self.caller.wait(&self.client, "the end of the upload", async move {
            // It ends with its task, which drops the sender.
            while stage.changed().await.is_ok() {}
            Ok(())
        })
    }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        let always = Capabilities::WRITABLE | Capabilities::CANCEL;
        if self.times.is_some() { always | Capabilities::TIMES } else { always }
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.caller.context().status()?;
        let count = buf.len().min(BLOCK);
        if self.gathered.len() + count > BLOCK {
            self.push().map_err(|failure| self.failed("write", &failure))?;
        }
        self.gathered.extend_from_slice(&buf[..count]);
        Ok(count)
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        let refuse = |code, why| Err(self.failed("set the time of", &Failure::new(code, why)));
        let Some(times) = self.times.clone() else {
            return refuse(Code::ENOTSUP, "the server sets no times: it has no MFMT");
        };
        if self.is_committing {
            return refuse(Code::EBADF, "the upload has ended");
        }
        let asked = self.caller.wait(&self.client, "a new time", times.ask(time));
        asked.map_err(|failure| self.failed("set the time of", &failure))?;
        self.modified = Some(time);
        Ok(())
    }

    fn flush(&mut self, _: Flush) -> Result<()> {
        // All that a client can do is to send it: whether it is kept, the answer to COMMIT says.
        self.push().map_err(|failure| self.failed("flush", &failure))
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match how {
            // The server learns it from COMMIT.
            Finish::End => Ok(()),
            Finish::Commit => self.commit().map_err(|failure| self.failed("commit", &failure)),
            Finish::Discard => {
                self.present = None;
                self.wait_for_end().map_err(|failure| self.failed("discard", &failure))?;
                let eio = |why: &str| Err(self.failed("discard", &Failure::new(Code::EIO, why)));
                match &*self.stage.borrow() {
                    Stage::Complete => eio("it was complete already"),
                    Stage::Unknown => eio("the server does not say what became of the new file"),
                    Stage::Failed { left: Some(left), .. } => Err(self.failed("discard", left)),
                    Stage::Open | Stage::Failed { left: None, .. } => Ok(()),
                }
            }
        }
    }
}
