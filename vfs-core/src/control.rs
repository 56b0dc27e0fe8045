//! The host's end of a context: cancel and deadline of one open file.

use crate::code::Code;
use crate::context::{CancelFn, Context, ContextCalls, Follower, Origin};
use crate::error::{Error, Result};
use crate::flags::Events;
use crate::forks::forks;
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const NO_DEADLINE: u64 = u64::MAX;

/// The host's end of a [`Context`]: cancels a file's calls and sets their deadline, from any thread, also while its open is
/// still in progress. Clones are the same control.
#[derive(Clone, Default)]
pub struct Control(Arc<State>);

struct State {
    cancelled: AtomicBool,
    /// Nanoseconds on the monotonic clock.
    deadline: AtomicU64,
    /// Readable while cancelled or past the deadline. Being level-triggered and never read, it wakes every waiter. Made by
    /// the first wait: most files never wait.
    alarm: OnceCell<Alarm>,
    /// Held while `cancelled`, `deadline` and `alarm` change together, and while the cancel function runs.
    changing: Mutex<Changing>,
}

/// A timer. A forked child has the same one as its parent, not a copy of it: to set it there would end, or keep up, the waits
/// of the parent.
struct Alarm {
    fd: OwnedFd,
    /// The process that made it.
    forks: u32,
}

/// What a cancel runs, in the process that left it: it may reach connections, which a forked child has from its parent.
struct OnCancel {
    function: CancelFn,
    forks: u32,
}

#[derive(Default)]
struct Changing {
    on_cancel: Option<OnCancel>,
    /// The contexts of inner files, which a layer opened under this one. Their locks are taken under this one's, never the
    /// other way round.
    followers: Vec<Weak<dyn Follower>>,
}

/// The context of one open: the control's state, and what inner files inherit besides.
struct Opening {
    state: Arc<State>,
    origin: Origin,
}

impl Default for State {
    fn default() -> State {
        State {
            cancelled: AtomicBool::new(false),
            deadline: AtomicU64::new(NO_DEADLINE),
            alarm: OnceCell::new(),
            changing: Mutex::default(),
        }
    }
}

impl Control {
    /// A control that is not cancelled and has no deadline.
    pub fn new() -> Control {
        Control::default()
    }

    /// The provider's end.
    pub fn context(&self) -> Context {
        Context::new(self.0.clone())
    }

    /// Ends the file's calls with ECANCELED, those in progress and those to come, until [`lift`](Control::lift).
    pub fn cancel(&self) {
        let mut changing = self.0.changing.lock();
        self.0.change(&mut changing, Some(true), None);
    }

    /// The provider's end for one open, under which inner files may be opened.
    pub(crate) fn context_of(&self, origin: Origin) -> Context {
        Context::new(Arc::new(Opening { state: self.0.clone(), origin }))
    }

    /// Makes this control follow a context's cancel and deadline, as they are now and as they change.
    pub(crate) fn follow(&self, context: &Context) {
        let follower: Arc<dyn Follower> = self.0.clone();
        context.lead(Arc::downgrade(&follower));
    }

    /// A control of its own for one more file, which follows this one: its cancel and deadline, as they are now and as they
    /// change. What is done to the follower does not reach this one.
    pub fn follower(&self) -> Control {
        let own = Control::new();
        own.follow(&self.context());
        own
    }

    /// Undoes a cancel, for the calls to come.
    pub fn lift(&self) {
        let mut changing = self.0.changing.lock();
        self.0.change(&mut changing, Some(false), None);
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Sets or clears the time at which calls end with ETIMEDOUT, for those in progress too.
    pub fn set_deadline(&self, at: Option<Instant>) {
        let deadline = match at {
            None => NO_DEADLINE,
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                now().saturating_add(nanoseconds(left))
            }
        };
        let mut changing = self.0.changing.lock();
        self.0.change(&mut changing, None, Some(deadline));
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Control").field(&self.context()).finish()
    }
}

impl ContextCalls for State {
    fn status(&self) -> Result<()> {
        if self.cancelled.load(Ordering::SeqCst) {
            return Err(Error::from(Code::ECANCELED));
        }
        match self.deadline.load(Ordering::SeqCst) {
            NO_DEADLINE => Ok(()),
            deadline if now() < deadline => Ok(()),
            _ => Err(Error::from(Code::ETIMEDOUT)),
        }
    }

    fn time_left(&self) -> Option<Duration> {
        match self.deadline.load(Ordering::SeqCst) {
            NO_DEADLINE => None,
            deadline => Some(Duration::from_nanos(deadline.saturating_sub(now()))),
        }
    }

    fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        let mut changing = self.changing.lock();
        changing.on_cancel = None;
        match function {
            Some(_) if self.cancelled.load(Ordering::SeqCst) => Err(Error::from(Code::ECANCELED)),
            function => {
                changing.on_cancel = function.map(|function| OnCancel { function, forks: forks() });
                Ok(())
            }
        }
    }

    fn wait(&self, fd: Option<BorrowedFd<'_>>, events: Events, limit: Option<Duration>) -> Result<Events> {
        let alarm = self.alarm()?;
        let until = limit.map(|limit| now().saturating_add(nanoseconds(limit)));
        loop {
            self.status()?;
            let left = until.map(|until| until.saturating_sub(now()));
            let timeout = left.map(timespec);
            let mut polled = [
                PollFd::from_borrowed_fd(alarm, PollFlags::IN),
                PollFd::from_borrowed_fd(alarm, PollFlags::empty()),
            ];
            let polled = match fd {
                Some(fd) => {
                    polled[1] = PollFd::from_borrowed_fd(fd, poll_flags(events));
                    &mut polled[..]
                }
                None => &mut polled[..1],
            };
            match poll(polled, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(system(errno)),
            }
            let came = polled.get(1).map_or(PollFlags::empty(), PollFd::revents);
            if came.contains(PollFlags::NVAL) {
                return Err(Error::new(Code::EBADF, "wait: not an open file descriptor"));
            }
            // A cancel outranks readiness: the call should end either way.
            self.status()?;
            if !came.is_empty() {
                return Ok(events_of(came));
            }
            if until.is_some_and(|until| now() >= until) {
                return Ok(Events::empty());
            }
        }
    }

    fn origin(&self) -> Option<Origin> {
        Some(Origin::default())
    }

    fn lead(&self, follower: Weak<dyn Follower>) {
        State::lead(self, follower);
    }
}

impl ContextCalls for Opening {
    fn status(&self) -> Result<()> {
        self.state.status()
    }

    fn time_left(&self) -> Option<Duration> {
        self.state.time_left()
    }

    fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        self.state.set_on_cancel(function)
    }

    fn wait(&self, fd: Option<BorrowedFd<'_>>, events: Events, limit: Option<Duration>) -> Result<Events> {
        self.state.wait(fd, events, limit)
    }

    fn origin(&self) -> Option<Origin> {
        Some(self.origin.clone())
    }

    fn lead(&self, follower: Weak<dyn Follower>) {
        self.state.lead(follower);
    }
}

impl Follower for State {
    fn follow(&self, cancelled: bool, deadline: u64) {
        let mut changing = self.changing.lock();
        self.change(&mut changing, Some(cancelled), Some(deadline));
    }
}

impl State {
    /// Changes the state, arms the alarm, runs the cancel function, and tells the followers.
    fn change(&self, changing: &mut Changing, cancelled: Option<bool>, deadline: Option<u64>) {
        if let Some(deadline) = deadline {
            self.deadline.store(deadline, Ordering::SeqCst);
        }
        let before = self.cancelled.load(Ordering::SeqCst);
        let now = cancelled.unwrap_or(before);
        self.cancelled.store(now, Ordering::SeqCst);
        self.arm();
        if now
            && !before
            && let Some(left) = changing.on_cancel.take_if(|left| left.forks == forks())
        {
            (left.function)();
        }
        let deadline = self.deadline.load(Ordering::SeqCst);
        for follower in changing.followers.iter().filter_map(Weak::upgrade) {
            follower.follow(now, deadline);
        }
    }

    fn lead(&self, follower: Weak<dyn Follower>) {
        let mut changing = self.changing.lock();
        changing.followers.retain(|follower| follower.strong_count() > 0);
        if let Some(follower) = follower.upgrade() {
            follower.follow(self.cancelled.load(Ordering::SeqCst), self.deadline.load(Ordering::SeqCst));
        }
        changing.followers.push(follower);
    }

    fn alarm(&self) -> Result<BorrowedFd<'_>> {
        if let Some(alarm) = self.alarm.get() {
            return alarm.fd();
        }
        let _changing = self.changing.lock();
        let alarm = self.alarm.get_or_try_init(|| {
            let fd =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)
                    .map_err(system)?;
            Ok::<_, Error>(Alarm { fd, forks: forks() })
        })?;
        self.arm();
        alarm.fd()
    }

    /// Sets the alarm to the state; the caller holds the lock. Setting a timer also clears that it had fired.
    fn arm(&self) {
        let Some(Ok(alarm)) = self.alarm.get().map(Alarm::fd) else { return };
        let at = match self.deadline.load(Ordering::SeqCst) {
            _ if self.cancelled.load(Ordering::SeqCst) => 1,
            NO_DEADLINE => 0, // disarms
            deadline => deadline.max(1),
        };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval: never, it_value: timespec(at) };
        // It fails for a bad descriptor, flag or time only, and none of the three can be.
        let _ = timerfd_settime(alarm, TimerfdTimerFlags::ABSTIME, &time);
    }
}

impl Alarm {
    fn fd(&self) -> Result<BorrowedFd<'_>> {
        if self.forks == forks() {
            return Ok(self.fd.as_fd());
        }
        Err(Error::new(Code::EPERM, "the control belongs to the parent process: make a new one after a fork"))
    }
}

/// The C library's clock_gettime, not rustix's: that one looks for the kernel's vDSO where valgrind has hidden it, and dies.
#[expect(unsafe_code, reason = "std's Instant does not say its nanoseconds, which a timer descriptor wants")]
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live value of this function's own; the clock exists on every Linux, so it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 }
}

fn system(errno: Errno) -> Error {
    Error::from(std::io::Error::from(errno))
}

fn poll_flags(events: Events) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, events.contains(Events::READ));
    flags.set(PollFlags::OUT, events.contains(Events::WRITE));
    flags
}

fn events_of(flags: PollFlags) -> Events {
    [
        (PollFlags::IN, Events::READ),
        (PollFlags::OUT, Events::WRITE),
        (PollFlags::ERR, Events::ERROR),
        (PollFlags::HUP, Events::HANGUP),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(Events::empty(), |events, (_, event)| events | event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;
    use std::thread;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_wait_ends_with_its_event() {
        let (read, write) = pipe().unwrap();
        let context = Control::new().context();
        assert_eq!(context.wait(Some(read.as_fd()), Events::READ, Some(SHORT)).unwrap(), Events::empty());
        rustix::io::write(&write, b"x").unwrap();
        assert_eq!(context.wait(Some(read.as_fd()), Events::READ, None).unwrap(), Events::READ);
        drop(write);
        let events = context.wait(Some(read.as_fd()), Events::READ, None).unwrap();
        assert!(events.contains(Events::HANGUP));
    }

    #[test]
    fn a_cancel_ends_every_wait_and_a_lift_undoes_it() {
        let control = Control::new();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let context = control.context();
                thread::spawn(move || context.sleep(LONG).unwrap_err().code())
            })
            .collect();
        thread::sleep(SHORT);
        control.cancel();
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap(), Code::ECANCELED);
        }
        control.lift();
        control.context().sleep(SHORT).unwrap();
    }

    #[test]
    fn a_deadline_moved_during_a_wait_counts() {
        let control = Control::new();
        control.set_deadline(Some(Instant::now() + LONG));
        let context = control.context();
        let waiter = thread::spawn(move || context.sleep(LONG).unwrap_err().code());
        thread::sleep(SHORT);
        control.set_deadline(Some(Instant::now()));
        assert_eq!(waiter.join().unwrap(), Code::ETIMEDOUT);
        assert_eq!(control.context().time_left(), Some(Duration::ZERO));
        control.set_deadline(None);
        control.context().status().unwrap();
    }

    #[test]
    fn one_control_cancels_every_follower_and_none_of_them_another() {
        let (control, count) = (Control::new(), Arc::new(AtomicU64::new(0)));
        let followers = [control.follower(), control.follower()];
        let _guards = followers.each_ref().map(|follower| {
            let count = count.clone();
            let add = move || {
                count.fetch_add(1, Ordering::SeqCst);
            };
            follower.context().on_cancel(add).unwrap()
        });
        followers[0].set_deadline(Some(Instant::now()));
        followers[1].context().status().unwrap();
        control.context().status().unwrap();
        control.cancel();
        assert_eq!(count.load(Ordering::SeqCst), 2);
        followers[0].lift();
        assert!(followers[1].is_cancelled() && control.is_cancelled());
    }

    #[test]
    fn the_cancel_function_runs_once_and_not_after_its_guard() {
        let (control, count) = (Control::new(), Arc::new(AtomicU64::new(0)));
        let add = |count: &Arc<AtomicU64>| {
            let count = count.clone();
            move || {
                count.fetch_add(1, Ordering::SeqCst);
            }
        };
        drop(control.context().on_cancel(add(&count)).unwrap());
        let guard = control.context().on_cancel(add(&count)).unwrap();
        control.cancel();
        control.cancel();
        assert_eq!(count.load(Ordering::SeqCst), 1);
        drop(guard);
        assert_eq!(control.context().on_cancel(add(&count)).unwrap_err().code(), Code::ECANCELED);
    }
}
