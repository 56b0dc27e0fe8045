//! What becomes of what a session writes: whole or not there; or in place, and why.

use serde::{Serialize, Serializer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What became of one target of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
#[non_exhaustive]
pub enum OutputState {
    /// Nobody can say: its COMMIT failed on the way, its reader had heard the end but not said that it took everything, or the
    /// session was left behind.
    Unknown = 0,
    /// It is complete.
    Committed = 1,
    /// Nothing of it is there: the old content stays as it was.
    Discarded = 2,
    /// What was written until the failure, or until its reader closed, is there and no more.
    Partial = 3,
}

/// One target's part of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OutputReport {
    /// What became of it.
    pub state: OutputState,
    /// Why it was written in place; `None`: it was to appear as a whole.
    #[serde(serialize_with = "text")]
    pub in_place: Option<Arc<str>>,
    /// Its name, secrets hidden, for the report's notes.
    #[serde(skip)]
    pub(crate) shown: Arc<str>,
    /// Whether it is a file that stays, and not a pipe, a device, a terminal or a standard stream.
    #[serde(skip)]
    pub(crate) stays: bool,
}

/// A target, for the session's thread and whoever reports.
#[derive(Debug)]
pub(super) struct Output {
    shown: Arc<str>,
    in_place: Option<Arc<str>>,
    stays: bool,
    state: AtomicU8,
}

impl Output {
    pub(super) fn new(shown: Arc<str>, in_place: Option<Arc<str>>, stays: bool) -> Output {
        Output { shown, in_place, stays, state: AtomicU8::new(OutputState::Unknown as u8) }
    }

    /// Whether it appears at COMMIT, all at once.
    pub(super) fn is_whole(&self) -> bool {
        self.in_place.is_none()
    }

    /// Whether it is a file that stays.
    pub(super) fn stays(&self) -> bool {
        self.stays
    }

    pub(super) fn set(&self, state: OutputState) {
        self.state.store(state as u8, Relaxed);
    }

    pub(super) fn report(&self) -> OutputReport {
        let number = self.state.load(Relaxed);
        let states = [OutputState::Committed, OutputState::Discarded, OutputState::Partial];
        let state = states.into_iter().find(|state| *state as u8 == number).unwrap_or(OutputState::Unknown);
        OutputReport { state, in_place: self.in_place.clone(), shown: self.shown.clone(), stays: self.stays }
    }
}

fn text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}
