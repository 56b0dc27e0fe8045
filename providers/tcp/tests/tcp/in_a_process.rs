//! The same in a process of its own, behind walls. Not `splice`, since no file is spliced there; nor `library` and `threads`, which are
//! about the host's own process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod brokers;
mod common;
mod conformance;
mod digest;
mod features;
mod hostile;
mod peer;
mod pipes;
mod secrets;
mod silent;
mod takeover;
mod tls;

use std::env::temp_dir;
use vfs_core::{Capabilities, Provider, Walls};
use zvfs_conformance::load_in_process;
use zvfs_test_support::provider_process;

/// What these tests are about. It may read what a test makes: keys and certificates.
fn provider() -> Box<dyn Provider> {
    let read = vec![temp_dir()];
    let walls = Walls { tcp_connect: true, tcp_listen: true, dns: true, read, ..Walls::default() };
    load_in_process("tcp", provider_process(), &walls).unwrap()
}

/// The host has no kernel file to pass on.
const SPLICE: Capabilities = Capabilities::empty();
const POLL: Capabilities = Capabilities::empty();
