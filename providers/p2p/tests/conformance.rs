//! The netpipe suite over libzvfs_p2p.so, in the host and in a process of its own. Each host of a check is a peer of its own, and
//! pipes have the short descriptors of every back-end: only an alias leads here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod circle;

use circle::Circle;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vfs_core::{Configuration, Provider, Registry, Walls};
use zvfs_conformance::netpipe::{Pair, Subject, run};
use zvfs_conformance::{load_built, load_in_process};
use zvfs_p2p::P2p;
use zvfs_test_support::provider_process;

/// What a pipe may hold before its reader reads: a window, and one frame.
const HELD_MAX: usize = 2 << 20;
/// More than a check has hosts, so that the ones of the check before have closed their sockets.
const PEERS: u8 = 8;

/// The suite counts the process's threads, and times what should take no time: one run at a time.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the writer sends goes through memory, from its first frames on.
const TOGETHER: &str = ", same-host-after = 0";

#[test]
fn pipes_pass_the_netpipe_suite() {
    suite(|_| load_built("p2p"), "");
}

#[test]
fn pipes_of_this_crate_pass_the_netpipe_suite() {
    suite(|_| Ok(Box::new(P2p)), "");
}

#[test]
fn pipes_through_memory_pass_the_netpipe_suite() {
    suite(|_| load_built("p2p"), TOGETHER);
}

#[test]
fn pipes_of_a_process_pass_the_netpipe_suite() {
    suite(loaded_in_a_process, "");
}

#[test]
fn pipes_of_a_process_through_memory_pass_the_netpipe_suite() {
    suite(loaded_in_a_process, TOGETHER);
}

/// With what docs/operators.md says that it needs.
fn loaded_in_a_process(keys: &Path) -> io::Result<Box<dyn Provider>> {
    let walls = Walls { udp: true, read: vec![keys.to_owned()], ..Walls::default() };
    load_in_process("p2p", provider_process(), &walls)
}

fn suite(provider: fn(&Path) -> io::Result<Box<dyn Provider>>, more: &'static str) {
    let _alone = alone();
    let (circle, next) = (Circle::new(PEERS), AtomicUsize::new(0));
    let host = move || {
        let at = next.fetch_add(1, Ordering::Relaxed) % usize::from(PEERS);
        let settings = circle.settings(at);
        let text = format!("[provider.p2p]\nsettings = {{ {settings}{more} }}\n[alias]\nnetpipe = \"p2p\"\n");
        let registry = Registry::new(Configuration::parse(&text)?);
        registry.register(provider(&circle.folder())?)?;
        Ok(registry)
    };
    let pipes = |name: &str, writers| {
        Ok(Pair {
            reader: format!("netpipe:{name}:r?writers={writers}"),
            writer: format!("netpipe:{name}:w"),
        })
    };
    run(Subject::new(host, pipes).held_max(HELD_MAX));
}
