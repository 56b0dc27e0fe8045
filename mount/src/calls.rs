//! The calls that programs wait for. Each runs on a thread of a pool, so that one that is stuck holds up no other. It ends when its
//! time is over or its program is signalled: its control says so to the provider, and if that does not heed it within a second the
//! program gets its error all the same, and the thread is left behind.

use crate::caller::Caller;
use crate::errno;
use crate::log;
use fuser::{Errno, Request};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Error, Result};

/// Calls that run at a time, without those that were left behind.
const AT_ONCE: usize = 64;
/// What a provider gets to heed a cancel or a deadline.
const GRACE: Duration = Duration::from_secs(1);
/// How often calls are looked at that last.
const TICK: Duration = Duration::from_millis(100);

/// What the kernel waits for: it must be answered once.
pub trait Reply: Send + 'static {
    /// Answers with an error.
    fn fail(self, errno: Errno);
}

macro_rules! replies {
    ($($reply:ident)*) => {
        $(impl Reply for fuser::$reply {
            fn fail(self, errno: Errno) {
                self.error(errno);
            }
        })*
    };
}

replies! { ReplyAttr ReplyCreate ReplyData ReplyDirectory ReplyEmpty ReplyEntry ReplyOpen ReplyWrite }

/// All calls of a folder.
#[derive(Clone)]
pub struct Calls(Arc<Shared>);

struct Shared {
    timeout: Duration,
    state: Mutex<State>,
    /// A job has come.
    job: Condvar,
    /// A call has begun, where none was, or has ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn FnOnce() + Send>>,
    running: HashMap<u64, Running>,
    last: u64,
    threads: usize,
    idle: usize,
}

/// A call that is waited for.
struct Running {
    call: Arc<Call>,
    /// When its program was signalled.
    signalled: Option<Instant>,
    /// Answers in the call's place.
    give_up: Option<Box<dyn FnOnce(Errno) + Send>>,
}

/// One call.
pub struct Call {
    id: u64,
    caller: Caller,
    begun: Instant,
    deadline: Instant,
    control: Control,
    interrupted: AtomicBool,
    has_thread: AtomicBool,
    is_left: AtomicBool,
    /// It is the last word on a file: it ends in its own time, whoever is gone.
    is_last: bool,
    /// Ends what it does with an open file.
    ends_file: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Call {
    /// One that begins now, and may take this time.
    pub fn new(id: u64, caller: Caller, is_last: bool, timeout: Duration) -> Call {
        let begun = Instant::now();
        let (deadline, control) = (begun + timeout, Control::new());
        control.set_deadline(Some(deadline));
        Call {
            id,
            caller,
            begun,
            deadline,
            control,
            interrupted: AtomicBool::new(false),
            has_thread: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            is_last,
            ends_file: Mutex::new(None),
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who waits for it.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// When it must be over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What ends its work on names, and an open. A file that it opened goes on following this control: [`Call::opened`].
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// A file was opened under its control: that is not held to the call's deadline.
    pub fn opened(&self) {
        self.control.set_deadline(None);
    }

    /// Says how its work on an open file is ended.
    pub fn on_interrupt(&self, interrupt: impl Fn() + Send + 'static) {
        *self.ends_file.lock() = Some(Box::new(interrupt));
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.control.cancel();
        if let Some(interrupt) = &*self.ends_file.lock() {
            interrupt();
        }
    }
}

impl Calls {
    /// None yet; each may take this time.
    pub fn new(timeout: Duration) -> Result<Calls> {
        let (state, job, changed) = (Mutex::default(), Condvar::new(), Condvar::new());
        let calls = Calls(Arc::new(Shared { timeout, state, job, changed }));
        let watched = calls.clone();
        let watcher = thread::Builder::new().name("watcher".to_owned()).spawn(move || watched.watch());
        watcher.map_err(|error| Error::no_thread(&error).context("start a thread"))?;
        Ok(calls)
    }

    /// Does some work for a program and answers it. `answer` runs if the program still waits: what it would not learn of, such as a
    /// file that was opened, is dropped.
    pub fn begin<R: Reply, T: 'static>(
        &self,
        request: &Request,
        reply: R,
        work: impl FnOnce(&Call) -> Result<T> + Send + 'static,
        answer: impl FnOnce(R, T) + Send + 'static,
    ) {
        self.enter(Caller(request.pid()), false, reply, work, answer);
    }

    /// The same for what ends a file that nobody has open any more.
    pub fn begin_last<R: Reply>(
        &self,
        request: &Request,
        reply: R,
        work: impl FnOnce(&Call) -> Result<()> + Send + 'static,
        answer: impl FnOnce(R, ()) + Send + 'static,
    ) {
        self.enter(Caller(request.pid()), true, reply, work, answer);
    }

    fn enter<R: Reply, T: 'static>(
        &self,
        caller: Caller,
        is_last: bool,
        reply: R,
        work: impl FnOnce(&Call) -> Result<T> + Send + 'static,
        answer: impl FnOnce(R, T) + Send + 'static,
    ) {
        let reply = Arc::new(Mutex::new(Some(reply)));
        let mut state = self.0.state.lock();
        state.last += 1;
        let call = Arc::new(Call::new(state.last, caller, is_last, self.0.timeout));
        let taken = reply.clone();
        let give_up = Box::new(move |errno| {
            if let Some(reply) = taken.lock().take() {
                reply.fail(errno);
            }
        });
        let running = Running { call: call.clone(), signalled: None, give_up: Some(give_up) };
        if state.running.insert(call.id, running).is_none() && state.running.len() == 1 {
            self.0.changed.notify_all();
        }
        let calls = self.clone();
        state.jobs.push_back(Box::new(move || calls.run(&call, &reply, work, answer)));
        if state.idle >= state.jobs.len() {
            self.0.job.notify_one();
        } else if state.threads < AT_ONCE {
            let calls = self.clone();
            // Without a thread it waits until one is free, or its time is over.
            if thread::Builder::new().name("call".to_owned()).spawn(move || calls.serve()).is_ok() {
                state.threads += 1;
            }
        }
    }

    /// Nobody waits for an answer any more: ends all calls but the last words on files, and waits until none is running, no longer
    /// than one may take.
    pub fn finish(&self) {
        let until = Instant::now() + self.0.timeout + GRACE;
        let mut state = self.0.state.lock();
        let unheard: Vec<u64> =
            state.running.iter().filter(|(_, running)| !running.call.is_last).map(|(id, _)| *id).collect();
        for running in unheard.iter().filter_map(|id| state.running.remove(id)) {
            running.call.interrupt();
        }
        while !state.running.is_empty() {
            if self.0.changed.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    fn run<R: Reply, T>(
        &self,
        call: &Arc<Call>,
        reply: &Mutex<Option<R>>,
        work: impl FnOnce(&Call) -> Result<T>,
        answer: impl FnOnce(R, T),
    ) {
        call.has_thread.store(true, Ordering::SeqCst);
        let is_awaited = reply.lock().is_some();
        let result = match is_awaited {
            true => catch_unwind(AssertUnwindSafe(|| work(call)))
                .unwrap_or_else(|_| Err(Error::new(Code::EIO, "a call panicked"))),
            false => Err(Error::new(Code::ECANCELED, "nobody waits for it")),
        };
        let reply = reply.lock().take();
        if let Some(reply) = reply {
            match result {
                Ok(done) => answer(reply, done),
                Err(_) if call.interrupted.load(Ordering::SeqCst) => reply.fail(Errno::EINTR),
                Err(error) => {
                    if !errno::is_ordinary(&error) {
                        log::say(&error.chain());
                    }
                    reply.fail(errno::of(&error));
                }
            }
        }
        let mut state = self.0.state.lock();
        state.running.remove(&call.id);
        if call.is_left.load(Ordering::SeqCst) {
            // Another one took its place: this thread ends.
            state.threads += 1;
        }
        self.0.changed.notify_all();
    }

    /// What each thread of the pool does.
    fn serve(&self) {
        let mut state = self.0.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.0.state.lock();
                if state.threads > AT_ONCE {
                    state.threads -= 1;
                    return;
                }
                continue;
            }
            state.idle += 1;
            self.0.job.wait(&mut state);
            state.idle -= 1;
        }
    }

    /// Looks at the calls that last, for ever.
    fn watch(&self) {
        let mut state = self.0.state.lock();
        loop {
            if state.running.is_empty() {
                self.0.changed.wait(&mut state);
                continue;
            }
            drop(state);
            thread::sleep(TICK);
            state = self.0.state.lock();
            let now = Instant::now();
            let lasting: Vec<u64> = state
                .running
                .iter()
                .filter(|(_, running)| running.give_up.is_some() && now - running.call.begun > TICK)
                .map(|(id, _)| *id)
                .collect();
            for id in lasting {
                self.look_at(&mut state, id, now);
            }
        }
    }

    fn look_at(&self, state: &mut State, id: u64, now: Instant) {
        let Some(running) = state.running.get_mut(&id) else { return };
        let call = running.call.clone();
        if running.signalled.is_none() && !call.is_last && call.caller.is_leaving() {
            running.signalled = Some(now);
            call.interrupt();
        }
        let errno = match running.signalled {
            Some(at) if now > at + GRACE => Errno::EINTR,
            _ if now > call.deadline + GRACE => {
                let text = format!(
                    "a call did not end within {:?}: its provider does not heed a deadline",
                    self.0.timeout
                );
                log::say(&text);
                Errno::EIO
            }
            _ => return,
        };
        if let Some(give_up) = running.give_up.take() {
            give_up(errno);
            if !call.has_thread.load(Ordering::SeqCst) {
                return;
            }
            call.is_left.store(true, Ordering::SeqCst);
            state.threads -= 1;
            // Another one takes its place, should one be needed.
            if !state.jobs.is_empty() && state.idle == 0 {
                let calls = self.clone();
                if thread::Builder::new().name("call".to_owned()).spawn(move || calls.serve()).is_ok() {
                    state.threads += 1;
                }
            }
        }
    }
}
