//! The broker, over real sockets: what instances see, whatever they or others do. Every wait has a bound.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod client;
mod hostile;
mod introduce;
mod life;
mod limits;
mod relay;
mod status;
