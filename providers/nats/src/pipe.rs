//! What a file and the service share: an end, and what tells the service that its file has changed it.

use async_nats::Subject;
use netpipe::Reason;
use netpipe::lossy::End;
use rustix::io::Errno;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::mpsc::UnboundedSender;
use vfs_core::{Code, Result};
use zvfs_net::awaited::{Awaited, Beside, Watch};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;

/// What a file tells the service.
#[derive(Debug)]
pub enum Command {
    /// There is another end.
    Open(Arc<Pipe<dyn End>>),
    /// An end has something to send, or to wish.
    Look(u64),
    /// The instance stops.
    Stop,
}

/// A pipe's name, as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What its reader hears.
    pub reader: Subject,
    /// What its writers hear.
    pub writers: Subject,
    /// Where names are kept.
    pub key: String,
}

/// One end of a pipe, for its file and for the service.
pub struct Pipe<E: ?Sized> {
    /// Unique within the instance.
    pub id: u64,
    /// What it is called.
    pub name: Named,
    service: UnboundedSender<Command>,
    /// The service is about to look. It says that it no longer is before it does, so no change is missed.
    looked_for: AtomicBool,
    end: Awaited<E>,
}

impl<E: End> Pipe<E> {
    /// Makes one that the service does not know yet.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(id: u64, name: Named, service: UnboundedSender<Command>, end: E) -> Result<Pipe<E>, Errno> {
        Ok(Pipe { id, name, service, looked_for: AtomicBool::new(false), end: Awaited::new(end)? })
    }

    /// Does something to the end, for its file. The service looks at it afterwards.
    pub fn change<T>(&self, change: impl FnOnce(&mut E) -> T) -> T {
        let outcome = self.end.with(change);
        self.call();
        outcome
    }

    /// The file was closed: from now on, and not only when the service looks, nobody meets this end. Its last words leave later: an
    /// instance that stops waits for them.
    pub fn close(&self) {
        self.change(|end| end.close(Instant::now()));
    }

    /// Waits as a caller until `ready` gives something. It is asked again after each news.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn wait_until<T>(
        &self,
        caller: &Caller,
        doing: &str,
        wanted: impl Fn(&E) -> WaitedFor,
        mut ready: impl FnMut(&mut E) -> Option<T>,
    ) -> Result<T> {
        let attempt = |end: &mut E| {
            let attempt = ready(end);
            if !end.is_quiet() {
                self.call();
            }
            attempt
        };
        let beside = Beside {
            moment: |end: &mut E| end.moment().map(|moment| || moment.pass()),
            sleep: |end: &mut E, watch: &mut Watch<'_>| end.sleep(watch),
        };
        self.end.wait_beside(caller, doing, wanted, attempt, beside)
    }

    /// Has the service look at the end.
    fn call(&self) {
        if !self.looked_for.swap(true, Ordering::AcqRel) {
            // The service is there as long as its pipes are, or has told them that it is not.
            let _ = self.service.send(Command::Look(self.id));
        }
    }
}

impl<E: End + ?Sized> Pipe<E> {
    /// Tells the end of something that has happened. The file looks at it afterwards if it waits.
    pub fn tell_end<T>(&self, tell: impl FnOnce(&mut E) -> T) -> T {
        self.end.tell(tell)
    }

    /// Takes what the end wants and sends. That is no news to the file, which would only ask again.
    pub fn serve<T>(&self, serve: impl FnOnce(&mut E) -> T) -> T {
        self.looked_for.store(false, Ordering::Release);
        self.end.with(serve)
    }
}

/// Why a pipe cannot go on, for a file's calls.
pub fn of_reason(why: &Reason) -> Failure {
    Failure::new(Code::from_raw(why.errno().into()), why.to_string())
}

impl<E: ?Sized> fmt::Debug for Pipe<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipe({}, {})", self.id, self.name.key)
    }
}
