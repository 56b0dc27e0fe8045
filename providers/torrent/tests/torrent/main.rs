//! What peers, torrents and disks do to a reader: each has the right bytes or the documented error as its outcome, in bounded time.
//! Over the provider's own library, as a host uses it.
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

use vfs_core::Provider;
use zvfs_conformance::load_built;

/// What these tests are about.
fn provider() -> Box<dyn Provider> {
    load_built("torrent").unwrap()
}
