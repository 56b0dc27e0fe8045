//! Trees: folders of providers, as they are read. Names are fetched folder by folder, when the guest looks; a file is opened when the guest opens it.
//!
//! All files of a tree share one set of counters, so its quotas are sums. What is listed is untrusted: names are bounded in length and
//! number, sorted, and shown only if the listing says that they are files or folders.

use super::counters::{Counters, Operation};
use super::digest::Digest;
use super::sources::{Source, Sources, failed_exit};
use super::{CallError, Channel, Quota};
use crate::exit::{ExitCode, Failure};
use crate::manifest::{ChannelSpec, DigestAlgorithm, TreeSpec};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use vfs_core::{
    Capabilities, Code, Control, Descriptor, Error, Kind, OpenFlags, OpenOptions, Registry, Shown, Stat,
    below,
};

/// The longest name that a guest can open, in bytes.
const NAME_MAX: usize = 255;
/// The most notes about one tree.
const NOTES_MAX: usize = 8;

/// A folder of a provider, of a running session.
#[derive(Debug)]
pub(crate) struct SourceTree {
    pub(super) spec: TreeSpec,
    /// The root's descriptor, secrets hidden.
    pub(super) shown: String,
    /// `None`: closed.
    registry: Option<Registry>,
    options: OpenOptions,
    control: Control,
    pub(super) counters: Arc<Counters>,
    digest: Option<Digest>,
    /// By number: the root is 0.
    folders: Vec<Place>,
    files: Vec<TreeFile>,
    /// The root's names until the guest asks for them.
    first: Option<Vec<Listed>>,
    notes: Vec<String>,
}

/// Where something is.
#[derive(Clone, Debug)]
struct Place {
    descriptor: String,
    /// As the guest names it.
    path: String,
}

#[derive(Debug)]
struct TreeFile {
    place: Place,
    /// What the listing said, and must still hold when it is opened.
    known: Known,
    /// While it is open.
    channel: Option<Channel>,
    opens: usize,
}

impl TreeFile {
    /// Whether it still is what was listed.
    fn check(&self, now: &Stat) -> Result<(), Error> {
        if self.known.is(now) { Ok(()) } else { Err(Error::new(Code::ESTALE, "it is not what was listed")) }
    }
}

/// One name of a folder.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) kind: ListedKind,
    /// The same in each run: made of the tree's path and the name's.
    pub(crate) inode: u64,
}

/// What a name stands for, by its number in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListedKind {
    Folder(usize),
    File { number: usize, size: u64 },
}

/// What must not have changed of a file that is replaced or removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    size: Option<u64>,
    version: String,
    modified: Option<SystemTime>,
}

impl Known {
    fn of(stat: &Stat) -> Known {
        Known { size: stat.size, version: stat.version.clone(), modified: stat.modified }
    }

    /// Adds what was not known of it yet.
    fn learn(&mut self, stat: Stat) {
        self.size = self.size.or(stat.size);
        self.modified = self.modified.or(stat.modified);
        if self.version.is_empty() {
            self.version = stat.version;
        }
    }

    /// Whether a file is still what it was, as far as both say. A version tag says more than a time, which a store may tell in other
    /// ways in its listing.
    pub(super) fn is(&self, now: &Stat) -> bool {
        let resized = self.size.zip(now.size).is_some_and(|(then, now)| then != now);
        let differs = match !self.version.is_empty() && !now.version.is_empty() {
            true => self.version != now.version,
            false => self.modified.zip(now.modified).is_some_and(|(then, now)| seconds(then) != seconds(now)),
        };
        now.kind != Kind::Directory && !resized && !differs
    }
}

/// Whole seconds since 1970, and how far before: one call of a provider may tell more of a time than another.
fn seconds(time: SystemTime) -> (u64, u64) {
    let after = time.duration_since(UNIX_EPOCH).map_or(0, |after| after.as_secs());
    (after, UNIX_EPOCH.duration_since(time).map_or(0, |before| before.as_secs()))
}

/// An entry as its provider told it.
struct Entry {
    name: String,
    is_folder: bool,
    known: Known,
}

impl SourceTree {
    /// Lists the root, so that a folder that is not there fails before the guest starts. `options` say who opens, `control` ends
    /// all.
    ///
    /// # Errors
    /// As a channel that cannot be opened.
    pub(super) fn open(
        spec: &TreeSpec,
        registry: &Registry,
        options: OpenOptions,
        control: &Control,
        digest: Option<DigestAlgorithm>,
    ) -> Result<SourceTree, Failure> {
        let shown = Descriptor::parse(&spec.source).map_or_else(|_| String::new(), |it| it.to_string());
        let path = spec.path.trim_end_matches('/').to_owned();
        let mut tree = SourceTree {
            spec: spec.clone(),
            shown,
            registry: Some(registry.clone()),
            options,
            control: control.clone(),
            counters: Arc::default(),
            digest: digest.map(Digest::new),
            folders: vec![Place { descriptor: spec.source.clone(), path }],
            files: Vec::new(),
            first: None,
            notes: Vec::new(),
        };
        let names = tree.names(0).map_err(|error| tree.failure(&error, true))?;
        tree.first = Some(names);
        Ok(tree)
    }

    /// Where the guest finds it.
    pub(crate) fn path(&self) -> &str {
        &self.spec.path
    }

    /// Of all bytes that the guest read of its files, in order.
    pub(super) fn digest(&self) -> Option<String> {
        self.digest.as_ref().map(Digest::hex)
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// Closes all files, and lets the registry go.
    pub(super) fn close(&mut self) {
        self.counters.begin(Operation::Close);
        self.files.clear();
        self.counters.done();
        self.registry = None;
    }

    /// What is in a folder, sorted. One get, but for the root.
    ///
    /// # Errors
    /// [`CallError::Refused`]: EDQUOT, or what the guest may see of its folder. [`CallError::Failed`]: the listing broke, or there
    /// are too many names.
    pub(crate) fn list(&mut self, folder: usize) -> Result<Vec<Listed>, CallError> {
        if folder == 0
            && let Some(names) = self.first.take()
        {
            return Ok(names);
        }
        self.count_get()?;
        self.names(folder).map_err(|error| self.refused(error))
    }

    /// Opens a file, or counts one more descriptor on it. Returns its size. The first one is one get. What is open and has changed since is
    /// opened no more; who has it open reads on.
    ///
    /// # Errors
    /// [`CallError::Refused`]: EDQUOT; ESTALE: it is not what was listed; ENOTSUP: no positions; what the guest may see of it.
    /// [`CallError::Failed`].
    pub(crate) fn open_file(&mut self, file: usize) -> Result<u64, CallError> {
        let is_open = self.file(file)?.channel.is_some();
        if !is_open {
            self.count_get()?;
        }
        self.counters.begin(Operation::Open);
        let opened = if is_open { self.check_open(file).map(|()| None) } else { self.opened(file).map(Some) };
        self.counters.done();
        if let Some(channel) = opened.map_err(|error| self.refused(error))? {
            self.file(file)?.channel = Some(channel);
        }
        let file = self.file(file)?;
        file.opens += 1;
        file.channel.as_mut().ok_or(Code::EBADF)?.size()
    }

    /// Counts a descriptor that was closed; the last one closes the file.
    pub(crate) fn close_file(&mut self, file: usize) {
        let Ok(file) = self.file(file) else { return };
        file.opens = file.opens.saturating_sub(1);
        if file.opens == 0
            && let Some(mut channel) = file.channel.take()
        {
            channel.close();
        }
    }

    /// Closes a file, whoever has it open: the guest has one of its own under its name.
    pub(crate) fn release_file(&mut self, file: usize) {
        let Ok(file) = self.file(file) else { return };
        file.opens = 0;
        if let Some(mut channel) = file.channel.take() {
            channel.close();
        }
    }

    /// What a file was when it was listed or opened first.
    pub(super) fn known(&self, file: usize) -> Known {
        self.files.get(file).map_or_else(Known::default, |file| file.known.clone())
    }

    /// Reads an open file, as [`Channel::read_at`].
    ///
    /// # Errors
    /// As that; EBADF: it is not open.
    pub(crate) fn read_at(&mut self, file: usize, buf: &mut [u8], offset: i64) -> Result<usize, CallError> {
        let channel = self.file(file)?.channel.as_mut().ok_or(Code::EBADF)?;
        let count = channel.read_at(buf, offset)?;
        if let Some(digest) = &mut self.digest {
            digest.update(&buf[..count]);
        }
        Ok(count)
    }

    fn file(&mut self, file: usize) -> Result<&mut TreeFile, Code> {
        self.files.get_mut(file).ok_or(Code::EBADF)
    }

    fn count_get(&self) -> Result<(), CallError> {
        if self.counters.counts().gets >= self.spec.limits.gets {
            self.counters.note_exhausted(Quota::Gets);
            return Err(Code::EDQUOT.into());
        }
        self.counters.count_get();
        Ok(())
    }

    fn names(&mut self, folder: usize) -> Result<Vec<Listed>, Error> {
        let place = self.folders.get(folder).ok_or(Code::EBADF)?.clone();
        self.counters.begin(Operation::List);
        let entries = self.entries(&place);
        self.counters.done();
        let mut names = Vec::new();
        for entry in entries? {
            let path = format!("{}/{}", place.path, entry.name);
            let inode = self.inode(&path);
            let at = Place { descriptor: below(&place.descriptor, entry.name.as_bytes())?, path };
            let kind = if entry.is_folder {
                self.folders.push(at);
                ListedKind::Folder(self.folders.len() - 1)
            } else {
                let (size, known) = (entry.known.size, entry.known);
                self.files.push(TreeFile { place: at, known, channel: None, opens: 0 });
                ListedKind::File { number: self.files.len() - 1, size: size.unwrap_or(0) }
            };
            names.push(Listed { name: entry.name, kind, inode });
        }
        Ok(names)
    }

    /// What a folder holds, as a whole, sorted by bytes; one entry for each name.
    fn entries(&mut self, place: &Place) -> Result<Vec<Entry>, Error> {
        let registry = self.registry.as_ref().ok_or(Code::EBADF)?;
        let known = self.files.len() + self.folders.len() - 1;
        let room = usize::try_from(self.spec.entries).unwrap_or(usize::MAX).saturating_sub(known);
        let (mut entries, mut told, mut left_out): (Vec<Entry>, usize, u64) = (Vec::new(), 0, 0);
        let options = self.options.clone().with_flags(OpenFlags::empty());
        registry.names(&place.descriptor, &options, &mut |name| {
            told += 1;
            if told > room {
                return ControlFlow::Break(());
            }
            let stat = name.itself().filter(|stat| matches!(stat.kind, Kind::Regular | Kind::Directory));
            match (name.entry(), stat) {
                (Some(entry), Some(stat)) if is_shown(entry.name) => entries.push(Entry {
                    name: entry.name.to_owned(),
                    is_folder: stat.kind == Kind::Directory,
                    known: Known::of(stat),
                }),
                _ => left_out += 1,
            }
            ControlFlow::Continue(())
        })?;
        if told > room {
            let text = format!(
                "list {}: the tree has more than {} names: give it more entries, or a smaller folder",
                Shown(&place.path),
                self.spec.entries
            );
            return Err(Error::new(Code::EOVERFLOW, text));
        }
        // Of one name a folder counts: what is below it could not be reached otherwise.
        let order = |entry: &Entry| (!entry.is_folder, entry.known.size, entry.known.version.clone());
        entries.sort_by(|one, other| one.name.cmp(&other.name).then_with(|| order(one).cmp(&order(other))));
        let before = entries.len();
        entries.dedup_by(|later, first| later.name == first.name);
        left_out += (before - entries.len()) as u64;
        if left_out > 0 && self.notes.len() < NOTES_MAX {
            let place = if place.path.is_empty() { "/" } else { &place.path };
            self.notes.push(format!(
                "tree {}: left out of {}: {left_out} (links, what is no file, names of over {NAME_MAX} bytes, not UTF-8, or there \
                 twice)",
                Shown(&self.spec.path),
                Shown(place)
            ));
        }
        Ok(entries)
    }

    fn opened(&mut self, file: usize) -> Result<Channel, Error> {
        let registry = self.registry.as_ref().ok_or(Code::EBADF)?;
        let known = self.files.get_mut(file).ok_or(Code::EBADF)?;
        let options = self.options.clone().with_flags(OpenFlags::READ | OpenFlags::RANDOM);
        let mut opened = registry.open(&known.place.descriptor, &options)?;
        let mut kind = Kind::Unknown;
        if opened.capabilities().contains(Capabilities::STAT) {
            let stat = opened.stat()?;
            kind = stat.kind;
            known.check(&stat)?;
            // What is opened again must be what was read before.
            known.known.learn(stat);
        }
        let source = Source::new(opened, kind, None);
        if !source.can(Capabilities::POSITIONAL_READ) && !source.can(Capabilities::SEEKABLE) {
            return Err(Error::new(Code::ENOTSUP, "it has no positions"));
        }
        Ok(Channel {
            spec: Arc::new(ChannelSpec {
                line: self.spec.line,
                sources: vec![known.place.descriptor.clone()],
                alias: known.place.path.as_str().into(),
                random_get: true,
                random_put: false,
                limits: self.spec.limits,
                interactive: false,
                keep_partial: false,
            }),
            sources: Sources::new(vec![source]),
            ahead: None,
            terminal: false,
            counters: self.counters.clone(),
            random_read: true,
            random_write: false,
            more_behind_quota: false,
            writing_ended: false,
            digest: None,
            failure: None,
            cut: None,
            notes: Vec::new(),
        })
    }

    /// Whether an open file is what it was when it was opened: a provider may show what others have written to it since.
    fn check_open(&mut self, file: usize) -> Result<(), Error> {
        let known = self.file(file)?;
        let channel = known.channel.as_mut().ok_or(Code::EBADF)?;
        let source = channel.sources.iter_mut().find(|source| source.can(Capabilities::STAT));
        let stat = source.map(|source| source.file.stat()).transpose()?;
        stat.map_or(Ok(()), |stat| known.check(&stat))
    }

    /// What the guest may see of a failure; any other ends the session, for it could take a part for the whole.
    fn refused(&self, error: Error) -> CallError {
        match error.code() {
            _ if error.refusal().is_some() => {}
            code @ (Code::ENOENT
            | Code::EACCES
            | Code::EPERM
            | Code::ENOTDIR
            | Code::EISDIR
            | Code::ELOOP
            | Code::ENOTSUP
            | Code::ESTALE) => return CallError::Refused(code),
            _ => {}
        }
        CallError::Failed(self.failure(&error, false))
    }

    fn failure(&self, error: &Error, before_start: bool) -> Failure {
        let exit = match failed_exit(error, self.control.is_cancelled()) {
            exit @ (ExitCode::Stopped | ExitCode::TooManyChannels) => exit,
            exit if before_start => exit,
            _ => ExitCode::Io,
        };
        let place = match self.spec.line {
            line if before_start && line > 0 => format!("MANIFEST {line}: "),
            _ => String::new(),
        };
        Failure::new(exit, format!("{place}tree {}: {}", Shown(&self.spec.path), error.chain()))
            .of(error.code())
    }

    /// Above all numbers that a guest's own inodes have.
    fn inode(&self, path: &str) -> u64 {
        let mut hash = blake3::Hasher::new();
        hash.update(&(self.spec.path.len() as u64).to_le_bytes());
        hash.update(self.spec.path.as_bytes()).update(path.as_bytes());
        let bytes = hash.finalize();
        let number = bytes.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        number >> 2 | 1 << 63
    }
}

/// Whether a guest can open a name. Of static providers nobody has looked at it before.
fn is_shown(name: &str) -> bool {
    !(name.is_empty() || name.len() > NAME_MAX || name == "." || name == ".." || name.contains(['/', '\0']))
}
