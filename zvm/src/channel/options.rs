//! What a run adds to its manifests.

use crate::manifest::Manifest;
use std::collections::BTreeMap;
use vfs_core::OpenOptions;

/// What a run adds to its manifests.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RunOptions {
    /// The run's name, offered to providers that know jobs; `None`: offered to none.
    pub job: Option<String>,
    /// How many writers a source has that this session reads, by its descriptor as the manifest has it; offered to providers
    /// that know writers.
    pub writers: BTreeMap<String, u64>,
    /// The name of the sessions that run together: no two of their channels may write one file. By default each session has
    /// one of its own.
    pub run: Option<String>,
}

impl RunOptions {
    /// No job, and nothing known of writers.
    pub fn new() -> RunOptions {
        RunOptions::default()
    }

    /// Names the run.
    pub fn job(mut self, name: impl Into<String>) -> RunOptions {
        self.job = Some(name.into());
        self
    }

    /// Says which sessions run together.
    pub fn run(mut self, name: impl Into<String>) -> RunOptions {
        self.run = Some(name.into());
        self
    }

    /// Says how many writers a source has that this session reads.
    pub fn writers(mut self, descriptor: impl Into<String>, count: u64) -> RunOptions {
        self.writers.insert(descriptor.into(), count);
        self
    }

    /// Offers a provider this side's node, its broker and the job's name, where they are known.
    pub(crate) fn offered(&self, open: OpenOptions, manifest: &Manifest) -> OpenOptions {
        let known = [("node", &manifest.node), ("broker", &manifest.broker), ("job", &self.job)];
        known.into_iter().fold(open, |open, (name, text)| match text {
            Some(text) => open.offer(name, text),
            None => open,
        })
    }
}
