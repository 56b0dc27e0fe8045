//! A provider in a process of its own, behind the same traits as one in the host. `docs/placement.md` is the page.
//!
//! | Module | What it is |
//! |---|---|
//! | `wire` | the messages |
//! | `socket`, `slots`, `spin`, `line` | how they move, on both sides |
//! | `payload` | a file's bytes, in memory that both sides map |
//! | `connection` | what a call goes through: a line and a payload |
//! | `context` | a file's context in the provider's process |
//! | `launch`, `death`, `listener` | a process's beginning and end, and the log between |
//! | `child`, `inners`, `lent`, `patience` | the process as its host sees it; what its layers have open; a call on a connection, and upcalls within it; how long it may take |
//! | `running`, `tracked` | a process that has loaded its library, and a file of it with its control |
//! | `reads` | a regular file that was lent: read here, without a call |
//! | `provider`, `instance`, `file` | the three traits |
//!
//! What is exported is for the program `zvfs-provider`, the other side.

mod child;
mod connection;
mod context;
mod death;
mod file;
mod inners;
mod instance;
mod launch;
mod lent;
mod line;
mod listener;
mod patience;
mod payload;
mod provider;
mod reads;
mod running;
mod slots;
mod socket;
mod tracked;
pub mod wire;

pub use crate::context::Limits;
pub use connection::{Connection, OtherEnd};
pub use context::{FileContext, SayWaiting, file_of};
pub use payload::{Half, Payload};
pub(crate) use provider::ProcessProvider;
pub use provider::load;
pub(crate) use running::Program;
pub use socket::{Heard, Socket, decoded, encoded};
