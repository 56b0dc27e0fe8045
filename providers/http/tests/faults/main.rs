//! What a hostile or broken server does to a client: each fault has the right bytes or the documented error as its outcome,
//! in bounded time. Over the provider's own library, as a host uses it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod ahead;
mod bodies;
mod chance;
mod common;
mod framing;
mod idle;
mod lent;
mod polls;
mod proxies;
mod ranges;
mod redirects;
mod removals;
mod resolving;
mod secrets;
mod statuses;
mod stops;
mod tls;
mod tuned;
mod uploads;

use vfs_core::Provider;
use zvfs_conformance::load_built;

/// What these tests are about.
fn provider() -> Box<dyn Provider> {
    load_built("http").unwrap()
}
