//! The same in a process of its own, behind walls.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;
mod connections;
mod google;
mod lists;
mod ranges;
mod secrets;
mod stops;
mod uploads;

use std::env::temp_dir;
use vfs_core::{Provider, Walls};
use zvfs_conformance::load_in_process;
use zvfs_test_support::provider_process;

/// What these tests are about. It may read what a test makes, and the system's authorities.
fn provider() -> Box<dyn Provider> {
    let walls =
        Walls { tcp_connect: true, dns: true, read: vec![temp_dir(), "/etc/ssl".into()], ..Walls::default() };
    load_in_process("object", provider_process(), &walls).unwrap()
}
