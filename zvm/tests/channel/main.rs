//! Channels over scripted providers: quotas, ends and failures, without a guest.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod digests;
mod ends;
mod opens;
mod reads;
mod rules;
mod shelf;
mod writes;
