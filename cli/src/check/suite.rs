//! The conformance suite, one check at a time, and what comes of each.

use crate::child_process::Ended;
use crate::exit::Failure;
use crate::text::{one_line, printable};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::{Code, Error, Shown};
use zvfs_conformance::{BINARY_CHECKS, Before, Binary, CHECKS, Subject, Verdict, fix, run_within};

/// What a child prints before its verdict: the library may print as well.
const MARK: &str = "zvfs-check-verdict ";
/// What it prints before the names that it made and could not remove.
const LEFT: &str = "zvfs-check-left ";

/// One check of any of the suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    name: &'static str,
    what: &'static str,
}

/// The one that has to pass before the others say anything.
const FIRST: Item =
    Item { name: "descriptors_open", what: "the library starts, and what --descriptor names can be read" };
const FIRST_FIX: &str = "give a descriptor that the library serves, the settings that it needs with -o key=value, and with \
                         --place process what it may do with --may";
/// What only a process that has not loaded the library yet can see.
const LOADING: Item = Item {
    name: "loading_changes_nothing",
    what: "constructors and the entry start no thread, and leave working folder, umask, locale, environment and signals alone",
};
const LOADING_FIX: &str =
    "do in start() what constructors and zvfs_provider_v1() do now: listing providers loads them all";

impl Item {
    pub fn is_first(self) -> bool {
        self == FIRST
    }

    fn fix(self) -> &'static str {
        match self {
            FIRST => FIRST_FIX,
            LOADING => LOADING_FIX,
            _ => fix(self.name).unwrap_or(self.what),
        }
    }
}

/// All checks; those that call a library's functions one by one, or look at the process that loads it, are for the host.
fn all(in_process: bool) -> impl Iterator<Item = Item> {
    let suite = CHECKS.iter().map(|check| Item { name: check.name, what: check.what });
    let binary = BINARY_CHECKS.iter().map(|check| Item { name: check.name, what: check.what });
    suite.chain(binary.chain([LOADING]).filter(move |_| !in_process))
}

/// The checks with this in their names.
///
/// # Errors
/// EINVAL: there is none.
pub fn matching(filter: Option<&str>, in_process: bool) -> Result<Vec<Item>, Failure> {
    let filter = filter.unwrap_or_default();
    let matches = |item: &Item| item.name.contains(filter);
    if !all(false).any(|item| matches(&item)) {
        let text = format!("no check has `{}` in its name", printable(filter));
        return Err(Failure::new(Code::EINVAL, text));
    }
    Ok([FIRST].into_iter().chain(all(in_process).filter(matches)).collect())
}

/// The verdict on what loading did, if that is the check of this name.
pub fn of_loading(name: &str, before: &Before) -> Option<Verdict> {
    if name != LOADING.name {
        return None;
    }
    let threads = before.threads.arrived();
    let threads = (!threads.is_empty()).then(|| format!("a thread of it runs: {}", threads.join(", ")));
    let changes = before.state.changes().map(|changes| format!("it has changed {changes}"));
    let found: Vec<String> = threads.into_iter().chain(changes).collect();
    Some(match found.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed(format!("once loaded, {}", found.join("; "))),
    })
}

/// Runs one check in this process, prints its verdict, and removes the names that it made.
///
/// # Errors
/// ENOENT: there is no such check.
pub fn run_here(
    name: &str,
    limit: Duration,
    subject: Subject,
    binary: impl FnOnce(Subject) -> Result<Binary, Error>,
) -> Result<(), Error> {
    if name == FIRST.name {
        print(&Verdict::Passed);
    } else if let Some(check) = CHECKS.iter().find(|check| check.name == name) {
        let subject = Arc::new(subject);
        print(&run_within(check, &subject, limit));
        print_left(subject.clean_up());
    } else if let Some(check) = BINARY_CHECKS.iter().find(|check| check.name == name) {
        let binary = Arc::new(binary(subject)?);
        print(&run_within(check, &binary, limit));
        print_left(binary.subject.clean_up());
    } else {
        return Err(Error::new(Code::ENOENT, format!("no check {name}")));
    }
    Ok(())
}

/// Tells the parent what came of the check.
pub fn print(verdict: &Verdict) {
    let (word, text) = match verdict {
        Verdict::Passed => ("passed", ""),
        Verdict::Skipped(reason) => ("skipped", reason.as_str()),
        Verdict::Failed(how) => ("failed", how.as_str()),
    };
    println!("\n{MARK}{word} {}", one_line(text));
}

/// Tells the parent what could not be removed.
pub fn print_left(left: Result<Vec<String>, Error>) {
    let text = match left {
        Ok(left) if left.is_empty() => return,
        Ok(left) => left.iter().map(|descriptor| Shown(descriptor).to_string()).collect::<Vec<_>>().join(" "),
        Err(error) => error.chain(),
    };
    println!("\n{LEFT}{}", one_line(&text));
}

/// What a child said that it could not remove.
pub fn left(ended: &Ended) -> Option<String> {
    ended.output.lines().rev().find_map(|line| line.strip_prefix(LEFT)).map(printable)
}

/// What came of one check.
pub struct Outcome {
    item: Item,
    /// Which run of the suite, if there are several.
    run: String,
    verdict: Verdict,
    took: Duration,
    /// What it made and could not remove.
    left: Option<String>,
}

impl Outcome {
    /// Lets a child run a check, and judges how it ended. One that ended before it could remove what it made has `sweep` do so.
    pub fn of(
        item: Item,
        run: &str,
        child: impl FnOnce(&str) -> Result<Ended, Error>,
        sweep: impl FnOnce(u32) -> Result<Option<String>, Error>,
    ) -> Result<Outcome, Failure> {
        let start = Instant::now();
        let ended = child(item.name)?;
        let (verdict, took) = (judge(&ended), start.elapsed());
        let left =
            if ended.code_and_signal() == (Some(0), None) { left(&ended) } else { sweep(ended.process)? };
        Ok(Outcome { item, run: run.to_owned(), verdict, took, left })
    }

    pub fn left(&self) -> Option<&str> {
        self.left.as_deref()
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
            "run": Some(&self.run).filter(|run| !run.is_empty()),
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
        let name = match self.run.as_str() {
            "" => self.item.name.to_owned(),
            run => format!("{} ({run})", self.item.name),
        };
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
