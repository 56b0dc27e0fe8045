//! A sandbox in ZeroVM's tradition: an untrusted WebAssembly program sees nothing but the channels of its manifest.
//!
//! | Module | What it is |
//! |---|---|
//! | `exit` | the one table of exit codes |
//! | `manifest` | what a session may reach, and how much of it |
//! | `channel` | an open file with an alias, quotas and counters |
//! | `report` | what a session tells at its end |
//! | `guest` | the program: its engine, its limits, and its window on the channels, WASI preview1 |
//! | `compile` | from the program's bytes to machine code: limits, worker, cache |
//! | `session` | one run of it all, with an end in any case |

mod channel;
mod compile;
mod exit;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod guest;
mod manifest;
mod report;
mod session;

pub use channel::{
    CallError, Channel, Channels, Counters, Counts, Meter, OutputReport, OutputState, Quota, RunOptions,
};
pub use compile::{Cache, Compiler, PROGRAM_MAX, Worker, compile_child};
pub use exit::{ExitCode, Failure, Stopped};
pub use guest::Invocation;
pub use manifest::{
    BYTES_MAX, CHANNELS_MAX, ChannelSpec, Commit, DigestAlgorithm, ExportSpec, Fstab, LINES_MAX, Limits,
    Manifest, Mount, NVRAM_MAX, Nvram, NvramError, Preopen, SOURCES_MAX, STANDARD, TreeSpec, Version,
    Warning,
};
pub use report::{ChannelReport, CpuTime, Report};
pub use session::{Permit, Running, Session, SessionPool, Template, claim_process, signals_blocked};
