//! The files that a process's layers have open through their host.

use super::wire::{FileId, InnerId};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::File;
use crate::lock::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

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
