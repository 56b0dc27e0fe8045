//! What nats does beyond the suites: servers that die, hang and come back, ends that are killed, credentials, permissions, descriptors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;
mod ends;
mod permissions;
mod pipes;
mod same_host;
mod secrets;
mod servers;
mod stops;

use vfs_core::Provider;
use zvfs_nats::Nats;

/// What these tests are about.
fn provider() -> Box<dyn Provider> {
    Box::new(Nats)
}
