//! The connection that a thread serves: what upcalls are made on within a call.

use std::cell::RefCell;
use vfs_core::process::Connection;

thread_local! {
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// Gives this thread its connection, or takes it.
pub(super) fn set_own(connection: Option<Connection>) {
    CONNECTION.set(connection);
}

/// Uses the connection that this thread serves, if it serves one: then it is in a call. Nothing of a provider's may run in `work`.
pub(super) fn own<T>(work: impl FnOnce(&mut Connection) -> T) -> Option<T> {
    CONNECTION.with_borrow_mut(|connection| connection.as_mut().map(work))
}
