//! What pipes cost that wait.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod circle;
#[path = "../../../netpipe/tests/support/quiet.rs"]
mod quiet;

use circle::Circle;
use vfs_core::{Configuration, Registry};
use zvfs_p2p::P2p;

#[test]
fn files_that_wait_compute_nothing() {
    let circle = Circle::new(2);
    let [reading, writing] = [0, 1].map(|at| {
        let text = format!("[provider.p2p]\nsettings = {{ {} }}\n", circle.settings(at));
        let host = Registry::new(Configuration::parse(&text).unwrap());
        host.register(Box::new(P2p)).unwrap();
        host
    });
    quiet::files_that_wait_compute_nothing(&reading, &writing, "p2p");
}
