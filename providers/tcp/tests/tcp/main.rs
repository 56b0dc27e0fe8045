//! What netpipes promise, over real sockets: each row of the table of situations, the cases that earlier named pipes between
//! machines stumbled over, and hostile peers. Most run twice: between two ends that know each other's address, and through a
//! broker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod brokers;
mod common;
mod conformance;
mod digest;
mod features;
mod hostile;
mod library;
mod mesh;
mod silent;
mod splice;
mod table;
mod takeover;
mod threads;
mod tls;
mod zpipes;

use vfs_core::{Capabilities, Provider};
use zvfs_tcp::Tcp;

/// What these tests are about.
fn provider() -> Box<dyn Provider> {
    Box::new(Tcp)
}

/// What a writer's file can do here besides.
const SPLICE: Capabilities = Capabilities::SPLICE;
