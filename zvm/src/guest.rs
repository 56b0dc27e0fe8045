//! The guest: a WebAssembly program that sees nothing but the channels of its session, through WASI preview1.
//!
//! | Module | What it is |
//! |---|---|
//! | `engine`, `program`, `run` | the process's engine, a compiled program, one run of it |
//! | `pool` | memory that guests take in turns |
//! | `stop` | ends a run from outside |
//! | `stack` | where it was when it ended |
//! | `memory_budget` | the budget for memory and tables |
//! | `linker`, `call` | all that a guest can import, and the one way in |
//! | `wasi_io`, `wasi_fd`, `wasi_path`, `wasi_names`, `wasi_poll`, `wasi_process` | the functions |
//! | `memory`, `errno`, `rights` | WASI's numbers and structures, checked |
//! | `fuzz` | what hostile bytes meet, for tests |
//! | `prepare`, `strings`, `mount` | what there is when it starts |
//! | `state`, `fds`, `tree`, `clock`, `random` | what the functions work on |

mod call;
mod clock;
mod engine;
mod errno;
mod fds;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod linker;
mod memory;
mod memory_budget;
mod mount;
mod pool;
mod prepare;
mod program;
mod random;
mod rights;
mod run;
mod stack;
mod state;
mod stop;
mod strings;
mod tree;
mod wasi_fd;
mod wasi_io;
mod wasi_names;
mod wasi_path;
mod wasi_poll;
mod wasi_process;

pub(crate) use engine::{FEATURES, engine, single_threaded};
#[cfg(test)]
pub(crate) use fuzz::channels as fuzz_channels;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use fuzz::{archive as fuzz_archive, calls as fuzz_calls};
pub(crate) use linker::{PREVIEW1, signature};
pub(crate) use memory_budget::TABLE_ELEMENT;
pub(crate) use pool::Pool;
pub use prepare::Invocation;
pub(crate) use prepare::Names;
pub(crate) use program::{INITIALIZE, Program, chain, may_return, missing, unfit};
pub(crate) use run::{Ran, Setup, run};
pub(crate) use stop::{Reason, Stop, nudge};
