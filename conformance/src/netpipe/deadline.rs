//! Deadlines that are meant to pass.

use std::time::{Duration, Instant};
use vfs_core::OpenFile;

/// Soon.
pub(crate) const SOON: Duration = Duration::from_millis(50);

/// Moves a file's deadline to `after` from now.
pub(crate) fn deadline(file: &OpenFile, after: Duration) {
    file.control().set_deadline(Some(Instant::now() + after));
}
