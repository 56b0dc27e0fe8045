//! Hostile providers, and what their tests share: plug-ins built from C at test time.
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

mod plugins;

pub use plugins::{Plugins, of_tests};

/// Runs a test over what it needs, which is made on the same thread; it fails if it is not done in time.
#[track_caller]
pub fn over<T>(made: impl FnOnce() -> T + Send + 'static, test: impl FnOnce(T) + Send + 'static) {
    zvfs_test_support::bounded(move || test(made()));
}
