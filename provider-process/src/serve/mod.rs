//! The provider's process: makes the host's calls, each on the thread of the lane that it came on, and asks the host for what a
//! provider asks.
//!
//! | Module | What it is |
//! |---|---|
//! | `log` | how many lines a provider may write |
//! | `lane` | a lane's thread, and the lane that this thread has |
//! | `link` | what a provider's calls of its host go through: the control socket, and lanes for upcalls |
//! | `inner` | a file of another provider, which the host has open for a layer |
//! | `hosting` | the host as a provider has it |
//! | `file`, `files` | an open file; which there are, under which contexts |
//! | `process` | the library, its instance, and every call |
//! | `names` | the calls on names |
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
mod process;

pub(crate) use control::run;
