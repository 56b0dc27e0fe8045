//! What the tests of the ABI and of the C libraries share: the headers' own words, the compilers, and programs in C.
//!
//! | Module | What it is |
//! |---|---|
//! | `header` | the structs and constants that `include/zvfs_provider.h` declares |
//! | `compile` | C and C++ compilers |
//! | `bench` | programs in C, linked with a library that Cargo just built |
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

mod bench;
mod compile;
mod header;

pub use bench::{Bench, found_nothing, starts_in_a_build_tree, valgrind};
pub use compile::{Language, Tool, compilers};
pub use header::{Header, Struct, include_folder, project, without_comments};
