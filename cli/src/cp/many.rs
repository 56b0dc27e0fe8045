//! The copies of a plan, several at a time.

use crate::cp::copier::Copier;
use crate::cp::plan::{Plan, Task};
use crate::cp::tally::{Outcome, Tally};
use crate::descriptors::Assigned;
use crate::exit::Failure;
use indicatif::ProgressBar;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use vfs_core::{Code, Error, Result};

/// Copies what a plan says. One file's failure stops no other.
pub struct Crew<'a> {
    pub copier: &'a Copier<'a>,
    /// Whose settings the files are opened with.
    pub sources: &'a [Assigned<'a>],
    pub target: &'a Assigned<'a>,
    /// Compares contents: leaves out what the target has already, and reads back what was written.
    pub checksum: bool,
    pub tally: &'a Tally<'a>,
    /// Counts bytes.
    pub bar: &'a ProgressBar,
}

impl Crew<'_> {
    /// Copies with so many threads, this one among them.
    pub fn work(&self, plan: Plan, jobs: usize) {
        let watch = self.copier.watch;
        for (source, why) in &plan.skipped {
            self.tally.add(source, None, &Outcome::Skipped(why));
        }
        for (source, error) in plan.failed {
            self.tally.add(&source, None, &Outcome::Failed(watch.failure(error)));
        }
        let (tasks, next) = (plan.tasks.as_slice(), AtomicUsize::new(0));
        let work = || {
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.tally.has_ended() {
                    return;
                }
                watch.work();
                let outcome = self.one(task).unwrap_or_else(|error| Outcome::Failed(watch.failure(error)));
                self.tally.add(&task.source, Some(&task.target), &outcome);
            }
        };
        thread::scope(|scope| {
            for _ in 1..jobs.min(tasks.len()) {
                if let Err(error) = thread::Builder::new().name("copy".to_owned()).spawn_scoped(scope, work) {
                    let error = Error::no_thread(&error).context("start a thread: give -j less");
                    self.tally.add("-j", None, &Outcome::Failed(Failure::from(error)));
                    break;
                }
            }
            work();
        });
    }

    fn one(&self, task: &Task) -> Result<Outcome> {
        let settings = self.sources[task.root].settings.clone();
        let from = Assigned { descriptor: &task.source, settings };
        let to = Assigned { descriptor: &task.target, settings: self.target.settings.clone() };
        let copied = self.copied(&from, &to);
        for side in [&from, &to] {
            self.copier.watch.forget(side.descriptor);
        }
        copied
    }

    fn copied(&self, from: &Assigned<'_>, to: &Assigned<'_>) -> Result<Outcome> {
        if self.checksum && self.copier.same_content(from, to)? {
            return Ok(Outcome::Same);
        }
        let mut total = 0;
        let opened = self.copier.open(from, to, None)?;
        let files = opened.run_unchanged(&mut |now| {
            self.bar.inc(now - total);
            total = now;
        })?;
        drop(files);
        if self.checksum && !self.copier.same_content(from, to)? {
            let text = format!(
                "copy {} to {}: read back, the content is another one: copy it again",
                from.shown(),
                to.shown()
            );
            return Err(Error::new(Code::EIO, text));
        }
        Ok(Outcome::Copied(total))
    }
}
