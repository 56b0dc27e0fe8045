//! Real servers with the modules of `modules/` in them, which are built here by their own makefiles.
//!
//! | Module | What it is |
//! |---|---|
//! | `build` | a module by its makefile, and guests by clang |
//! | `apache` | Apache, and a client that says each byte itself |
//! | `nginx` | nginx, and requests to it |
//! | `redis` | Redis, and a client of its protocol |
//! | `process` | what a process of a server holds |
//! | `sanitizers` | a module with sanitizers, in a server without |
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

pub mod apache;
mod build;
pub mod nginx;
pub mod process;
pub mod redis;
mod sanitizers;

pub use build::{WASM_TOOLS, guest, module};
