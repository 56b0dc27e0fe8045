//! What can be known of a session before it runs.

use super::work::{no_program, read_program};
use super::{Session, Template};
use crate::channel::{Channels, is_local};
use crate::exit::Failure;
use crate::guest::Stop;
use std::time::{Duration, Instant};
use vfs_core::{Control, OpenOptions};

/// How long it may take: a provider's constructor, or the file system that a program lies in, may hang.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// How long a worker may take to compile nothing: one that answers needs some milliseconds.
const WORKER_MAX: Duration = Duration::from_secs(20);

impl Session {
    /// Looks for what would make its run fail, as far as that can be known without opening a channel and running anything of the
    /// guest's: for a server that checks its configuration.
    ///
    /// - The program is read, if it was given or lies on this machine, and is what a guest can be, but for its text where a
    ///   [`Worker`](crate::Worker) would read that; and what it starts with fits into the manifest's Memory.
    /// - The worker compiles: a program of nothing.
    /// - For each source of a channel, a tree or an export the registry has a provider that may load, and loads it. Channels that were given have no
    ///   sources, and neither do those that `given` says will be.
    ///
    /// # Errors
    /// What its report would say.
    ///
    /// # Blocking
    /// A minute at most, or until the session's control is cancelled.
    pub fn check(&self, given: &dyn Fn(&str) -> bool) -> Result<(), Failure> {
        let control =
            self.own.as_ref().or(self.control.as_ref()).map_or_else(Control::new, Control::follower);
        control.set_deadline(Some(Instant::now() + CHECK_MAX));
        let Template { manifest, registry, compiler, program, .. } = &self.template;
        let answered = control.follower();
        answered.set_deadline(Some(Instant::now() + WORKER_MAX));
        compiler.check_worker(&Stop::new(answered))?;
        let least = match program.bytes() {
            Some(given) => compiler.check(given, manifest.entry())?,
            None if is_local(&manifest.program) => {
                let bytes = read_program(&self.template, OpenOptions::default().control(&control), &|_| {})?;
                compiler.check(&bytes, manifest.entry())?
            }
            None => {
                let options = OpenOptions::default().control(&control);
                registry.supported_flags(&manifest.program, &options).map_err(|error| no_program(&error))?;
                0
            }
        };
        manifest.check_memory(least)?;
        let given = |alias: &str| self.host_files.has(alias) || given(alias);
        Channels::find_providers(manifest, registry, &control, &given)
    }
}
