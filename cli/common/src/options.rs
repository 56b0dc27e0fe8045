//! Options that several subcommands share.

use crate::log::Format;
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vfs_core::{parse_duration, parse_size};

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
    /// How lines on standard error are written; what guests write there stays as it is
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Plain)]
    pub log_format: Format,
}

impl Options {
    /// The arguments that say the same to a child, whose words this process tells in its own format.
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

/// Parses a size of at least a byte.
pub fn size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "write a number of bytes: 4096, 64k, 2g".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_split_at_its_first_equals_sign() {
        assert_eq!(setting("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(setting("a=").unwrap(), ("a".to_owned(), String::new()));
        assert!(setting("a").is_err() && setting("=a").is_err());
    }
}
