//! For providers whose library is asynchronous: a tokio runtime, which belongs to one instance, and how a caller waits for what
//! runs there.
//!
//! | Module | What it is |
//! |---|---|
//! | `runtime` | the runtime: starts and stops with its instance; a caller's wait, which ends with the caller's context |
//! | `dialler` | connections that the operator's policy allows |
//!
//! No call of a library's runs on a caller's thread, and no caller's call blocks a thread of the runtime. So a future that is
//! given to [`Runtime::wait`] owns what it works on, and a caller that is cancelled leaves at once: its future is dropped.

mod dialler;
mod runtime;

pub use dialler::Dialler;
pub use runtime::{Runtime, Task};

use vfs_core::{Setting, SettingKind};

/// The setting that says how many threads a [`Runtime`] has.
pub fn threads() -> Setting {
    Setting::new("threads", SettingKind::Integer, "threads that serve all connections of the provider")
        .range(1..=64)
        .default_value("2")
}
