//! What tcp does beyond the suites, over real sockets: its words and descriptors, its brokers, TLS, and hostile peers. Many
//! tests run twice: between two ends that know each other's address, and through a broker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod brokers;
mod common;
mod conformance;
mod digest;
mod features;
mod hostile;
mod library;
mod peer;
mod pipes;
mod same_host;
mod secrets;
mod silent;
mod splice;
mod takeover;
mod threads;
mod tls;
mod tries;

use vfs_core::{Capabilities, Provider};
use zvfs_tcp::Tcp;

/// What these tests are about.
fn provider() -> Box<dyn Provider> {
    Box::new(Tcp)
}

/// What a writer's file can do here besides.
const SPLICE: Capabilities = Capabilities::SPLICE;
const POLL: Capabilities = Capabilities::POLL;
