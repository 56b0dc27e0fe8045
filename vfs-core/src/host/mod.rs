//! What a host needs on top of the SDK: from a descriptor to an open file of a provider that the operator allows.
//!
//! | Module | What it is |
//! |---|---|
//! | `import` | C to traits: a loaded library's table as a provider |
//! | `loader`, `secret` | libraries, and files that hold a secret: who could have changed or read them |
//! | `walls` | what a provider in a process of its own may do |
//! | `configuration` | what may load, from where, with which settings |
//! | `work` | what may never return, on a thread that can be left behind |
//! | `open` | an open file: every call of the host's passes here |
//! | `process` | a provider in a process of its own, behind the same traits |
//! | `registry` | from a descriptor to an open file |
//! | `polled` | an open file for a host with an event loop, whether it has POLL or not |
//! | `output`, `copy` | one file written anew; one file to another, in the kernel where it can be |
//! | `below` | what the texts of descriptors say of names and folders |
//! | `standard_error` | the log of a host that gave none |

mod below;
mod configuration;
mod copy;
mod import;
mod loader;
mod open;
mod output;
mod polled;
#[doc(hidden)]
pub mod process;
mod registry;
mod secret;
mod standard_error;
mod walls;
mod work;

pub use below::{below, is_below, last_name, of_absolute_path, parent};
pub use configuration::{Configuration, operator_setting};
pub use copy::{Expected, copy, hole, same_file};
pub use import::{Bare, built_in};
pub use loader::{Digest, Library, Refusal};
pub use open::{OpenFile, OpenOptions};
pub use output::Placement;
pub use polled::{Jobs, PolledFile};
pub use registry::{Listing, Registry};
pub use secret::read_secret_file;
pub use standard_error::log_to_stderr;
pub use walls::{Wall, Walls};
pub use work::is_loading;
