//! The keys `Tree` and `Export`: a folder of a provider as a directory of the guest, and what becomes of what a guest made.

use super::channel::{Limits, source};
use super::lines::{Line, Lines, trim};
use super::{defect, mounts, number};
use crate::exit::Failure;
use vfs_core::{Descriptor, Shown, is_below};

/// How many names a tree shows unless the manifest says so.
const ENTRIES: u64 = 10_000;
/// The most that it may say: each takes a few hundred bytes of the host's memory.
const ENTRIES_MAX: u64 = 1_000_000;

/// A folder of a provider that the guest sees as a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeSpec {
    /// The manifest's line, from 1, for messages; 0: nobody has seen the manifest, and none names the line.
    pub line: usize,
    /// The folder's descriptor.
    pub source: String,
    /// Where the guest finds it: an absolute path, unique among the trees.
    pub path: String,
    /// The quotas of all its files together; nothing is written unless those for writing say so.
    pub limits: Limits,
    /// The most names, in all folders together.
    pub entries: u64,
    /// Whether what a quota cut is written all the same: the key `Partial`.
    pub keep_partial: bool,
}

/// A directory whose content is written to a provider's folder when the session ends well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportSpec {
    /// The manifest's line, from 1, for messages; 0: nobody has seen the manifest, and none names the line.
    pub line: usize,
    /// The folder's descriptor.
    pub target: String,
    /// What is taken: an absolute path, unique among trees and exports.
    pub path: String,
    /// How many files and folders may be written, and how many bytes; nothing is read.
    pub limits: Limits,
    /// Whether what a quota cut is written all the same: the key `Partial`.
    pub keep_partial: bool,
}

/// `Tree = source, path, ro, gets, get_size[, entries]`, or `Tree = source, path, rw, gets, get_size, puts, put_size[, entries]`
pub(super) fn trees(lines: &Lines<'_>, scratch: bool) -> Result<Vec<TreeSpec>, Failure> {
    let mut trees: Vec<TreeSpec> = Vec::new();
    for line in lines.list.iter().filter(|line| line.key == "Tree") {
        let tree = tree(line)?;
        if let Some(first) = trees.iter().find(|first| is_same_place(&first.path, &tree.path)) {
            let text = format!("tree {} is already in line {}", Shown(&tree.path), first.line);
            return Err(defect(line.number, text));
        }
        if tree.limits.writable() {
            if !scratch {
                let text = format!("tree {}: `rw` needs Scratch, where it is changed", Shown(&tree.path));
                return Err(defect(line.number, text));
            }
            let mut written = trees.iter().filter(|other| other.limits.writable());
            if let Some(first) = written.find(|other| overlap(&other.source, &tree.source)) {
                let text =
                    format!("tree {}: line {} writes into the same folder", Shown(&tree.path), first.line);
                return Err(defect(line.number, text));
            }
        }
        trees.push(tree);
        mounts::check_number(line, trees.len())?;
    }
    Ok(trees)
}

/// `Export = target, path, puts, put_size`
pub(super) fn exports(
    lines: &Lines<'_>,
    trees: &[TreeSpec],
    scratch: bool,
) -> Result<Vec<ExportSpec>, Failure> {
    let mut exports: Vec<ExportSpec> = Vec::new();
    for line in lines.list.iter().filter(|line| line.key == "Export") {
        let export = export(line)?;
        let known = exports.iter().map(|first| (&first.path, first.line));
        let mut known = known.chain(trees.iter().map(|tree| (&tree.path, tree.line)));
        if let Some((_, first)) = known.find(|(path, _)| is_same_place(path, &export.path)) {
            let text = format!("export {}: line {first} has the same path", Shown(&export.path));
            return Err(defect(line.number, text));
        }
        let written = exports.iter().map(|first| (&first.target, first.line));
        let trees = trees.iter().filter(|tree| tree.limits.writable());
        let mut written = written.chain(trees.map(|tree| (&tree.source, tree.line)));
        if let Some((_, first)) = written.find(|(target, _)| overlap(target, &export.target)) {
            let text = format!("export {}: line {first} writes into the same folder", Shown(&export.path));
            return Err(defect(line.number, text));
        }
        if !scratch {
            let text = format!("export {}: it needs Scratch, where its files are made", Shown(&export.path));
            return Err(defect(line.number, text));
        }
        exports.push(export);
        mounts::check_number(line, exports.len())?;
    }
    Ok(exports)
}

fn export(line: &Line<'_>) -> Result<ExportSpec, Failure> {
    let (target, rest) = source(line.value).map_err(|text| defect(line.number, text))?;
    Descriptor::parse(target).map_err(|error| defect(line.number, error))?;
    let fields: Vec<&str> = rest.strip_prefix(',').unwrap_or_default().split(',').map(trim).collect();
    let [path, puts, put_size] = fields[..] else {
        let text = "Export needs a target, a path and two quotas: `Export = /srv/result, /out, 1000, 1g`";
        return Err(defect(line.number, text));
    };
    let path = mounts::absolute(line, path)?;
    let of_export = |text: String| defect(line.number, format_args!("export {}: {text}", Shown(&path)));
    // Neither is empty when the guest starts, and what is made there need not be a result: a file in /tmp, say.
    if ["/", "/dev"].iter().any(|taken| is_same_place(taken, &path)) {
        return Err(of_export(
            "channels and devices are in it: take a directory of its own, such as /out".into(),
        ));
    }
    let of = |name: &'static str| move |error: String| format!("{name}: {error}");
    let puts = number::parse_count(puts).map_err(of("puts")).map_err(of_export)?;
    let put_size = number::parse_size_count(put_size).map_err(of("put_size")).map_err(of_export)?;
    let limits = Limits { gets: 0, get_size: 0, puts, put_size };
    if !limits.writable() {
        return Err(of_export("its quotas allow no writing".into()));
    }
    Ok(ExportSpec { line: line.number, target: target.to_owned(), path, limits, keep_partial: false })
}

/// Whether two folders are one, or one lies in the other, as far as their descriptors say.
fn overlap(one: &str, other: &str) -> bool {
    is_below(one, other) || is_below(other, one)
}

/// Whether two absolute paths lead to one place.
pub(super) fn is_same_place(one: &str, other: &str) -> bool {
    let names = |path: &'_ str| {
        path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    names(one) == names(other)
}

fn tree(line: &Line<'_>) -> Result<TreeSpec, Failure> {
    let (source, rest) = source(line.value).map_err(|text| defect(line.number, text))?;
    Descriptor::parse(source).map_err(|error| defect(line.number, error))?;
    let fields: Vec<&str> = rest.strip_prefix(',').unwrap_or_default().split(',').map(trim).collect();
    let (path, access, quotas, entries) = match fields[..] {
        [path, access @ "rw", ref quotas @ .., entries] if quotas.len() == 4 => {
            (path, access, quotas, Some(entries))
        }
        [path, access @ "rw", ref quotas @ ..] if quotas.len() == 4 => (path, access, quotas, None),
        [path, access, ref quotas @ .., entries] if access != "rw" && quotas.len() == 2 => {
            (path, access, quotas, Some(entries))
        }
        [path, access, ref quotas @ ..] if access != "rw" && quotas.len() == 2 => {
            (path, access, quotas, None)
        }
        _ => {
            let text = "Tree needs a source, a path, and `ro` with two quotas or `rw` with four: \
                        `Tree = /srv/data, /data, ro, 1000, 1g`";
            return Err(defect(line.number, text));
        }
    };
    let path = mounts::absolute(line, path)?;
    let of_tree = |text: String| defect(line.number, format_args!("tree {}: {text}", Shown(&path)));
    if !matches!(access, "ro" | "rw") {
        return Err(of_tree(format!("`{}` is neither ro nor rw", Shown(access))));
    }
    let of = |name: &'static str| move |error: String| format!("{name}: {error}");
    let mut limits = Limits { gets: 0, get_size: 0, puts: 0, put_size: 0 };
    limits.gets = number::parse_count(quotas[0]).map_err(of("gets")).map_err(of_tree)?;
    limits.get_size = number::parse_size_count(quotas[1]).map_err(of("get_size")).map_err(of_tree)?;
    if let [_, _, puts, put_size] = quotas {
        limits.puts = number::parse_count(puts).map_err(of("puts")).map_err(of_tree)?;
        limits.put_size = number::parse_size_count(put_size).map_err(of("put_size")).map_err(of_tree)?;
        if !limits.writable() {
            return Err(of_tree("its quotas allow no writing".into()));
        }
    }
    if !limits.readable() {
        return Err(of_tree("its quotas allow no reading".into()));
    }
    let entries = entries.map_or(Ok(ENTRIES), number::parse_count).map_err(of("entries")).map_err(of_tree)?;
    if !(1..=ENTRIES_MAX).contains(&entries) {
        return Err(of_tree(format!("entries: {entries} is out of range: 1 to {ENTRIES_MAX}")));
    }
    let source = source.to_owned();
    Ok(TreeSpec { line: line.number, source, path, limits, entries, keep_partial: false })
}
