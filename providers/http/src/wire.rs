//! HTTP/1.1 as bytes of a connection. What is broken or contradicts itself is refused here.

pub mod body;
pub mod connection;
pub mod head;
pub mod range;
pub mod request;
pub mod session;
