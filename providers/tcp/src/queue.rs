//! What open files ask of their instance's service thread.

use crate::pipe::{ReaderPipe, WriterPipe};
use crate::upstream::Upstream;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use zvfs_discovery::Found;
use zvfs_net::signal::Signal;

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
    Linger(Arc<Upstream>),
    /// A name was looked up.
    Resolved(u64, Result<Vec<std::net::SocketAddr>, String>),
    /// The local network was asked for brokers.
    Discovered(u64, Result<Vec<Found>, String>),
    /// Deliver what was ENDed, and stop.
    Stop,
}

/// The way to the service thread.
#[derive(Debug)]
pub struct Queue {
    commands: Mutex<Vec<Command>>,
    /// Upstreams with bytes taken and not reported.
    unreported: Mutex<Vec<Arc<Upstream>>>,
    /// The service thread knows that there are such upstreams.
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
        let mut commands = self.commands.lock();
        commands.push(command);
        if commands.len() == 1 {
            self.signal.raise();
        }
    }

    /// Has what an upstream took reported within the protocol's delay.
    pub fn report_later(&self, upstream: &Arc<Upstream>) {
        if !upstream.mark_unreported() {
            return;
        }
        self.unreported.lock().push(upstream.clone());
        if !self.ticking.swap(true, Ordering::SeqCst) {
            self.signal.raise();
        }
    }

    /// The service thread's: takes all requests.
    pub fn take(&self) -> Vec<Command> {
        self.signal.clear();
        std::mem::take(&mut self.commands.lock())
    }

    /// The service thread's: whether upstreams wait to report.
    pub fn is_ticking(&self) -> bool {
        self.ticking.load(Ordering::SeqCst)
    }

    /// The service thread's: takes the upstreams that wait to report.
    pub fn take_unreported(&self) -> Vec<Arc<Upstream>> {
        self.ticking.store(false, Ordering::SeqCst);
        std::mem::take(&mut self.unreported.lock())
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
