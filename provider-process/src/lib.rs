//! `zvfs-provider`: runs one provider in a process of its own, for a host whose operator wrote `place = "process"`.
//!
//! A host starts it. It forks at once: the parent supervises, the child puts up its walls, loads the provider's library and makes the
//! host's calls. `docs/placement.md` has what they say to each other; `vfs_core::process` is the host's side.
//!
//! | Module | What it is |
//! |---|---|
//! | `system` | what the program is started with, and the system calls that need care |
//! | `supervisor` | the parent: kills the child when it is told to, and says how it ended |
//! | `walls` | what the child may do, put up before it loads anything |
//! | `serve` | the child: connections, files, contexts, and what a provider asks of its host |

mod serve;
mod supervisor;
mod system;
pub mod walls;

use std::ffi::OsString;
use std::process::ExitCode;
use system::Given;
use vfs_core::Wall;

/// The program. A test's own binary may be it, too.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match arguments.into_iter().nth(1) {
        Some(first) if first == "--version" => {
            println!("zvfs-provider {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(first) if first == "--walls" => match walls::try_all() {
            Ok(()) => {
                Wall::ALL.iter().for_each(|wall| println!("{}: there", wall.name()));
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error.chain()),
        },
        _ => match Given::take() {
            Some(given) => supervisor::run(given),
            None => failed("started by hosts only, with sockets: write `place = \"process\"` for a provider"),
        },
    }
}

fn failed(text: &str) -> ExitCode {
    eprintln!("zvfs-provider: {text}");
    ExitCode::FAILURE
}
