//! The conformance suite: named checks over [`Provider`](vfs_core::Provider), [`Instance`](vfs_core::Instance) and
//! [`File`](vfs_core::File). It knows no provider: a [`Subject`] says how to reach one, and what an open file claims
//! says what is asked of it. A provider that claims nothing fails.
//!
//! A provider's own test:
//!
//! ```no_run
//! # fn provider() -> Box<dyn vfs_core::Provider> { unimplemented!() }
//! use zvfs_conformance::{Subject, run};
//!
//! let subject = Subject::new(provider())
//!     .setting("limit", "64m")
//!     .target(|name| Ok(format!("mem:{name}")))
//!     .isolated();
//! run(subject); // one line for each check; panics with the list of those that failed
//! ```
//!
//! | Module | What it is |
//! |---|---|
//! | `subject` | what the suite must be told of a provider |
//! | `suite` | the list of checks, how one is run and what comes of it |
//! | `case` | one check's instance, and its ways to open, fill and look |
//! | `built` | a provider's own library, loaded |
//! | `hosted` | the same behind a registry, as a program has it |
//! | `check`, `step` | one check, and what a step of it comes to |
//! | `steps` | what checks are made of: calls in guarded memory, comparisons, the form of an error |
//! | `memory` | buffers between guard pages |
//! | `random` | random numbers, the same for the same seed |
//! | `task` | whether a call waits |
//! | `watched` | the subject's host, which notes what a layer asks it for |
//! | `stops` | how soon a call ends that is stopped, for tests of a provider's own states |
//! | `process` | what belongs to the whole process, and its threads |
//! | `checks` | the checks, a file for each theme |
//! | `binary` | checks that only a library can be put to: raw calls, as no host of ours makes them |
//! | `fixes` | what an author does about a failed check |
//! | [`netpipe`] | a suite of its own: what a netpipe's back-end has to do, over two hosts and descriptors only |

mod binary;
mod built;
mod case;
mod check;
mod checks;
mod fixes;
mod hosted;
mod memory;
pub mod netpipe;
mod process;
mod random;
mod step;
mod steps;
mod stops;
mod subject;
mod suite;
mod task;
mod watched;

pub use binary::{BINARY_CHECKS, Binary};
pub use built::{load_built, load_in_process};
pub use check::Check;
pub use checks::CHECKS;
pub use fixes::fix;
pub use process::{Before, ProcessState, Threads, as_a_host_in_c};
pub use step::{Step, Stop};
pub use stops::stops;
pub use subject::{Blocking, Subject};
pub use suite::{Verdict, run, run_check, run_within};

/// The guide's programs in Rust compile. Here, since vfs-core reaches for nothing outside its folder.
#[cfg(doctest)]
#[doc = include_str!("../../docs/hosts.md")]
struct HostsGuide;
