//! Real servers with the modules of `modules/` in them, which are built here by their own makefiles.
//!
//! | Module | What it is |
//! |---|---|
//! | `build` | a module by its makefile, and guests by clang |
//! | `apache` | Apache, and a client that says each byte itself |
//! | `nginx` | nginx, and requests to it |
//! | `redis` | Redis, and a client of its protocol |
//! | `gate` | a compiler that waits |
//! | `process` | what a process of a server holds |
//! | `sanitizers` | a module with sanitizers, in a server without |
//! | `streams` | a client that reads while it sends, or slowly |
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

pub mod apache;
mod build;
pub mod gate;
pub mod nginx;
pub mod process;
pub mod redis;
mod sanitizers;
pub mod streams;

pub use build::{WASM_TOOLS, guest, module};

/// The request for a guest's answer of just these bytes.
pub fn raw(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("raw={digits}")
}

/// Heads that are none, whatever server passes them on; and what its log says of each.
pub const WRONG_HEADS: [(&[u8], &str); 11] = [
    (b"X: a\x01b\n\nbody", "0x01"),
    (b"X: a\x7f\n\nbody", "0x7f"),
    (b"X: \x1b[31mred\n\nbody", "0x1b"),
    (b"Status: 404 Not\x02Found\n\nbody", "0x02"),
    (b"X\x01Y: a\n\nbody", "does not begin with a name and a colon"),
    (b"X(Y): a\n\nbody", "does not begin with a name and a colon"),
    (b"X : a\n\nbody", "does not begin with a name and a colon"),
    (b"nocolon\n\nbody", "does not begin with a name and a colon"),
    (b"Status: 200 OK\nstatus: 404 Not Found\n\nbody", "status twice"),
    (b"Content-Type: text/plain\nContent-Type: text/html\n\nbody", "Content-Type twice"),
    (b"Location: \t\n\n", "header Location is empty"),
];
