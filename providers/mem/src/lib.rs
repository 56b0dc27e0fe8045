//! Named buffers in memory: `mem:name`. All who open a name in one instance see the same bytes; instances see nothing of
//! each other, and nothing outlives the process.
//!
//! A name is flat: it holds no `/`. `mem:` itself is the directory that lists them. A file that was removed or replaced
//! stays as it was for those who have it open. What was published, or ended, is changed no more by who wrote it. An open that
//! fails, for lack of room say, changes nothing.

mod buffer;
mod file;
mod instance;
mod names;

pub use instance::Mem;

vfs_core::export_provider!(Mem);
