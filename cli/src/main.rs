//! The `zvfs` command: runs guests under their manifests, and reaches channels from a shell. What `zvfs-mount` needs too is in
//! `cli/common`.
//!
//! | Module | What it is |
//! |---|---|
//! | `arguments` | the command line: the subcommands, and what is said of a wrong one |
//! | `run`, `exec`, `graph`, `cat`, `cp`, `mv`, `stat`, `ls`, `rm`, `mkdir`, `providers`, `check`, `broker` | one subcommand each |
//! | `generate` | manual pages and completions, for an installation |
//! | `stdout` | standard output as an open file |
//! | `manifest`, `pipes` | manifests from files, and the netpipes between them |
//! | `watch` | signals and `--timeout`: no call holds the command longer than it may |
//! | `child_process` | this command again, as a child that loads a library |

#![cfg_attr(all(target_env = "gnu", not(test)), no_main)]

mod arguments;
mod broker;
mod cat;
mod check;
mod child_process;
mod cp;
mod descriptors;
mod doing;
mod exec;
mod generate;
mod graph;
mod ls;
mod manifest;
mod metrics;
mod mkdir;
mod mv;
mod pipes;
mod providers;
mod rm;
mod run;
mod stat;
mod stdout;
mod watch;

use arguments::{Arguments, Command};
use clap::CommandFactory as _;
use exit::Failure;
use std::io::{self, Write as _};
use zvfs_command::{exit, guarded, log, name, options, process, setup, signals, text};

// In the place of std's own start, which asks the kernel for a fifth of all that a short command does: it reads the bounds of the stack from
// /proc, and gives each thread a second stack for a handler that says that the first one overflowed. That ends the process either way.
#[cfg(all(target_env = "gnu", not(test)))]
vfs_core::extern_c! { exported by "zvfs":
    /// Called by the C library. A panic has the exit code that std's start gives it.
    fn main() -> i32, plain { Ok(u32::from(std::panic::catch_unwind(command).unwrap_or(101))) }
}

/// Other C libraries do not tell std the command line without its own start.
#[cfg(not(all(target_env = "gnu", not(test))))]
fn main() -> std::process::ExitCode {
    command().into()
}

/// Does what the command line says, and returns the exit code.
fn command() -> u8 {
    process::ignore_broken_pipes();
    let code = match Arguments::read() {
        Ok(arguments) => guarded(&arguments.options, || execute(&arguments)),
        Err(code) => code,
    };
    // What has no line's end, which std's start would see to.
    let _ = io::stdout().flush();
    code
}

fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    match &arguments.command {
        Command::Run(run) => run.execute(options),
        Command::Exec(exec) => exec.execute(options),
        Command::Graph(graph) => graph.execute(options),
        Command::Cat(cat) => cat.execute(options),
        Command::Cp(cp) => cp.execute(options),
        Command::Mount(mount) => mount.execute(),
        Command::Mv(mv) => mv.execute(options),
        Command::Stat(stat) => stat.execute(options),
        Command::Ls(ls) => ls.execute(options),
        Command::Rm(rm) => rm.execute(options),
        Command::Mkdir(mkdir) => mkdir.execute(options),
        Command::Rmdir(rmdir) => rmdir.execute(options),
        Command::Providers(providers) => providers.execute(options),
        Command::Broker(broker) => broker.execute(options),
        Command::Check(check) => check.execute(options),
        Command::CheckChild(child) => child.execute(options),
        Command::ProviderChild(child) => child.execute(options),
        Command::CompileChild(child) => child.execute(),
        Command::Generate(generate) => generate.execute(Arguments::command()),
    }
}
