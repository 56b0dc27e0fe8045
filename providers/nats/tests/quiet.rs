//! What pipes cost that wait.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../../../netpipe/tests/support/quiet.rs"]
mod quiet;

use vfs_core::{Configuration, Registry};
use zvfs_engines::NatsServer;
use zvfs_nats::Nats;

/// A file that waited once asked the service to look, which woke the file, which asked again.
#[test]
fn files_that_wait_compute_nothing() {
    let Some(server) = NatsServer::debian() else { return };
    let text = format!("[provider.nats]\nsettings.servers = [{:?}]\n", server.address());
    let host = Registry::new(Configuration::parse(&text).unwrap());
    host.register(Box::new(Nats)).unwrap();
    quiet::files_that_wait_compute_nothing(&host, &host, "nats");
}
