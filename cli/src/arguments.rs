//! The command line: the subcommands, and what is said of a wrong one. Each subcommand's own arguments stand in its module.

mod order;

use crate::exit::Failure;
use crate::options::Options;
use crate::{broker, cat, check, cp, exec, generate, graph, ls, mkdir, mv, providers, rm, run, stat, stdout};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;
use std::sync::OnceLock;
use vfs_core::Shown;
use zvfs_command::mount;

/// The exit code of a wrong command line: EX_USAGE of sysexits.h.
const USAGE: u8 = 64;

/// Read and write channels through providers, and run guests that see nothing else.
#[derive(Debug, Parser)]
#[command(name = "zvfs", version, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
A descriptor is scheme:rest, or a path, which means file:. Write a path that looks like a scheme as ./mem:x.

Exit codes: the errno number of the failure (2: no such file, 13: not allowed, 93: unknown scheme, 110: timed out);
64: a wrong command line; 128 + N: ended by signal N. `run`: 4 stopped, 5 a channel failed, 8 bad program, 12 memory,
14 bad manifest, 125 not committed, as the manifest asks if the guest fails. `exec`:
the program's own, or one of those of `run`. 32 without a message: the reader of standard output left.";

/// The parser, once it is done: not lost, so that a checker of memory has nothing to say.
static KEPT: OnceLock<clap::Command> = OnceLock::new();

impl Arguments {
    /// Reads the command line; if there is nothing to execute, prints why and returns the exit code.
    pub fn read() -> Result<Arguments, u8> {
        let mut command = Arguments::command();
        let words = order::options_first(&command, std::env::args_os().collect());
        let parsed = parse(&mut command, words);
        // Kept: to take it apart costs as much as half of what it is made for, and the process ends with the command.
        let _ = KEPT.set(command);
        parsed.map_err(|error| print(&without_secrets(without_hidden(error))))
    }
}

/// What is told of a command line may name any subcommand, so here all of them are made.
fn parse(command: &mut clap::Command, words: Vec<OsString>) -> Result<Arguments, clap::Error> {
    let parsed = command.try_get_matches_from_mut(&words).and_then(|mut matches| {
        Arguments::from_arg_matches_mut(&mut matches).map_err(|error| error.format(command))
    });
    parsed.or_else(|error| match error.kind() {
        ErrorKind::DisplayVersion => Err(error),
        _ => {
            let mut whole = Arguments::command();
            whole.build();
            let matches = whole.try_get_matches_from_mut(words)?;
            Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut whole))
        }
    })
}

/// A subcommand's arguments are made once it is the one that was typed: those of all would be half of a short command's instructions.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    Run(run::Run),
    Exec(exec::Exec),
    Graph(graph::Graph),
    Cat(cat::Cat),
    Cp(cp::Cp),
    Mv(mv::Mv),
    Mount(mount::Mount),
    Stat(stat::Stat),
    Ls(ls::Ls),
    Rm(rm::Rm),
    Mkdir(mkdir::Mkdir),
    Rmdir(mkdir::Rmdir),
    Providers(providers::Providers),
    Broker(broker::Serve),
    Check(check::Check),
    #[command(hide = true)]
    CheckChild(check::child::CheckChild),
    #[command(hide = true)]
    ProviderChild(providers::child::ProviderChild),
    #[command(hide = true)]
    CompileChild(run::CompileChild),
    #[command(hide = true)]
    Generate(generate::Generate),
}

/// Prints clap's message: help and version are no failure.
fn print(error: &clap::Error) -> u8 {
    if !error.use_stderr()
        && let Err(failure) = stdout::check()
    {
        return failure.report();
    }
    match error.print() {
        _ if error.use_stderr() => USAGE,
        Ok(()) => 0,
        Err(error) => Failure::output(error).report(),
    }
}

/// Takes out of what clap repeats of a command line the secrets of a descriptor, and what a terminal would obey.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let typed: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, text.clone())),
            _ => None,
        })
        .collect();
    for (kind, text) in typed {
        let shown = Shown(&text).to_string();
        if shown != text {
            error.insert(kind, ContextValue::String(shown));
            // It repeats what was typed.
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// Takes the commands that are ours alone out of what clap suggests for a mistyped one.
fn without_hidden(mut error: clap::Error) -> clap::Error {
    let command = Arguments::command();
    let hidden = |name: &String| command.find_subcommand(name).is_some_and(clap::Command::is_hide_set);
    for kind in [ContextKind::SuggestedSubcommand, ContextKind::ValidSubcommand] {
        let Some(ContextValue::Strings(names)) = error.remove(kind) else { continue };
        let shown: Vec<String> = names.into_iter().filter(|name| !hidden(name)).collect();
        if !shown.is_empty() {
            error.insert(kind, ContextValue::Strings(shown));
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_no_command_line_asked_for_is_not_made() {
        let command = Arguments::command();
        assert!(command.get_subcommands().count() > 10);
        for subcommand in command.get_subcommands() {
            assert_eq!(subcommand.get_arguments().count(), 0, "{}", subcommand.get_name());
        }
    }

    #[test]
    fn help_has_words_for_every_subcommand() {
        let mut whole = Arguments::command();
        whole.build();
        for line in ["zvfs --help", "zvfs help", "zvfs"] {
            let words = line.split(' ').map(OsString::from).collect();
            let help = parse(&mut Arguments::command(), words).unwrap_err().to_string();
            for subcommand in whole.get_subcommands().filter(|one| !one.is_hide_set()) {
                let words = subcommand.get_about().unwrap().to_string();
                let (name, start) =
                    (subcommand.get_name(), words.split(' ').take(3).collect::<Vec<_>>().join(" "));
                let told = help.lines().any(|line| {
                    line.trim_start()
                        .strip_prefix(name)
                        .is_some_and(|rest| rest.trim_start().starts_with(&start))
                });
                assert!(told, "{line}: {name}: {start:?} is not in:\n{help}");
            }
        }
    }
}
