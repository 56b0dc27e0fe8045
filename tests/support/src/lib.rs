//! What the tests of several crates need. It knows none of them.
//!
//! | Module | What it is |
//! |---|---|
//! | `fuzz` | fuzz targets over their corpus and mutations of it, on the stable compiler |
//! | `skips` | what a test does where the machine lacks what it needs: says so past the harness's capture, and counts |
//! | `alone` | a test that looks at the whole of its process, in one of its own |
//! | `turns` | several writers of one pipe at once, of which none is left out |
//! | `wait` | calls that may block, on threads of their own, never longer than a limit |
//! | `program` | programs that are run, never longer than a limit; what Cargo built for this test; what this one holds |
//! | `port`, `fifo`, `terminal`, `disk` | ports of this machine that nobody listens at; FIFOs; terminals; disks that are soon full |
//! | `executable` | programs of this project, built if need be |
//! | `walled` | programs of another user, or without /proc |
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

mod alone;
mod disk;
mod executable;
mod fifo;
mod fuzz;
mod port;
mod program;
mod skips;
mod terminal;
mod turns;
mod wait;
mod walled;

pub use alone::alone;
pub use disk::SmallDisk;
pub use executable::{command, have_walls, mount_program, provider_process};
pub use fifo::fifo;
pub use fuzz::{Fuzz, Random, Target};
pub use port::free_port;
pub use program::{built, collect, ends, library, providers, resident, run, succeeded};
pub use skips::{find, have, skip, summary};
pub use terminal::terminal;
pub use turns::read_by_turns;
pub use wait::{LIMIT, bounded, eventually, in_thread, waits_until, within};
pub use walled::{ANOTHER_USER, by_another_user, in_a_process_namespace, without_proc};
