//! `zvfs-mount`: shows what a provider has as a folder, to programs that know nothing of zvfs. `zvfs mount` becomes this program.
//!
//! | Module | What it is |
//! |---|---|
//! | `serve` | from the command line to a folder that is served, and its end |
//! | `background` | a process of its own, which says when the folder can be used |
//! | `place` | the folder: what must be so before, and how it is unmounted |
//! | `filesystem` | the kernel's calls, each begun here |
//! | `shared` | what they share: the tree, and what programs have open of it |
//! | `calls` | threads for them; none lasts longer than it may, whatever a provider does |
//! | `caller` | who waits for a call: its process, and whether a signal is to end it |
//! | `holders`, `kcmp` | which processes have a file open to be written, and how often |
//! | `tree` | from the kernel's numbers to descriptors, and what is known of them |
//! | `names`, `renaming` | calls on names, none of which follows a link; a copy that stands for a rename |
//! | `listings`, `folders` | what folders were seen to hold; those that are in the mounted folder only |
//! | `handle`, `writer`, `opening` | a file that is open for reading, for writing, and how that is opened |
//! | `joined` | one that is read while it is written |
//! | `attributes`, `errno`, `log` | what the kernel is told of a file, and of an error; what the user is |

mod attributes;
mod background;
mod caller;
mod calls;
mod errno;
mod filesystem;
mod folders;
mod handle;
mod holders;
mod joined;
mod kcmp;
mod listings;
mod log;
mod names;
mod opening;
mod place;
mod renaming;
mod serve;
mod shared;
mod tree;
mod writer;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use zvfs_command::guarded;
use zvfs_command::mount::Mount;
use zvfs_command::options::Options;

/// The command line of `zvfs`, as far as it is this program's.
#[derive(Debug, Parser)]
#[command(name = "zvfs", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Mount(Mount),
}

fn main() -> ExitCode {
    // `zvfs` has read it before, and has told what is wrong with it.
    let Arguments { options, command: Command::Mount(mount) } = Arguments::parse();
    ExitCode::from(guarded(&options, || serve::serve(&mount, &options)))
}
