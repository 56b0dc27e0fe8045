//! The copies of many files, several at a time.

use crate::cp::bar;
use crate::cp::copier::{Copier, Times};
use crate::cp::ends::Ends;
use crate::cp::filter::Filter;
use crate::cp::plan::{EmptyFolder, Failed, Plan, Planner, Task, TimedFolder};
use crate::cp::tally::{Outcome, Tally};
use crate::descriptors::Assigned;
use crate::doing;
use crate::exit::Failure;
use indicatif::ProgressBar;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use vfs_core::{Code, Error, Kind, OpenFlags, Registry, Result, Shown};

/// Which files are left out that the target has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeavesOut {
    Nothing,
    /// Those of the same size that are not older.
    NotOlder,
    /// Those of the same content, by the digests of both; and what was copied is read back.
    Same,
}

/// What is done with many files.
#[derive(Debug)]
pub struct Many<'a> {
    pub recursive: bool,
    /// With the files that links in folders lead to.
    pub follows_links: bool,
    pub filter: &'a Filter,
    pub leaves_out: LeavesOut,
    /// Removes each source once this registry finds its target. One that has written nothing: what lives in the copier's only, as a
    /// buffer in memory, is not found.
    pub removes: Option<&'a Registry>,
    /// How many at a time.
    pub jobs: u16,
    pub json: bool,
}

impl Many<'_> {
    /// Copies, or moves, what the sources hold.
    ///
    /// # Errors
    /// One that stands for all, or the first file's, which was told.
    pub fn execute(&self, ends: &Ends, copier: Copier<'_>) -> Result<(), Failure> {
        if ends.has_stream() {
            let text = "`-` is no file: name one, or copy it alone, without --checksum and --json";
            return Err(Failure::new(Code::EINVAL, text));
        }
        let (registry, watch) = (copier.registry, copier.watch);
        let (sources, target) = ends.sides(registry, watch)?;
        let Many { recursive, follows_links, filter, .. } = *self;
        let planner = Planner { registry, watch, recursive, follows_links, filter };
        let is_folder = || {
            planner.is_folder(&target).map_err(|error| {
                let into = format!("copy into {}, if it is a folder (give -T if it is none)", target.shown());
                watch.failure(error.context(into))
            })
        };
        let into = !ends.no_target_directory && (ends.target.ends_with('/') || is_folder()?);
        if !into && sources.len() > 1 {
            let text = format!(
                "copy {} sources to {}: not a folder: end it with a / to make one",
                sources.len(),
                Shown(&ends.target)
            );
            return Err(Failure::new(Code::ENOTDIR, text));
        }
        let plan = planner.plan(&sources, target.descriptor, into);
        let bar = bar(plan.tasks.iter().map(|task| task.size).sum(), self.json);
        let tally = Tally::new(self.json, if self.removes.is_some() { "moved" } else { "copied" }, &bar);
        let workers = Workers {
            many: self,
            copier: &copier,
            sources: &sources,
            target: &target,
            tally: &tally,
            bar: &bar,
        };
        workers.run(plan);
        bar.finish_and_clear();
        tally.end(io::stderr().is_terminal())
    }
}

/// Copies what a plan says. One file's failure stops no other.
struct Workers<'a> {
    many: &'a Many<'a>,
    copier: &'a Copier<'a>,
    /// Whose settings the files are opened with.
    sources: &'a [Assigned<'a>],
    target: &'a Assigned<'a>,
    tally: &'a Tally<'a>,
    /// Counts bytes.
    bar: &'a ProgressBar,
}

impl Workers<'_> {
    /// Copies with so many threads as are wanted, this one among them.
    fn run(&self, plan: Plan) {
        let watch = self.copier.watch;
        for (source, why) in &plan.skipped {
            self.tally.add(source, None, &Outcome::Skipped(why));
        }
        for Failed { source, target, error } in plan.failed {
            self.tally.add(&source, target.as_deref(), &Outcome::Failed(watch.failure(error)));
        }
        let (tasks, next) = (plan.tasks.as_slice(), AtomicUsize::new(0));
        let work_on = |task: &Task| {
            watch.work();
            let outcome = self.one(task).unwrap_or_else(|error| Outcome::Failed(watch.failure(error)));
            self.tally.add(&task.source, Some(&task.target), &outcome);
        };
        let work = || {
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.tally.has_ended() {
                    return;
                }
                work_on(task);
            }
        };
        thread::scope(|scope| {
            for _ in 1..usize::from(self.many.jobs).min(tasks.len()) {
                if let Err(error) = thread::Builder::new().name("copy".to_owned()).spawn_scoped(scope, work) {
                    let error = Error::no_thread(&error).context("start a thread: give -j less");
                    self.tally.add("-j", None, &Outcome::Failed(Failure::from(error)));
                    break;
                }
            }
            work();
        });
        self.copier.remove_needless(self.target);
        // Where no file could have its time, nothing else is made.
        if !self.copier.takes_no_times.load(Ordering::Relaxed) {
            for folder in &plan.empty {
                if self.tally.has_ended() {
                    return;
                }
                self.make(folder);
            }
        }
        if self.copier.times == Times::Kept {
            // What is in a folder changes its time.
            plan.timed.iter().rev().for_each(|folder| self.keep_time(folder));
        }
    }

    fn keep_time(&self, folder: &TimedFolder) {
        if self.tally.has_ended() {
            return;
        }
        let (watch, target) = (self.copier.watch, folder.target.as_str());
        let to = self.target.at(target);
        let kept = self.copier.keep_time_of_folder(&to, folder.modified);
        watch.forget(target);
        if let Err(error) = kept {
            self.tally.add(&folder.source, Some(target), &Outcome::Failed(watch.failure(error)));
        }
    }

    /// Makes a folder that no file brings along.
    fn make(&self, folder: &EmptyFolder) {
        let (registry, watch) = (self.copier.registry, self.copier.watch);
        let to = self.target.at(&folder.target);
        let how = to.open(OpenFlags::empty()).control(&watch.control(to.descriptor));
        let made = registry.make_folders(to.descriptor, &how, &mut Vec::new());
        watch.forget(to.descriptor);
        let outcome = match made {
            Ok(()) => return,
            Err(error) if error.code() == Code::ENOTSUP => {
                Outcome::Skipped("an empty folder, and there are none where it would go")
            }
            Err(error) => Outcome::Failed(watch.failure(error)),
        };
        self.tally.add(&folder.source, Some(&folder.target), &outcome);
    }

    fn one(&self, task: &Task) -> Result<Outcome> {
        let root = &self.sources[task.root];
        let from = root.at(&task.source).within(Some(root.descriptor).filter(|_| task.is_within));
        let to = self.target.at(&task.target);
        let done = match (self.many.removes, self.many.leaves_out) {
            (Some(witness), _) => self.moved(&from, &to, witness),
            (None, LeavesOut::NotOlder) if self.copier.is_not_older(&from, task, &to) => Ok(Outcome::Same),
            (None, _) => self.copied(&from, &to, task.is_new),
        };
        for side in [&from, &to] {
            self.copier.watch.forget(side.descriptor);
        }
        done
    }

    /// Copies, and removes the source if it is still what was copied and `witness` finds the target.
    fn moved(&self, from: &Assigned<'_>, to: &Assigned<'_>, witness: &Registry) -> Result<Outcome> {
        let (registry, watch) = (self.copier.registry, self.copier.watch);
        let how =
            |side: &Assigned<'_>| side.open(OpenFlags::empty()).control(&watch.control(side.descriptor));
        let stat = |side: &Assigned<'_>| registry.stat(side.descriptor, &how(side));
        let refused = |code: Code, why: &str| {
            Err(Error::new(code, format!("move {} to {}: {why}", from.shown(), to.shown())))
        };
        let before = stat(from)?;
        if before.kind == Kind::Directory {
            return refused(Code::EISDIR, "folders are not moved: copy it with -r");
        }
        let before = before.version;
        if before.is_empty() {
            let why = "the source has no version tag, so nothing proves that it is still what was copied: copy it, then zvfs rm";
            return refused(Code::ENOTSUP, why);
        }
        let keeps_nothing = "what is written to the target is not kept there: copy it, then zvfs rm";
        // Without an open, which would break a pipe.
        let there = registry.stat_name(to.descriptor, &how(to));
        match &there {
            Ok(there) if !matches!(there.kind, Kind::Regular | Kind::Directory) => {
                return refused(Code::EINVAL, keeps_nothing);
            }
            Ok(there) if there.version == before => {
                return refused(
                    Code::EINVAL,
                    "their version tags are equal, so they may be one file: remove one by zvfs rm",
                );
            }
            Err(error) if error.code() == Code::ENOTSUP => return refused(Code::EINVAL, keeps_nothing),
            Ok(_) | Err(_) => {}
        }
        let outcome = self.copied(from, to, false)?;
        let kept = witness.stat_name(to.descriptor, &how(to));
        if kept.as_ref().is_err_and(|error| error.code() == Code::ENOENT) {
            return refused(Code::EINVAL, keeps_nothing);
        }
        let stays = |error: Error| {
            doing::between(error, "move", &from.shown(), &to.shown(), ": copied, but it stays")
        };
        let kept = kept.map_err(stays)?;
        // A server may answer an upload as it answers a download: well, and nothing is changed.
        if there.is_ok_and(|there| there == kept) && !self.copier.same_content(from, to).map_err(stays)? {
            let why =
                "copied, but the target is what it was before: its server took nothing; the source stays";
            return refused(Code::EIO, why);
        }
        if stat(from)?.version != before {
            return refused(Code::ESTALE, "copied, but the source changed meanwhile, and stays");
        }
        let removed = registry.remove(from.descriptor, &how(from));
        removed.map_err(stays)?;
        Ok(outcome)
    }

    fn copied(&self, from: &Assigned<'_>, to: &Assigned<'_>, is_new: bool) -> Result<Outcome> {
        let checks = self.many.leaves_out == LeavesOut::Same;
        if checks && self.copier.same_content(from, to)? {
            return Ok(Outcome::Same);
        }
        let mut total = 0;
        let opened = self.copier.open(from, (to, is_new), None)?;
        if opened.is_same && self.many.removes.is_some() {
            let text = format!(
                "move {} to {}: their contents are equal, so they may be one file: remove one by zvfs rm",
                from.shown(),
                to.shown()
            );
            return Err(Error::new(Code::EINVAL, text));
        }
        let files = opened.run_unchanged(&mut |now| {
            self.bar.inc(now - total);
            total = now;
        })?;
        drop(files);
        if checks && !self.copier.same_content(from, to)? {
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
