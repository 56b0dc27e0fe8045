//! HTTP servers to test and measure against. Each is on loopback, at a port that nobody else has, with its files in a
//! temporary folder, and ends when it is dropped; the processes among them end too when the test is killed.
//!
//! | Module | What it is |
//! |---|---|
//! | `program` | running a program of the machine |
//! | `certificates` | an authority, what it signed, and what it should not have signed |
//! | `server` | nginx, apache2 and Python's `http.server`, http and https; busybox httpd, webfs and whitenoise |
//! | `fault` | a server that does what a test says, byte by byte, and records what it was asked |
//! | `pattern` | content of any size that no two places have alike, made instead of stored |
//! | `proxy` | a forward proxy with CONNECT, a line that is 20 ms long, and an address that nobody answers at |
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

mod certificates;
mod fault;
pub mod pattern;
mod program;
mod proxy;
mod server;

pub use certificates::{Authority, Identity};
pub use fault::{After, Answer, Body, FaultServer, Object, Peer, Request, chunked};
pub use program::Process;
pub use proxy::{BlackHole, ForwardProxy, LongLine};
pub use server::Server;
