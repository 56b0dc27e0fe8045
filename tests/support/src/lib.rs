//! What the tests of several crates need. It knows none of them.
//!
//! | Module | What it is |
//! |---|---|
//! | `fuzz` | fuzz targets over their corpus and mutations of it, on the stable compiler |
//! | `program` | the program that runs a provider in a process, built if need be |
//! | `skips` | what a test does where the machine lacks what it needs: says so past the harness's capture, and counts |
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

mod fuzz;
mod program;
mod skips;

pub use fuzz::{Fuzz, Random, Target};
pub use program::{have_walls, provider_process};
pub use skips::{find, have, skip, summary};
