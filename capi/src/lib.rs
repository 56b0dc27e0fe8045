//! libzvfs: what `include/zvfs.h` and `include/zvm.h` declare. The headers are the authority and have the words.
//!
//! | Module | What it is |
//! |---|---|
//! | `argument` | from C's values to Rust's, beyond what `vfs_core::boundary` has |
//! | `errno` | results that set errno |
//! | `pool` | what stands behind a pointer that C holds, so that a stale one is an error |
//! | `structs` | the structs of `zvfs.h`, field by field |
//! | `about`, `configuration`, `control`, `registry`, `handle` | `zvfs.h`, a section each |
//! | `netpipe`, `pipe` | `zvm.h`, and an open pipe |
//! | `process` | the one registry behind `zvm.h`: made at first use, stopped at exit, made anew after a fork |
//! | `place` | where this library lies, and so its providers |
#![expect(unsafe_code, reason = "the whole crate is the C boundary")]

mod about;
mod argument;
mod configuration;
mod control;
mod errno;
mod handle;
mod netpipe;
mod pipe;
mod place;
mod pool;
mod process;
mod registry;
mod structs;
