//! The `zvfs` command: runs guests under their manifests, and reaches channels from a shell.
//!
//! | Module | What it is |
//! |---|---|
//! | `arguments` | the command line: the subcommands, and what is said of a wrong one |
//! | `run`, `exec`, `graph`, `cat`, `cp`, `mv`, `stat`, `ls`, `rm`, `mkdir`, `providers`, `check`, `broker` | one subcommand each |
//! | `generate` | manual pages and completions, for an installation |
//! | `options` | options that several subcommands share |
//! | `setup`, `stdout` | from the options to a registry, and standard output as an open file |
//! | `manifest`, `pipes` | manifests from files, and the netpipes between them |
//! | `name`, `below` | from what a user types to a descriptor, and on to what lies below it |
//! | `watch`, `signals` | signals and `--timeout`: no call holds the command longer than it may |
//! | `child_process` | this command again, as a child that loads a library |
//! | `process` | what must be so before anything else: no closed streams, no set-uid, no end but its own |
//! | `exit`, `log` | failures and exit codes, and what is told on standard error |
//! | `text` | for people and terminals |

mod arguments;
mod below;
mod broker;
mod cat;
mod check;
mod child_process;
mod cp;
mod descriptors;
mod exec;
mod exit;
mod generate;
mod graph;
mod log;
mod ls;
mod manifest;
mod metrics;
mod mkdir;
mod mv;
mod name;
mod options;
mod pipes;
mod process;
mod providers;
mod rm;
mod run;
mod setup;
mod signals;
mod stat;
mod stdout;
mod text;
mod watch;

use arguments::{Arguments, Command};
use clap::CommandFactory as _;
use exit::Failure;
use process::ExitGuard;
use std::process::ExitCode;
use vfs_core::is_loading;

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    log::set(arguments.options.log_format);
    // Lives until the code is known: from then on the end is the command's own.
    let ended =
        process::refuse_set_uid().and_then(|()| ExitGuard::watch()).and_then(|_guard| execute(&arguments));
    match ended {
        // A library that never loads was left behind: no further thread is waited for, nor the dynamic linker.
        Err(failure) if is_loading() => failure.leave(),
        Ok(()) if is_loading() => exit::leave(0),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    match &arguments.command {
        Command::Run(run) => run.execute(options),
        Command::Exec(exec) => exec.execute(options),
        Command::Graph(graph) => graph.execute(options),
        Command::Cat(cat) => cat.execute(options),
        Command::Cp(cp) => cp.execute(options),
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
