//! What a host needs on top of the SDK: from a descriptor to an open file of a provider that the operator allows.
//!
//! | Module | What it is |
//! |---|---|
//! | `import` | C to traits: a loaded library's table as a provider |
//! | `loader`, `secret` | libraries, and files that hold a secret: who could have changed or read them |
//! | `configuration` | what may load, from where, with which settings |
//! | `open` | an open file: every call of the host's passes here |
//! | `registry` | from a descriptor to an open file |
//! | `output`, `copy` | one file written anew; one file to another, in the kernel where it can be |
//! | `standard_error` | the log of a host that gave none |

mod configuration;
mod copy;
mod import;
mod loader;
mod open;
mod output;
mod registry;
mod secret;
mod standard_error;

pub use configuration::Configuration;
pub use copy::{copy, same_file};
pub use import::{Bare, built_in};
pub use loader::{Digest, Library, Refusal};
pub use open::{OpenFile, OpenOptions};
pub use output::Placement;
pub use registry::{Listing, Registry, is_loading};
pub use secret::read_secret_file;
pub use standard_error::log_to_stderr;
