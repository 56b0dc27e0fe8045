//! A reader's calls that wait for nothing.

use crate::client::least_rate::too_slow;
use crate::reader::polled::{Outcome, Polled};
use crate::reader::{Reader, reaches};
use crate::wire::range::Span;
use vfs_core::{Events, Interest, Result, Wanted};
use zvfs_net::failure::{Attempt, Failure};

impl Reader {
    /// Says that bytes were read, or the end.
    pub(super) fn read_on(&mut self, count: usize) -> usize {
        self.position += count as u64;
        if count > 0 {
            self.budget.progressed(count as u64);
        }
        count
    }

    /// Reads what is there; 0: the end. `None`: nothing yet. Another answer is asked for where it takes one.
    pub(super) fn read_now(&mut self, buf: &mut [u8]) -> Attempt<Option<usize>> {
        self.polled()?;
        // Several ranges come by threads, which an event does not tell of.
        self.watched.end();
        self.ahead = None;
        self.take_asked()?;
        let tried = match self.is_asking() {
            true => Ok(None),
            false => self.attempt(buf, false),
        };
        let nothing = matches!(tried, Ok(None)) && !self.is_asking() && self.is_at_hand();
        let stalled = self.polled()?.tried(nothing) >= self.caller.tuning.stall_timeout;
        let failed = match tried {
            Ok(Some(count)) => return Ok(Some(count)),
            Ok(None) if self.is_asking() || nothing && !stalled => return Ok(None),
            // It is of no further use.
            Ok(None) if stalled => {
                let position = self.position;
                drop(self.idle.take(|stream| reaches(stream, position)));
                Some(self.caller.patiently().expired())
            }
            Ok(None) => None,
            Err(failure) => Some(failure),
        };
        if failed.is_some() {
            self.rate.check(&self.caller.tuning).map_err(too_slow)?;
        }
        self.ask(buf.len(), failed)?;
        Ok(None)
    }

    /// Waits for an answer that was asked for, so that a read that waits goes on with that.
    pub(super) fn await_asked(&mut self) -> Attempt<()> {
        if let Some(polled) = &mut self.polled {
            polled.tried(false);
            polled.wait(&self.caller.context)?;
        }
        self.take_asked()
    }

    /// What is to happen before the next try.
    pub(super) fn next_try(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        if wanted != Wanted::READ {
            return Ok(Interest::ready(wanted));
        }
        let shown = self.caller.shown.clone();
        self.awaited().map_err(|failure| failure.error("read", &shown))
    }

    fn awaited(&mut self) -> Attempt<Interest<'_>> {
        let position = self.position;
        self.polled()?;
        let Reader { polled: Some(polled), idle, caller, .. } = self else {
            unreachable!("it was made above")
        };
        // What occurs from here on is announced; what was before is looked at.
        polled.forget_events();
        if polled.has_asked() {
            return Ok(match polled.is_asking() {
                true => Interest::event(polled.fd(), Events::READ),
                false => Interest::ready(Wanted::READ),
            });
        }
        let Some(nothing_for) = polled.nothing_for() else { return Ok(Interest::ready(Wanted::READ)) };
        let armed =
            idle.look(|stream| reaches(stream, position), |stream| stream.socket().map(|it| polled.arm(it)));
        match armed {
            Some(Some(armed)) => armed?,
            // All of it came, or it was closed for another request.
            _ => return Ok(Interest::ready(Wanted::READ)),
        }
        let tuning = &caller.tuning;
        let left = tuning.stall_timeout.saturating_sub(nothing_for);
        let left = if tuning.least_rate > 0 { left.min(tuning.least_rate_time) } else { left };
        Ok(Interest::event(polled.fd(), Events::READ).within(left))
    }

    /// What these calls need, made by the first of them.
    fn polled(&mut self) -> Attempt<&mut Polled> {
        Ok(match &mut self.polled {
            Some(polled) => polled,
            none => {
                let polled = Polled::new()?;
                self.idle.tell(polled.signal());
                none.insert(Box::new(polled))
            }
        })
    }

    fn is_asking(&self) -> bool {
        self.polled.as_ref().is_some_and(|polled| polled.is_asking())
    }

    /// Whether an answer is at hand that has the next byte, or will have.
    fn is_at_hand(&self) -> bool {
        let position = self.position;
        self.idle.look(|stream| reaches(stream, position), |_| ()).is_some()
    }

    /// Takes the answer that was asked for, if it is there.
    fn take_asked(&mut self) -> Attempt<()> {
        let outcome = self.polled.as_mut().and_then(|polled| polled.outcome());
        let Some(Outcome { stream, budget }) = outcome else { return Ok(()) };
        self.budget = budget;
        match stream? {
            Some(stream) => drop(self.idle.put(stream)),
            None => self.found_end = Some(self.position),
        }
        Ok(())
    }

    /// Has a thread ask for what comes at the position.
    fn ask(&mut self, wanted: usize, failed: Option<Failure>) -> Attempt<()> {
        let span =
            Span { start: self.position, end: self.window.end(self.position, wanted, self.object.size) };
        let (object, budget, caller) = (self.object.clone(), self.budget, self.caller.clone());
        self.polled()?.ask(&object, span, failed, budget, &caller)
    }
}
