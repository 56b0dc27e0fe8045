//! What `file` does beyond what the conformance suite asks of every provider.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod atomic;
mod common;
mod descriptor;
mod errors;
mod folders;
mod locks;
mod namespace;
mod regular;
mod standard;
mod stream;
mod times;
mod tries;
