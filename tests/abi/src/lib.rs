//! What the ABI's tests share: the header's own words, and the compilers.
//!
//! | Module | What it is |
//! |---|---|
//! | `header` | the structs and constants that `include/zvfs_provider.h` declares |
//! | `compile` | C and C++ compilers, each run bounded in time |

mod compile;
mod header;

pub use compile::{LIMIT, Language, Tool, compilers, run};
pub use header::{Header, Struct, include_folder, project};
