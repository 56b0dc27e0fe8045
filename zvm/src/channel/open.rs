//! Opens a manifest's channels: which flags, and what a source must be.

use super::channels::Meter;
use super::digest::Digest;
use super::sources::{Source, Sources};
use super::{Channel, Channels, Controls, Counters, Given};
use crate::exit::{ExitCode, Failure};
use crate::manifest::{ChannelSpec, Manifest};
use std::collections::BTreeMap;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Descriptor, Error, Kind, Open, OpenFlags, Registry};

/// Schemes that stay on this machine, for the report's two kinds of counters.
const LOCAL_SCHEMES: [&str; 3] = ["file", "mem", "null"];

/// What a run adds to its manifests.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The run's name, offered to providers that know jobs; `None`: offered to none.
    pub job: Option<String>,
    /// How many writers a source has that this session reads, by its descriptor as the manifest has it; offered to providers
    /// that know writers.
    pub writers: BTreeMap<String, u64>,
}

impl OpenOptions {
    /// No job, and nothing known of writers.
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Names the run.
    pub fn job(mut self, name: impl Into<String>) -> OpenOptions {
        self.job = Some(name.into());
        self
    }

    /// Says how many writers a source has that this session reads.
    pub fn writers(mut self, descriptor: impl Into<String>, count: u64) -> OpenOptions {
        self.writers.insert(descriptor.into(), count);
        self
    }
}

impl Channels {
    /// Opens all channels of a manifest, in the order of their handles. What was opened before a failure is closed, and
    /// writers among it leave no trace where their provider can do that.
    ///
    /// # Errors
    /// [`ExitCode::Manifest`]: a source cannot be opened as the manifest says. [`ExitCode::SourceKind`]: a directory, a
    /// socket, a block device. [`ExitCode::TooManyChannels`]: the system has no descriptors left. [`ExitCode::Stopped`]:
    /// cancelled. [`ExitCode::Io`]: an input/output error, a provider that misbehaved.
    ///
    /// # Blocking
    /// As the providers' opens do, until a cancel through `controls`.
    pub fn open(
        manifest: &Manifest,
        registry: &Registry,
        options: &OpenOptions,
        controls: &Controls,
    ) -> Result<Channels, Failure> {
        Channels::open_given(manifest, registry, options, controls, &Given::default())
    }

    /// As [`open`](Channels::open), with what the host gives in the place of some sources.
    pub(crate) fn open_given(
        manifest: &Manifest,
        registry: &Registry,
        options: &OpenOptions,
        controls: &Controls,
        given: &Given,
    ) -> Result<Channels, Failure> {
        let hosts = given.registry(manifest)?;
        let opener = Opener { manifest, options, controls, hosts };
        let mut list = Vec::new();
        let mut meters = Vec::new();
        for spec in &manifest.channels {
            let channel = match &opener.hosts {
                Some(hosts) if given.has(&spec.alias) => {
                    let spec = ChannelSpec { sources: vec![Given::descriptor(&spec.alias)], ..spec.clone() };
                    opener.channel(spec, hosts)?
                }
                _ => opener.channel(spec.clone(), registry)?,
            };
            meters.push(meter(&channel, spec));
            list.push(channel);
        }
        Ok(Channels { list, meters: meters.into() })
    }
}

/// `written` is the channel as the manifest has it, which is the same unless the host gave the file itself.
fn meter(channel: &Channel, written: &ChannelSpec) -> Meter {
    let given = channel.spec.sources != written.sources;
    let local = |source: &String| {
        given
            || Descriptor::parse(source).is_ok_and(|descriptor| {
                LOCAL_SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(descriptor.scheme()))
            })
    };
    Meter {
        alias: channel.spec.alias.clone(),
        network: !channel.spec.sources.iter().all(local),
        shown: channel.sources.shown(),
        counters: channel.counters.clone(),
    }
}

struct Opener<'a> {
    manifest: &'a Manifest,
    options: &'a OpenOptions,
    controls: &'a Controls,
    /// Opens what the host gives.
    hosts: Option<Registry>,
}

impl Opener<'_> {
    fn channel(&self, spec: ChannelSpec, registry: &Registry) -> Result<Channel, Failure> {
        let mut notes = Vec::new();
        let sources: Vec<Source> = spec
            .sources
            .iter()
            .map(|descriptor| self.source(&spec, descriptor, registry))
            .collect::<Result<_, _>>()
            .map_err(|error| failed(&spec, &error))?;
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
                    let text = format!("{shown} has no random access: a channel of type 0 needs none");
                    return Err(failed(&spec, &Error::new(Code::ESPIPE, text)));
                }
            }
        }
        let sources = Sources::new(sources);
        Ok(Channel {
            spec,
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
            notes,
        })
    }

    fn source(&self, spec: &ChannelSpec, descriptor: &str, registry: &Registry) -> vfs_core::Result<Source> {
        let shown = Descriptor::parse(descriptor).map_or_else(|_| "its source".into(), |it| it.to_string());
        self.controls.at(format!("channel {}: open {shown}", spec.shown_alias()));
        let control = self.controls.add();
        let flags = self.flags(spec, descriptor, registry)?;
        let mut how = Open::new(flags).control(&control);
        if flags.contains(OpenFlags::PREALLOCATE) {
            how = how.expected_size(spec.limits.put_size);
        }
        for (value, offer) in [
            (&self.manifest.node, Open::node as fn(Open, String) -> Open),
            (&self.manifest.broker, Open::broker),
            (&self.options.job, Open::job),
        ] {
            if let Some(value) = value {
                how = offer(how, value.clone());
            }
        }
        if let Some(count) = self.options.writers.get(descriptor)
            && !spec.limits.writable()
        {
            how = how.writers(*count);
        }
        if let Some(algorithm) = self.manifest.digest {
            how = how.digest(algorithm.name());
        }
        let mut file = registry.open(descriptor, &how)?;
        let kind = match file.capabilities().contains(Capabilities::STAT) {
            true => file.stat()?.kind,
            false => Kind::Unknown,
        };
        match kind {
            Kind::Directory => Err(Error::new(Code::EISDIR, format!("{} is a directory", file.shown()))),
            Kind::Stream | Kind::Device | Kind::Terminal
                if spec.limits.readable() && spec.limits.writable() =>
            {
                let text = format!("{} can be read or written by one channel, not both", file.shown());
                Err(Error::new(Code::EINVAL, text))
            }
            kind => Ok(Source::new(file, kind)),
        }
    }

    /// A file that is only read must exist; one that is only written starts anew; one that is both keeps what it has, and
    /// of type 1 ("cdr") grows at its end.
    fn flags(
        &self,
        spec: &ChannelSpec,
        descriptor: &str,
        registry: &Registry,
    ) -> vfs_core::Result<OpenFlags> {
        let hint = match spec.random_get || spec.random_put {
            true => OpenFlags::RANDOM,
            false => OpenFlags::SEQUENTIAL,
        };
        let (must, may) = match (spec.limits.readable(), spec.limits.writable()) {
            (true, false) => (OpenFlags::READ, OpenFlags::empty()),
            (true, true) if spec.random_put => (OpenFlags::READ | OpenFlags::WRITE, OpenFlags::CREATE),
            (true, true) => (OpenFlags::READ | OpenFlags::WRITE | OpenFlags::APPEND, OpenFlags::CREATE),
            (false, _) if self.manifest.preallocate => {
                (OpenFlags::WRITE, OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::PREALLOCATE)
            }
            (false, _) => (OpenFlags::WRITE, OpenFlags::CREATE | OpenFlags::TRUNCATE),
        };
        // A pipe's provider knows nothing to create, to empty or to reserve.
        let supported = registry.supported_flags(descriptor)?;
        Ok(must | (may & supported) | hint)
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

fn failed(spec: &ChannelSpec, error: &Error) -> Failure {
    let exit = match error.code() {
        // No provider was asked: the scheme or the configuration is at fault, not what the descriptor names.
        _ if error.refusal().is_some() => ExitCode::Manifest,
        Code::EISDIR | Code::EPROTONOSUPPORT => ExitCode::SourceKind,
        Code::EMFILE | Code::ENFILE => ExitCode::TooManyChannels,
        Code::ECANCELED => ExitCode::Stopped,
        Code::EIO => ExitCode::Io,
        _ => ExitCode::Manifest,
    };
    Failure::new(exit, format!("MANIFEST {}: channel {}: {}", spec.line, spec.shown_alias(), error.chain()))
}
