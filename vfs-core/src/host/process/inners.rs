//! The files that a process's layers have open through their host.

use super::wire::{FileId, InnerId};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::File;
use crate::lock::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// As many there may be beside one for each open file of the process's: each may be a descriptor of its host's.
const SPARE: usize = 256;

/// The inner files of all layers of a process.
#[derive(Default)]
pub(super) struct Inners {
    open: Mutex<HashMap<InnerId, Arc<OpenInner>>>,
    last: AtomicU64,
}

pub(super) struct OpenInner {
    /// The layer's own.
    owner: FileId,
    /// A process may make calls that overlap though they must not: those are refused.
    pub(super) file: RwLock<Box<dyn File>>,
}

impl Inners {
    /// Refuses one more for a process with so many open files of its own.
    ///
    /// # Errors
    /// EMFILE.
    pub(super) fn check_room(&self, files: usize) -> Result<()> {
        if self.open.lock().len() < files + SPARE {
            return Ok(());
        }
        let text = format!(
            "a provider in a process has {SPARE} files of other providers open, and one more for each of its own"
        );
        Err(Error::new(Code::EMFILE, text).retryable())
    }

    pub(super) fn add(&self, owner: FileId, file: Box<dyn File>) -> InnerId {
        let inner = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.lock().insert(inner, Arc::new(OpenInner { owner, file: RwLock::new(file) }));
        inner
    }

    pub(super) fn find(&self, inner: InnerId) -> Result<Arc<OpenInner>> {
        let none = || Error::new(Code::EBADF, format!("inner file {inner} is not open"));
        self.open.lock().get(&inner).cloned().ok_or_else(none)
    }

    pub(super) fn close(&self, inner: InnerId) {
        let closed = self.open.lock().remove(&inner);
        drop(closed); // without the lock
    }

    /// Closes what a layer left open when its own file was closed.
    pub(super) fn close_all_of(&self, owner: FileId) {
        let closed: Vec<_> = self.open.lock().extract_if(|_, inner| inner.owner == owner).collect();
        drop(closed); // without the lock
    }
}
