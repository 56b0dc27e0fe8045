//! Reading without waiting: what the answer at hand has is taken from its socket, and another answer is asked for by a thread.
//!
//! To ask is a name to look up, a connection, TLS, a request, redirects and further attempts: all that waits. An answer that comes
//! costs no thread, so a host with many objects has as many threads as there are answers to be asked for at the moment.

use crate::client::caller::Caller;
use crate::client::stream::Stream;
use crate::reader::object::Object;
use crate::wire::range::Span;
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::{Code, Context, Control, Events};
use zvfs_net::failure::{Attempt, Failure, no_thread};
use zvfs_net::retry::{Budget, persist};

/// What a host waits for that does not wait in a read.
pub struct Polled {
    /// Lent: it has `came`, and for one event the socket of the answer at hand.
    epoll: OwnedFd,
    /// Written when the answer is there that was asked for, and when those at hand were closed.
    came: Arc<OwnedFd>,
    asked: Option<Asked>,
    /// Nothing has come since then; `None`: a try may find something.
    nothing_since: Option<Instant>,
}

/// An answer that a thread asks for. Dropped, nobody wants it any more.
struct Asked {
    control: Control,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

/// What came of asking, and the attempts that are left.
pub struct Outcome {
    pub stream: Attempt<Option<Stream>>,
    pub budget: Budget,
}

impl Polled {
    /// Nothing is asked for yet.
    ///
    /// # Errors
    /// EMFILE: the system has no descriptors left.
    pub fn new() -> Attempt<Polled> {
        let cannot = |errno| Failure::system(errno).context("read without waiting");
        let came = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(cannot)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(cannot)?;
        epoll::add(&epoll, &came, EventData::new_u64(0), EventFlags::IN).map_err(cannot)?;
        Ok(Polled { epoll, came: Arc::new(came), asked: None, nothing_since: None })
    }

    /// Has a thread ask for a span, where something failed after the pause that is due then.
    ///
    /// # Errors
    /// EBUSY: the system has no threads left.
    pub fn ask(
        &mut self,
        object: &Arc<Object>,
        span: Span,
        failed: Option<Failure>,
        mut budget: Budget,
        caller: &Caller,
    ) -> Attempt<()> {
        // The thread may outlive the file, whose context it must not use then.
        let control = Control::new();
        let caller = Caller { context: control.context(), ..caller.clone() };
        let outcome = Arc::new(Mutex::new(None));
        let (told, came, asks) = (outcome.clone(), self.came.clone(), object.clone());
        let ask = move || {
            let asked = catch_unwind(AssertUnwindSafe(|| {
                if let Some(failure) = failed {
                    budget.wait(failure, &caller)?;
                }
                persist(&caller, &mut budget, || asks.fetch(span, &caller))
            }));
            let stream =
                asked.unwrap_or_else(|_| Err(Failure::new(Code::EIO, "a thread that asked panicked")));
            *told.lock() = Some(Outcome { stream, budget });
            // It is full only if nobody reads it.
            let _ = rustix::io::write(&came, &1_u64.to_ne_bytes());
        };
        object.workers().spawn("zvfs-http-ask", ask).map_err(|error| no_thread("ask for more", &error))?;
        self.asked = Some(Asked { control, outcome });
        Ok(())
    }

    /// Whether an answer was asked for and not taken yet.
    pub fn has_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether an answer is on its way.
    pub fn is_asking(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.outcome.lock().is_none())
    }

    /// What came of asking, once.
    pub fn outcome(&mut self) -> Option<Outcome> {
        let outcome = self.asked.as_ref()?.outcome.lock().take()?;
        self.asked = None;
        Some(outcome)
    }

    /// Waits until an answer that is on its way is there.
    ///
    /// # Errors
    /// The caller's.
    pub fn wait(&self, context: &Context) -> Attempt<()> {
        while self.is_asking() {
            let _waits = context.waits_for("the answer to a request");
            context.wait(Some(self.came.as_fd()), Events::READ, None)?;
            self.forget_events();
        }
        Ok(())
    }

    /// Says that what was asked for is not wanted, and that a try may find something.
    pub fn moved(&mut self) {
        self.asked = None;
        self.nothing_since = None;
    }

    /// Says what a try has come to. Returns for how long nothing has come.
    pub fn tried(&mut self, nothing: bool) -> Duration {
        match nothing {
            true => self.nothing_since.get_or_insert_with(Instant::now).elapsed(),
            false => {
                self.nothing_since = None;
                Duration::ZERO
            }
        }
    }

    /// For how long nothing has come; `None`: a try may find something.
    pub fn nothing_for(&self) -> Option<Duration> {
        self.nothing_since.map(|since| since.elapsed())
    }

    /// What is to be awaited: that an answer is there, and once something comes in on what was armed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Written when something else has happened that a try should look at.
    pub fn signal(&self) -> &Arc<OwnedFd> {
        &self.came
    }

    /// Awaits that something comes in on a socket.
    ///
    /// # Errors
    /// The kernel has no room for it.
    pub fn arm(&self, socket: BorrowedFd<'_>) -> Attempt<()> {
        // For one event: the socket may be another request's by the time of the next, and nobody would take it out.
        let (data, flags) = (EventData::new_u64(1), EventFlags::IN | EventFlags::ONESHOT);
        let armed = match epoll::add(&self.epoll, socket, data, flags) {
            Err(Errno::EXIST) => epoll::modify(&self.epoll, socket, data, flags),
            added => added,
        };
        armed.map_err(|errno| Failure::system(errno).context("read without waiting"))
    }

    /// Takes what has occurred, so that it is not announced again. What it was for is looked at after this.
    pub fn forget_events(&self) {
        let mut events = [MaybeUninit::uninit(); 4];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = epoll::wait(&self.epoll, &mut events, Some(&at_once));
        let _ = rustix::io::read(&self.came, &mut [0; 8]);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.control.cancel();
    }
}
