//! What servers, keys and connections do to a client when something is wrong with them: each fault has the right bytes or the
//! documented error as its outcome, in bounded time. Over the provider's own library, as a host uses it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;
mod hostile;
mod hosts;
mod logins;
mod reads;
mod stops;
mod uploads;

use vfs_core::Provider;
use zvfs_conformance::load_built;

/// What these tests are about.
fn provider() -> Box<dyn Provider> {
    load_built("sftp").unwrap()
}
