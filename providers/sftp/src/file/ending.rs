//! How a file that is written ends: COMMIT, which goes on when its caller's time is over, and DISCARD.

use crate::calls::Handle;
use crate::failure::of_writing;
use crate::pool::Pool;
use crate::upload::Upload;
use std::sync::Arc;
use tokio::sync::watch;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

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

/// What a COMMIT came to, once it has.
type Commit = watch::Receiver<Option<Attempt<()>>>;

impl Ending {
    /// For a file that was opened. `closes`: COMMIT closes it.
    pub fn new(pool: &Arc<Pool>, handle: &Arc<Handle>, upload: Option<Upload>, closes: bool) -> Ending {
        Ending { pool: pool.clone(), handle: handle.clone(), upload, closes, commit: None }
    }

    /// Whether nobody sees the file yet.
    pub fn is_hidden(&self) -> bool {
        self.upload.is_some() && self.commit.is_none()
    }

    /// Ends a file of this size, all of which is written. Asked again, it waits for what was begun.
    ///
    /// # Errors
    /// As [`Upload::commit`]; of a file in place, what closing it reports.
    pub fn commit(&mut self, size: u64) -> impl Future<Output = Attempt<()>> + Send + 'static {
        let commit = match &self.commit {
            Some(commit) => commit.clone(),
            None => self.begin(size),
        };
        async move { outcome(commit).await }
    }

    fn begin(&mut self, size: u64) -> Commit {
        let (done, commit) = watch::channel(None);
        let (handle, upload, closes) = (self.handle.clone(), self.upload.clone(), self.closes);
        self.pool.background(async move {
            let outcome = match upload {
                Some(upload) => upload.commit(&handle, size).await,
                None if closes => handle.close().await,
                None => Ok(()),
            };
            // Whoever waited may have left.
            let _ = done.send(Some(outcome.map_err(of_writing)));
        });
        self.commit = Some(commit.clone());
        commit
    }

    /// Leaves nothing of a hidden file. In place, what was written stays.
    ///
    /// # Errors
    /// EIO: a COMMIT that its caller left has succeeded.
    pub fn discard(&mut self) -> impl Future<Output = Attempt<()>> + Send + 'static {
        let (commit, upload, handle) = (self.commit.take(), self.upload.take(), self.handle.clone());
        async move {
            match (commit, upload) {
                (Some(commit), _) => match outcome(commit).await {
                    Ok(()) => Err(Failure::new(Code::EIO, "its COMMIT was under way, and has succeeded")),
                    // It has removed the hidden file.
                    Err(_) => Ok(()),
                },
                (None, Some(upload)) => {
                    upload.remove(&handle).await;
                    Ok(())
                }
                (None, None) => Ok(()),
            }
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // A COMMIT that was begun goes on, and leaves the hidden name either way.
        if let (Some(upload), None) = (self.upload.take(), &self.commit) {
            let handle = self.handle.clone();
            self.pool.background(async move { upload.remove(&handle).await });
        }
    }
}

async fn outcome(mut commit: Commit) -> Attempt<()> {
    let outcome = commit.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    outcome.unwrap_or_else(|| Err(Failure::new(Code::EIO, "the instance ended in a COMMIT")))
}
