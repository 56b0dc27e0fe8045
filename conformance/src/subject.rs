//! What the suite must be told of a provider.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use vfs_core::{Host, OpenFlags, Provider};

type Source = dyn Fn(&str, &[u8]) -> io::Result<String> + Send + Sync;
type Target = dyn Fn(&str) -> io::Result<String> + Send + Sync;
type Contents = dyn Fn(&str) -> io::Result<Option<Vec<u8>>> + Send + Sync;
type Transform = dyn Fn(&[u8]) -> io::Result<Vec<u8>> + Send + Sync;
type Blocked = dyn Fn(&str) -> io::Result<Blocking> + Send + Sync;

/// A provider under test, and how to reach files of it.
///
/// Give at least a [`target`](Subject::target), or a source: [`source`](Subject::source) or
/// [`fixed_source`](Subject::fixed_source). The closures are called any number of times, each time with another name,
/// and return a descriptor; names are made of lower-case letters, digits and `-`.
pub struct Subject {
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) sources: Option<Sources>,
    pub(crate) targets: Option<Targets>,
    pub(crate) contents: Option<Box<Contents>>,
    pub(crate) comes_back: Option<Box<Transform>>,
    pub(crate) blocking: Option<Box<Blocked>>,
    pub(crate) isolated: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) forgets_times: bool,
    /// How long a call may take that is to end at once.
    pub(crate) patience: Duration,
    pub(crate) host: Option<Host>,
    names: AtomicU64,
    /// Every target that was named, so that it can be removed.
    named: Mutex<Vec<String>>,
}

pub(crate) enum Sources {
    Made(Box<Source>),
    Fixed { descriptor: String, content: Vec<u8> },
}

pub(crate) enum Targets {
    /// Nothing is there until CREATE; what was written can be read again.
    Names(Box<Target>),
    /// Something is there already and takes bytes.
    Sinks(Box<Target>),
}

/// A descriptor that makes its caller wait for ever: a FIFO that nobody writes.
#[derive(Clone, Debug)]
pub struct Blocking {
    /// What to open; the open may wait, or the first call after it.
    pub descriptor: String,
    /// `READ`: then `read` is called; or `WRITE`: then `write`, again and again until it waits.
    pub flags: OpenFlags,
}

impl Subject {
    /// A provider of which nothing else is known yet.
    pub fn new(provider: Box<dyn Provider>) -> Subject {
        Subject {
            provider,
            settings: Vec::new(),
            sources: None,
            targets: None,
            contents: None,
            comes_back: None,
            blocking: None,
            isolated: false,
            read_only: false,
            write_only: false,
            forgets_times: false,
            patience: Duration::from_secs(6),
            host: None,
            names: AtomicU64::new(0),
            named: Mutex::new(Vec::new()),
        }
    }

    /// Gives a setting to every instance, as an operator writes it. Repeatable.
    pub fn setting(mut self, name: &str, text: &str) -> Subject {
        self.settings.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Gives instances this host: a layer opens its inner files through it (`Registry::host`).
    pub fn host(mut self, host: Host) -> Subject {
        self.host = Some(host);
        self
    }

    /// Says how to put content where the provider can read it, by another way than the provider. Without it, and with a
    /// `target`, the suite writes sources through the provider itself.
    pub fn source(
        mut self,
        make: impl Fn(&str, &[u8]) -> io::Result<String> + Send + Sync + 'static,
    ) -> Subject {
        self.sources = Some(Sources::Made(Box::new(make)));
        self
    }

    /// Names the one thing that can be read, and its content.
    pub fn fixed_source(mut self, descriptor: &str, content: &[u8]) -> Subject {
        self.sources =
            Some(Sources::Fixed { descriptor: descriptor.to_owned(), content: content.to_owned() });
        self
    }

    /// Says how to name something that is not there: opening it with CREATE makes it, and it can then be read under the
    /// same descriptor.
    pub fn target(mut self, make: impl Fn(&str) -> io::Result<String> + Send + Sync + 'static) -> Subject {
        self.targets = Some(Targets::Names(Box::new(make)));
        self
    }

    /// Says how to name something that is there already and takes bytes: a device, a pipe with its reader. The checks on
    /// creating are skipped, and those that look at what was written too, unless there is a `contents`.
    pub fn sink(mut self, make: impl Fn(&str) -> io::Result<String> + Send + Sync + 'static) -> Subject {
        self.targets = Some(Targets::Sinks(Box::new(make)));
        self
    }

    /// Says how to see what arrived under a target's descriptor once it is committed, by another way than the provider;
    /// `None`: nothing is there. It waits, bounded, for what is still under way.
    pub fn contents(
        mut self,
        look: impl Fn(&str) -> io::Result<Option<Vec<u8>>> + Send + Sync + 'static,
    ) -> Subject {
        self.contents = Some(Box::new(look));
        self
    }

    /// As [`contents`](Subject::contents), where a target is a file in this folder, named by the last part of its descriptor.
    pub fn contents_in(self, folder: impl Into<PathBuf>) -> Subject {
        let folder = folder.into();
        self.contents(move |descriptor| {
            let name = descriptor.rsplit('/').next().unwrap_or_default();
            match fs::read(folder.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                content => content.map(Some),
            }
        })
    }

    /// Says what comes back of what was written, for a layer that changes bytes: one that makes all letters capital, say. What
    /// reads as it was written (compression, encryption) needs no such word.
    pub fn comes_back(
        mut self,
        transform: impl Fn(&[u8]) -> io::Result<Vec<u8>> + Send + Sync + 'static,
    ) -> Subject {
        self.comes_back = Some(Box::new(transform));
        self
    }

    /// Says how to make a descriptor that blocks whoever uses it.
    pub fn blocking(
        mut self,
        make: impl Fn(&str) -> io::Result<Blocking> + Send + Sync + 'static,
    ) -> Subject {
        self.blocking = Some(Box::new(make));
        self
    }

    /// As [`blocking`](Subject::blocking), by servers on loopback that take connections and never say a word; `make` names something of
    /// the server at an address.
    pub fn silent_server(self, make: impl Fn(SocketAddr, &str) -> String + Send + Sync + 'static) -> Subject {
        let listeners = Mutex::new(Vec::new());
        self.blocking(move |name| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let descriptor = make(listener.local_addr()?, name);
            listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
            Ok(Blocking { descriptor, flags: OpenFlags::READ })
        })
    }

    /// Says that two instances must not see each other's targets.
    pub fn isolated(mut self) -> Subject {
        self.isolated = true;
        self
    }

    /// Says that nothing can be written at the place behind this subject, though the provider writes elsewhere: a server that
    /// takes no uploads.
    pub fn read_only(mut self) -> Subject {
        self.read_only = true;
        self
    }

    /// The same for reading.
    pub fn write_only(mut self) -> Subject {
        self.write_only = true;
        self
    }

    /// Sets how long a call may take that was stopped, or that waits for nothing; 6 s by default, since the rule's 100 ms are none on a
    /// busy machine.
    pub fn patience(mut self, patience: Duration) -> Subject {
        self.patience = patience;
        self
    }

    /// Says that the place behind this subject, which stands in for a real one, loses the times that it is given.
    pub fn forgets_times(mut self) -> Subject {
        self.forgets_times = true;
        self
    }

    /// Takes the targets that were named so far.
    pub(crate) fn take_named(&self) -> Vec<String> {
        let named = std::mem::take(&mut *self.named.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        if matches!(self.targets, Some(Targets::Names(_))) { named } else { Vec::new() }
    }

    /// Every target that a process may have named.
    pub(crate) fn named_by(&self, process: u32) -> Vec<String> {
        let Some(Targets::Names(make)) = &self.targets else { return Vec::new() };
        (0..NAMES_MAX).filter_map(|number| make(&name_of(process, number)).ok()).collect()
    }

    /// Names a target, and remembers it.
    pub(crate) fn fresh_target(&self, make: &Target) -> io::Result<String> {
        let descriptor = make(&self.fresh_name())?;
        self.named.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(descriptor.clone());
        Ok(descriptor)
    }

    /// Whether there is anything to read.
    pub(crate) fn can_read(&self) -> bool {
        self.sources.is_some() || matches!(self.targets, Some(Targets::Names(_)))
    }

    /// Whether there is anything to write to.
    pub(crate) fn can_write(&self) -> bool {
        self.targets.is_some()
    }

    /// Whether what was written can be seen.
    pub(crate) fn can_look(&self) -> bool {
        let readable = || self.provider.info().supported_flags.contains(OpenFlags::READ);
        self.contents.is_some() || matches!(self.targets, Some(Targets::Names(_))) && readable()
    }

    pub(crate) fn fresh_name(&self) -> String {
        name_of(std::process::id(), self.names.fetch_add(1, Ordering::Relaxed))
    }
}

/// No check makes more names than this.
const NAMES_MAX: u64 = 1000;

fn name_of(process: u32, number: u64) -> String {
    format!("conformance-{process}-{number}")
}
