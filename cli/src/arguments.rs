//! The command line: what every subcommand shares. Each subcommand's own arguments stand in its module.

use crate::{broker, cat, check, cp, generate, ls, providers, rm, run, stat};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vfs_core::{Open, OpenFlags, parse_duration};

/// Reach channels through loaded providers, and run guests that see nothing else.
#[derive(Debug, Parser)]
#[command(name = "zvfs", version, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
A descriptor is scheme:rest, or an absolute path, which means file:.

Exit codes: the errno number of the failure (2: no such file, 13: not allowed, 93: unknown scheme, 110: timed out);
64: a wrong command line; 128 + N: ended by signal N. `run`: 4 stopped, 5 a channel failed, 8 bad program, 12 memory,
14 bad manifest. 32 without a word: whoever read standard output left.";

/// Options of every subcommand.
#[derive(Args, Debug)]
pub struct Options {
    /// The operator's configuration; else the environment's ZVFS_CONFIG, else /etc/zvfs/zvfs.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A folder of providers, searched before those of the configuration; repeatable
    #[arg(long, global = true, value_name = "DIR")]
    pub provider_path: Vec<PathBuf>,
    /// Say more of what providers do; twice: all of it
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
    CompileChild(run::CompileChild),
    #[command(hide = true)]
    Generate(generate::Generate),
}

/// Options of the subcommands that open descriptors.
#[derive(Args, Debug)]
pub struct OpenOptions {
    /// A setting for every descriptor of this command, one that its provider takes with an open; repeatable
    #[arg(short = 'o', value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Give up after this time, such as 500ms, 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

impl OpenOptions {
    /// How to open with these options.
    pub fn open(&self, flags: OpenFlags) -> Open {
        with_settings(Open::new(flags), &self.settings)
    }
}

/// Adds per-open settings.
pub fn with_settings(open: Open, settings: &[(String, String)]) -> Open {
    settings.iter().fold(open, |open, (name, text)| open.setting(name, text))
}

/// Parses `key=value`.
pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write key=value".to_owned()),
    }
}

/// Parses a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number and a unit: 500ms, 30s, 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
