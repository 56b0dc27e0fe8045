//! How checks are run, and what comes of them.

use crate::check::Check;
use crate::checks::CHECKS;
use crate::step::Stop;
use crate::subject::Subject;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use vfs_core::written_duration;

/// How long one check may take: a call that hangs is a failure with the check's name, not a test run that stands still.
const LIMIT: Duration = Duration::from_secs(30);
/// The same in a provider's own tests: 200 opens at a slow server, on a busy machine, are no hang.
const PATIENCE: Duration = Duration::from_secs(180);

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What it says holds.
    Passed,
    /// It does not apply: the reason.
    Skipped(String),
    /// What it says does not hold: how.
    Failed(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => f.write_str("passed"),
            Verdict::Skipped(reason) => write!(f, "skipped: {reason}"),
            Verdict::Failed(how) => write!(f, "FAILED: {how}"),
        }
    }
}

/// Runs one check. A panic and a call that does not end within 30 s are failures; after the latter a thread stays behind.
pub fn run_check(check: &Check, subject: &Arc<Subject>) -> Verdict {
    run_within(check, subject, LIMIT)
}

/// The same for a check of any suite, within a limit.
pub fn run_within<S: Send + Sync + 'static>(check: &Check<S>, subject: &Arc<S>, limit: Duration) -> Verdict {
    let (done, verdict) = channel();
    let (run, subject) = (check.run, subject.clone());
    let started = thread::Builder::new().name(check.name.to_owned()).spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&subject)));
        // The receiver is gone if the limit passed first: nobody waits for the verdict any more.
        let _ = done.send(match outcome {
            Ok(Ok(())) => Verdict::Passed,
            Ok(Err(Stop::Skip(reason))) => Verdict::Skipped(reason),
            Ok(Err(Stop::Fail(how) | Stop::Lost(how))) => Verdict::Failed(how),
            Err(panic) => Verdict::Failed(format!("panicked: {}", panic_text(&*panic))),
        });
    });
    if let Err(error) = started {
        return Verdict::Failed(format!("cannot start a thread for it: {error}"));
    }
    match verdict.recv_timeout(limit) {
        Ok(verdict) => verdict,
        Err(RecvTimeoutError::Timeout) => {
            Verdict::Failed(format!("hangs: no result within {}", written_duration(limit)))
        }
        Err(RecvTimeoutError::Disconnected) => Verdict::Failed("its thread died".to_owned()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}

/// Runs every check and prints a line for each.
///
/// # Panics
/// One failed; or none passed, which proves nothing.
pub fn run(subject: Subject) {
    run_all(CHECKS, subject, PATIENCE);
}

pub(crate) fn run_all<S: Send + Sync + 'static>(checks: &[Check<S>], subject: S, limit: Duration) {
    let subject = Arc::new(subject);
    let (mut failed, mut passed) = (Vec::new(), 0);
    for check in checks {
        let verdict = run_within(check, &subject, limit);
        println!("{:<44} {verdict}", check.name);
        match verdict {
            Verdict::Passed => passed += 1,
            Verdict::Skipped(_) => {}
            Verdict::Failed(how) => failed.push(format!("{}: {how}\n    ({})", check.name, check.what)),
        }
    }
    assert!(failed.is_empty(), "{} checks failed\n  {}", failed.len(), failed.join("\n  "));
    assert!(passed > 0, "every check was skipped");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::step::Step;
    use vfs_core::{Error, Host, Info, Instance, Provider, Result, Settings};

    struct Nothing;

    impl Provider for Nothing {
        fn info(&self) -> Info {
            Info::new("nothing", "1", "cannot be started")
        }

        fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
            Err(Error::from(vfs_core::Code::ENOTSUP))
        }
    }

    fn verdict(run: fn(&Subject) -> Step, limit: Duration) -> Verdict {
        let check = Check { name: "made_up", what: "", run };
        run_within(&check, &Arc::new(Subject::new(Box::new(Nothing))), limit)
    }

    #[test]
    fn a_check_that_hangs_fails() {
        let hang = |_: &Subject| loop {
            thread::park();
        };
        let Verdict::Failed(how) = verdict(hang, Duration::from_millis(50)) else {
            panic!("it did not fail")
        };
        assert!(how.starts_with("hangs"), "{how}");
    }

    #[test]
    fn a_check_that_panics_fails_with_the_text() {
        let how = verdict(|_| panic!("slipped"), LIMIT);
        assert_eq!(how, Verdict::Failed("panicked: slipped".to_owned()));
    }

    #[test]
    #[should_panic(expected = "checks failed")]
    fn a_provider_that_does_nothing_fails() {
        run(Subject::new(Box::new(Nothing)));
    }
}
