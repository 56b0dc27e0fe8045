//! Times of files: those that are kept, and those that say what need not be copied.

use super::Copier;
use crate::cp::plan::Task;
use crate::descriptors::Assigned;
use crate::doing;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use vfs_core::{Capabilities, Code, Descriptor, Error, Kind, OpenFile, OpenFlags, Result};

/// What becomes of the time of a source's last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// A copy has one of its own.
    Own,
    /// It is kept, or nothing is copied.
    Kept,
    /// It is kept where the target takes it.
    KeptIfTaken,
}

impl Copier<'_> {
    /// Makes sure, as far as that is known before anything is opened to be written, that a target can have the time of its source. Some
    /// servers empty a file at once when it is opened.
    ///
    /// # Errors
    /// ENOTSUP.
    pub(super) fn check_times(
        &self,
        source: &OpenFile,
        modified: Option<SystemTime>,
        to: &Assigned<'_>,
    ) -> Result<()> {
        if self.times != Times::Kept {
            return Ok(());
        }
        let how = to.open(OpenFlags::empty()).control(&self.watch.control(to.descriptor));
        let checked = if modified.is_none() {
            Err(Error::new(Code::ENOTSUP, "the source has no time to keep: copy it without that"))
        } else if self.takes_no_times.load(Ordering::Relaxed) {
            Err(sets_no_time(to))
        } else if !self.registry.info(to.descriptor, &how)?.times {
            self.takes_no_times.store(true, Ordering::Relaxed);
            Err(sets_no_time(to))
        } else {
            Ok(())
        };
        checked.map_err(|error| with_preserve(error, source.shown(), &to.shown()))
    }

    /// Gives a target the time of its source, if it is to have that: what [`check_times`](Copier::check_times) has let pass.
    pub(super) fn keep_time(
        &self,
        source: &OpenFile,
        modified: Option<SystemTime>,
        to: &Assigned<'_>,
        target: &mut OpenFile,
    ) -> Result<()> {
        let takes_times = target.capabilities().contains(Capabilities::TIMES);
        let Some(time) = modified else { return Ok(()) };
        let kept = match self.times {
            Times::Own => return Ok(()),
            Times::KeptIfTaken => {
                // What it does not hold, its own time stands for.
                if takes_times {
                    let _ = target.set_modified(time);
                }
                return Ok(());
            }
            Times::Kept if !takes_times => Err(sets_no_time(to)),
            Times::Kept => target.set_modified(time),
        };
        kept.map_err(|error| with_preserve(error, source.shown(), target.shown()))
    }

    /// Gives a folder the time that its source has, once all is in it. Where folders take none, they have their own.
    ///
    /// # Errors
    /// The provider's.
    pub fn keep_time_of_folder(&self, to: &Assigned<'_>, modified: SystemTime) -> Result<()> {
        let how = to.open(OpenFlags::empty()).control(&self.watch.control(to.descriptor));
        match self.registry.set_modified(to.descriptor, &how, modified) {
            // No file came, so that it was not made.
            Err(error) if matches!(error.code(), Code::ENOTSUP | Code::ENOENT) => Ok(()),
            kept => kept,
        }
    }

    /// Whether a target has the size of its source, and was changed last when that was, or later. Of what cannot be told, no.
    pub fn is_not_older(&self, from: &Assigned<'_>, task: &Task, to: &Assigned<'_>) -> bool {
        let stat = |side: &Assigned<'_>| {
            let how = side.open(OpenFlags::empty()).control(&self.watch.control(side.descriptor));
            // Without an open, which would break a pipe.
            self.registry.stat_name(side.descriptor, &how).ok()
        };
        let known = || {
            let (size, modified) = match (task.size, task.modified) {
                (Some(size), Some(modified)) => (size, modified),
                _ => stat(from).and_then(|stat| Some((stat.size?, stat.modified?)))?,
            };
            let target = stat(to)?;
            if target.kind != Kind::Regular || target.size? != size {
                return Some(false);
            }
            let changed = target.modified?;
            // A listing may have another time than the file, which was given one: a store of objects lists when each was made.
            Some(is_older_by_none(changed, modified) || is_older_by_none(changed, stat(from)?.modified?))
        };
        known().unwrap_or(false)
    }
}

fn sets_no_time(to: &Assigned<'_>) -> Error {
    let scheme = Descriptor::parse(to.descriptor).map(|descriptor| descriptor.scheme().to_owned());
    let scheme = scheme.unwrap_or_default();
    let text = format!("`{scheme}:` sets no time of this target: copy without that, or to another store");
    Error::new(Code::ENOTSUP, text)
}

fn with_preserve(error: Error, from: &str, to: &str) -> Error {
    doing::between(error, "copy", from, to, " with --preserve")
}

/// Whether a target's time is not before its source's, as far as the target's store counts: one in whole seconds has them rounded down.
fn is_older_by_none(target: SystemTime, source: SystemTime) -> bool {
    let whole =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|span| span.as_secs());
    let counts_seconds =
        target.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|span| span.subsec_nanos() == 0);
    target >= source || counts_seconds && whole(target) == whole(source)
}
