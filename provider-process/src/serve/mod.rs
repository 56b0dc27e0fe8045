//! The provider's process: makes the host's calls, each on the thread of the lane that it came on, and asks the host for what a
//! provider asks.
//!
//! | Module | What it is |
//! |---|---|
//! | `log` | how many lines a provider may write |
//! | `file` | an open file, and which of its calls may overlap |
//! | `own` | the lane that this thread serves |
//! | `link` | what a provider's calls of its host go through: the control socket, and lanes for upcalls |
//! | `inner` | a file of another provider, which the host has open for a layer |
//! | `hosting` | the host as a provider has it |
//! | `files` | which files are open, and their contexts |
//! | `process` | the library, its instance, and every call |
//! | `names` | the calls on names |
//! | `lane` | a lane's thread: call by call |
//! | `control` | the main thread: the first word, lanes, changes of controls, the end |

mod control;
mod file;
mod files;
mod hosting;
mod inner;
mod lane;
mod link;
mod log;
mod names;
mod own;
mod process;

pub(crate) use control::run;
