//! What open files ask of their instance's service thread.

use crate::lane::Lane;
use crate::pipe::{ReaderPipe, WriterPipe};
use crate::signal::Signal;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks what stays whole whenever its holder panics: each change is one step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request.
#[derive(Debug)]
pub enum Command {
    /// Find the writers of this pipe.
    Read(Arc<ReaderPipe>),
    /// Find the reader of this pipe.
    Write(Arc<WriterPipe>),
    /// A writer has bytes left that the kernel did not take.
    Flush(u64),
    /// A writer has said its last word before its reader came.
    Finished(u64),
    /// A writer has heard its reader's last word.
    HeardAll(u64),
    /// A reader's pipe has ended or broken: nobody else is to come.
    Over(u64),
    /// A file is closed.
    Closed(u64),
    /// The last frame is on its way on this connection; see it out.
    SeeOut(Arc<Lane>),
    /// A name was looked up.
    Resolved(u64, Result<Vec<std::net::SocketAddr>, String>),
    /// Deliver what was ENDed, and stop.
    Stop,
}

/// The way to the service thread.
#[derive(Debug)]
pub struct Queue {
    commands: Mutex<Vec<Command>>,
    /// Lanes with bytes taken and not reported.
    unreported: Mutex<Vec<Arc<Lane>>>,
    /// The service thread knows that there are such lanes.
    ticking: AtomicBool,
    ids: AtomicU64,
    dead: AtomicBool,
    signal: Signal,
}

impl Queue {
    /// Makes an empty one.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<Queue, Errno> {
        Ok(Queue {
            commands: Mutex::default(),
            unreported: Mutex::default(),
            ticking: AtomicBool::new(false),
            ids: AtomicU64::new(1),
            dead: AtomicBool::new(false),
            signal: Signal::new()?,
        })
    }

    /// A number that no other pipe of the instance has.
    pub fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks for something.
    pub fn ask(&self, command: Command) {
        let mut commands = lock(&self.commands);
        commands.push(command);
        if commands.len() == 1 {
            self.signal.raise();
        }
    }

    /// Has what a lane took reported within the protocol's delay.
    pub fn report_later(&self, lane: &Arc<Lane>) {
        if !lane.mark_unreported() {
            return;
        }
        lock(&self.unreported).push(lane.clone());
        if !self.ticking.swap(true, Ordering::SeqCst) {
            self.signal.raise();
        }
    }

    /// The service thread's: takes all requests.
    pub fn take(&self) -> Vec<Command> {
        self.signal.clear();
        std::mem::take(&mut lock(&self.commands))
    }

    /// The service thread's: whether lanes wait to report.
    pub fn is_ticking(&self) -> bool {
        self.ticking.load(Ordering::SeqCst)
    }

    /// The service thread's: takes the lanes that wait to report.
    pub fn take_unreported(&self) -> Vec<Arc<Lane>> {
        self.ticking.store(false, Ordering::SeqCst);
        std::mem::take(&mut lock(&self.unreported))
    }

    /// The service thread's: it is no more.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Whether the service thread is no more.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}
