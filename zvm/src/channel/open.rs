//! Opens a manifest's channels: which flags, and what a source must be.

use super::channels::Meter;
use super::digest::Digest;
use super::outputs::Output;
use super::sources::{Source, Sources, failed_exit, is_local};
use super::{Channel, Channels, Counters, Export, HostFiles, RunOptions, SourceTree};
use crate::exit::Failure;
use crate::manifest::{ChannelSpec, ExportSpec, Manifest, TreeSpec};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use vfs_core::{
    Capabilities, Code, Control, Descriptor, Error, Kind, OpenFile, OpenFlags, OpenOptions, Placement,
    Registry, Shown, same_file,
};

/// Why what the host gives is written in place.
static GIVEN: LazyLock<Arc<str>> = LazyLock::new(|| "the host gives it".into());

/// The alias of a guest's messages.
const STANDARD_ERROR: &str = "/dev/stderr";

impl Channels {
    /// Opens all channels of a manifest in the order of their handles, those that are written last, and empties what is
    /// written in place once all are open. What was opened before a failure is closed, and writers among it leave no trace
    /// where their provider can do that.
    ///
    /// # Errors
    /// Of [`ExitCode`](crate::ExitCode): `Manifest`: a source cannot be opened as the manifest says. `SourceKind`: a directory, a
    /// socket, a block device. `TooManyChannels`: the system has no descriptors left. `Stopped`: cancelled. `Io`: an input/output
    /// error, a provider that misbehaved.
    ///
    /// # Blocking
    /// As the providers' opens do, until `control` ends them.
    pub fn open(
        manifest: &Manifest,
        registry: &Registry,
        options: &RunOptions,
        control: &Control,
    ) -> Result<Channels, Failure> {
        let mut channels =
            Channels::open_with(manifest, registry, options, control, &mut HostFiles::default(), &|_| {})?;
        channels.begin()?;
        Ok(channels)
    }

    /// As [`open`](Channels::open), with what the host gives in the place of some sources. Touches no target: that is
    /// [`begin`](Channels::begin)'s. Says to `doing` what it opens next.
    pub(crate) fn open_with(
        manifest: &Manifest,
        registry: &Registry,
        options: &RunOptions,
        control: &Control,
        host_files: &mut HostFiles,
        doing: &dyn Fn(String),
    ) -> Result<Channels, Failure> {
        host_files.check(manifest)?;
        let own = OpenOptions::default().control(control);
        let opener = Opener { manifest, registry, options, control, own, doing, run: OnceCell::new() };
        let trees = manifest.trees.iter().map(|spec| opener.tree(spec));
        let trees = trees.collect::<Result<Vec<_>, _>>()?;
        let written = trees.iter().enumerate().filter(|(_, tree)| tree.spec.limits.writable());
        let written = written.map(|(number, tree)| opener.written_tree(number, tree));
        let exports = written.chain(manifest.exports.iter().map(|spec| opener.export(spec)));
        let exports = exports.collect::<Result<Vec<_>, _>>()?;
        let mut opened: Vec<Opened> = Vec::with_capacity(manifest.channels.len());
        for written in [false, true] {
            for (handle, spec) in manifest.channels.iter().enumerate() {
                if spec.limits.writable() == written {
                    let given = host_files.has(&spec.alias);
                    opened.push((handle, given, opener.channel(spec, host_files)?));
                }
            }
        }
        opened.sort_unstable_by_key(|(handle, ..)| *handle);
        refuse_to_empty_a_source(&mut opened)?;
        let meters = opened.iter().map(|(_, given, channel)| meter(channel, *given, registry));
        let meters = meters.chain(trees.iter().enumerate().map(|(number, tree)| {
            let written = exports.iter().find(|export| export.tree() == Some(number));
            tree_meter(tree, written, registry)
        }));
        let exported = exports.iter().filter(|export| export.tree().is_none());
        let meters = meters.chain(exported.map(|export| export_meter(export, registry))).collect();
        let list = opened.into_iter().map(|(.., channel)| channel).collect();
        Ok(Channels { list, trees, exports, meters })
    }
}

impl Channels {
    /// Finds a provider for each source of the channels, but for those that the host gives, of the trees and the exports. Opens nothing.
    ///
    /// # Errors
    /// As [`open`](Channels::open), where there is none.
    pub(crate) fn find_providers(
        manifest: &Manifest,
        registry: &Registry,
        control: &Control,
        given: &dyn Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        let options = OpenOptions::default().control(control);
        for spec in manifest.channels.iter().filter(|spec| !given(&spec.alias)) {
            for source in &spec.sources {
                let known = registry.supported_flags(source, &options);
                known.map_err(|error| failed(spec, &error, control.is_cancelled()))?;
            }
        }
        let trees = manifest.trees.iter().map(|spec| ("tree", spec.line, &spec.path, &spec.source));
        let exports = manifest.exports.iter().map(|spec| ("export", spec.line, &spec.path, &spec.target));
        for (kind, line, path, source) in trees.chain(exports) {
            let known = registry.supported_flags(source, &options);
            known.map_err(|error| {
                let what = format!("{kind} {}", Shown(path));
                not_opened(line, &what, &error, control.is_cancelled())
            })?;
        }
        Ok(())
    }
}

impl Channels {
    /// Looks for what [`open_with`](Channels::open_with) would refuse, as far as that can be known without opening a channel: before a
    /// program is compiled that takes minutes. Says to `doing` what it looks at next.
    ///
    /// # Errors
    /// As [`open`](Channels::open).
    pub(crate) fn check_before(
        manifest: &Manifest,
        registry: &Registry,
        options: &RunOptions,
        control: &Control,
        host_files: &HostFiles,
        doing: &dyn Fn(String),
    ) -> Result<(), Failure> {
        Channels::find_providers(manifest, registry, control, &|alias| host_files.has(alias))?;
        let own = OpenOptions::default().control(control);
        let opener = Opener { manifest, registry, options, control, own, doing, run: OnceCell::new() };
        manifest.trees.iter().try_for_each(|spec| opener.look_at_tree(spec))?;
        manifest.exports.iter().try_for_each(|spec| opener.export(spec).map(drop))
    }
}

/// What is written in place is emptied before the guest starts, and must be nothing that it was to read: the end of that would
/// pass for its own.
fn refuse_to_empty_a_source(opened: &mut [Opened]) -> Result<(), Failure> {
    let empties =
        |source: &mut Source| source.output.as_ref().is_some_and(|target| target.placement.empties());
    if !opened.iter_mut().any(|(.., channel)| channel.sources.iter_mut().any(empties)) {
        return Ok(());
    }
    let (mut emptied, mut read) = (Vec::new(), Vec::new());
    for (_, given, channel) in opened {
        let spec = &channel.spec;
        for (number, source) in channel.sources.iter_mut().enumerate() {
            // The manifest's descriptor of what the host gave means nothing.
            let written = spec.sources.get(number).filter(|_| !*given);
            match &source.output {
                Some(target) if target.placement.empties() => emptied.push((spec, written, source)),
                _ if spec.limits.readable() => read.push((spec, written, source)),
                _ => {}
            }
        }
    }
    for (spec, target, emptied) in &mut emptied {
        for (reader, source, read) in &mut read {
            if source.is_some() && source == target || same_file(&mut read.file, &mut emptied.file) {
                let text = format!(
                    "{} is read by channel {} as well, and can only be written in place, which empties it first: \
                     write another file",
                    emptied.file.shown(),
                    reader.shown_alias()
                );
                return Err(failed(spec, &Error::new(Code::EINVAL, text), false));
            }
        }
    }
    Ok(())
}

/// A name for a session that runs by itself.
fn own_run() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// `given`: by the host itself, so that the manifest's sources are not what is open.
fn meter(channel: &Channel, given: bool, registry: &Registry) -> Meter {
    let sources = if given { &[] } else { channel.spec.sources.as_slice() };
    let providers = || {
        let providers = sources.iter().filter_map(|source| registry.leads_to(source));
        let providers: BTreeSet<String> = providers.map(|name| format!("`{name}`")).collect();
        providers.into_iter().collect::<Vec<String>>().join(" or ")
    };
    Meter {
        alias: channel.spec.alias.clone(),
        what: "channel",
        network: !sources.iter().all(|source| is_local(source)),
        shown: channel.sources.shown(),
        provider: if given { "of the host's own".into() } else { providers().into() },
        counters: channel.counters.clone(),
        outputs: channel.sources.outputs(),
    }
}

/// `written`: what becomes of a writable one.
fn tree_meter(tree: &SourceTree, written: Option<&Export>, registry: &Registry) -> Meter {
    let TreeSpec { source, path, .. } = &tree.spec;
    Meter {
        alias: path.as_str().into(),
        what: "tree",
        network: !is_local(source),
        shown: tree.shown.as_str().into(),
        provider: registry.leads_to(source).map(|name| format!("`{name}`")).unwrap_or_default().into(),
        counters: tree.counters.clone(),
        outputs: written.map(Export::output).into_iter().collect(),
    }
}

fn export_meter(export: &Export, registry: &Registry) -> Meter {
    let ExportSpec { target, path, .. } = &export.spec;
    Meter {
        alias: path.as_str().into(),
        what: "export",
        network: !is_local(target),
        shown: export.shown.as_str().into(),
        provider: registry.leads_to(target).map(|name| format!("`{name}`")).unwrap_or_default().into(),
        counters: export.counters(),
        outputs: [export.output()].into(),
    }
}

/// A channel by its handle, and whether the host gave its file.
type Opened = (usize, bool, Channel);

struct Opener<'a> {
    manifest: &'a Manifest,
    registry: &'a Registry,
    options: &'a RunOptions,
    control: &'a Control,
    /// Whatever is opened ends with the session.
    own: OpenOptions,
    doing: &'a dyn Fn(String),
    /// The run's name, once a provider is asked for something.
    run: OnceCell<String>,
}

impl Opener<'_> {
    fn channel(&self, spec: &Arc<ChannelSpec>, host_files: &mut HostFiles) -> Result<Channel, Failure> {
        let mut notes = Vec::new();
        let sources = self.sources(spec, host_files, &mut notes);
        let sources = sources.map_err(|error| failed(spec, &error, self.control.is_cancelled()))?;
        let (mut random_read, mut random_write) =
            (spec.random_get && spec.limits.readable(), spec.random_put && spec.limits.writable());
        for source in &sources {
            match positions(source, random_read, random_write) {
                Positions::AsAsked => {}
                // ZeroVM reads and writes pipes and devices in sequence, whatever the type says.
                Positions::NoneByKind => {
                    (random_read, random_write) = (false, false);
                    notes.push(format!(
                        "{}: {} has no positions, so the channel is sequential",
                        spec.shown_alias(),
                        source.file.shown()
                    ));
                }
                Positions::Lacking => {
                    let shown = source.file.shown();
                    let text = format!("{shown} has no random access: use a channel of type 0");
                    return Err(failed(spec, &Error::new(Code::ESPIPE, text), false));
                }
            }
        }
        let sources = Sources::new(sources);
        Ok(Channel {
            spec: spec.clone(),
            terminal: sources.is_terminal(),
            sources,
            ahead: None,
            counters: Arc::new(Counters::default()),
            random_read,
            random_write,
            more_behind_quota: false,
            writing_ended: false,
            digest: self.manifest.digest.map(Digest::new),
            failure: None,
            cut: None,
            notes,
        })
    }

    /// What the host gave in the place of the manifest's sources, or those.
    fn sources(
        &self,
        spec: &ChannelSpec,
        host_files: &mut HostFiles,
        notes: &mut Vec<String>,
    ) -> vfs_core::Result<Vec<Source>> {
        let (flags, placement) = match access(spec) {
            Access::Open(must, _) => (must, None),
            Access::Create(_) => (OpenFlags::WRITE, Some(Placement::in_its_place(GIVEN.clone()))),
        };
        match host_files.open(&spec.alias, &self.own.clone().with_flags(flags)) {
            Some(file) => Ok(vec![source(spec, file?, placement)?]),
            None => spec.sources.iter().map(|descriptor| self.source(spec, descriptor, notes)).collect(),
        }
    }

    fn source(
        &self,
        spec: &ChannelSpec,
        descriptor: &str,
        notes: &mut Vec<String>,
    ) -> vfs_core::Result<Source> {
        let registry = self.registry;
        let shown = Descriptor::parse(descriptor).map_or_else(|_| "its source".into(), |it| it.to_string());
        (self.doing)(format!("channel {}: open {shown}", spec.shown_alias()));
        let open = self.open_options(spec, descriptor);
        match access(spec) {
            Access::Open(must, may) => {
                // A pipe's provider knows nothing to create.
                let may =
                    if may.is_empty() { may } else { may & registry.supported_flags(descriptor, &open)? };
                let file = registry.open(descriptor, &open.with_flags(must | may | hint(spec)))?;
                source(spec, file, None)
            }
            Access::Create(in_place) => {
                let reserve = match self.manifest.preallocate {
                    true => OpenFlags::PREALLOCATE,
                    false => OpenFlags::empty(),
                };
                let open = open.with_flags(reserve | hint(spec));
                let open = if reserve.is_empty() { open } else { open.expected_size(spec.limits.put_size) };
                let (file, placement) = registry.create(descriptor, &open, in_place)?;
                let mut source = source(spec, file, Some(placement))?;
                if in_place.is_none() {
                    notes.extend(source.note_in_place(spec));
                    // Of a FIFO or a standard stream it is known what it is: nothing tells its reader that its end is none.
                    if let Some(target) = &mut source.output {
                        target.ends_whole = source.kind == Kind::Unknown && !is_local(descriptor);
                    }
                }
                Ok(source)
            }
        }
    }

    fn tree(&self, spec: &TreeSpec) -> Result<SourceTree, Failure> {
        let shown = Descriptor::parse(&spec.source).map_or_else(|_| "its source".into(), |it| it.to_string());
        (self.doing)(format!("tree {}: list {shown}", Shown(&spec.path)));
        SourceTree::open(spec, self.registry, self.opens_in(spec), self.control, self.manifest.digest)
    }

    /// Finds out that it is there, and can be written to if it is to be.
    fn look_at_tree(&self, spec: &TreeSpec) -> Result<(), Failure> {
        let TreeSpec { source, path, line, limits, .. } = spec;
        let shown = Descriptor::parse(source).map_or_else(|_| "its source".into(), |it| it.to_string());
        (self.doing)(format!("tree {}: look at {shown}", Shown(path)));
        match self.registry.stat_name(source, &self.opens_in(spec)) {
            // A provider that lists names may know nothing else of them.
            Err(error) if error.code() != Code::ENOTSUP => {
                let what = format!("tree {}", Shown(path));
                Err(not_opened(*line, &what, &error, self.control.is_cancelled()))
            }
            _ if limits.writable() => {
                Export::of_tree_spec(spec, self.registry, self.opens_in(spec), self.control).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn written_tree(&self, number: usize, tree: &SourceTree) -> Result<Export, Failure> {
        Export::of_tree(number, tree, self.registry, self.opens_in(&tree.spec), self.control)
    }

    fn export(&self, spec: &ExportSpec) -> Result<Export, Failure> {
        let shown = Descriptor::parse(&spec.target).map_or_else(|_| "its target".into(), |it| it.to_string());
        (self.doing)(format!("export {}: look at {shown}", Shown(&spec.path)));
        Export::open(spec, self.registry, self.opens(), self.control, self.manifest.digest)
    }

    /// Who opens.
    fn opens(&self) -> OpenOptions {
        let open = self.own.clone().offer("run", self.run());
        self.options.offered(open, self.manifest)
    }

    /// The same, in a tree: a link that somebody puts there while the guest runs is not followed.
    fn opens_in(&self, tree: &TreeSpec) -> OpenOptions {
        self.opens().offer("within", tree.source.as_str())
    }

    /// Who opens, and what else a provider may want to know.
    fn open_options(&self, spec: &ChannelSpec, descriptor: &str) -> OpenOptions {
        let mut open = self.opens();
        if let Some(count) = self.options.writers.get(descriptor)
            && !spec.limits.writable()
        {
            open = open.offer("writers", count.to_string());
        }
        if let Some(algorithm) = self.manifest.digest {
            open = open.offer("digest", algorithm.name());
        }
        open
    }

    fn run(&self) -> &str {
        self.run.get_or_init(|| self.options.run.clone().unwrap_or_else(own_run))
    }
}

/// Holds an open file against what its channel needs. `placement`: how it is written, if it is written anew.
fn source(spec: &ChannelSpec, mut file: OpenFile, placement: Option<Placement>) -> vfs_core::Result<Source> {
    let kind = match file.capabilities().contains(Capabilities::STAT) {
        true => file.stat()?.kind,
        false => Kind::Unknown,
    };
    match kind {
        Kind::Directory => {
            return Err(Error::new(Code::EISDIR, format!("{} is a directory", file.shown())));
        }
        Kind::Stream | Kind::Device | Kind::Terminal if spec.limits.readable() && spec.limits.writable() => {
            let text = format!("{} can be read or written by one channel, not both", file.shown());
            return Err(Error::new(Code::EINVAL, text));
        }
        _ => {}
    }
    // A standard stream that leads to a file goes on where that is, and has no content of its own to lose.
    let stays = kind == Kind::Regular && file.capabilities().contains(Capabilities::TRUNCATABLE);
    let written = match placement {
        Some(placement) => {
            let in_place = placement.in_place_shared().cloned();
            Some((placement, Output::new(file.shown_shared().clone(), in_place, stays)))
        }
        None if spec.limits.writable() => {
            let in_place = Some("it is read as well".into());
            Some((Placement::default(), Output::new(file.shown_shared().clone(), in_place, stays)))
        }
        None => None,
    };
    Ok(Source::new(file, kind, written))
}

fn hint(spec: &ChannelSpec) -> OpenFlags {
    if spec.random_get || spec.random_put { OpenFlags::RANDOM } else { OpenFlags::SEQUENTIAL }
}

/// How a source is opened.
enum Access {
    /// With these flags, and of those what the provider knows.
    Open(OpenFlags, OpenFlags),
    /// To be written anew; in place for this reason, or as a whole if that can be had.
    Create(Option<&'static str>),
}

/// A file that is only read must exist; one that is only written starts anew, as a whole where that can be had; one that is
/// both keeps what it has, and of type 1 ("cdr") grows at its end.
fn access(spec: &ChannelSpec) -> Access {
    let both = OpenFlags::READ | OpenFlags::WRITE;
    match (spec.limits.readable(), spec.limits.writable()) {
        (true, false) => Access::Open(OpenFlags::READ, OpenFlags::empty()),
        (true, true) if spec.random_put => Access::Open(both, OpenFlags::CREATE),
        (true, true) => Access::Open(both | OpenFlags::APPEND, OpenFlags::CREATE),
        (false, _) if spec.keep_partial => Access::Create(Some("the manifest says `Partial = keep`")),
        (false, _) if spec.random_put => Access::Create(Some("its writes have positions")),
        (false, _) if &*spec.alias == STANDARD_ERROR => Access::Create(Some("it explains a failure")),
        (false, _) => Access::Create(None),
    }
}

/// Whether a source has the positions that a channel's type needs.
enum Positions {
    AsAsked,
    /// A pipe or a device: nobody expects any.
    NoneByKind,
    /// A file that should have some.
    Lacking,
}

fn positions(source: &Source, read: bool, write: bool) -> Positions {
    let can = |positional| source.can(positional) || source.can(Capabilities::SEEKABLE);
    if (!read || can(Capabilities::POSITIONAL_READ)) && (!write || can(Capabilities::POSITIONAL_WRITE)) {
        return Positions::AsAsked;
    }
    match source.kind {
        Kind::Stream | Kind::Device | Kind::Terminal => Positions::NoneByKind,
        _ => Positions::Lacking,
    }
}

/// `cancelled`: by this session, not by the provider or the other end.
fn failed(spec: &ChannelSpec, error: &Error, cancelled: bool) -> Failure {
    not_opened(spec.line, &format!("channel {}", spec.shown_alias()), error, cancelled)
}

/// `line`: of the manifest; 0: of none.
fn not_opened(line: usize, what: &str, error: &Error, cancelled: bool) -> Failure {
    let place = if line == 0 { String::new() } else { format!("MANIFEST {line}: ") };
    Failure::new(failed_exit(error, cancelled), format!("{place}{what}: {}", error.chain())).of(error.code())
}
