//! One check, and how a list of them is written.

use crate::step::Step;
use crate::subject::Subject;
use std::fmt;

/// One check of a suite over subjects `S`.
pub struct Check<S = Subject> {
    /// What holds if it passes: `read_end_is_zero_and_stays`.
    pub name: &'static str,
    /// One line for a person.
    pub what: &'static str,
    /// Runs it, in the caller's thread and without a bound: see [`run_check`](crate::run_check).
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
        pub static CHECKS: &[$crate::check::Check<$subject>] = &[
            $($($crate::check::Check { name: stringify!($name), what: $what, run: $module::$name },)+)+
        ];
    };
}
pub(crate) use checks;
