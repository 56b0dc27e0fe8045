//! Guests in sessions over scripted providers: what each WASI call answers, and how each session ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod atomics;
mod attacks;
mod clocks;
mod descriptors;
mod determinism;
mod devices;
mod docs;
mod ends;
mod exceptions;
mod exports;
mod hostile;
mod interactive;
mod job;
mod limits;
mod loaded;
mod mounts;
mod odd;
mod paths;
mod pooled;
mod rules;
mod scratch;
mod script;
#[path = "../channel/shelf.rs"]
#[allow(dead_code, reason = "the tests of channels use the rest of it")]
mod shelf;
mod trees;
mod vault;
mod written;
