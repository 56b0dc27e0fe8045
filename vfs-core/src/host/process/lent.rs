//! A connection lent for one call: the host's thread sends the call, and serves upcalls there until the reply comes.

mod upcalls;

use super::child::{Child, Purpose};
use super::connection::Connection;
use super::payload::Half;
use super::socket::{Heard, broken};
use super::wire::{Call, NameEntry, OnConnection, Reply};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::flags::Events;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use serde::Serialize;
use std::os::fd::{AsFd, OwnedFd};
use upcalls::serve;

/// One of the waits that patience is counted in: a machine that is busy takes longer for them.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const A_SECOND: u32 = 20;

/// A connection that one call has, and then the next one.
pub(super) struct Lent<'p> {
    child: &'p Child,
    purpose: Purpose,
    /// Until it is dropped.
    connection: Option<Connection>,
    /// The call is over, and the next one may have the connection.
    at_rest: bool,
}

/// Whose call it is.
pub(super) struct Caller<'c> {
    patience: Patience<'c>,
    /// Takes the names of a listing; `false` breaks it off.
    each: Option<&'c mut dyn FnMut(Vec<NameEntry>) -> bool>,
}

/// How long a process may take.
enum Patience<'c> {
    /// As long as it likes.
    Endless,
    /// Until the call's control has ended it, and so many waits more.
    Controlled(&'c Context, u32),
    /// So many waits; then it is killed, and this is why.
    Counted { left: u32, why: &'static str },
}

/// Makes the last call on something, a close or a stop, which gets 5 s. Nobody waits for it, so a failure goes to the host's log.
pub(super) fn last_call(child: &Child, call: &Call, doing: impl FnOnce() -> String, late: &'static str) {
    // In a forked child there is no connection; of a process that is gone everything is closed.
    let Ok(mut connection) = Lent::with(child, Purpose::LastCall) else { return };
    let patience = Patience::Counted { left: 5 * A_SECOND, why: late };
    if let Err(error) = connection.call(call, &mut Caller { patience, each: None }) {
        child.warn(&error.context(doing()));
    }
}

/// What answers the host.
pub(super) enum Answered {
    Reply(Reply, Vec<OwnedFd>),
    GoOn(bool),
}

impl<'c> Caller<'c> {
    /// Who waits for a file: the process gets a second to end the call.
    pub(super) fn of(context: &'c Context) -> Caller<'c> {
        Caller { patience: Patience::Controlled(context, A_SECOND), each: None }
    }

    /// Who waits for a library to load or start, which nothing but the process's end can end.
    pub(super) fn of_start(context: &'c Context) -> Caller<'c> {
        Caller { patience: Patience::Controlled(context, 0), each: None }
    }

    /// Who lists, too.
    pub(super) fn listing(self, each: Option<&'c mut dyn FnMut(Vec<NameEntry>) -> bool>) -> Caller<'c> {
        Caller { each, ..self }
    }

    /// A thread of the provider's own, which may never want anything.
    pub(super) fn provider() -> Caller<'c> {
        Caller { patience: Patience::Endless, each: None }
    }

    /// Takes some names of a listing; `None`: nobody lists, or no longer.
    pub(super) fn take_names(&mut self, names: Vec<NameEntry>) -> Option<bool> {
        let each = self.each.as_mut()?;
        let on = each(names);
        if !on {
            self.each = None;
        }
        Some(on)
    }
}

impl<'p> Lent<'p> {
    /// For a call.
    ///
    /// # Errors
    /// EMFILE: too many are in progress. EPERM: in a forked child. EIO: the process is gone.
    pub(super) fn new(child: &'p Child) -> Result<Lent<'p>> {
        Lent::with(child, Purpose::Call)
    }

    /// For a purpose.
    ///
    /// # Errors
    /// As [`Lent::new`].
    pub(super) fn with(child: &'p Child, purpose: Purpose) -> Result<Lent<'p>> {
        let connection = Some(child.take_connection(purpose)?);
        Ok(Lent { child, purpose, connection, at_rest: purpose != Purpose::Upcalls })
    }

    pub(super) fn child(&self) -> &'p Child {
        self.child
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a connection until it is dropped")
    }

    /// Makes a call and waits for its reply, and for the descriptor of a lease.
    ///
    /// # Errors
    /// The provider's; E2BIG: the call does not fit. EIO: the process is gone, or broke the protocol and was killed.
    pub(super) fn call(&mut self, call: &Call, caller: &mut Caller<'_>) -> Result<(Reply, Option<OwnedFd>)> {
        self.say(Half::Call, call)?;
        self.at_rest = false;
        let Answered::Reply(reply, mut descriptors) = self.answer(caller)? else {
            return Err(self.broken("it goes on with no listing"));
        };
        self.at_rest = true;
        let expected = usize::from(matches!(reply, Reply::Lease { .. }));
        if descriptors.len() != expected {
            return Err(self.broken("a reply has a descriptor too many, or lacks one"));
        }
        match reply {
            Reply::Failed(failure) => Err(self.child.failed(call, failure)),
            reply => Ok((reply, descriptors.pop())),
        }
    }

    /// Waits for an answer; serves what the call needs meanwhile.
    pub(super) fn answer(&mut self, caller: &mut Caller<'_>) -> Result<Answered> {
        loop {
            let (message, descriptors) = match self.connection().hear() {
                Ok(Heard::Message(message, descriptors)) => (message, descriptors),
                Ok(Heard::Nothing) => {
                    self.wait(caller)?;
                    continue;
                }
                Ok(Heard::End) => return Err(self.child.gone()),
                Err(error) => return Err(self.child.kill(&error.chain())),
            };
            if let OnConnection::Reply(reply) = message {
                return Ok(Answered::Reply(reply, descriptors));
            }
            if !descriptors.is_empty() {
                return Err(self.broken("a descriptor came with no reply"));
            }
            match message {
                OnConnection::Reply(_) => {}
                OnConnection::GoOn(on) => return Ok(Answered::GoOn(on)),
                OnConnection::Upcall(upcall) => serve(self, upcall, caller)?,
                OnConnection::Waiting { object, refusal, file } => {
                    // Of a file that was closed meanwhile, a thread of the provider's own may say so.
                    if let Some(context) = self.child.context(file) {
                        context.set_waiting(object.as_deref(), refusal.as_deref());
                    }
                }
            }
        }
    }

    /// Sends one message.
    pub(super) fn say(&mut self, half: Half, message: &impl Serialize) -> Result<()> {
        self.connection().say(half, message, None).map_err(|error| match error.code() {
            Code::E2BIG => self.child.untold(error),
            Code::EAGAIN => self.broken("it does not read its connection"),
            _ => self.child.gone(),
        })
    }

    /// The process cannot be believed any more.
    pub(super) fn broken(&self, what: &str) -> Error {
        self.child.kill(&broken(what).chain())
    }

    /// Waits until the connection has something.
    fn wait(&mut self, caller: &mut Caller<'_>) -> Result<()> {
        let child = self.child;
        let connection = (*self.connection()).as_fd();
        match &mut caller.patience {
            Patience::Endless => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(connection, PollFlags::IN)], None);
            }
            Patience::Controlled(context, left) => {
                let Err(ended) = context.wait(Some(connection), Events::READ, None) else { return Ok(()) };
                let why = match ended.code() {
                    Code::ECANCELED => "it did not end a call 1 s after its cancel",
                    Code::ETIMEDOUT => "it did not end a call 1 s after its deadline",
                    _ => return Err(ended),
                };
                caller.patience = Patience::Counted { left: *left, why };
            }
            Patience::Counted { left, why } => {
                let came = poll(&mut [PollFd::from_borrowed_fd(connection, PollFlags::IN)], Some(&WAIT));
                if came != Ok(0) {
                    return Ok(());
                }
                if *left == 0 {
                    return Err(child.kill(why));
                }
                *left -= 1;
            }
        }
        Ok(())
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let connection = self.connection.take().filter(|_| self.at_rest);
        self.child.give_back(self.purpose, connection);
    }
}
