//! What a relay keeps in memory, in a process of its own so that nothing else is measured.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the broker")]
#[path = "broker/client.rs"]
mod client;

use client::Running;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use zvfs_test_support::resident;

#[test]
fn a_relay_keeps_nothing_of_what_passes() {
    const TOTAL: u64 = 512 << 20;
    let broker = Running::start();
    let token = broker.prepare_relay(None);
    let dial = || broker.dial_relay(token, None, &[]).unwrap();
    let (mut one, mut two) = (dial(), dial());
    let piece = vec![7; 1 << 20];
    let mut buffer = vec![0; 1 << 20];
    let before = resident();
    let sender = thread::spawn(move || {
        (0..TOTAL / piece.len() as u64).for_each(|_| one.write_all(&piece).unwrap());
        one.shutdown(Shutdown::Write).unwrap();
        one
    });
    let mut total = 0;
    loop {
        match two.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count as u64,
        }
    }
    let after = resident();
    sender.join().unwrap();
    assert_eq!(total, TOTAL);
    let grown = after.saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more in memory after {TOTAL}");
}
