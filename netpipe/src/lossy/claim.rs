//! How a reader comes by its pipe's name: a name has one reader at a time.
//!
//! Where names are kept, the first to write itself down has the name. A holder that is not there any more, because its process was
//! killed, does not answer for as long as a lost peer may be silent, or is not connected to any server for an eighth of that; then it
//! is succeeded. Where names are not kept, whoever nobody contradicts has the name.

use crate::error::{Reason, code};
use crate::lossy::end::{Answer, Timing, Wish};
use std::time::{Duration, Instant};

/// Between two questions to whoever has the name.
const AGAIN: Duration = Duration::from_millis(100);
/// Before the next attempt where whoever keeps the names does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// A name is kept for 60 s, see `names`; so it is written again this often.
const RENEW: Duration = Duration::from_secs(20);
/// How often others are asked whether they have a name that nobody keeps.
const CONTESTS: u32 = 3;

/// A reader's way to its name.
#[derive(Debug)]
pub struct Claim {
    timing: Timing,
    state: State,
    /// What came of the last attempt.
    refusal: Option<String>,
    wish: Option<Wish>,
    ask: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// An answer about the name is on its way.
    Claiming(Holder),
    /// Somebody has it, and is asked.
    Asking { again: Instant, holder: Holder },
    /// Whoever keeps the names did not answer.
    Retrying { again: Instant },
    /// Nobody keeps the names: others are asked, for the last time or not.
    Contesting { again: Instant, left: u32 },
    /// It is this reader's. `renew` if it is kept.
    Held { renew: Option<Instant> },
    /// It was given back, or belongs to another.
    Over,
}

/// Another that has the name: what it wrote last, for how long it has been asked in vain, and for how much of that the server said
/// that nobody listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holder {
    revision: Option<u64>,
    silence: Duration,
    absence: Duration,
}

impl Claim {
    /// Begins.
    pub fn new(timing: Timing) -> Claim {
        let wish = Some(Wish::Claim { over: None });
        Claim { timing, state: State::Claiming(Holder::default()), refusal: None, wish, ask: false }
    }

    /// Whether the name is this reader's.
    pub fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// Why it is not held yet.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }

    /// Takes an answer about the name; true: it is this reader's from now on.
    ///
    /// # Errors
    /// ECONNRESET: it is another's by now.
    pub fn answered(&mut self, now: Instant, answer: Answer) -> Result<bool, Reason> {
        match (self.state, answer) {
            (State::Claiming(_), Answer::Claimed) => return Ok(self.hold(Some(now + RENEW))),
            (State::Claiming(known), Answer::Taken { revision }) => {
                // Whoever writes is there, though its answers may be lost.
                let is_same = known.revision == Some(revision);
                let holder =
                    if is_same { known } else { Holder { revision: Some(revision), ..Holder::default() } };
                self.refusal = Some("the name has a reader that does not answer".to_owned());
                self.ask = true;
                self.state = State::Asking { again: now + AGAIN, holder };
            }
            (State::Claiming(_), Answer::Unkept) => {
                self.ask = true;
                self.state = State::Contesting { again: now + AGAIN, left: CONTESTS - 1 };
            }
            (State::Claiming(_), Answer::Unknown(why)) => {
                self.refusal = Some(why);
                self.state = State::Retrying { again: now + RETRY };
            }
            (State::Held { .. }, Answer::Taken { .. }) => {
                self.state = State::Over;
                let text = "another reader took the name over, as this one did not answer";
                return Err(Reason::new(code::ECONNRESET, text));
            }
            _ => {}
        }
        Ok(false)
    }

    fn hold(&mut self, renew: Option<Instant>) -> bool {
        self.refusal = None;
        self.state = State::Held { renew };
        true
    }

    /// The holder says that it is there.
    ///
    /// # Errors
    /// EBUSY, unless the name was this reader's before.
    pub fn contradicted(&mut self) -> Result<(), Reason> {
        match self.state {
            State::Asking { .. } | State::Contesting { .. } | State::Claiming(_) => {
                self.state = State::Over;
                Err(Reason::new(code::EBUSY, "the pipe has a reader already"))
            }
            _ => Ok(()),
        }
    }

    /// The server says that nobody listens to the name; true: it is this reader's from now on.
    pub fn uncontradicted(&mut self) -> bool {
        if let State::Asking { holder, .. } = &mut self.state {
            holder.absence += AGAIN;
        }
        matches!(self.state, State::Contesting { .. }) && self.hold(None)
    }

    /// When to call [`tick`](Claim::tick).
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Asking { again, .. } | State::Retrying { again } | State::Contesting { again, .. } => {
                Some(again)
            }
            State::Held { renew } => renew,
            State::Claiming(_) | State::Over => None,
        }
    }

    /// Time has passed; true: the name is this reader's from now on.
    pub fn tick(&mut self, now: Instant) -> bool {
        match self.state {
            State::Asking { again, holder } if now >= again => {
                let holder = Holder { silence: holder.silence + AGAIN, ..holder };
                let is_gone =
                    holder.silence >= self.timing.peer_timeout || holder.absence >= self.timing.interval();
                let over = holder.revision.filter(|_| is_gone);
                self.wish = Some(Wish::Claim { over });
                self.state = State::Claiming(holder);
            }
            State::Retrying { again } if now >= again => {
                self.wish = Some(Wish::Claim { over: None });
                self.state = State::Claiming(Holder::default());
            }
            State::Contesting { again, left: 0 } if now >= again => return self.hold(None),
            State::Contesting { again, left } if now >= again => {
                self.ask = true;
                self.state = State::Contesting { again: now + AGAIN, left: left - 1 };
            }
            State::Held { renew: Some(renew) } if now >= renew => {
                self.wish = Some(Wish::Renew);
                self.state = State::Held { renew: Some(now + RENEW) };
            }
            _ => {}
        }
        false
    }

    /// Gives the name back, also one whose claim is on its way; false: there is nothing to give.
    pub fn release(&mut self) -> bool {
        let is_kept = matches!(self.state, State::Held { renew: Some(_) } | State::Claiming(_));
        if is_kept {
            self.wish = Some(Wish::Release);
        }
        self.state = State::Over;
        is_kept
    }

    /// Whether the holder is to be asked now.
    pub fn asks(&mut self) -> bool {
        std::mem::take(&mut self.ask) && matches!(self.state, State::Asking { .. } | State::Contesting { .. })
    }

    /// What is wanted of whoever keeps the names.
    pub fn wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { peer_timeout: Duration::from_secs(30) };
    const TAKEN: Answer = Answer::Taken { revision: 7 };

    fn begun() -> (Claim, Instant) {
        let mut claim = Claim::new(TIMING);
        assert_eq!(claim.wish(), Some(Wish::Claim { over: None }));
        (claim, Instant::now())
    }

    /// Lets time pass until the next attempt.
    fn next_attempt(claim: &mut Claim, now: &mut Instant) -> Wish {
        loop {
            if let Some(wish) = claim.wish() {
                return wish;
            }
            *now = claim.deadline().unwrap();
            assert!(!claim.tick(*now));
        }
    }

    #[test]
    fn a_free_name_is_held_and_renewed() {
        let (mut claim, mut now) = begun();
        assert_eq!(claim.answered(now, Answer::Claimed), Ok(true));
        assert_eq!(next_attempt(&mut claim, &mut now), Wish::Renew);
        assert_eq!(claim.answered(now, Answer::Claimed), Ok(false));
        assert!(claim.release());
        assert_eq!((claim.wish(), claim.is_held()), (Some(Wish::Release), false));
    }

    #[test]
    fn a_holder_that_answers_keeps_its_name() {
        let (mut claim, now) = begun();
        claim.answered(now, TAKEN).unwrap();
        assert!(claim.asks() && !claim.asks());
        assert_eq!(claim.contradicted().unwrap_err().code, code::EBUSY);
    }

    #[test]
    fn a_holder_that_is_silent_for_long_is_succeeded_at_its_revision() {
        let (mut claim, start) = begun();
        let mut now = start;
        loop {
            claim.answered(now, TAKEN).unwrap();
            match next_attempt(&mut claim, &mut now) {
                Wish::Claim { over: Some(7) } => break,
                other => assert_eq!(other, Wish::Claim { over: None }),
            }
        }
        assert!(now - start >= TIMING.peer_timeout, "{:?}", now - start);
        assert_eq!(claim.answered(now, Answer::Claimed), Ok(true));
    }

    #[test]
    fn a_holder_whose_connection_is_gone_is_succeeded_soon() {
        let (mut claim, start) = begun();
        let mut now = start;
        loop {
            claim.answered(now, TAKEN).unwrap();
            assert!(!claim.uncontradicted());
            if next_attempt(&mut claim, &mut now) == (Wish::Claim { over: Some(7) }) {
                break;
            }
        }
        assert!(now - start >= TIMING.interval() && now - start < TIMING.interval() * 2, "{:?}", now - start);
    }

    #[test]
    fn a_holder_that_writes_is_not_succeeded() {
        let (mut claim, mut now) = begun();
        for revision in 0..1000 {
            claim.answered(now, Answer::Taken { revision }).unwrap();
            assert_eq!(next_attempt(&mut claim, &mut now), Wish::Claim { over: None });
        }
    }

    #[test]
    fn a_name_that_nobody_keeps_is_of_whom_nobody_contradicts() {
        let (mut claim, now) = begun();
        claim.answered(now, Answer::Unkept).unwrap();
        assert!(claim.asks() && claim.uncontradicted() && claim.is_held());
        let (mut claim, mut now) = begun();
        claim.answered(now, Answer::Unkept).unwrap();
        let mut asked = 0;
        while !claim.is_held() {
            asked += u32::from(claim.asks());
            now = claim.deadline().unwrap();
            claim.tick(now);
        }
        assert_eq!(asked, CONTESTS);
    }

    #[test]
    fn a_name_that_another_took_over_is_lost() {
        let (mut claim, now) = begun();
        claim.answered(now, Answer::Claimed).unwrap();
        assert_eq!(claim.answered(now, TAKEN).unwrap_err().code, code::ECONNRESET);
        assert!(!claim.release());
        assert_eq!(claim.wish(), None);
    }
}
