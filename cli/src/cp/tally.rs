//! What became of the files of a copy: told file by file, counted, and summed up at the end.

use crate::exit::{Failure, warn};
use crate::log;
use crate::stdout;
use crate::text;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vfs_core::{Level, Shown};

/// What became of one file.
#[derive(Debug)]
pub enum Outcome {
    /// This many bytes were copied.
    Copied(u64),
    /// The target has the same content already.
    Same,
    /// It is nothing that can be copied.
    Skipped(&'static str),
    Failed(Failure),
}

/// Counts, from several threads.
pub struct Tally<'a> {
    /// One JSON object a line on standard output, instead of words on standard error.
    json: bool,
    /// What a person reads of what was done: copied, or moved.
    done: &'static str,
    bar: &'a ProgressBar,
    // Not parking_lot's: a thread may wait for it while a library loads.
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    copied: u64,
    bytes: u64,
    same: u64,
    skipped: u64,
    failed: u64,
    /// The exit code of the first failure.
    code: Option<u8>,
    /// Whatever else would be done fails alike.
    ended: bool,
}

impl<'a> Tally<'a> {
    pub fn new(json: bool, done: &'static str, bar: &'a ProgressBar) -> Tally<'a> {
        Tally { json, done, bar, counts: Mutex::default() }
    }

    /// Whether nothing more is to be begun: a signal came, or the time is over.
    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Counts one file, and tells what a person or a program must know of it.
    pub fn add(&self, source: &str, target: Option<&str>, outcome: &Outcome) {
        let mut counts = self.lock();
        if let (Outcome::Failed(failure), true) = (outcome, counts.ended)
            && failure.is_last()
        {
            // The others end by the same signal, which is told once.
            counts.failed += 1;
            return;
        }
        match outcome {
            Outcome::Copied(bytes) => {
                counts.copied += 1;
                counts.bytes += bytes;
            }
            Outcome::Same => counts.same += 1,
            Outcome::Skipped(_) => counts.skipped += 1,
            Outcome::Failed(failure) => counts.fail(failure),
        }
        let Counts { copied, same, skipped, failed, .. } = *counts;
        self.bar.set_message(format!("{}, ", files(copied + same + skipped + failed)));
        let told = self.bar.suspend(|| self.tell(source, target, outcome));
        if let Err(failure) = told {
            failure.tell();
            counts.fail(&failure);
        }
    }

    fn tell(&self, source: &str, target: Option<&str>, outcome: &Outcome) -> Result<(), Failure> {
        match outcome {
            Outcome::Failed(failure) => failure.tell(),
            Outcome::Skipped(why) if !self.json => warn(&format!("left out {}: {why}", Shown(source))),
            _ => {}
        }
        if !self.json {
            return Ok(());
        }
        let (outcome, bytes, why) = match outcome {
            Outcome::Copied(bytes) => ("copied", Some(*bytes), None),
            Outcome::Same => ("same", None, None),
            Outcome::Skipped(why) => ("skipped", None, Some(*why)),
            Outcome::Failed(failure) => ("failed", None, failure.message()),
        };
        let target = target.map(|target| Shown(target).unescaped());
        line(&json!({
            "source": Shown(source).unescaped(), "target": target, "outcome": outcome, "bytes": bytes, "why": why,
        }))
    }

    /// Sums up: for a program always, for a person if there is more to say than that all was copied. The first failure is the
    /// command's.
    ///
    /// # Errors
    /// Some file failed.
    pub fn end(self, look_on: bool) -> Result<(), Failure> {
        let counts = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Counts { copied, bytes, same, skipped, failed, code, .. } = counts;
        if self.json && !counts.ended {
            line(&json!({
                "summary": { "copied": copied, "bytes": bytes, "same": same, "skipped": skipped, "failed": failed },
            }))?;
        }
        if !self.json && (look_on || skipped + failed > 0) {
            let mut text = format!("{} {}, {}", self.done, files(copied), HumanBytes(bytes));
            for (count, what) in [(same, "the same already"), (skipped, "left out"), (failed, "failed")] {
                if count > 0 {
                    text += &format!("; {count} {what}");
                }
            }
            log::tell(Level::Info, &text);
        }
        code.map_or(Ok(()), |code| Err(Failure::told(code)))
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics while it is held.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn fail(&mut self, failure: &Failure) {
        self.failed += 1;
        self.code.get_or_insert(failure.code());
        self.ended |= failure.is_last();
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn line(value: &Value) -> Result<(), Failure> {
    let mut out = stdout::writer().map_err(Failure::output)?;
    out.write_all((text::json(value) + "\n").as_bytes()).map_err(Failure::output)
}
