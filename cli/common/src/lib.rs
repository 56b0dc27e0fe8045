//! What the programs of the `zvfs` command have in common: `zvfs` itself, and `zvfs-mount`, which `zvfs mount` becomes. That is a program
//! of its own so that nobody builds or loads a library for FUSE who mounts nothing.
//!
//! | Module | What it is |
//! |---|---|
//! | `options`, `setup` | options of every subcommand, and the registry that they ask for |
//! | `mount` | the arguments of `zvfs mount` |
//! | `name` | from what a user types to a descriptor |
//! | `signals` | the first one asks, the second one ends the process |
//! | `process` | what must be so before anything else: no closed streams, no set-uid, no end but its own |
//! | `exit`, `log` | failures and exit codes, and what is told on standard error |
//! | `text` | for people and terminals |

pub mod exit;
pub mod log;
pub mod mount;
pub mod name;
pub mod options;
pub mod process;
pub mod setup;
pub mod signals;
pub mod text;

use exit::Failure;
use options::Options;
use process::ExitGuard;
use vfs_core::is_loading;

/// Executes a command with these options, in a process that nobody else may end. Returns its exit code.
pub fn guarded(options: &Options, execute: impl FnOnce() -> Result<(), Failure>) -> u8 {
    log::set(options.log_format);
    // Lives until the code is known: from then on the end is the command's own.
    let ended = process::refuse_set_uid().and_then(|()| ExitGuard::watch()).and_then(|_guard| execute());
    match ended {
        // A library that never loads was left behind: no further thread is waited for, nor the dynamic linker.
        Err(failure) if is_loading() => failure.leave(),
        Ok(()) if is_loading() => exit::leave(0),
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}
