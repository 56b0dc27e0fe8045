//! libzvm: what `include/zvm_session.h` declares. The header is the authority and has the words.
//!
//! | Module | What it is |
//! |---|---|
//! | `exported` | the functions |
//! | `argument` | from C's values to Rust's, beyond what `vfs_core::boundary` has |
//! | `objects` | what C's pointers stand for |
//! | `host` | what stands behind a `zvm_host *`, and what a session without one makes of its options |
//! | `jobs` | how many of its sessions run, and what has become of the others |
//! | `session`, `template` | what stands behind a `zvm_session *`, and a `zvm_template *` |
//! | `channel` | a host's callbacks as a file |
#![expect(unsafe_code, reason = "the whole crate is the C boundary")]

mod argument;
mod channel;
mod exported;
mod host;
mod jobs;
mod objects;
mod session;
mod template;
