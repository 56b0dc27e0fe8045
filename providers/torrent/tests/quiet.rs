//! Panics of librqbit that are caught say nothing. Alone in its process: what a panic says is the whole process's to decide.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use vfs_core::{Code, Configuration, OpenFlags, OpenOptions, Registry};
use zvfs_engines::torrent::{Seed, Torrent};
use zvfs_test_support::within;
use zvfs_torrent::TorrentProvider;

/// A stranger's report: metadata with pieces of no length made librqbit's panic, with its place in the source, part of a command's output.
#[test]
fn metadata_that_librqbit_panics_at_is_an_error_and_no_more() {
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    panic::set_hook(Box::new(|_| {
        HEARD.fetch_add(1, Ordering::SeqCst);
    }));
    let mut torrent = Torrent::of_file("m", &[7; 100], 64 << 10);
    torrent.info = b"d6:lengthi5e4:name1:n12:piece lengthi0e6:pieces0:e".to_vec();
    torrent.hash = Torrent::hash_of(&torrent.info);
    let seed = Seed::of(&torrent);
    let text = format!("[provider.torrent]\nsettings.peers = [\"{}\"]\n", seed.address());
    let registry = Registry::new(Configuration::parse(&text).unwrap());
    registry.register(Box::new(TorrentProvider)).unwrap();
    let link = torrent.magnet();
    let opened = within(Duration::from_secs(120), move || {
        registry.open(&link, &OpenOptions::new(OpenFlags::READ)).map(drop)
    });
    let error = opened.unwrap_err();
    assert_eq!(error.code(), Code::EBADMSG, "{}", error.chain());
    assert!(!error.chain().contains("panic"), "{}", error.chain());
    assert_eq!(HEARD.load(Ordering::SeqCst), 0);
    // Any other is heard as before.
    std::thread::spawn(|| panic!("on purpose")).join().unwrap_err();
    assert_eq!(HEARD.load(Ordering::SeqCst), 1);
}
