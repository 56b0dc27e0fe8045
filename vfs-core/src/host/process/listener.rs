//! The thread that hears what a process, and its supervisor, say of their own accord: the log, and the end.

use super::child::{Child, Purpose};
use super::launch::{LaunchFailure, Orphan, without_signals};
use super::lent::{Caller, Lent};
use super::socket::{Heard, broken};
use super::wire::{FromProcess, FromSupervisor, VERSION};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::provider::Level;
use rustix::event::{PollFd, PollFlags, poll};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// As many lines of a process's log are taken in a second: the process says itself what it leaves out.
const LINES: u32 = 200;

/// Listens until the process has ended.
pub(super) fn spawn(child: Arc<Child>, failure: LaunchFailure, orphan: Orphan) -> Result<()> {
    let listener = Listener { child, open: true, greeted: false, lines: 0, since: Instant::now() };
    let thread = thread::Builder::new().name("zvfs-process".into());
    let work = move || {
        listener.listen(&failure);
        orphan.reap();
    };
    // The host's signals are for the host's own threads: one that waits there counts on being interrupted.
    let spawned = without_signals(|| thread.spawn(work));
    spawned.map(drop).map_err(|error| Error::no_thread(&error))
}

struct Listener {
    child: Arc<Child>,
    /// The process may say something yet.
    open: bool,
    /// Its first word has come. From then on a library may be the one that speaks.
    greeted: bool,
    /// Lines of the log in the second that began then.
    lines: u32,
    since: Instant,
}

impl Listener {
    fn listen(mut self, failure: &LaunchFailure) {
        loop {
            self.wait();
            let heard = self.child.supervisor.hear();
            // After that: what it said before it ended.
            self.hear_process();
            match heard {
                Ok(Heard::Nothing) => {}
                Ok(Heard::Message(FromSupervisor::Ended { status }, _)) => {
                    return self.child.ended(|death| death.ended(status));
                }
                Ok(Heard::End) | Err(_) => {
                    self.child.leave();
                    let lost = || self.child.death.error("has lost its supervisor".to_owned());
                    let why = failure.error().unwrap_or_else(lost);
                    return self.child.ended(|death| death.lost(why));
                }
            }
        }
    }

    /// Waits for either, for as long as it takes.
    fn wait(&self) {
        let mut sockets = [
            PollFd::new(&self.child.supervisor, PollFlags::IN),
            PollFd::new(&self.child.control, PollFlags::IN),
        ];
        let count = if self.open { 2 } else { 1 };
        let _ = poll(&mut sockets[..count], None);
    }

    fn hear_process(&mut self) {
        while self.open {
            match self.child.control.hear() {
                Ok(Heard::Message(message, descriptors)) if descriptors.is_empty() => self.take(message),
                Ok(Heard::Message(..)) => self.end(broken("a descriptor came with no reply")),
                Ok(Heard::Nothing) => return,
                Ok(Heard::End) => self.open = false,
                Err(error) => self.end(error),
            }
        }
    }

    fn take(&mut self, message: FromProcess) {
        match message {
            message if !self.greeted => self.greet(message),
            FromProcess::Log { level, text } => self.log(level, &text),
            FromProcess::NeedConnection => self.lend_connection(),
            FromProcess::Hello { .. } => self.end(broken("it says hello again")),
            FromProcess::NoWalls { failure } => {
                let its_word = Error::from(failure).to_string();
                let what = format!("it says that it has no walls, after it said that it has: {its_word:?}");
                self.end(broken(what));
            }
        }
    }

    /// Takes the first word, which is that of `zvfs-provider` itself.
    fn greet(&mut self, message: FromProcess) {
        self.greeted = true;
        let refusal = match message {
            FromProcess::Hello { version: VERSION } => return,
            FromProcess::Hello { version } => {
                let text = format!(
                    "zvfs-provider speaks version {version} of the protocol, and this host version {VERSION}: \
                     install the zvfs-provider that came with this host"
                );
                Error::new(Code::EPROTO, text)
            }
            FromProcess::NoWalls { failure } => failure.into(),
            FromProcess::Log { .. } | FromProcess::NeedConnection => {
                return self.end(broken("it says something else before hello"));
            }
        };
        self.child.death.explained(refusal);
        self.child.condemn();
    }

    /// Ends a process that cannot be believed any more.
    fn end(&mut self, error: Error) {
        self.open = false;
        self.child.death.caused(&error.chain());
        self.child.condemn();
    }

    fn log(&mut self, level: u32, text: &str) {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.lines) = (Instant::now(), 0);
        }
        self.lines += 1;
        // Before its start nobody listens.
        if let Some(host) = self.child.host.get().filter(|_| self.lines <= LINES) {
            host.log(Level::of(level), &Level::line(text));
        }
    }

    /// Gives a thread of the provider's own a connection, and a thread of the host's that serves it. If there are enough, the thread waits
    /// for another one's.
    fn lend_connection(&self) {
        if !self.child.reserve_for_upcalls() {
            return;
        }
        let child = self.child.clone();
        let thread = thread::Builder::new().name("zvfs-upcalls".into());
        let spawned = thread.spawn(move || {
            let Ok(mut connection) = Lent::for_upcalls(&child) else { return };
            // Until the process closes the connection, or ends.
            if connection.answer(&mut Caller::provider()).is_ok() {
                let _ = connection.broken("it answers where nobody asked");
            }
        });
        // A process whose host has no thread waits in vain, until its files are closed.
        if spawned.is_err() {
            self.child.give_back(Purpose::Upcalls, None);
        }
    }
}
