//! A provider's process as its host sees it: its connections, the files that are open in it, its end.

use super::connection::Connection;
use super::death::Death;
use super::inners::Inners;
use super::launch::{LaunchFailure, Launched, Orphan, launch};
use super::socket::Socket;
use super::wire::{Call, Failure, FileId, ToProcess, ToSupervisor};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::forks::{forks, forks_now};
use crate::host::import::PARENTS_INSTANCE;
use crate::host::walls::Walls;
use crate::lock::Mutex;
use crate::provider::{Host, Level};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{Shutdown, shutdown};
use rustix::time::Timespec;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// As many connections wait for the next call.
const IDLE_MOST: usize = 8;
/// As many calls may be in progress: each has memory and two descriptors.
const CONNECTIONS_MOST: usize = 256;
/// How long a process may leave its control socket unread.
const UNREAD: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

pub(super) struct Child {
    pub(super) control: Socket,
    pub(super) supervisor: Socket,
    pub(super) death: Death,
    /// The host as the instance gets it, from its start on.
    pub(super) host: OnceLock<Host>,
    connections: Mutex<Connections>,
    /// Of open files, and of calls on names.
    contexts: Mutex<HashMap<FileId, Context>>,
    pub(super) inners: Inners,
    pub(super) walls: Walls,
    last_file: AtomicU64,
    /// Its host's log was told of a call that failed and that nobody waits for.
    warned: AtomicBool,
    /// The process of the host that started it.
    forks: u32,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    /// All, those in use too.
    count: usize,
}

impl Child {
    /// Starts the program. The listener wants to know of a failure.
    pub(super) fn launch(
        program: &File,
        path: &Path,
        provider: &str,
        walls: &Walls,
    ) -> Result<(Arc<Child>, LaunchFailure, Orphan)> {
        let forks = forks();
        let launched = launch(program, path, provider, walls.standard_streams)?;
        let Launched { control, supervisor, failure, orphan } = launched;
        let child = Arc::new(Child {
            control,
            supervisor,
            death: Death::new(provider)?,
            host: OnceLock::new(),
            connections: Mutex::default(),
            contexts: Mutex::default(),
            inners: Inners::default(),
            walls: walls.clone(),
            last_file: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            forks,
        });
        Ok((child, failure, orphan))
    }

    /// Refuses a call in a forked child, and of a process that is gone.
    pub(super) fn alive(&self) -> Result<()> {
        if self.forks != forks_now() {
            return Err(Error::new(Code::EPERM, PARENTS_INSTANCE));
        }
        if self.death.has_come() { Err(self.death.of_call()) } else { Ok(()) }
    }

    /// What a call failed with. EPERM is what a filter answers: so it says what the process may do. Landlock's EACCES may also be a
    /// file's mode, or a server's word; but in a start no server has a word.
    pub(super) fn failed(&self, call: &Call, failure: Failure) -> Error {
        let may = match (Code::from_raw(failure.code.into()), call) {
            (Code::EPERM, _) | (Code::EACCES, Call::Start { .. }) => {
                format!("{} (its process {})", failure.text, self.walls)
            }
            _ => failure.text,
        };
        Failure { text: may, ..failure }.into()
    }

    /// Tells the host's log of a failure that no caller hears of. Of several, as when many files are closed, only the first.
    pub(super) fn warn(&self, failure: &Error) {
        if let Some(host) = self.host.get()
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            host.log(Level::Warning, &Level::line(&failure.chain()));
        }
    }

    /// What a message does not hold.
    pub(super) fn too_much(&self, error: Error) -> Error {
        error.context(format!("tell {}'s process", self.death.provider()))
    }

    /// Says something on the control socket.
    pub(super) fn tell(&self, message: &ToProcess, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        self.alive()?;
        loop {
            match self.control.say(message, descriptors) {
                Ok(()) => return Ok(()),
                Err(error) if error.code() == Code::EAGAIN && self.reads_on() => {}
                Err(error) if error.code() == Code::EAGAIN => {
                    return Err(self.kill("it does not read what its host says"));
                }
                Err(error) if error.code() == Code::E2BIG => return Err(self.too_much(error)),
                Err(_) => return Err(self.death.of_call()),
            }
        }
    }

    /// Waits until the control socket takes something.
    fn reads_on(&self) -> bool {
        let mut control = [PollFd::new(&self.control, PollFlags::OUT)];
        !matches!(poll(&mut control, Some(&UNREAD)), Ok(0))
    }

    /// Ends it at once, and returns the error of the call that made this necessary.
    pub(super) fn kill(&self, why: &str) -> Error {
        self.death.caused(why);
        self.condemn();
        self.death.of_call()
    }

    /// Has it killed, and does not wait for that.
    pub(super) fn condemn(&self) {
        // One that cannot be told has no supervisor any more, and the listener sees that.
        let _ = self.supervisor.say(&ToSupervisor::Kill, &[]);
    }

    /// A connection for one call, which is to be given back. Those for the `last` call on something are not limited.
    ///
    /// # Errors
    /// EMFILE: too many calls are in progress.
    pub(super) fn take_connection(&self, last: bool) -> Result<Connection> {
        self.alive()?;
        let idle = self.connections.lock().idle.pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        self.reserve(last)?;
        self.new_connection(false)
    }

    /// A connection for a thread of the provider's own, which is to be given back.
    pub(super) fn connection_for_upcalls(&self) -> Result<Connection> {
        self.alive()?;
        self.reserve(false)?;
        self.new_connection(true)
    }

    /// Counts a connection more.
    fn reserve(&self, last: bool) -> Result<()> {
        let mut connections = self.connections.lock();
        if connections.count >= CONNECTIONS_MOST && !last {
            let text = format!("{CONNECTIONS_MOST} calls of the provider are in progress");
            return Err(Error::new(Code::EMFILE, text).retryable());
        }
        connections.count += 1;
        Ok(())
    }

    /// Makes a connection that was counted, and passes its other end on.
    fn new_connection(&self, for_upcalls: bool) -> Result<Connection> {
        let made = Connection::new().and_then(|(connection, theirs)| {
            self.tell(&ToProcess::Connection { for_upcalls }, &theirs.borrowed())?;
            Ok(connection)
        });
        made.inspect_err(|_| self.give_back(None))
    }

    /// Takes a connection back, if it may serve further calls.
    pub(super) fn give_back(&self, connection: Option<Connection>) {
        if self.forks != forks_now() {
            return; // some thread of the parent's may have the lock
        }
        let mut connections = self.connections.lock();
        match connection {
            Some(connection) if connections.idle.len() < IDLE_MOST => connections.idle.push(connection),
            _ => connections.count -= 1,
        }
    }

    /// A name for a file that is about to be opened under a context, or for a call on a name.
    pub(super) fn add_file(&self, context: &Context) -> FileId {
        let file = self.last_file.fetch_add(1, Ordering::Relaxed) + 1;
        self.contexts.lock().insert(file, context.clone());
        file
    }

    pub(super) fn context(&self, file: FileId) -> Option<Context> {
        self.contexts.lock().get(&file).cloned()
    }

    /// Forgets a file, and what a layer left open under it.
    pub(super) fn remove_file(&self, file: FileId) {
        if self.forks == forks_now() {
            let context = self.contexts.lock().remove(&file);
            drop(context); // without the lock
            self.inners.close_all_of(file);
        }
    }

    /// Lets it go: it stops what it has and ends.
    pub(super) fn leave(&self) {
        if self.forks == forks_now() {
            let _ = shutdown(&self.control, Shutdown::Both);
        }
    }
}
