//! The manifest's keys, and what they say together.

use super::channel::{self, CHANNELS_MAX, ChannelSpec, STANDARD};
use super::lines::{Line, Lines, trim};
use super::{
    Commit, DigestAlgorithm, Manifest, TIME_MAX, Version, Warning, defect, failure, mounts, number, outputs,
    trees,
};
use crate::exit::{ExitCode, Failure};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{Descriptor, Shown, nearest};

/// Keys that may be given once.
const SINGLE: [&str; 21] = [
    "Commit",
    "Sync",
    "Digest",
    "Version",
    "Program",
    "Memory",
    "Timeout",
    "Node",
    "Broker",
    "Args",
    "Fuel",
    "Function",
    "Seed",
    "Deterministic",
    "Preallocate",
    "Scratch",
    "Time",
    "NameServer",
    "Job",
    "Etag",
    "Boot",
];
/// Keys that may be given more than once.
const REPEATABLE: [&str; 8] =
    ["Channel", "Env", "Export", "Interactive", "Mount", "Partial", "Preopen", "Tree"];
/// ZeroVM's keys that are legal and have no effect here, with the reason.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("NameServer", "node names are resolved by the broker"),
    ("Job", "it names ZeroVM's daemon; this host runs sessions itself"),
    ("Etag", "`Digest` or Memory's tag ask for digests"),
    ("Boot", "the program is run directly"),
];
/// The channel that stands for the program in version 20140509.
const BOOT_CHANNEL: &str = "/boot/elf";
/// The most memory that a 32-bit guest can have.
const MEMORY_MAX: i64 = 1 << 32;
/// A guest has no use for a longer timeout, and a clock no room: 136 years.
const TIMEOUT_MAX: u64 = u32::MAX as u64;

/// Reads all lines. Version comes first, wherever it stands: it says how the others are read.
pub(super) fn read(lines: &Lines<'_>, warnings: &mut Vec<Warning>) -> Result<Manifest, Failure> {
    let singles = Singles::collect(lines)?;
    let version = version(&singles)?;
    check_keys(lines, warnings)?;
    let node = node(&singles, version)?;
    for key in ["Broker", "NameServer"] {
        if let (Some(line), None) = (singles.get(key), &node) {
            return Err(defect(line.number, format_args!("{key} needs a Node")));
        }
    }
    let mut channels = channels(lines, version, warnings)?;
    mounts::mark_interactive(lines, &mut channels)?;
    let scratch = singles.get("Scratch").map(|line| scratch(line)).transpose()?;
    let mut trees = trees::trees(lines, scratch.is_some())?;
    let mut exports = trees::exports(lines, &trees, scratch.is_some())?;
    outputs::mark_partial(lines, &mut channels, &mut trees, &mut exports)?;
    let (memory, tagged) = memory(&singles)?;
    let digest = digest(&singles)?.or(tagged.then_some(DigestAlgorithm::Sha256));
    Ok(Manifest {
        version,
        program: program(&singles, version, &channels)?,
        memory,
        memory_line: singles.get("Memory").map_or(0, |line| line.number),
        digest,
        timeout: timeout(&singles)?,
        node,
        broker: singles.get("Broker").map(|line| text(line)).transpose()?,
        args: singles.get("Args").map_or(Ok(Vec::new()), |line| args(line))?,
        env: env(lines)?,
        function: singles.get("Function").map(|line| text(line)).transpose()?,
        fuel: singles.get("Fuel").map(|line| positive(line)).transpose()?,
        seed: singles.get("Seed").map(|line| count(line)).transpose()?,
        deterministic: singles.get("Deterministic").map_or(Ok(true), |line| switch(line))?,
        time: singles.get("Time").map(|line| time(line)).transpose()?,
        scratch,
        mounts: mounts::mounts(lines, &channels, scratch.is_some())?,
        trees,
        exports,
        preopens: mounts::preopens(lines)?,
        preallocate: singles.get("Preallocate").map_or(Ok(false), |line| switch(line))?,
        commit: singles.get("Commit").map_or(Ok(Commit::End), |line| outputs::commit(line))?,
        sync: singles.get("Sync").map_or(Ok(false), |line| switch(line))?,
        channels: channels.into_iter().map(Arc::new).collect(),
        warnings: Vec::new(),
    })
}

/// The lines of the keys that may be given once.
struct Singles<'a> {
    lines: HashMap<&'a str, Line<'a>>,
    last: usize,
}

impl<'a> Singles<'a> {
    fn collect(lines: &Lines<'a>) -> Result<Singles<'a>, Failure> {
        let mut singles = HashMap::new();
        for line in lines.list.iter().filter(|line| SINGLE.contains(&line.key)) {
            if let Some(first) = singles.insert(line.key, *line) {
                let text = format!("{} is given twice: first in line {}", line.key, first.number);
                return Err(defect(line.number, text));
            }
        }
        Ok(Singles { lines: singles, last: lines.last })
    }

    fn get(&self, key: &str) -> Option<&Line<'a>> {
        self.lines.get(key)
    }

    /// A key that must be there.
    fn need(&self, key: &str, exit: ExitCode) -> Result<&Line<'a>, Failure> {
        self.get(key).ok_or_else(|| failure(exit, self.last, format_args!("the manifest has no {key}")))
    }
}

fn version(singles: &Singles<'_>) -> Result<Version, Failure> {
    let line = singles.need("Version", ExitCode::Manifest)?;
    match line.value {
        "20130611" => Ok(Version::V20130611),
        "20140509" => Ok(Version::V20140509),
        other => {
            let text = format!("unknown version `{}`: 20130611 or 20140509", Shown(other));
            Err(defect(line.number, text))
        }
    }
}

/// Warns of keys without effect, and refuses those that nobody knows: a slip in `Fuel` would run a guest without a limit.
fn check_keys(lines: &Lines<'_>, warnings: &mut Vec<Warning>) -> Result<(), Failure> {
    let known = || SINGLE.iter().chain(&REPEATABLE).copied();
    for line in &lines.list {
        if let Some((key, reason)) = WITHOUT_EFFECT.iter().find(|(key, _)| *key == line.key) {
            let text = format!("{key} has no effect: {reason}");
            warnings.push(Warning { line: line.number, text });
        } else if !known().any(|key| key == line.key) {
            return Err(defect(line.number, unknown_key(line.key, nearest(line.key, known()))));
        }
    }
    Ok(())
}

/// What stands before a `=` is repeated only if it may be a key: a broken line may hold a secret.
fn unknown_key(key: &str, meant: Option<&str>) -> String {
    let word = (1..=32).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match meant {
        Some(meant) if word => {
            format!("unknown key `{key}`: did you mean `{meant}`? (keys are case-sensitive)")
        }
        _ if word => format!("unknown key `{key}` (a comment begins with #)"),
        _ => "the text before `=` is not a key (a comment begins with #)".to_owned(),
    }
}

fn node(singles: &Singles<'_>, version: Version) -> Result<Option<String>, Failure> {
    let Some(line) = singles.get("Node") else { return Ok(None) };
    match version {
        Version::V20130611 => Ok(Some(count(line)?.to_string())),
        Version::V20140509 => Ok(Some(text(line)?)),
    }
}

fn program(singles: &Singles<'_>, version: Version, channels: &[ChannelSpec]) -> Result<String, Failure> {
    if let (None, Version::V20140509) = (singles.get("Program"), version)
        && let Some(boot) = channels.iter().find(|channel| &*channel.alias == BOOT_CHANNEL)
    {
        return match boot.sources.as_slice() {
            [program] => Ok(program.clone()),
            _ => Err(defect(boot.line, format_args!("{BOOT_CHANNEL} needs exactly one source"))),
        };
    }
    let line = singles.need("Program", ExitCode::Missing)?;
    match Descriptor::parse(line.value) {
        Ok(program) => Ok(program.as_written().to_owned()),
        Err(error) => Err(defect(line.number, format_args!("Program: {error}"))),
    }
}

/// The size, and whether channels are to be digested.
fn memory(singles: &Singles<'_>) -> Result<(u64, bool), Failure> {
    let line = singles.need("Memory", ExitCode::Manifest)?;
    let Some((size, tag)) = line.value.split_once(',') else {
        return Err(defect(line.number, "Memory needs a size and a tag: `Memory = 4294967296, 0`"));
    };
    let size = number::parse_size(trim(size)).map_err(|text| of_key(line, text))?;
    let tagged = match number::parse(trim(tag)).map_err(|text| of_key(line, text))? {
        0 => false,
        1 => true,
        tag => return Err(of_key(line, format!("unknown tag {tag}: 0 or 1"))),
    };
    match u64::try_from(size) {
        Ok(bytes) if (1..=MEMORY_MAX).contains(&size) => Ok((bytes, tagged)),
        _ => {
            let text = format!("Memory: {size} is out of range: 1 to {MEMORY_MAX}");
            Err(failure(ExitCode::Memory, line.number, text))
        }
    }
}

fn digest(singles: &Singles<'_>) -> Result<Option<DigestAlgorithm>, Failure> {
    let Some(line) = singles.get("Digest") else { return Ok(None) };
    match DigestAlgorithm::of_name(line.value) {
        Some(algorithm) => Ok(Some(algorithm)),
        None => Err(of_key(line, format!("unknown digest `{}`: sha256 or blake3", Shown(line.value)))),
    }
}

fn timeout(singles: &Singles<'_>) -> Result<Duration, Failure> {
    let seconds = positive(singles.need("Timeout", ExitCode::Manifest)?)?;
    Ok(Duration::from_secs(seconds.min(TIMEOUT_MAX)))
}

/// The time of day at the start.
fn time(line: &Line<'_>) -> Result<u64, Failure> {
    match count(line)? {
        seconds if seconds <= TIME_MAX => Ok(seconds),
        seconds => Err(of_key(line, format!("{seconds} is out of range: 0 to {TIME_MAX}"))),
    }
}

fn env(lines: &Lines<'_>) -> Result<Vec<(String, String)>, Failure> {
    let mut names = HashSet::new();
    let mut env = Vec::new();
    for line in lines.list.iter().filter(|line| line.key == "Env") {
        let Some((name, value)) = line.value.split_once('=').filter(|(name, _)| !trim(name).is_empty())
        else {
            return Err(defect(line.number, "Env needs a name and a value: `Env = NAME=value`"));
        };
        let name = trim(name);
        if !names.insert(name) {
            return Err(of_key(line, format!("{} is given twice", Shown(name))));
        }
        env.push((name.to_owned(), trim(value).to_owned()));
    }
    Ok(env)
}

/// All channels: the standard ones first, the others by alias.
fn channels(
    lines: &Lines<'_>,
    version: Version,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<ChannelSpec>, Failure> {
    let mut channels: Vec<ChannelSpec> = Vec::new();
    let mut aliases = HashMap::new();
    for line in lines.list.iter().filter(|line| line.key == "Channel") {
        if channels.len() == CHANNELS_MAX {
            let text = format!("more than {CHANNELS_MAX} channels");
            return Err(failure(ExitCode::TooManyChannels, line.number, text));
        }
        let spec = channel::parse(line, version, warnings)?;
        if let Some(first) = aliases.insert(spec.alias.clone(), line.number) {
            let text = format!("channel {} is already in line {first}", spec.shown_alias());
            return Err(defect(line.number, text));
        }
        channels.push(spec);
    }
    if let Some(missing) = STANDARD.iter().find(|standard| !aliases.contains_key(**standard)) {
        return Err(defect(
            lines.last,
            format_args!("there is no channel {missing}: every manifest has one"),
        ));
    }
    let rank =
        |alias: &str| STANDARD.iter().position(|standard| *standard == alias).unwrap_or(STANDARD.len());
    channels.sort_by(|a, b| (rank(&a.alias), &a.alias).cmp(&(rank(&b.alias), &b.alias)));
    Ok(channels)
}

/// Splits arguments at white space; double quotes keep it, and `\"` and `\\` are themselves between them.
fn args(line: &Line<'_>) -> Result<Vec<String>, Failure> {
    let mut args = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    let mut characters = line.value.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => args.extend(current.take()),
            '\\' if quoted && matches!(characters.peek(), Some('"' | '\\')) => {
                current.get_or_insert_default().extend(characters.next());
            }
            character => current.get_or_insert_default().push(character),
        }
    }
    if quoted {
        return Err(of_key(line, "a closing quote is missing".into()));
    }
    args.extend(current);
    Ok(args)
}

fn text(line: &Line<'_>) -> Result<String, Failure> {
    match line.value {
        "" => Err(of_key(line, "the value is empty".into())),
        value => Ok(value.to_owned()),
    }
}

fn count(line: &Line<'_>) -> Result<u64, Failure> {
    number::parse_count(line.value).map_err(|text| of_key(line, text))
}

fn scratch(line: &Line<'_>) -> Result<u64, Failure> {
    let size = number::parse_size(line.value).map_err(|text| of_key(line, text))?;
    match u64::try_from(size) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(of_key(line, format!("{size} is too small: at least 1"))),
    }
}

fn positive(line: &Line<'_>) -> Result<u64, Failure> {
    match count(line)? {
        0 => Err(of_key(line, "0 is too small: at least 1".into())),
        count => Ok(count),
    }
}

fn switch(line: &Line<'_>) -> Result<bool, Failure> {
    match line.value {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(of_key(line, format!("`{}` is neither 0 nor 1", Shown(other)))),
    }
}

fn of_key(line: &Line<'_>, text: String) -> Failure {
    defect(line.number, format_args!("{}: {text}", line.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/manifest.md");

    #[test]
    fn the_page_on_manifests_has_each_key_and_no_other() {
        let table = PAGE.split("\n## ").find(|section| section.starts_with("All keys")).unwrap();
        let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
        let mut told: Vec<&str> =
            cells.flat_map(|(keys, _)| keys.trim_end_matches('`').split("`, `")).collect();
        let mut known: Vec<&str> = SINGLE.into_iter().chain(REPEATABLE).collect();
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known);
    }

    #[test]
    fn the_pages_example_is_a_manifest() {
        let example = PAGE.split("```").nth(1).unwrap().replace("${MANIFEST_DIR}", "/srv");
        let manifest = Manifest::parse(example.as_bytes()).unwrap();
        assert_eq!((manifest.memory, manifest.channels.len()), (16 << 20, 3));
        assert_eq!(manifest.warnings, []);
    }
}
