//! A server that does what a test says, byte by byte, and records what it was asked.
//!
//! A test gives a function from a request to what happens on its connection: most begin with an [`Object`]'s right answer
//! and spoil one thing of it.

mod answer;
mod object;
mod peer;
mod request;
mod server;
mod stream;

pub use answer::{Answer, Body, chunked};
pub use object::Object;
pub use peer::{After, Peer};
pub use request::Request;
pub use server::FaultServer;
