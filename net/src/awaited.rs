//! What an open file waits on and others change: a value, and what wakes the file when there is news of it.

use crate::caller::{Caller, WaitedFor};
use crate::failure::Failure;
use crate::signal::Signal;
use crate::stated::Stated;
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;
use vfs_core::{Events, Result};

/// Where nothing wakes the file when something else than news comes, it looks so often.
const AGAIN: Duration = Duration::from_millis(5);

/// A value that an open file shares with the tasks that serve it.
pub struct Awaited<T: ?Sized> {
    signal: Signal,
    /// The signal, and what else is to wake the file.
    watched: OnceLock<OwnedFd>,
    shared: Mutex<Shared<T>>,
}

/// Takes what is to wake a file; false: it will not, and is to be given again.
pub type Watch<'a> = dyn FnMut(BorrowedFd<'_>) -> bool + 'a;

/// What an open file waits for besides news: memory that another process changes, and tells nobody here.
pub struct Beside<M, S> {
    /// Gives what may be waited for a moment, without the lock; `None`: nothing.
    pub moment: M,
    /// Before a longer wait: has the file woken by what it gives to a [`Watch`].
    pub sleep: S,
}

struct Shared<T: ?Sized> {
    /// The file waits for news.
    awaited: bool,
    value: T,
}

impl<T> Awaited<T> {
    /// Makes one that nobody waits on.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(value: T) -> Result<Awaited<T>, Errno> {
        let shared = Mutex::new(Shared { awaited: false, value });
        Ok(Awaited { signal: Signal::new()?, watched: OnceLock::new(), shared })
    }

    /// Waits as a caller until `ready` gives something. It is asked at once, and again after each news.
    ///
    /// That is one wait, however often news interrupts it, as long as `wanted` names the same object: its time does not begin anew.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn wait_until<R>(
        &self,
        caller: &Caller,
        doing: &str,
        wanted: impl Fn(&T) -> WaitedFor,
        ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R> {
        let nothing = Beside { moment: |_: &mut T| None::<fn()>, sleep: |_: &mut T, _: &mut Watch<'_>| {} };
        self.wait_beside(caller, doing, wanted, ready, nothing)
    }

    /// As [`wait_until`](Awaited::wait_until), where what is waited for may come without news.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn wait_beside<R, P: FnOnce()>(
        &self,
        caller: &Caller,
        doing: &str,
        wanted: impl Fn(&T) -> WaitedFor,
        mut ready: impl FnMut(&mut T) -> Option<R>,
        mut beside: Beside<impl FnMut(&mut T) -> Option<P>, impl FnMut(&mut T, &mut Watch<'_>)>,
    ) -> Result<R> {
        let mut stated = None;
        loop {
            let (attempt, pause) = self.with(|value| match ready(value) {
                None => (None, (beside.moment)(value)),
                attempt => (attempt, None),
            });
            if let Some(value) = attempt {
                return Ok(value);
            }
            if let Some(pause) = pause {
                pause();
            }
            let mut limit = None;
            let waited_for = {
                let mut shared = self.shared.lock();
                let mut watch = |other: BorrowedFd<'_>| {
                    let is_watched = self.watch(other).is_ok();
                    limit = limit.or((!is_watched).then_some(AGAIN));
                    is_watched
                };
                (beside.sleep)(&mut shared.value, &mut watch);
                let attempt = ready(&mut shared.value);
                shared.awaited = attempt.is_none();
                match attempt {
                    Some(value) => return Ok(value),
                    None => wanted(&shared.value),
                }
            };
            let WaitedFor { object, refusal, .. } = waited_for;
            Stated::keep(&mut stated, &caller.context, object, refusal);
            let news = self.watched.get().map_or(self.signal.as_fd(), AsFd::as_fd);
            caller
                .context
                .wait(Some(news), Events::READ, limit)
                .map_err(|error| Failure::from(error).error(doing, &caller.shown))?;
            self.signal.clear();
        }
    }

    /// Has the file woken by something else, too, as long as that is open.
    fn watch(&self, other: BorrowedFd<'_>) -> Result<(), Errno> {
        let set = match self.watched.get() {
            Some(set) => set,
            None => {
                let set = epoll::create(CreateFlags::CLOEXEC)?;
                epoll::add(&set, &self.signal, EventData::new_u64(0), EventFlags::IN)?;
                self.watched.get_or_init(|| set)
            }
        };
        epoll::add(set, other, EventData::new_u64(1), EventFlags::IN)
    }
}

impl<T: ?Sized> Awaited<T> {
    /// Looks at the value, or changes it. That is no news to its file.
    pub fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.shared.lock().value)
    }

    /// Changes the value, and wakes its file if that waits for news.
    pub fn tell<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut shared = self.shared.lock();
        let outcome = change(&mut shared.value);
        if std::mem::take(&mut shared.awaited) {
            self.signal.raise();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};
    use vfs_core::{Code, Control, Waiting};

    /// A file that waits in a thread of its own until a number is even.
    struct Waiter {
        control: Control,
        number: Arc<Awaited<u32>>,
        waiting: JoinHandle<Result<u32>>,
    }

    impl Waiter {
        fn start() -> Waiter {
            let (control, number) = (Control::new(), Arc::new(Awaited::new(1).unwrap()));
            let caller = Caller { context: control.context(), shown: "pipe:a".to_owned() };
            let awaited = number.clone();
            let waiting = thread::spawn(move || {
                let wanted = |number: &u32| WaitedFor {
                    object: if *number < 100 { "a peer" } else { "data" }.into(),
                    refusal: (*number != 99).then(|| format!("{number} is odd")),
                    is_sought: true,
                };
                awaited.wait_until(&caller, "read", wanted, |number| (*number % 2 == 0).then_some(*number))
            });
            Waiter { control, number, waiting }
        }

        /// What the file waits for, once that is so.
        fn waits(&self, is_so: impl Fn(&Waiting) -> bool) -> Waiting {
            let until = Instant::now() + Duration::from_secs(60);
            loop {
                match self.control.waiting().filter(|waiting| is_so(waiting)) {
                    Some(waiting) => return waiting,
                    None => assert!(Instant::now() < until, "{:?}", self.control.waiting()),
                }
                thread::yield_now();
            }
        }
    }

    fn is_odd(number: u32) -> impl Fn(&Waiting) -> bool {
        let refusal = format!("{number} is odd");
        move |waiting| waiting.refusal.as_ref() == Some(&refusal)
    }

    /// Once each news began the wait anew, so that it never lasted.
    #[test]
    fn news_that_change_nothing_leave_a_wait_as_old_as_it_is() {
        let waiter = Waiter::start();
        let since = waiter.waits(is_odd(1)).since;
        for number in [3, 5, 7] {
            waiter.number.tell(|value| *value = number);
            assert_eq!(waiter.waits(is_odd(number)).since, since);
        }
        waiter.number.tell(|value| *value = 8);
        assert_eq!(waiter.waiting.join().unwrap().unwrap(), 8);
        assert_eq!(waiter.control.waiting(), None);
    }

    #[test]
    fn another_object_is_another_wait_and_a_refusal_that_is_over_is_not_told() {
        let waiter = Waiter::start();
        let first = waiter.waits(is_odd(1));
        waiter.number.tell(|value| *value = 99);
        let second = waiter.waits(|waiting| waiting.refusal.is_none());
        waiter.number.tell(|value| *value = 101);
        let third = waiter.waits(is_odd(101));
        assert_eq!([&first.object, &second.object, &third.object], ["a peer", "a peer", "data"]);
        assert!(first.since < second.since && second.since < third.since);
        waiter.control.cancel();
        let error = waiter.waiting.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::ECANCELED);
        assert!(error.chain().contains("read pipe:a"), "{}", error.chain());
    }

    #[test]
    fn a_change_by_the_file_is_no_news() {
        let number = Awaited::new(1).unwrap();
        number.with(|value| *value = 2);
        let caller = Caller { context: Control::new().context(), shown: "pipe:a".to_owned() };
        let got = number.wait_until(&caller, "read", |_| "a peer".into(), |value| Some(*value));
        assert_eq!(got.unwrap(), 2);
    }
}
