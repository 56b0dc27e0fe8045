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
//! | `printable`, `suggest`, `waiting` | text that no terminal obeys, the known word that was meant, what a call waits for |
//! | `file`, `entry`, `provider` | the three traits, and a provider's handle on its host |
//! | `control` (feature of its own) | the other end of a context: cancel and deadline |
//! | `sigpipe` (feature of its own) | writing to a pipe without SIGPIPE |
//! | `shared_memory`, `spin`, `peer` (feature of their own) | memory that two processes share, asking before sleeping, whose process the other one is |
//! | `abi` | the C structs, field by field as in `include/zvfs_provider.h` |
//! | `boundary` | what every function that C can call has in common |
//! | `bridge` | traits to C, for a provider |
//! | `forks` (control) | which process this is |
//! | `host` (feature of its own) | C to traits, configuration, registry, open files, copy |

mod bridge;
mod code;
mod context;
#[cfg(feature = "control")]
#[cfg_attr(not(feature = "host"), expect(dead_code, reason = "what only a host does with a file's control"))]
mod control;
mod descriptor;
mod entry;
mod error;
mod file;
mod flags;
#[cfg(feature = "control")]
mod forks;
#[cfg(feature = "host")]
mod host;
#[cfg(feature = "control")]
mod lock;
#[cfg(feature = "shared-memory")]
mod peer;
mod printable;
mod provider;
mod settings;
#[cfg(feature = "shared-memory")]
mod shared_memory;
#[cfg(feature = "sigpipe")]
mod sigpipe;
#[cfg(feature = "shared-memory")]
mod spin;
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
pub use file::{COUNT_MAX, Direction, File, Finish, Flush, Interest, Kind, Lease, Stat, seek_position};
pub use flags::{Capabilities, Events, OpenFlags, Scope, Wanted};
pub use printable::{Printable, is_printable, printable_json};
pub use provider::{Host, HostCalls, Info, Inner, Instance, Level, Namespace, Provider, Request, Threads};
pub use settings::{Setting, SettingKind, Settings, parse_duration, parse_size, written_duration};
pub use suggest::nearest;
pub use waiting::Waiting;

#[doc(hidden)]
pub use bridge::entries::{pass_entry, pass_name};
#[doc(hidden)]
pub use bridge::export::entry as export_entry;
#[cfg(feature = "sigpipe")]
pub use sigpipe::without_sigpipe;
#[cfg(feature = "control")]
pub use {
    control::Control,
    forks::{PerProcess, forks, forks_now},
};

#[cfg(feature = "shared-memory")]
#[doc(hidden)]
pub use {
    peer::peer_user,
    shared_memory::{Memory, Writer},
    spin::Spin,
};

#[cfg(feature = "host")]
#[doc(hidden)]
pub use host::{Bare, process};

#[cfg(feature = "host")]
pub use host::{
    Configuration, Digest, Expected, Jobs, Library, Listing, OpenFile, OpenOptions, Placement, PolledFile,
    Refusal, Registry, Wall, Walls, below, built_in, copy, hole, is_below, is_loading, last_name,
    log_to_stderr, of_absolute_path, operator_setting, parent, read_secret_file, same_file,
};
