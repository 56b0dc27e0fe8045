//! The conformance suite, one check at a time, and what comes of each.

use crate::check::process::Ended;
use crate::exit::Failure;
use crate::text::{one_line, printable};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::{Code, Error};
use zvfs_conformance::{BINARY_CHECKS, Binary, CHECKS, Subject, Verdict, fix, run_within};

/// What a child prints before its verdict: the library may print as well.
const MARK: &str = "zvfs-check-verdict ";

/// One check of any of the suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    name: &'static str,
    what: &'static str,
}

/// The one that has to pass before the others say anything.
const FIRST: Item =
    Item { name: "descriptors_open", what: "the library starts, and what --descriptor names can be read" };
const FIRST_FIX: &str =
    "give a descriptor that the library serves, and the settings that it needs with -o key=value";

impl Item {
    pub fn is_first(self) -> bool {
        self == FIRST
    }

    fn fix(self) -> &'static str {
        if self.is_first() { FIRST_FIX } else { fix(self.name).unwrap_or(self.what) }
    }
}

fn all() -> impl Iterator<Item = Item> {
    let suite = CHECKS.iter().map(|check| Item { name: check.name, what: check.what });
    suite.chain(BINARY_CHECKS.iter().map(|check| Item { name: check.name, what: check.what }))
}

/// The checks with this in their names.
///
/// # Errors
/// EINVAL: there is none.
pub fn matching(filter: Option<&str>) -> Result<Vec<Item>, Failure> {
    let filter = filter.unwrap_or_default();
    let found: Vec<Item> = all().filter(|item| item.name.contains(filter)).collect();
    if found.is_empty() {
        let text = format!("no check has `{}` in its name", printable(filter));
        return Err(Failure::new(Code::EINVAL, text));
    }
    Ok([FIRST].into_iter().chain(found).collect())
}

/// Runs one check in this process, prints its verdict.
///
/// # Errors
/// ENOENT: there is no such check.
pub fn run_here(
    name: &str,
    limit: Duration,
    subject: Subject,
    binary: impl FnOnce(Subject) -> Result<Binary, Error>,
) -> Result<(), Error> {
    let verdict = if name == FIRST.name {
        Verdict::Passed
    } else if let Some(check) = CHECKS.iter().find(|check| check.name == name) {
        run_within(check, &Arc::new(subject), limit)
    } else if let Some(check) = BINARY_CHECKS.iter().find(|check| check.name == name) {
        run_within(check, &Arc::new(binary(subject)?), limit)
    } else {
        return Err(Error::new(Code::ENOENT, format!("no check {name}")));
    };
    let (word, text) = match &verdict {
        Verdict::Passed => ("passed", ""),
        Verdict::Skipped(reason) => ("skipped", reason.as_str()),
        Verdict::Failed(how) => ("failed", how.as_str()),
    };
    println!("\n{MARK}{word} {}", one_line(text));
    Ok(())
}

/// What came of one check.
pub struct Outcome {
    item: Item,
    verdict: Verdict,
    took: Duration,
}

impl Outcome {
    /// Lets a child run a check, and judges how it ended.
    pub fn of(item: Item, child: impl FnOnce(&str) -> Result<Ended, Error>) -> Result<Outcome, Failure> {
        let start = Instant::now();
        let ended = child(item.name)?;
        Ok(Outcome { item, verdict: judge(&ended), took: start.elapsed() })
    }

    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }

    pub fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }

    pub fn json(&self) -> Value {
        let (verdict, text) = match &self.verdict {
            Verdict::Passed => ("passed", None),
            Verdict::Skipped(reason) => ("skipped", Some(reason)),
            Verdict::Failed(how) => ("failed", Some(how)),
        };
        json!({
            "name": self.item.name,
            "what": self.item.what,
            "verdict": verdict,
            "text": text,
            "fix": self.failed().then(|| self.item.fix()),
            "milliseconds": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.item.name;
        match &self.verdict {
            Verdict::Passed => write!(f, "passed   {name}"),
            Verdict::Skipped(reason) => write!(f, "skipped  {name}: {reason}"),
            Verdict::Failed(how) => {
                let (what, fix) = (self.item.what, self.item.fix());
                write!(f, "FAILED   {name}: {how}\n         the rule: {what}\n         to fix: {fix}")
            }
        }
    }
}

fn judge(ended: &Ended) -> Verdict {
    let verdict = ended.output.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let verdict = verdict.map(|line| line.split_once(' ').unwrap_or((line, "")));
    let text = |text: &str| printable(text.trim());
    match (ended.code_and_signal(), verdict) {
        ((_, Some(signal)), _) => Verdict::Failed(format!("crashed with signal {signal}{}", named(signal))),
        ((None, None), _) => Verdict::Failed("hangs: no end within the time limit".to_owned()),
        ((Some(0), _), Some(("passed", _))) => Verdict::Passed,
        ((Some(0), _), Some(("skipped", reason))) => Verdict::Skipped(text(reason)),
        ((Some(0), _), Some((_, how))) => Verdict::Failed(text(how)),
        ((Some(code @ 1..), _), None) => match ended.told() {
            Some(told) => Verdict::Failed(text(told)),
            None => Verdict::Failed(format!("the library ended the process with code {code}")),
        },
        ((Some(code), _), _) => Verdict::Failed(format!("the library ended the process with code {code}")),
    }
}

fn named(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic)",
        9 => " (killed)",
        11 => " (bad memory access)",
        13 => " (SIGPIPE: write sockets with MSG_NOSIGNAL)",
        _ => "",
    }
}
