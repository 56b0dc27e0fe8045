//! Keys that say what becomes of what a guest writes: `Partial`, `Commit`.

use super::channel::ChannelSpec;
use super::lines::{Line, Lines, trim};
use super::trees::{ExportSpec, TreeSpec, is_same_place};
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

/// `Partial = keep[, alias]`: marks the channels, and the directories that are written to folders.
pub(super) fn mark_partial(
    lines: &Lines<'_>,
    channels: &mut [ChannelSpec],
    trees: &mut [TreeSpec],
    exports: &mut [ExportSpec],
) -> Result<(), Failure> {
    for line in lines.list.iter().filter(|line| line.key == "Partial") {
        let (word, alias) = match line.value.split_once(',') {
            Some((word, alias)) => (trim(word), Some(trim(alias))),
            None => (line.value, None),
        };
        if word != "keep" {
            let text = format!("Partial: `{}` is not `keep` or `keep, alias`", Shown(word));
            return Err(defect(line.number, text));
        }
        let channels = channels.iter_mut().map(|channel| {
            let is_written = channel.limits.writable();
            ("channel", &*channel.alias, is_written, &mut channel.keep_partial)
        });
        let trees = trees.iter_mut().map(|tree| {
            let is_written = tree.limits.writable();
            ("tree", tree.path.as_str(), is_written, &mut tree.keep_partial)
        });
        let exports =
            exports.iter_mut().map(|export| ("export", export.path.as_str(), true, &mut export.keep_partial));
        let mut all = channels.chain(trees).chain(exports);
        let Some(alias) = alias else {
            all.for_each(|(_, _, _, keep)| *keep = true);
            continue;
        };
        let is_it = |what, name| name == alias || what != "channel" && is_same_place(name, alias);
        match all.find(|(what, name, ..)| is_it(*what, *name)) {
            None => return Err(mounts::no_channel(line, alias)),
            Some((what, _, false, _)) => {
                let text = format!("Partial: {what} {} is not written", Shown(alias));
                return Err(defect(line.number, text));
            }
            Some((.., keep)) => *keep = true,
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
