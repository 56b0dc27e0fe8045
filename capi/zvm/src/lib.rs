//! libzvm: what `include/zvm_session.h` declares. The header is the authority and has the words.
//!
//! | Module | What it is |
//! |---|---|
//! | `exported` | the functions |
//! | `argument` | from C's values to Rust's, beyond what `vfs_core::boundary` has |
//! | `session` | what stands behind a `zvm_session *` |
//! | `channel` | a host's callbacks as a file |
#![expect(unsafe_code, reason = "the whole crate is the C boundary")]

mod argument;
mod channel;
mod exported;
mod session;
