//! FIFOs.

use rustix::fs::{CWD, Mode, mkfifoat};
use std::path::PathBuf;

/// Makes a FIFO of this user's at a path; the path.
pub fn fifo(path: PathBuf) -> PathBuf {
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    path
}
