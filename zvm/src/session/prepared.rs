//! A program that was read and compiled once, for the sessions that share it.

use crate::guest::{Names, Program};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A session's program, before and after.
#[derive(Default)]
pub(super) struct Prepared {
    /// Instead of what the manifest names.
    given: Option<Vec<u8>>,
    ready: OnceLock<Arc<Program>>,
    /// What its guests see first.
    names: Names,
}

impl Prepared {
    /// The host's bytes.
    pub(super) fn given(bytes: Vec<u8>) -> Prepared {
        Prepared { given: Some(bytes), ..Prepared::default() }
    }

    /// What the host gave; `None`: the manifest names it.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.given.as_deref()
    }

    /// The program, once some session has compiled it.
    pub(super) fn ready(&self) -> Option<Arc<Program>> {
        self.ready.get().cloned()
    }

    /// What its guests see first: of one manifest, as all sessions that share the program.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Keeps it for the next. Sessions that begin together may each have made it; the first one stays.
    pub(super) fn keep(&self, program: &Arc<Program>) {
        self.ready.get_or_init(|| program.clone());
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.given.as_ref().map(Vec::len);
        f.debug_struct("Prepared").field("given", &given).field("ready", &self.ready.get().is_some()).finish()
    }
}
