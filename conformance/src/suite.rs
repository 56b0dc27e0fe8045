//! The list of checks, how one is run and what comes of it.

use crate::checks::CHECKS;
use crate::subject::Subject;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long one check may take: a call that hangs is a failure with the check's name, not a test run that stands still.
const LIMIT: Duration = Duration::from_secs(30);

/// One check of a suite over subjects `S`.
pub struct Check<S = Subject> {
    /// What holds if it passes: `read_end_is_zero_and_stays`.
    pub name: &'static str,
    /// One line for a person.
    pub what: &'static str,
    /// Runs it, in the caller's thread and without a bound: see [`run_check`].
    pub run: fn(&S) -> Step,
}

// Not derived: that would ask the same of the subject.
impl<S> Copy for Check<S> {}

impl<S> Clone for Check<S> {
    fn clone(&self) -> Check<S> {
        *self
    }
}

impl<S> fmt::Debug for Check<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.name)
    }
}

/// Lists checks: for each module its functions, and what holds if they pass.
macro_rules! checks {
    ($subject:ty: $($module:ident { $($name:ident = $what:literal;)+ })+) => {
        /// Every check, in the order in which they run.
        pub static CHECKS: &[$crate::suite::Check<$subject>] = &[
            $($($crate::suite::Check { name: stringify!($name), what: $what, run: $module::$name },)+)+
        ];
    };
}
pub(crate) use checks;

/// What a step of a check comes to.
pub type Step<T = ()> = Result<T, Stop>;

/// Why a check does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It does not apply: the reason, such as a capability that is not claimed.
    Skip(String),
    /// The provider is at fault: how.
    Fail(String),
}

impl From<vfs_core::Error> for Stop {
    fn from(error: vfs_core::Error) -> Stop {
        Stop::Fail(format!("{} ({})", error.chain(), error.code()))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Fail(format!("the suite's own side: {error}"))
    }
}

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
            Ok(Err(Stop::Fail(how))) => Verdict::Failed(how),
            Err(panic) => Verdict::Failed(format!("panicked: {}", panic_text(&*panic))),
        });
    });
    if let Err(error) = started {
        return Verdict::Failed(format!("cannot start a thread for it: {error}"));
    }
    match verdict.recv_timeout(limit) {
        Ok(verdict) => verdict,
        Err(RecvTimeoutError::Timeout) => Verdict::Failed(format!("hangs: no result within {limit:?}")),
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
    run_all(CHECKS, subject, LIMIT);
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
