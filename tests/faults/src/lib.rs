//! Hostile providers, and what their tests share: plug-ins built from C at test time, and a limit on every wait.
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

mod bounded;
mod plugins;

pub use bounded::{LIMIT, bounded};
pub use plugins::{Plugins, beside_test, of_tests};
