//! Keys that say what becomes of what a guest writes: `Partial`, `Commit`.

use super::channel::ChannelSpec;
use super::lines::{Line, Lines, trim};
use super::{defect, mounts};
use crate::exit::Failure;
use vfs_core::Shown;

/// Which ends of a guest commit what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Commit {
    /// All that it comes to by itself, whatever its exit code.
    #[default]
    End,
    /// Only those with the exit code 0.
    Success,
}

/// `Partial = keep[, alias]`: marks the channels.
pub(super) fn mark_partial(lines: &Lines<'_>, channels: &mut [ChannelSpec]) -> Result<(), Failure> {
    for line in lines.list.iter().filter(|line| line.key == "Partial") {
        let (word, alias) = match line.value.split_once(',') {
            Some((word, alias)) => (trim(word), Some(trim(alias))),
            None => (line.value, None),
        };
        if word != "keep" {
            let text = format!("Partial: `{}` is not `keep` or `keep, alias`", Shown(word));
            return Err(defect(line.number, text));
        }
        let Some(alias) = alias else {
            channels.iter_mut().for_each(|channel| channel.keep_partial = true);
            continue;
        };
        match channels.iter_mut().find(|channel| &*channel.alias == alias) {
            None => return Err(mounts::no_channel(line, alias)),
            Some(channel) if !channel.limits.writable() => {
                let text = format!("Partial: channel {} is not written", Shown(alias));
                return Err(defect(line.number, text));
            }
            Some(channel) => channel.keep_partial = true,
        }
    }
    Ok(())
}

/// `Commit = end|success`
pub(super) fn commit(line: &Line<'_>) -> Result<Commit, Failure> {
    match line.value {
        "end" => Ok(Commit::End),
        "success" => Ok(Commit::Success),
        other => {
            Err(defect(line.number, format_args!("Commit: `{}` is neither end nor success", Shown(other))))
        }
    }
}
