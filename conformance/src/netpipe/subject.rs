//! What the suite must be told of a back-end.

use crate::step::Step;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vfs_core::Registry;

type Hosts = dyn Fn() -> io::Result<Registry> + Send + Sync;
type Pipes = dyn Fn(&str, Writers) -> io::Result<Pair> + Send + Sync;

/// A back-end under test: how to make hosts for it, how to name pipes, and what it promises beyond the rules.
pub struct Subject {
    hosts: Box<Hosts>,
    pipes: Box<Pipes>,
    pub(crate) patience: Duration,
    pub(crate) silence: Duration,
    pub(crate) transfer: u64,
    pub(crate) held_max: usize,
    pub(crate) threads_max: usize,
    names: AtomicU64,
}

/// The descriptors of a pipe's two ends; each says its direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// For the reader.
    pub reader: String,
    /// For each of the writers.
    pub writer: String,
}

/// How many writers a pipe's reader expects. Shown as the setting `writers` has it: `3`, `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// So many, from 1 on: the end counts after as many ENDs.
    Exactly(u32),
    /// Any: the end comes when the last one ENDs.
    Any,
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Writers::Exactly(number) => number.fmt(f),
            Writers::Any => f.write_str("*"),
        }
    }
}

impl Subject {
    /// A back-end of which nothing more is known.
    ///
    /// `hosts` makes a fresh, independent host at each call: the suite opens the two ends of a pipe in two of them, as two
    /// processes would. `pipes` names a pipe that no two hosts have used yet; it is called any number of times, each time
    /// with another name of lower-case letters, digits and `-`.
    pub fn new(
        hosts: impl Fn() -> io::Result<Registry> + Send + Sync + 'static,
        pipes: impl Fn(&str, Writers) -> io::Result<Pair> + Send + Sync + 'static,
    ) -> Subject {
        Subject {
            hosts: Box::new(hosts),
            pipes: Box::new(pipes),
            patience: Duration::from_secs(20),
            silence: Duration::from_secs(2),
            transfer: 32 << 20,
            held_max: 8 << 20,
            threads_max: 64,
            names: AtomicU64::new(0),
        }
    }

    /// Sets how long a call may take that must not wait for ever; 20 s by default. A whole check gets six times as much.
    pub fn patience(mut self, patience: Duration) -> Subject {
        self.patience = patience;
        self
    }

    /// Sets how long a pipe is left idle to see that it lives on; 2 s by default.
    pub fn silence(mut self, silence: Duration) -> Subject {
        self.silence = silence;
        self
    }

    /// Sets how many bytes go through two hops; 32 MiB by default.
    pub fn transfer(mut self, bytes: u64) -> Subject {
        self.transfer = bytes;
        self
    }

    /// Sets how many bytes a pipe may take before its reader has read any; 8 MiB by default.
    pub fn held_max(mut self, bytes: usize) -> Subject {
        self.held_max = bytes;
        self
    }

    /// Sets how many threads 200 pipes may need in both of their hosts together; 64 by default.
    pub fn threads_max(mut self, threads: usize) -> Subject {
        self.threads_max = threads;
        self
    }

    /// How long one check may take.
    pub(crate) fn limit(&self) -> Duration {
        self.patience * 6
    }

    pub(crate) fn host(&self) -> Step<Registry> {
        Ok((self.hosts)()?)
    }

    /// A fresh pipe.
    pub(crate) fn pipe(&self, writers: Writers) -> Step<Pair> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        Ok((self.pipes)(&format!("conformance-{}-{number}", std::process::id()), writers)?)
    }
}
