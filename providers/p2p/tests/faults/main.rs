//! What p2p does beyond the suite: strangers, peers that come late and go, nodes, keys, descriptors, relays, hostile peers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../circle/mod.rs"]
mod circle;
mod common;
mod hostile;
mod names;
mod peers;
mod relay;
mod same_host;
