//! Guests in sessions over scripted providers: what each WASI call answers, and how each session ends.

mod attacks;
mod clocks;
mod descriptors;
mod ends;
mod job;
mod limits;
mod odd;
mod paths;
mod rules;
mod script;
#[path = "../channel/shelf.rs"]
#[allow(dead_code, reason = "the tests of channels use the rest of it")]
mod shelf;
