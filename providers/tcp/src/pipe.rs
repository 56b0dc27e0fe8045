//! What an open file and the service thread know together of one pipe.

use crate::failure::Outcome;
use crate::outgoing::Outgoing;
use crate::plan::Plan;
use crate::upstream::Upstream;
use netpipe::pairing::{LastWord, Route};
use parking_lot::Mutex;
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use zvfs_net::caller::WaitedFor;
use zvfs_net::failure::Failure;
use zvfs_net::signal::Signal;

/// A writer's pipe.
#[derive(Debug)]
pub struct WriterPipe {
    /// Within the instance.
    pub id: u64,
    /// What was opened.
    pub plan: Plan,
    /// Raised when something changed that the file may be waiting for.
    pub signal: Signal,
    outgoing: OnceLock<Arc<Outgoing>>,
    outcome: OnceLock<Outcome>,
    /// Said before there was a reader. Held while `outgoing` is set, so that it is said exactly once.
    early: Mutex<Option<LastWord>>,
    /// Nobody waits for the delivery of its END any more.
    abandoned: AtomicBool,
    /// A host polls the signal, and is told of all that the service thread hears.
    polled: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl WriterPipe {
    /// Makes a pipe whose reader is not there.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(id: u64, plan: Plan) -> Result<WriterPipe, Errno> {
        Ok(WriterPipe {
            id,
            plan,
            signal: Signal::new()?,
            outgoing: OnceLock::new(),
            outcome: OnceLock::new(),
            early: Mutex::default(),
            abandoned: AtomicBool::new(false),
            polled: AtomicBool::new(false),
            trouble: Mutex::default(),
        })
    }

    /// The connection to the reader, once it is there.
    pub fn outgoing(&self) -> Option<&Arc<Outgoing>> {
        self.outgoing.get()
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Settles how it ended; the first word counts.
    pub fn settle(&self, outcome: Outcome) {
        if self.outcome.set(outcome).is_ok() {
            self.signal.raise();
        }
    }

    /// Gives it its reader, and says what was to be said before.
    pub fn connect(&self, outgoing: Arc<Outgoing>) {
        let early = self.early.lock();
        if let Some(word) = *early {
            outgoing.say_last(word);
        }
        // There is one connection for a pipe: the service thread sees to it.
        let _ = self.outgoing.set(outgoing);
        self.signal.raise();
    }

    /// Says the last word, now or when the reader comes. True: some of it is left for the service thread to send. A DISCARD
    /// takes back an END that nobody has heard.
    pub fn say_last(&self, word: LastWord) -> bool {
        let mut early = self.early.lock();
        match self.outgoing.get() {
            Some(outgoing) => !outgoing.say_last(word),
            None => {
                if *early != Some(LastWord::Discard) {
                    *early = Some(word);
                }
                true
            }
        }
    }

    /// Notes that nobody waits for the delivery of its END any more: what the kernel has is on its way, and a stop does not wait
    /// for the rest.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }

    /// Whether a stop has to wait for the delivery of its END.
    pub fn delivers_end(&self) -> bool {
        if self.abandoned.load(Ordering::SeqCst) || self.outcome.get().is_some() {
            return false;
        }
        match self.outgoing.get() {
            Some(outgoing) => outgoing.has_ended() && !outgoing.is_all_taken(),
            None => self.early() == Some(LastWord::End),
        }
    }

    /// Notes that a host polls the signal.
    pub fn poll(&self) {
        self.polled.store(true, Ordering::SeqCst);
    }

    /// Notes that the service thread has heard something: whoever polls may find more room.
    pub fn heard(&self) {
        if self.polled.load(Ordering::SeqCst) {
            self.signal.raise();
        }
    }

    /// What was said before the reader came.
    pub fn early(&self) -> Option<LastWord> {
        *self.early.lock()
    }

    /// Notes why the reader is not there yet, for whoever waits; `None`: what was noted last is over.
    pub fn note(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }

    /// What it waits for.
    pub fn waits_for(&self) -> WaitedFor {
        waits_for("its reader", &self.plan.route, &self.trouble)
    }
}

/// A reader's pipe.
#[derive(Debug)]
pub struct ReaderPipe {
    /// Within the instance.
    pub id: u64,
    /// What was opened.
    pub plan: Plan,
    /// Raised when something changed that the file may be waiting for.
    pub signal: Signal,
    arrived: Mutex<Vec<Arc<Upstream>>>,
    /// So that a read need not look.
    has_arrivals: AtomicBool,
    /// Writers of which it is known that they come.
    coming: AtomicUsize,
    failure: OnceLock<Failure>,
    trouble: Mutex<Option<String>>,
}

impl ReaderPipe {
    /// Makes a pipe whose writers are not there.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(id: u64, plan: Plan) -> Result<ReaderPipe, Errno> {
        Ok(ReaderPipe {
            id,
            plan,
            signal: Signal::new()?,
            arrived: Mutex::default(),
            has_arrivals: AtomicBool::new(false),
            coming: AtomicUsize::new(0),
            failure: OnceLock::new(),
            trouble: Mutex::default(),
        })
    }

    /// Gives it one more writer.
    pub fn arrive(&self, upstream: Arc<Upstream>) {
        self.arrived.lock().push(upstream);
        self.has_arrivals.store(true, Ordering::SeqCst);
        self.signal.raise();
    }

    /// Whether writers came since they were taken, or somebody who was to come did not.
    pub fn has_arrivals(&self) -> bool {
        self.has_arrivals.load(Ordering::SeqCst)
    }

    /// Notes that a writer is about to learn that it is in: until it has arrived, the pipe has not ended.
    pub fn expect(self: &Arc<Self>) -> Coming {
        self.coming.fetch_add(1, Ordering::SeqCst);
        Coming(self.clone())
    }

    /// Whether everybody who was let in has arrived, and been taken.
    pub fn is_complete(&self) -> bool {
        // In this order: whoever comes arrives first, and then comes no more.
        self.coming.load(Ordering::SeqCst) == 0 && !self.has_arrivals()
    }

    /// Takes the writers that came since the last call.
    pub fn take_arrived(&self) -> Vec<Arc<Upstream>> {
        self.signal.clear();
        self.has_arrivals.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.arrived.lock())
    }

    /// Why no writer will come, or what broke the pipe, if so.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Settles that no writer will come, or that the pipe is broken.
    pub fn fail(&self, failure: Failure) {
        if self.failure.set(failure).is_ok() {
            self.signal.raise();
        }
    }

    /// Notes why a writer is not there yet, for whoever waits; `None`: what was noted last is over.
    pub fn note(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }

    /// What it waits for.
    pub fn waits_for(&self) -> WaitedFor {
        waits_for("a writer", &self.plan.route, &self.trouble)
    }
}

/// A writer on its way to a reader, until this is dropped.
#[derive(Debug)]
pub struct Coming(Arc<ReaderPipe>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::SeqCst);
        // Whoever waits for it looks again.
        self.0.has_arrivals.store(true, Ordering::SeqCst);
        self.0.signal.raise();
    }
}

fn waits_for(whom: &str, route: &Route, trouble: &Mutex<Option<String>>) -> WaitedFor {
    let object = match route {
        Route::Listen(at) => format!("{whom} to connect to {at}"),
        Route::Dial(at) => format!("{whom} at {at}"),
        Route::Broker(broker) => format!("{whom} through the broker {broker}"),
    };
    WaitedFor { object: object.into(), refusal: trouble.lock().clone(), is_sought: true }
}
