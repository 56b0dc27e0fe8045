//! Mounts tar archives: finds what they hold, and puts it into the tree.
//!
//! Only the list of members is kept where the channel has positions; reads of a member are then reads of the channel, within
//! its quotas. An archive from a sequential channel is loaded, within a limit. Archives are hostile: nothing leads out of
//! the mount, no size is believed, and what is kept is bounded.

mod archive;
mod member;

use super::errno::Errno;
use super::stop::Stop;
use super::tree::{Node, Seed, Tree};
use crate::channel::Channels;
use crate::exit::{ExitCode, Failure};
use archive::Archive;
use member::{Member, MemberKind};
use vfs_core::Shown;

/// The most that all mounts of a session may add to its tree: names, those of directories and hard links too.
const NODES_MAX: usize = 100_000;
/// The longest name of a directory or file in an archive, in bytes.
const NAME_MAX: usize = 255;
/// How much of a member is copied at once.
const CHUNK: u64 = 64 << 10;
/// The most bytes of all archives of a session that have to be loaded.
const LOADED_MAX: usize = 256 << 20;
/// The most notes about one archive.
const NOTES_MAX: usize = 8;

/// A tree to mount, by the manifest or by nvram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    /// The channel's alias.
    pub(super) channel: &'a str,
    /// An absolute path.
    pub(super) path: &'a str,
    /// Copied into the scratch space.
    pub(super) writable: bool,
}

/// What all mounts of a session share.
#[derive(Debug)]
pub(super) struct MountLimits<'a> {
    stop: &'a Stop,
    /// How many bytes may still be loaded.
    loadable: usize,
}

impl<'a> MountLimits<'a> {
    /// Before the first mount. `stop` ends them all.
    pub(super) fn new(stop: &'a Stop) -> MountLimits<'a> {
        MountLimits { stop, loadable: LOADED_MAX }
    }

    /// # Errors
    /// The session was stopped.
    fn go_on(&self) -> Result<(), Failure> {
        self.stop.failure().map_or(Ok(()), Err)
    }
}

/// Mounts one archive. Returns what is worth telling.
///
/// # Errors
/// [`ExitCode::Manifest`], with the archive's and the member's name: no such channel, no tar archive, a member that leads out
/// of the tree, or more than a session may keep. A failure of the channel is that.
pub(super) fn mount(
    plan: Plan<'_>,
    channels: &mut Channels,
    tree: &mut Tree,
    limits: &mut MountLimits<'_>,
    now: u64,
) -> Result<Vec<String>, Failure> {
    let failed = |text: String| {
        let text = format!("mount {} at {}: {text}", Shown(plan.channel), Shown(plan.path));
        Failure::new(ExitCode::Manifest, text)
    };
    let number = channels.handle_of(plan.channel).ok_or_else(|| failed("there is no such channel".into()))?;
    let channel = channels.by_handle(number).ok_or_else(|| failed("there is no such channel".into()))?;
    let mut archive = Archive::open(channel, number, limits).map_err(|problem| problem.failure(failed))?;
    let writable = plan.writable && tree.has_scratch();
    let mut mounter = Mounter { tree, stop: limits.stop, base: 0, writable, notes: Vec::new(), now };
    mounter.base = mounter.directory(0, plan.path.trim_start_matches('/')).map_err(&failed)?;
    let limits = &*limits;
    while let Some(member) = member::next(&mut archive).map_err(|problem| problem.failure(failed))? {
        limits.go_on()?;
        let shown = Shown(&member.path).to_string();
        mounter.add(&mut archive, member).map_err(|problem| match problem {
            Trouble::Text(text) => failed(format!("member {shown}: {text}")),
            Trouble::Archive(problem) => problem.failure(failed),
        })?;
    }
    Ok(mounter.notes.into_iter().map(|note| format!("mount {}: {note}", Shown(plan.channel))).collect())
}

/// Why a member cannot be mounted.
enum Trouble {
    Text(String),
    Archive(archive::Problem),
}

impl From<String> for Trouble {
    fn from(text: String) -> Trouble {
        Trouble::Text(text)
    }
}

struct Mounter<'a> {
    tree: &'a mut Tree,
    stop: &'a Stop,
    base: usize,
    writable: bool,
    notes: Vec<String>,
    now: u64,
}

impl Mounter<'_> {
    fn add(&mut self, archive: &mut Archive<'_>, member: Member) -> Result<(), Trouble> {
        let path = inner(&member.path)?;
        if self.tree.made() > NODES_MAX {
            return Err(format!("there are more than {NODES_MAX} names").into());
        }
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if let MemberKind::Directory = member.kind {
            self.directory(self.base, &path)?;
            return Ok(());
        }
        if name.is_empty() {
            return Err("a file without a name".to_owned().into());
        }
        let (parents, name) = (parents.to_owned(), name.to_owned());
        let parent = self.directory(self.base, &parents)?;
        match member.kind {
            MemberKind::Directory => {}
            MemberKind::File { offset, size } => {
                self.file(archive, parent, &name, (offset, size), member.modified)?
            }
            MemberKind::Link(target) => {
                if self.writable {
                    self.seed(parent, &name, Seed::Link(target))?;
                } else {
                    let node = self.tree.fixed_link(target);
                    self.put(parent, &name, node);
                }
            }
            MemberKind::Name(old) => {
                let old = inner(&old)?;
                // Of this archive, not of one below it: what can be written and what can't don't share a file.
                let is_its = |node: &Node| {
                    matches!(node, Node::File(_) | Node::Link(_)) && self.tree.is_own(*node) == self.writable
                };
                let node = self.tree.find(self.base, &old).filter(is_its).ok_or_else(|| gone(&old))?;
                if self.writable {
                    self.seed(parent, &name, Seed::Name(node))?;
                } else {
                    self.put(parent, &name, node);
                }
            }
            MemberKind::Other(what) => self.note(format!("{} is left out: {what}", Shown(&member.path))),
        }
        Ok(())
    }

    fn file(
        &mut self,
        archive: &mut Archive<'_>,
        parent: usize,
        name: &str,
        (offset, size): (u64, u64),
        modified: u64,
    ) -> Result<(), Trouble> {
        if !self.writable {
            let node = self.tree.fixed_file(archive.content(offset, size), modified);
            self.put(parent, name, node);
            return Ok(());
        }
        let Some(Node::File(file)) = self.seed(parent, name, Seed::File)? else { return Ok(()) };
        let mut done = 0;
        while done < size {
            if let Some(failure) = self.stop.failure() {
                return Err(Trouble::Archive(archive::Problem::Failed(failure)));
            }
            let data = archive.read(offset + done, CHUNK.min(size - done)).map_err(Trouble::Archive)?;
            if data.is_empty() {
                return Err("the archive ends within it".to_owned().into());
            }
            let count = self.tree.write(file, data, done, self.now).map_err(full)?;
            done += count as u64;
        }
        Ok(())
    }

    fn directory(&mut self, base: usize, path: &str) -> Result<usize, String> {
        if !self.writable {
            return self.tree.fixed_directory(base, path, true).map_err(|_| occupied());
        }
        let mut at = base;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.tree.seed(at, name, Seed::Directory, self.now) {
                Ok(Node::Directory(next)) => at = next,
                Ok(_) | Err(Errno::EXIST) => return Err(occupied()),
                Err(errno) => return Err(full(errno)),
            }
        }
        Ok(at)
    }

    /// `None`: a channel has the name, and keeps it.
    fn seed(&mut self, parent: usize, name: &str, seed: Seed) -> Result<Option<Node>, String> {
        match self.tree.seed(parent, name, seed, self.now) {
            Ok(node) => Ok(Some(node)),
            Err(Errno::EXIST) => {
                self.hidden(name);
                Ok(None)
            }
            Err(errno) => Err(full(errno)),
        }
    }

    fn put(&mut self, parent: usize, name: &str, node: Node) {
        if self.tree.fixed_node(parent, name, node).is_err() {
            self.hidden(name);
        }
    }

    fn hidden(&mut self, name: &str) {
        self.note(format!("{} is left out: a channel or directory has its name", Shown(name)));
    }

    fn note(&mut self, text: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(text);
        }
    }
}

/// A member's path below the mount, without what says nothing.
fn inner(path: &str) -> Result<String, String> {
    if path.starts_with('/') {
        return Err("an absolute path".into());
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.iter().find(|part| **part == ".." || part.len() > NAME_MAX) {
        Some(part) if *part == ".." => Err("it leads out of the tree".into()),
        Some(_) => Err(format!("a name of more than {NAME_MAX} bytes")),
        None => Ok(parts.join("/")),
    }
}

fn gone(old: &str) -> String {
    format!("a link to {}, which is not a file before it", Shown(old))
}

fn occupied() -> String {
    "something else has the name of its directory".into()
}

fn full(errno: Errno) -> String {
    match errno {
        Errno::NOSPC => "the scratch space is too small for it".into(),
        Errno::DQUOT => "the quotas of the Export are too small for it".into(),
        Errno::NOTSUP => "it lies in a writable Tree, which the archive cannot be copied into".into(),
        Errno::PERM => "a link, which no Export can hold".into(),
        _ => "its directory cannot be written".into(),
    }
}

#[cfg(test)]
mod tests;
