//! How a file that is written ends: COMMIT, which goes on when its caller's time is over, and DISCARD.

use crate::calls::Handle;
use crate::failure::of_writing;
use crate::pool::Pool;
use crate::upload::{Upload, set_modified};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

/// What a DISCARD may take, all its steps together: the host gives it 5 s.
const DISCARD_MAX: Duration = Duration::from_secs(4);

/// What the removal of a hidden file may take that nobody waits for: a server that has lost all its connections may be busy.
const REMOVAL_MAX: Duration = Duration::from_secs(60);

/// The end of a file. Dropped before a COMMIT, it removes what is hidden.
pub struct Ending {
    pool: Arc<Pool>,
    handle: Arc<Handle>,
    /// The file's names, if it is hidden until COMMIT.
    upload: Option<Upload>,
    /// It is not read afterwards.
    closes: bool,
    /// A COMMIT that was begun.
    commit: Option<Commit>,
}

/// A COMMIT, which goes on when nobody waits for it.
struct Commit {
    /// What it came to, once it has.
    outcome: Outcome,
    /// Breaks it off.
    stop: oneshot::Sender<()>,
}

type Outcome = watch::Receiver<Option<Attempt<()>>>;

impl Ending {
    /// For a file that was opened. `closes`: COMMIT closes it.
    pub fn new(pool: &Arc<Pool>, handle: &Arc<Handle>, upload: Option<Upload>, closes: bool) -> Ending {
        Ending { pool: pool.clone(), handle: handle.clone(), upload, closes, commit: None }
    }

    /// Whether nobody sees the file yet.
    pub fn is_hidden(&self) -> bool {
        self.upload.is_some() && self.commit.is_none()
    }

    /// Ends a file of this size, all of which is written, and gives it a time if it is to have one. Asked again, it waits for what was
    /// begun.
    ///
    /// # Errors
    /// As [`Upload::commit`]; of a file in place, what closing it reports. The server's, of the time.
    pub fn commit(
        &mut self,
        size: u64,
        modified: Option<u32>,
    ) -> impl Future<Output = Attempt<()>> + Send + 'static {
        let outcome = match &self.commit {
            Some(commit) => commit.outcome.clone(),
            None => self.begin(size, modified),
        };
        async move { known(outcome).await }
    }

    fn begin(&mut self, size: u64, modified: Option<u32>) -> Outcome {
        let (done, outcome) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let (handle, upload, closes) = (self.handle.clone(), self.upload.clone(), self.closes);
        self.pool.background(async move {
            let committed = async {
                match upload {
                    Some(upload) => upload.commit(&handle, size, modified).await,
                    None => {
                        set_modified(&handle, modified).await?;
                        if closes { handle.close().await } else { Ok(()) }
                    }
                }
            };
            let outcome = tokio::select! {
                outcome = committed => outcome,
                Ok(()) = stopped => Err(Failure::new(Code::ECANCELED, "it was discarded")),
            };
            // Whoever waited may have left.
            let _ = done.send(Some(outcome.map_err(of_writing)));
        });
        self.commit = Some(Commit { outcome: outcome.clone(), stop });
        outcome
    }

    /// Leaves nothing of a hidden file. In place, what was written stays.
    ///
    /// # Errors
    /// EIO: a COMMIT that its caller left has succeeded, or may have; the server does not remove the hidden file, or does not say in time
    /// that it is gone.
    pub fn discard(&mut self) -> impl Future<Output = Attempt<()>> + Send + 'static {
        let (commit, upload, handle) = (self.commit.take(), self.upload.take(), self.handle.clone());
        async move {
            let discarded = timeout(DISCARD_MAX, async {
                match (commit, upload) {
                    (Some(commit), upload) => commit.discard(upload, &handle).await,
                    (None, Some(upload)) => removed(&upload, &handle).await,
                    (None, None) => Ok(()),
                }
            });
            discarded.await.unwrap_or_else(|_| {
                let text =
                    format!("the server does not say within {DISCARD_MAX:?} what became of the hidden file");
                Err(Failure::new(Code::EIO, text))
            })
        }
    }
}

impl Commit {
    /// Breaks it off where it is under way still: of a rename and a removal the server does one, and says which.
    async fn discard(self, upload: Option<Upload>, handle: &Handle) -> Attempt<()> {
        let succeeded = |text: &str| Err(Failure::new(Code::EIO, text));
        let is_known = self.outcome.borrow().is_some();
        if let (false, Some(upload)) = (is_known, &upload) {
            // It may have ended meanwhile.
            let _ = self.stop.send(());
            return match upload.remove(handle).await {
                Err(failure) if failure.code == Code::ENOENT => {
                    succeeded("its COMMIT was under way, and may have succeeded")
                }
                removed => removed,
            };
        }
        match known(self.outcome).await {
            Ok(()) => succeeded("its COMMIT was under way, and has succeeded"),
            // It has removed the hidden file, if it could.
            Err(_) => match upload {
                Some(upload) => removed(&upload, handle).await,
                None => Ok(()),
            },
        }
    }
}

/// Removes a hidden file that has no other name.
async fn removed(upload: &Upload, handle: &Handle) -> Attempt<()> {
    match upload.remove(handle).await {
        // Perhaps by a removal whose answer was lost.
        Err(failure) if failure.code == Code::ENOENT => Ok(()),
        Err(failure) => {
            let name = upload.hidden.escape_ascii();
            let text = format!(
                "the hidden file {name} is left, since the server does not remove it: {}",
                failure.text
            );
            Err(Failure::new(Code::EIO, text))
        }
        Ok(()) => Ok(()),
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // A COMMIT that was begun goes on, and leaves the hidden name either way.
        if let (Some(upload), None) = (self.upload.take(), &self.commit) {
            let handle = self.handle.clone();
            self.pool.background(async move {
                // It stays where the server does not remove it.
                let _ = timeout(REMOVAL_MAX, upload.remove(&handle)).await;
            });
        }
    }
}

async fn known(mut outcome: Outcome) -> Attempt<()> {
    let outcome = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    outcome.unwrap_or_else(|| Err(Failure::new(Code::EIO, "the instance ended in a COMMIT")))
}
