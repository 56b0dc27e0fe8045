//! What there is when a guest starts: its directories, its arguments and environment, its time.

use super::fds::Fd;
use super::mount::{self, Plan};
use super::stop::Stop;
use super::strings::Strings;
use super::tree::{Node, OwnTree, ROOT, Seed, Tree, read_folder};
use crate::channel::{CallError, Channel, Channels, SourceTree};
use crate::exit::{ExitCode, Failure};
use crate::manifest::{Manifest, NVRAM_MAX, Nvram};
use std::sync::OnceLock;
use vfs_core::Shown;

/// The channel that a program is told its arguments by, in ZeroVM.
const NVRAM: &str = "/dev/nvram";

/// How many variables a host has room for from the first one on: a server's request has about as many.
const VARIABLES: usize = 32;
/// And how many bytes.
const VARIABLES_BYTES: usize = 1 << 10;

/// What a host tells a guest beside the manifest's Args and Env: text of any bytes but NUL.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    arguments: Strings,
    /// Each `name=value`.
    environment: Strings,
}

impl Invocation {
    /// Adds an argument after the manifest's.
    pub fn argument(&mut self, text: &[u8]) {
        self.arguments.push(&[text]);
    }

    /// Sets a variable, in the place of the manifest's and of an earlier one of this name, which has no `=`.
    pub fn variable(&mut self, name: &[u8], value: &[u8]) {
        if self.environment.len() == 0 {
            self.environment.reserve(VARIABLES, VARIABLES_BYTES);
        }
        self.environment.push(&[name, b"=", value]);
    }
}

/// The names that each session of one manifest begins with, put together by the first that comes so far.
#[derive(Debug, Default)]
pub(crate) struct Names(OnceLock<OwnTree>);

/// All that is known before the first instruction.
pub(super) struct Prepared {
    pub(super) tree: OwnTree,
    /// Directories that are open, after the root.
    pub(super) preopened: Vec<Fd>,
    /// `argv`.
    pub(super) arguments: Strings,
    /// Each `name=value`.
    pub(super) environment: Strings,
    /// The time of day, in seconds since 1970.
    pub(super) time: u64,
    /// What is worth telling.
    pub(super) notes: Vec<String>,
}

/// Reads nvram and mounts what is to be mounted. Where manifest and nvram say different things, the manifest is right.
///
/// # Errors
/// [`ExitCode::Manifest`]: what they say cannot be done; a failure of a channel; that `stop` was thrown.
pub(super) fn prepare(
    manifest: &Manifest,
    invocation: &Invocation,
    names: &Names,
    channels: &mut Channels,
    stop: &Stop,
) -> Result<Prepared, Failure> {
    let nvram = nvram(channels)?;
    let time = manifest.time.or(nvram.seconds).unwrap_or(0);
    let new = || OwnTree::new(Tree::new(channels.iter().map(Channel::alias), manifest.scratch));
    let mut tree = names.0.get_or_init(new).clone();
    for (number, path) in channels.trees().map(SourceTree::path).enumerate() {
        let written = channels.exports().find(|export| export.tree() == Some(number));
        let area = written.map_or(Ok(()), |export| {
            tree.show_area(export.path(), export.limits(), export.counters()).map(drop)
        });
        area.and_then(|()| tree.show_tree(path, number, written.is_some())).map_err(|_| {
            let text =
                format!("tree {}: a channel has its name, or that of a directory above it", Shown(path));
            Failure::new(ExitCode::Manifest, text)
        })?;
    }
    for export in channels.exports().filter(|export| export.tree().is_none()) {
        tree.show_area(export.path(), export.limits(), export.counters()).map_err(|_| {
            let path = Shown(export.path());
            let text = format!("export {path}: a channel has its name, or that of a directory above it");
            Failure::new(ExitCode::Manifest, text)
        })?;
    }
    let (mut notes, mut limits) = (Vec::new(), mount::MountLimits::new(stop));
    let by_manifest = manifest.mounts.iter().map(|mount| (&mount.channel, &mount.path, mount.writable));
    let by_nvram = nvram.fstab.iter().map(|mount| (&mount.channel, &mount.mountpoint, mount.writable));
    let now = time.saturating_mul(1_000_000_000);
    for (channel, path, writable) in by_manifest.chain(by_nvram) {
        if writable && manifest.scratch.is_none() {
            let text = format!("mount {}: access=rw needs Scratch in the manifest", Shown(channel));
            return Err(Failure::new(ExitCode::Manifest, text));
        }
        let plan = Plan { channel, path, writable };
        notes.append(&mut mount::mount(plan, channels, &mut tree, &mut limits, now)?);
    }
    let preopened = manifest.preopens.iter().map(|preopen| {
        let directory = directory(&mut tree, channels, &preopen.path, now)?.ok_or_else(|| {
            let text =
                format!("MANIFEST {}: Preopen: {} is not a directory", preopen.line, Shown(&preopen.path));
            Failure::new(ExitCode::Manifest, text)
        })?;
        tree.open(Node::Directory(directory));
        Ok(Fd::preopened(directory, &preopen.name))
    });
    let preopened = preopened.collect::<Result<_, Failure>>()?;
    let mut arguments = match &nvram.args {
        Some(args) if manifest.args.is_empty() && !args.is_empty() => list(args.iter().map(String::as_str)),
        _ => arguments(manifest),
    };
    invocation.arguments.iter().for_each(|argument| arguments.push(&[argument]));
    let environment = environment(manifest, &nvram, invocation);
    Ok(Prepared { tree, preopened, arguments, environment, time, notes })
}

/// A directory that is to be open: one that is there, or is made where the guest may make some.
fn directory(
    tree: &mut Tree,
    channels: &mut Channels,
    path: &str,
    now: u64,
) -> Result<Option<usize>, Failure> {
    let mut at = ROOT;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        match read_folder(tree, channels, at) {
            Err(CallError::Failed(failure)) => return Err(failure),
            Err(CallError::Refused(_)) => return Ok(None),
            Ok(_) => {}
        }
        let made = match tree.has_scratch() {
            true => tree.seed(at, name, Seed::Directory, now),
            false => tree.fixed_directory(at, name, false).map(Node::Directory),
        };
        let Ok(Node::Directory(next)) = made else { return Ok(None) };
        at = next;
    }
    Ok(Some(at))
}

/// What the channel `/dev/nvram` says, if there is one to read.
fn nvram(channels: &mut Channels) -> Result<Nvram, Failure> {
    let Some(channel) = channels.handle_of(NVRAM).and_then(|handle| channels.by_handle(handle)) else {
        return Ok(Nvram::default());
    };
    if !channel.readable() {
        return Ok(Nvram::default());
    }
    let failed = |text: &dyn std::fmt::Display| Failure::new(ExitCode::Manifest, format!("{NVRAM}: {text}"));
    let mut text = vec![0; NVRAM_MAX + 1];
    let mut used = 0;
    while used < text.len() {
        match channel.read_at(&mut text[used..], used as i64) {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(CallError::Failed(failure)) => return Err(failure),
            Err(CallError::Refused(code)) => return Err(failed(&code.text())),
        }
    }
    Nvram::parse(&text[..used]).map_err(|error| failed(&error))
}

fn arguments(manifest: &Manifest) -> Strings {
    let name = program_name(&manifest.program);
    list(std::iter::once(name).chain(manifest.args.iter().map(String::as_str)))
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Strings {
    let mut list = Strings::default();
    texts.for_each(|text| list.push(&[text.as_bytes()]));
    list
}

/// The manifest's, what nvram adds to them, and the host's; of one name the host's last, else the manifest's.
fn environment(manifest: &Manifest, nvram: &Nvram, invocation: &Invocation) -> Strings {
    // A name ends at the first `=`.
    let name_of = |text: &'_ [u8]| text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let mut host: Vec<(&[u8], &[u8])> =
        invocation.environment.iter().map(|text| (&text[..name_of(text)], text)).collect();
    // By name; of those with one name the last one, which the sort leaves behind the others.
    host.sort_by_key(|(name, _)| *name);
    let is_last = |at: &usize| host.get(at + 1).is_none_or(|(next, _)| *next != host[*at].0);
    let is_hosts = |name: &[u8]| host.binary_search_by_key(&name, |(known, _)| known).is_ok();
    let of_manifest = |name: &str| manifest.env.iter().any(|(known, _)| known == name);
    let more = nvram.env.iter().filter(|(name, _)| !of_manifest(name));
    let known = manifest.env.iter().chain(more).filter(|(name, _)| !is_hosts(name.as_bytes()));
    let mut environment = Strings::default();
    environment.reserve(host.len(), invocation.environment.bytes().len());
    known.for_each(|(name, value)| environment.push(&[name.as_bytes(), b"=", value.as_bytes()]));
    (0..host.len()).filter(is_last).for_each(|at| environment.push(&[host[at].1]));
    environment
}

/// `argv[0]`: the last part of the program's path. Not the whole descriptor, which may hold what the guest should not know.
fn program_name(descriptor: &str) -> &str {
    let path = descriptor.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit(['/', ':']).next() {
        None | Some("") => "program",
        Some(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_name_tells_nothing_of_its_place() {
        for (descriptor, name) in [
            ("/srv/jobs/wordcount.wasm", "wordcount.wasm"),
            ("file:/srv/sort.wat", "sort.wat"),
            ("mem:prog", "prog"),
            ("https://user:key@host/a/b.wasm?signature=x/y#z", "b.wasm"),
            ("https://host/", "program"),
        ] {
            assert_eq!(program_name(descriptor), name);
        }
    }
}
