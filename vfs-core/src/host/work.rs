//! Work that may never return, such as a library's constructors: done once, on a thread that can be left behind, and waited for by each
//! who needs it under his own control. Mostly that thread is the work's own; one whose host would leave it behind does it itself.
//!
//! What never returns is left behind. While that is a dlopen, the dynamic linker's lock stays taken: a thread may then wait for it
//! in its first use of a thread-local value or in a look-up of a symbol, beyond the reach of any control. Nothing here does either
//! once the work has begun.

use crate::code::Code;
use crate::context::Context;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::flags::Events;
use crate::lock::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

/// As much as a program's first thread has by default: constructors were written for that.
const STACK: usize = 8 << 20;

/// The threads of this process that are at work.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Whether a thread of this process is loading a library or starting an instance, though perhaps nobody waits for it any longer.
/// exit(3) would then wait for the dynamic linker's lock, which a constructor that never returns keeps: end by `_exit`.
pub fn is_loading() -> bool {
    AT_WORK.load(Ordering::SeqCst) != 0
}

pub(crate) struct Work<T> {
    result: OnceLock<Result<Arc<T>, Arc<Error>>>,
    done: Mutex<Done>,
    /// Where it is, for the error of who does not wait any longer: "its start has not returned".
    doing: Mutex<&'static str>,
    /// Those who wait for it.
    waiting: AtomicUsize,
    /// Of work that is not left behind: ended once nobody waits for it any longer.
    control: Option<Control>,
}

/// Whether there is a result.
enum Done {
    /// Not yet: what will be readable then, once somebody waits for it.
    No(Option<Arc<OwnedFd>>),
    Yes,
}

/// Whose thread does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum On {
    /// One of its own.
    #[default]
    Own,
    /// The caller's: whoever waits for him leaves him behind with it.
    Callers,
}

/// What a thread does after its work.
pub(crate) type Next = Box<dyn FnOnce()>;

/// One of the threads at work, until it is dropped.
struct AtWork;

impl AtWork {
    fn begin() -> AtWork {
        AT_WORK.fetch_add(1, Ordering::SeqCst);
        AtWork
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T: Send + Sync + 'static> Work<T> {
    /// Work that is to be begun, and that goes on though nobody waits for it: a library's code cannot be ended.
    pub(crate) fn new(doing: &'static str) -> Arc<Work<T>> {
        Work::with(doing, None)
    }

    /// Work that is to be begun, and that ends when nobody waits for it: its context is cancelled then.
    pub(crate) fn leavable(doing: &'static str) -> Arc<Work<T>> {
        Work::with(doing, Some(Control::new()))
    }

    fn with(doing: &'static str, control: Option<Control>) -> Arc<Work<T>> {
        Arc::new(Work {
            result: OnceLock::new(),
            done: Mutex::new(Done::No(None)),
            doing: Mutex::new(doing),
            waiting: AtomicUsize::new(0),
            control,
        })
    }

    /// What needed no work.
    pub(crate) fn of(value: impl Into<Arc<T>>) -> Arc<Work<T>> {
        let result = OnceLock::from(Ok(value.into()));
        let (done, doing) = (Mutex::new(Done::Yes), Mutex::new(""));
        Arc::new(Work { result, done, doing, waiting: AtomicUsize::new(0), control: None })
    }

    /// Does it on a thread of its own.
    pub(crate) fn begin(self: &Arc<Self>, work: impl FnOnce(&Self) -> Result<T> + Send + 'static) {
        self.begin_then(On::Own, work, |_| None);
    }

    /// Does it on this thread or another, and with the result there too what comes next, if it went well and somebody waits for it: a
    /// thread costs more than most of what is done on one. `then` is called before anybody hears of the result, and says what that is.
    pub(crate) fn begin_then(
        self: &Arc<Self>,
        on: On,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
        then: impl FnOnce(&Arc<T>) -> Option<Next> + Send + 'static,
    ) {
        let theirs = self.clone();
        let at_work = AtWork::begin();
        let all = move || {
            let _at_work = at_work;
            let result = theirs.done_by(work).map(Arc::new);
            // Who no longer waits wants nothing begun.
            let is_awaited = on == On::Callers || theirs.waiting.load(Ordering::SeqCst) > 0;
            let next = result.as_ref().ok().filter(|_| is_awaited).and_then(then);
            theirs.finish(result);
            if let Some(next) = next {
                next();
            }
        };
        if on == On::Callers {
            return all();
        }
        let thread = thread::Builder::new().name("zvfs-load".into()).stack_size(STACK);
        if let Err(error) = thread.spawn(all) {
            let text =
                "start a thread to load a provider on: raise the limit of processes (ulimit -u) or of memory";
            self.clone().finish(Err(Error::new(Code::ENOMEM, text).with_source(error)));
        }
    }

    /// Does it on this thread.
    pub(crate) fn run(self: Arc<Self>, work: impl FnOnce(&Self) -> Result<T>) {
        let _at_work = AtWork::begin();
        let result = self.done_by(work).map(Arc::new);
        self.finish(result);
    }

    fn done_by(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(Error::new(Code::EIO, format!("the provider panicked: {}", text.unwrap_or("without a text"))))
        })
    }

    /// Says where it is.
    pub(crate) fn doing(&self, what: &'static str) {
        *self.doing.lock() = what;
    }

    /// What it gave, if that was good.
    pub(crate) fn get(&self) -> Option<&Arc<T>> {
        self.result.get()?.as_ref().ok()
    }

    /// Whether it failed, or was left: then the next who needs it begins anew.
    pub(crate) fn failed(&self) -> bool {
        match self.result.get() {
            Some(result) => result.is_err(),
            None => self.was_left(),
        }
    }

    /// What ends the work.
    pub(crate) fn context(&self) -> Context {
        self.control.clone().unwrap_or_default().context()
    }

    fn was_left(&self) -> bool {
        self.control.as_ref().is_some_and(Control::is_cancelled)
    }

    /// Waits for its result. `object` names it.
    ///
    /// # Errors
    /// Its own; ECANCELED, ETIMEDOUT: the control ended first, and the work goes on.
    pub(crate) fn wait(&self, context: &Context, object: impl fmt::Display) -> Result<Arc<T>> {
        // Also where he cannot wait, for want of a descriptor: nobody else may.
        let waiter = Waiter::new(self);
        if let Some(done) = self.done()? {
            let _waits = context.waits_for(object);
            context.wait(Some(done.as_fd()), Events::READ, None).map_err(|error| self.left(error))?;
        }
        drop(waiter);
        match self.result.get() {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(error)) if self.was_left() && context.status().is_ok() => {
                // Who came just when the last of the others went.
                Err(Error::new(Code::EAGAIN, "others gave it up: try again")
                    .with_source(again(error))
                    .retryable())
            }
            Some(Err(error)) => Err(again(error)),
            None => Err(Error::from(Code::EIO)),
        }
    }

    /// What is readable once there is a result; `None`: there is one.
    fn done(&self) -> Result<Option<Arc<OwnedFd>>> {
        let mut done = self.done.lock();
        let Done::No(waited) = &mut *done else { return Ok(None) };
        if let Some(waited) = waited {
            return Ok(Some(waited.clone()));
        }
        let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::from(io::Error::from(errno)))?;
        Ok(Some(waited.insert(Arc::new(made)).clone()))
    }

    /// The error of who does not wait any longer.
    fn left(&self, error: Error) -> Error {
        match error.code() {
            code @ (Code::ECANCELED | Code::ETIMEDOUT) => Error::new(code, *self.doing.lock()),
            _ => error,
        }
    }

    /// Gives the result, and lets go of it before anybody hears: an instance stops with the last who holds it.
    fn finish(self: Arc<Self>, result: Result<Arc<T>>) {
        let _ = self.result.set(result.map_err(Arc::new));
        let done = mem::replace(&mut *self.done.lock(), Done::Yes);
        drop(self);
        if let Done::No(Some(done)) = done {
            let _ = rustix::io::write(&*done, &1u64.to_ne_bytes());
        }
    }
}

/// One who waits.
struct Waiter<'w, T>(&'w Work<T>);

impl<'w, T> Waiter<'w, T> {
    fn new(work: &'w Work<T>) -> Waiter<'w, T> {
        work.waiting.fetch_add(1, Ordering::SeqCst);
        Waiter(work)
    }
}

impl<T> Drop for Waiter<'_, T> {
    fn drop(&mut self) {
        let work = self.0;
        if work.waiting.fetch_sub(1, Ordering::SeqCst) == 1
            && work.result.get().is_none()
            && let Some(control) = &work.control
        {
            control.cancel();
        }
    }
}

/// The error of work, for one of several who waited for it: its causes stay, a refusal among them.
fn again(error: &Arc<Error>) -> Error {
    let again = Error::new(error.code(), error.to_string());
    let again = if error.is_retryable() { again.retryable() } else { again };
    if error.source().is_some() { again.with_source(SharedError(error.clone())) } else { again }
}

#[derive(Debug)]
struct SharedError(Arc<Error>);

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for SharedError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
