//! The core of zvfs: channels named by strings, served by providers loaded from shared libraries.
//!
//! By default this is the SDK that a provider needs: implement [`Provider`], [`Instance`] and [`File`], and write
//! [`export_provider!`]. With the feature `host` it also loads providers and gives them back as the same traits.
//!
//! | Module | What it is |
//! |---|---|
//! | `code`, `error` | errno numbers, and the error that carries one with its text |
//! | `descriptor` | the string that names a channel, and its one form for messages |
//! | `flags`, `settings`, `context` | open flags and capabilities, typed settings, cancel and deadline |
//! | `printable` | text that nothing of reaches a terminal as a command |
//! | `suggest` | what was probably meant by an unknown word |
//! | `waiting` | what a call waits for, in words |
//! | `file`, `entry`, `host`, `provider` | the three traits, and a provider's handle on its host |
//! | `sigpipe` (feature of its own) | writing to a pipe without SIGPIPE |
//! | `abi` | the C structs, field by field as in `include/zvfs_provider.h` |
//! | `boundary` | what every function that C can call has in common |
//! | `bridge` | traits to C (`export`), C to traits (`import`, host) |
//! | `control` (host) | the host's end of a context: cancel and deadline |
//! | `forks` (host) | which process this is |
//! | `loader`, `configuration` (host) | what may load, from where, and why not |
//! | `registry`, `open` (host) | from a descriptor to an open file |
//! | `standard_error` (host) | the log of a host that gave none |
//! | `secret` (host) | files that hold a secret |
//! | `copy` (host) | one file to another, in the kernel where it can be |

mod bridge;
mod code;
#[cfg(feature = "host")]
mod configuration;
mod context;
#[cfg(feature = "host")]
mod control;
#[cfg(feature = "host")]
mod copy;
mod descriptor;
mod entry;
mod error;
mod file;
mod flags;
#[cfg(feature = "host")]
mod forks;
mod host;
#[cfg(feature = "host")]
mod loader;
#[cfg(feature = "host")]
mod open;
#[cfg(feature = "host")]
mod output;
mod printable;
mod provider;
#[cfg(feature = "host")]
mod registry;
#[cfg(feature = "host")]
mod secret;
mod settings;
#[cfg(feature = "sigpipe")]
mod sigpipe;
#[cfg(feature = "host")]
mod standard_error;
mod suggest;
mod waiting;

pub mod abi;
#[doc(hidden)]
pub mod boundary;

pub use code::Code;
pub use context::{CancelFn, Context, ContextCalls, OnCancel, WaitsFor};
pub use descriptor::{DESCRIPTOR_MAX, Descriptor, Shown};
pub use entry::{Entry, Name};
pub use error::{Error, Result};
pub use file::{COUNT_MAX, Direction, File, Finish, Flush, Kind, Lease, Stat};
pub use flags::{Capabilities, Events, OpenFlags, Scope};
pub use host::{Host, HostCalls, Inner, Level};
pub use printable::{Printable, is_printable, printable_json};
pub use provider::{Info, Instance, Namespace, Provider, Request, Threads};
pub use settings::{Setting, SettingKind, Settings, parse_duration, parse_size};
pub use suggest::nearest;
pub use waiting::Waiting;

#[doc(hidden)]
pub use bridge::entries::{pass_entry, pass_name};
#[doc(hidden)]
pub use bridge::export::entry as export_entry;
#[cfg(feature = "host")]
#[doc(hidden)]
pub use bridge::import::Bare;

#[cfg(feature = "sigpipe")]
pub use sigpipe::without_sigpipe;

#[cfg(feature = "host")]
pub use {
    bridge::import::built_in,
    configuration::Configuration,
    control::Control,
    copy::{copy, same_file},
    forks::{PerProcess, forks, forks_now},
    loader::{Digest, Library, Refusal},
    open::{OpenFile, OpenOptions},
    output::Placement,
    registry::{Listing, Registry, is_loading},
    secret::read_secret_file,
    standard_error::log_to_stderr,
};
