//! What a provider's calls of its host go through: the control socket, and connections for upcalls.

use super::log::{Pass, Rate};
use super::own::own;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use vfs_core::process::wire::{FromProcess, OnConnection, Reply, Upcall};
use vfs_core::process::{Connection, Half, Heard, Socket};
use vfs_core::{Code, Context, Error, Events, Level, Result};

/// A line of a log is cut here, in bytes, so that it fits into a packet.
const LINE_MAX: usize = 8 << 10;

pub(super) struct Link {
    control: Socket,
    rate: Mutex<Rate>,
    /// The host is gone, or has said its last: nothing is asked of it any more.
    over: AtomicBool,
    /// Connections for threads of the provider's own, which are in no call.
    idle: Mutex<Vec<Connection>>,
    /// Counts them: readable while there is one.
    count: OwnedFd,
}

/// A connection for one thread's upcalls.
pub(super) enum Route<'a> {
    /// That of the call that the thread is in.
    Own,
    /// One for upcalls, which goes back.
    Lent(&'a Link, Option<Connection>),
}

impl Link {
    /// # Errors
    /// EMFILE, ENOMEM.
    pub(super) fn new(control: Socket) -> Result<Link> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE;
        let count = eventfd(0, flags).map_err(io::Error::from)?;
        let rate = Mutex::new(Rate::new(Instant::now()));
        Ok(Link { control, rate, over: AtomicBool::new(false), idle: Mutex::default(), count })
    }

    pub(super) fn control(&self) -> &Socket {
        &self.control
    }

    /// From now on nothing is asked of the host.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether the process ends without a word of the host's.
    pub(super) fn has_ended(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Writes a line to the host's log, if it is not one too many.
    pub(super) fn log(&self, level: Level, text: &str) {
        let say = |level: Level, text: &str| {
            let text = text[..text.floor_char_boundary(LINE_MAX)].to_owned();
            // Were the host gone, nobody would miss it.
            let _ = self.control.say(&FromProcess::Log { level: level as u32, text }, &[]);
        };
        let pass = self.rate.lock().pass(Instant::now());
        if let Pass::After(dropped) = pass {
            say(Level::Warning, &format!("{dropped} lines of this provider's log were dropped"));
        }
        if pass != Pass::No {
            say(level, text);
        }
    }

    /// Takes a connection that the host made for upcalls.
    pub(super) fn add(&self, connection: Connection) {
        self.idle.lock().push(connection);
        // It fails when 2^64 - 2 connections are idle.
        let _ = rustix::io::write(&self.count, &1u64.to_ne_bytes());
    }

    /// The way of an upcall that is made on this thread. Waits, under `context`, for a connection if the thread is in no call.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT: the context has ended. ECANCELED: the host is gone.
    pub(super) fn route(&self, context: &Context) -> Result<Route<'_>> {
        if own(|_| ()).is_some() {
            return Ok(Route::Own);
        }
        if let Some(connection) = self.idle() {
            return Ok(Route::Lent(self, Some(connection)));
        }
        if self.has_ended() {
            return Err(gone());
        }
        self.control.say(&FromProcess::NeedConnection, &[]).map_err(|_| gone())?;
        loop {
            context.wait(Some(self.count.as_fd()), Events::READ, None)?;
            if let Some(connection) = self.idle() {
                return Ok(Route::Lent(self, Some(connection)));
            }
        }
    }

    fn idle(&self) -> Option<Connection> {
        // One of the connections is this thread's if this succeeds.
        rustix::io::read(&self.count, &mut [0; 8]).ok()?;
        self.idle.lock().pop()
    }
}

impl Route<'_> {
    /// Uses the connection. Nothing of a provider's may run in `work`.
    ///
    /// # Errors
    /// Those of `work`.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let used = match self {
            Route::Own => own(work),
            Route::Lent(_, connection) => connection.as_mut().map(work),
        };
        used.unwrap_or_else(|| Err(gone()))
    }

    /// Makes an upcall that moves no bytes.
    ///
    /// # Errors
    /// The host's. ECANCELED: it is gone.
    pub(super) fn ask(&mut self, upcall: Upcall) -> Result<Reply> {
        self.with(|connection| ask(connection, upcall))
    }
}

impl Drop for Route<'_> {
    fn drop(&mut self) {
        if let Route::Lent(link, connection) = self
            && let Some(connection) = connection.take()
        {
            link.add(connection);
        }
    }
}

/// Makes an upcall on a connection.
pub(super) fn ask(connection: &mut Connection, upcall: Upcall) -> Result<Reply> {
    tell(connection, &OnConnection::Upcall(upcall))?;
    reply(connection)
}

/// Says something that belongs to an upcall.
pub(super) fn tell(connection: &mut Connection, message: &OnConnection) -> Result<()> {
    connection.say(Half::Upcall, message, None).map_err(|error| match error.code() {
        Code::E2BIG => error,
        _ => gone(),
    })
}

/// The host's next answer to an upcall.
pub(super) fn reply(connection: &mut Connection) -> Result<Reply> {
    match connection.hear()? {
        Heard::Message(Reply::Failed(failure), _) => Err(failure.into()),
        Heard::Message(reply, _) => Ok(reply),
        Heard::Nothing | Heard::End => Err(gone()),
    }
}

/// The host does not keep to the protocol.
pub(super) fn broken(what: impl Display) -> Error {
    Error::new(Code::EIO, format!("broke the protocol: {what}"))
}

/// The host answered an upcall with something else.
pub(super) fn other_reply() -> Error {
    broken("the host gave another kind of reply")
}

fn gone() -> Error {
    Error::new(Code::ECANCELED, "the provider's host is gone")
}
