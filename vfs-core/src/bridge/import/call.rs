//! What calls of a provider have in common: serialised libraries.

use crate::context::Context;
use crate::error::Result;
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use std::time::Duration;

/// How often a call that waits for its turn looks whether it was cancelled.
const TURN: Duration = Duration::from_millis(20);

/// Takes a serialised library's turn; the wait for it ends on a cancel or the deadline.
pub(crate) fn turn<'a>(
    serial: &'a ReentrantMutex<()>,
    context: &Context,
) -> Result<ReentrantMutexGuard<'a, ()>> {
    loop {
        if let Some(turn) = serial.try_lock_for(TURN) {
            return Ok(turn);
        }
        context.status()?;
    }
}
