//! What is legal after a file's writing side was finished: the same for every provider, since the host keeps it.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::Finish;

/// How far the writing side has ended.
#[derive(Debug, Default)]
pub(super) enum Ending {
    /// It may be written.
    #[default]
    Open,
    /// END was said, or a COMMIT timed out or goes on: whether the other side has heard is not known, so that nothing may follow.
    Ended,
    /// What the COMMIT gave.
    Committed(Finished),
    /// What the DISCARD gave.
    Discarded(Finished),
}

/// What a finish gave, to be given again.
pub(super) type Finished = Option<Error>;

impl Ending {
    /// Refuses what writes, once the writing side has ended.
    #[inline]
    pub(super) fn check(&self, verb: &str, shown: &str) -> Result<()> {
        match self {
            Ending::Open => Ok(()),
            _ => Err(self.ended(verb, shown)),
        }
    }

    /// The answer to a finish that the provider is not asked about.
    pub(super) fn answer(&self, how: Finish) -> Option<Result<()>> {
        match (self, how) {
            (Ending::Open, _)
            | (Ending::Ended, Finish::Commit | Finish::Discard)
            | (Ending::Committed(Some(_)), Finish::Discard) => None,
            (Ending::Ended, Finish::End) => Some(Ok(())),
            (Ending::Committed(answer), Finish::End | Finish::Commit)
            | (Ending::Discarded(answer), Finish::Discard) => Some(again(answer)),
            (Ending::Committed(None), Finish::Discard) => {
                Some(invalid("DISCARD after COMMIT: the file is complete"))
            }
            (Ending::Discarded(_), Finish::End) => Some(invalid("END after DISCARD: the file was discarded")),
            (Ending::Discarded(_), Finish::Commit) => {
                Some(invalid("COMMIT after DISCARD: the file was discarded"))
            }
        }
    }

    /// Takes note of what the provider answered.
    pub(super) fn note(&mut self, how: Finish, result: &Result<()>) {
        let answer = result.as_ref().err().map(Error::flattened);
        match (how, &answer) {
            (Finish::End, Some(_)) => {}
            (Finish::End, None) => *self = Ending::Ended,
            (Finish::Commit, Some(error)) if error.code() == Code::ETIMEDOUT => *self = Ending::Ended,
            (Finish::Commit, _) => *self = Ending::Committed(answer),
            (Finish::Discard, _) => *self = Ending::Discarded(answer),
        }
    }

    /// Takes note of a COMMIT that is to be repeated.
    pub(super) fn begin_commit(&mut self) {
        *self = Ending::Ended;
    }

    #[cold]
    #[inline(never)]
    fn ended(&self, verb: &str, shown: &str) -> Error {
        let after = match self {
            Ending::Open | Ending::Ended => "END",
            Ending::Committed(_) => "COMMIT",
            Ending::Discarded(_) => "DISCARD",
        };
        Error::new(Code::EBADF, format!("{verb} {shown}: after {after}: the writing side has ended"))
    }
}

fn again(answer: &Finished) -> Result<()> {
    answer.as_ref().map_or(Ok(()), |error| Err(error.flattened()))
}

fn invalid(text: &'static str) -> Result<()> {
    Err(Error::new(Code::EINVAL, text))
}
