//! The command line: what every subcommand shares. Each subcommand's own arguments stand in its module.

use crate::exit::Failure;
use crate::watch::Watch;
use crate::{broker, cat, check, cp, generate, ls, providers, rm, run, stat, stdout};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use vfs_core::{Code, Error, Info, OpenFlags, OpenOptions, Registry, Result, Scope, Shown, parse_duration};

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
14 bad manifest, 125 not committed, as the manifest asks if the guest fails. 32 without a message: the reader of standard output left.";

impl Arguments {
    /// Reads the command line; if there is nothing to execute, prints why and returns the exit code.
    pub fn read() -> std::result::Result<Arguments, ExitCode> {
        Arguments::try_parse().map_err(|error| print(&without_secrets(without_hidden(error))))
    }
}

/// Options of every subcommand.
#[derive(Args, Debug)]
pub struct Options {
    /// The operator's configuration; else the environment's ZVFS_CONFIG, else /etc/zvfs/zvfs.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A folder of providers, searched before those of the configuration; repeatable
    #[arg(long, global = true, value_name = "DIR")]
    pub provider_path: Vec<PathBuf>,
    /// Log more of what providers do; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Options {
    /// The arguments that say the same to a child.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: &Path| arguments.extend([name.into(), value.into()]);
        if let Some(config) = &self.config {
            option("--config", config);
        }
        self.provider_path.iter().for_each(|folder| option("--provider-path", folder));
        arguments.extend((0..self.verbose).map(|_| OsString::from("-v")));
        arguments
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Run),
    Cat(cat::Cat),
    Cp(cp::Cp),
    Stat(stat::Stat),
    Ls(ls::Ls),
    Rm(rm::Rm),
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

/// Options of the subcommands that open descriptors.
#[derive(Args, Debug)]
pub struct DescriptorOptions {
    /// A per-open setting for each descriptor of this command whose provider has it; repeatable
    #[arg(short = 'o', value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Give up after this time, such as 500ms, 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

impl DescriptorOptions {
    /// The descriptors, each with those of the settings that its provider takes.
    ///
    /// # Errors
    /// As [`assign`](DescriptorOptions::assign).
    pub fn assigned<'a>(
        &self,
        registry: &Registry,
        watch: &Watch,
        descriptors: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Assigned<'a>>> {
        let mut list: Vec<Assigned<'a>> = descriptors.map(Assigned::new).collect();
        self.assign(registry, watch, &mut list).map(|()| list)
    }

    /// Gives each descriptor those of the settings that its provider takes.
    ///
    /// # Errors
    /// EINVAL: a setting that none of them takes.
    pub fn assign(&self, registry: &Registry, watch: &Watch, list: &mut [Assigned<'_>]) -> Result<()> {
        if self.settings.is_empty() {
            return Ok(());
        }
        // One that cannot be used says so when it is opened.
        let info = |assigned: &Assigned<'_>| {
            let how = OpenOptions::default().control(&watch.control(assigned.descriptor));
            registry.info(assigned.descriptor, &how).ok()
        };
        let infos: Vec<Option<Info>> = list.iter().map(info).collect();
        for (name, text) in &self.settings {
            let takes = |info: &Option<Info>| info.as_ref().is_none_or(|info| takes_with_open(info, name));
            if !infos.iter().any(takes) {
                let providers: BTreeSet<&str> =
                    infos.iter().flatten().map(|info| info.name.as_str()).collect();
                let providers: Vec<&str> = providers.into_iter().collect();
                let text = format!(
                    "-o {name}: not a per-open setting of `{}`: `zvfs providers` lists them",
                    providers.join("` or `")
                );
                return Err(Error::new(Code::EINVAL, text));
            }
            for (assigned, _) in list.iter_mut().zip(&infos).filter(|(_, info)| takes(info)) {
                assigned.settings.push((name.clone(), text.clone()));
            }
        }
        Ok(())
    }
}

fn takes_with_open(info: &Info, name: &str) -> bool {
    info.settings.iter().any(|setting| setting.name == name && setting.scope.contains(Scope::OPEN))
}

/// A descriptor with its per-open settings.
pub struct Assigned<'a> {
    pub descriptor: &'a str,
    pub settings: Vec<(String, String)>,
}

impl<'a> Assigned<'a> {
    /// Without any setting.
    pub fn new(descriptor: &'a str) -> Assigned<'a> {
        Assigned { descriptor, settings: Vec::new() }
    }

    /// How to open it.
    pub fn open(&self, flags: OpenFlags) -> OpenOptions {
        self.settings.iter().fold(OpenOptions::new(flags), |open, (name, text)| open.setting(name, text))
    }
}

/// Parses `key=value`.
pub fn setting(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write key=value".to_owned()),
    }
}

/// Parses a duration.
pub fn duration(text: &str) -> std::result::Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number and a unit: 500ms, 30s, 5m".to_owned())
}

/// Prints clap's message: help and version are no failure.
fn print(error: &clap::Error) -> ExitCode {
    if !error.use_stderr()
        && let Err(failure) = stdout::check()
    {
        return failure.report();
    }
    match error.print() {
        _ if error.use_stderr() => ExitCode::from(USAGE),
        Ok(()) => ExitCode::SUCCESS,
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
    fn a_setting_is_split_at_its_first_equals_sign() {
        assert_eq!(setting("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(setting("a=").unwrap(), ("a".to_owned(), String::new()));
        assert!(setting("a").is_err() && setting("=a").is_err());
    }
}
