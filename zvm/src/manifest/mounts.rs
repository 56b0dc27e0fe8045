//! Keys that say what a guest finds in its directories: `Mount`, `Preopen`, `Interactive`.

use super::channel::ChannelSpec;
use super::defect;
use super::lines::{Line, Lines, trim};
use crate::exit::Failure;
use std::collections::HashSet;
use vfs_core::Shown;

/// The most mounts, and the most further directories, of a session.
pub(super) const MAX: usize = 64;

/// A tree that the guest finds in a directory: a tar archive, read from a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount {
    /// The manifest's line, from 1.
    pub line: usize,
    /// The alias of the channel.
    pub channel: String,
    /// Where: an absolute path.
    pub path: String,
    /// `true`: the tree is copied into the scratch space at the start, and is the guest's to change.
    pub writable: bool,
}

/// A directory that is open when the guest starts, after the root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preopen {
    /// The manifest's line, from 1.
    pub line: usize,
    /// Which: an absolute path. It is made if it is not there.
    pub path: String,
    /// The name that the guest knows it by.
    pub name: String,
}

/// `Mount = alias, path[, ro|rw]`
pub(super) fn mounts(
    lines: &Lines<'_>,
    channels: &[ChannelSpec],
    scratch: bool,
) -> Result<Vec<Mount>, Failure> {
    let mut mounts = Vec::new();
    for line in lines.list.iter().filter(|line| line.key == "Mount") {
        let fields: Vec<&str> = line.value.split(',').map(trim).collect();
        let (alias, path, access) = match fields[..] {
            [alias, path] => (alias, path, "ro"),
            [alias, path, access] => (alias, path, access),
            _ => {
                return Err(defect(
                    line.number,
                    "Mount needs a channel and a path: `Mount = /dev/lib, /lib`",
                ));
            }
        };
        let writable = match access {
            "ro" => false,
            "rw" if scratch => true,
            "rw" => return Err(defect(line.number, "Mount: `rw` needs Scratch, which it is copied into")),
            other => {
                return Err(defect(
                    line.number,
                    format_args!("Mount: `{}` is neither ro nor rw", Shown(other)),
                ));
            }
        };
        readable(line, alias, channels)?;
        mounts.push(Mount {
            line: line.number,
            channel: alias.to_owned(),
            path: absolute(line, path)?,
            writable,
        });
        check_number(line, mounts.len())?;
    }
    Ok(mounts)
}

/// `Preopen = path[, name]`
pub(super) fn preopens(lines: &Lines<'_>) -> Result<Vec<Preopen>, Failure> {
    let mut preopens: Vec<Preopen> = Vec::new();
    for line in lines.list.iter().filter(|line| line.key == "Preopen") {
        let (path, name) = line.value.split_once(',').unwrap_or((line.value, line.value));
        let (path, name) = (absolute(line, trim(path))?, trim(name).to_owned());
        if name.is_empty() || name == "/" || preopens.iter().any(|preopen| preopen.name == name) {
            let text = format!("Preopen: the name `{}` is empty or given twice", Shown(&name));
            return Err(defect(line.number, text));
        }
        preopens.push(Preopen { line: line.number, path, name });
        check_number(line, preopens.len())?;
    }
    Ok(preopens)
}

/// `Interactive = alias`: marks the channels.
pub(super) fn mark_interactive(lines: &Lines<'_>, channels: &mut [ChannelSpec]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for line in lines.list.iter().filter(|line| line.key == "Interactive") {
        if !seen.insert(line.value) {
            return Err(defect(
                line.number,
                format_args!("Interactive: {} is given twice", Shown(line.value)),
            ));
        }
        let Some(channel) = channels.iter_mut().find(|channel| &*channel.alias == line.value) else {
            return Err(no_channel(line, line.value));
        };
        if channel.limits.readable() && channel.random_get {
            let text =
                format!("Interactive: {} has positions, and nothing to wait for", channel.shown_alias());
            return Err(defect(line.number, text));
        }
        channel.interactive = true;
    }
    Ok(())
}

fn readable(line: &Line<'_>, alias: &str, channels: &[ChannelSpec]) -> Result<(), Failure> {
    match channels.iter().find(|channel| &*channel.alias == alias) {
        None => Err(no_channel(line, alias)),
        Some(channel) if !channel.limits.readable() => {
            let text = format!("{}: channel {} cannot be read", line.key, channel.shown_alias());
            Err(defect(line.number, text))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn absolute(line: &Line<'_>, path: &str) -> Result<String, Failure> {
    match is_absolute(path) {
        true => Ok(path.to_owned()),
        false => {
            let text =
                format!("{}: `{}` is not an absolute path without `.` and `..`", line.key, Shown(path));
            Err(defect(line.number, text))
        }
    }
}

/// Whether a path is absolute, without `.` and `..`.
pub(super) fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.split('/').any(|part| matches!(part, "." | ".."))
}

pub(super) fn no_channel(line: &Line<'_>, alias: &str) -> Failure {
    defect(line.number, format_args!("{}: there is no channel {}", line.key, Shown(alias)))
}

pub(super) fn check_number(line: &Line<'_>, count: usize) -> Result<(), Failure> {
    if count > MAX {
        Err(defect(line.number, format_args!("more than {MAX} lines of {}", line.key)))
    } else {
        Ok(())
    }
}
