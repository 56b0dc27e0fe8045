//! The lane that a thread serves: what upcalls are made on within a call.

use std::cell::RefCell;
use vfs_core::process::Lane;

thread_local! {
    static LANE: RefCell<Option<Lane>> = const { RefCell::new(None) };
}

/// Gives this thread its lane, or takes it.
pub(super) fn set_own(lane: Option<Lane>) {
    LANE.set(lane);
}

/// Uses the lane that this thread serves, if it serves one: then it is in a call. Nothing of a provider's may run in `work`.
pub(super) fn own<T>(work: impl FnOnce(&mut Lane) -> T) -> Option<T> {
    LANE.with_borrow_mut(|lane| lane.as_mut().map(work))
}
