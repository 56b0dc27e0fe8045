//! The same in a process of its own, behind walls.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod clients;
mod common;
mod disks;
mod hostile;
mod kept;
mod magnets;
mod names;
mod peers;
mod reading;
mod stops;

use std::env::temp_dir;
use vfs_core::{Provider, Walls};
use zvfs_conformance::load_in_process;
use zvfs_test_support::provider_process;

/// What these tests are about, with what docs/operators.md says that it needs.
fn provider() -> Box<dyn Provider> {
    let walls = Walls {
        tcp_connect: true,
        tcp_listen: true, // for `listen`
        udp: true,
        dns: true,
        read: vec!["/etc/ssl".into()],
        write: vec![temp_dir()],
        open: vec!["file".into(), "http".into()],
        memory: Some(512 << 20),
        ..Walls::default()
    };
    load_in_process("torrent", provider_process(), &walls).unwrap()
}
