//! A connection lent for one call: the host's thread sends the call, and serves upcalls there until the reply comes.

mod upcalls;

use super::child::{Child, Purpose};
use super::connection::Connection;
use super::patience::Patience;
use super::payload::Half;
use super::socket::{Heard, broken};
use super::wire::{Call, NameEntry, OnConnection, Reply};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use serde::Serialize;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use upcalls::serve;

/// What a process gets to end a call that its control has ended.
const TO_END: Duration = Duration::from_secs(1);
/// What it gets for a close or a stop.
const LAST_CALL: Duration = Duration::from_secs(5);

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

/// Makes the last call on something, a close or a stop, which gets 5 s. Nobody waits for it, so a failure goes to the host's log.
pub(super) fn last_call(child: &Child, call: &Call, doing: impl FnOnce() -> String, late: &'static str) {
    // In a forked child there is no connection; of a process that is gone everything is closed.
    let Ok(mut connection) = Lent::with(child, Purpose::LastCall) else { return };
    let patience = Patience::counted(LAST_CALL, late);
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
        Caller { patience: Patience::Controlled(context, TO_END), each: None }
    }

    /// Who waits for a library to load or start, which nothing but the process's end can end.
    pub(super) fn of_start(context: &'c Context) -> Caller<'c> {
        Caller { patience: Patience::Controlled(context, Duration::ZERO), each: None }
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

    /// For a call, or the last one.
    ///
    /// # Errors
    /// As [`Lent::new`].
    fn with(child: &'p Child, purpose: Purpose) -> Result<Lent<'p>> {
        Ok(Lent { child, purpose, connection: Some(child.take_connection(purpose)?), at_rest: true })
    }

    /// For the upcalls of a provider's own threads, which was [counted](Child::reserve_for_upcalls).
    ///
    /// # Errors
    /// As [`Lent::new`].
    pub(super) fn for_upcalls(child: &'p Child) -> Result<Lent<'p>> {
        let purpose = Purpose::Upcalls;
        Ok(Lent { child, purpose, connection: Some(child.new_connection(purpose)?), at_rest: false })
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
                    caller.patience.wait(self.child, self.connection().as_fd())?;
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
            caller.patience.bear(self.child)?;
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
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let connection = self.connection.take().filter(|_| self.at_rest);
        self.child.give_back(self.purpose, connection);
    }
}
