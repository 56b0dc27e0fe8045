//! The provider's process: makes the host's calls, each on the thread of the connection that it came on, and asks the host for what a
//! provider asks.
//!
//! | Module | What it is |
//! |---|---|
//! | `log` | how many lines a provider may write |
//! | `file` | an open file, and which of its calls may overlap |
//! | `own` | the connection that this thread serves |
//! | `link` | what a provider's calls of its host go through: the control socket, and connections for upcalls |
//! | `inner` | a file of another provider, which the host has open for a layer |
//! | `hosting` | the host as a provider has it |
//! | `files` | which files are open, and their contexts |
//! | `process` | the library, its instance, and every call |
//! | `names` | the calls on names |
//! | `connection` | a connection's thread: call by call |
//! | `control` | the main thread: the first word, connections, changes of controls, the end |

mod connection;
mod control;
mod file;
mod files;
mod hosting;
mod inner;
mod link;
mod log;
mod names;
mod own;
mod process;

pub(crate) use control::run;
