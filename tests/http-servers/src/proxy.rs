//! What stands between a client and a server.

mod forward;
mod hole;
mod line;

pub use forward::ForwardProxy;
pub use hole::BlackHole;
pub use line::LongLine;
