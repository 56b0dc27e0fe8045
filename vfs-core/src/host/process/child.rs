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
/// As many connections for upcalls there may be beside one for each open file: each has a thread of the host's.
const SPARE_FOR_UPCALLS: usize = 16;
/// How long the end of a process may follow that of its sockets.
const CLOSING: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
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
    /// It is to end, since its host has let it go.
    released: AtomicBool,
    /// The process of the host that started it.
    forks: u32,
}

/// What a connection is lent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// One call.
    Call,
    /// The last call on something, which comes however many are in progress.
    LastCall,
    /// The upcalls of the provider's own threads.
    Upcalls,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    /// As many calls are in progress.
    calls: usize,
    /// As many are lent for upcalls.
    upcalls: usize,
}

impl Connections {
    /// Counts one more call: with an idle connection, or else one that is to be made.
    fn lend(&mut self, purpose: Purpose) -> Result<Option<Connection>> {
        // Whether one is idle says nothing: a last call's may have been one too many, and is idle now.
        if self.calls + self.upcalls >= CONNECTIONS_MOST && purpose != Purpose::LastCall {
            let text = format!("{CONNECTIONS_MOST} calls of the provider are in progress");
            return Err(Error::new(Code::EMFILE, text).retryable());
        }
        self.calls += 1;
        Ok(self.idle.pop())
    }

    /// Counts one more for upcalls, which is to be made; `false`: there are enough for so many open files.
    fn reserve_for_upcalls(&mut self, files: usize) -> bool {
        let may = self.upcalls < files + SPARE_FOR_UPCALLS && !self.are_too_many();
        self.upcalls += usize::from(may);
        may
    }

    fn are_too_many(&self) -> bool {
        self.idle.len() + self.calls + self.upcalls >= CONNECTIONS_MOST
    }

    fn lent(&mut self, purpose: Purpose) -> &mut usize {
        match purpose {
            Purpose::Call | Purpose::LastCall => &mut self.calls,
            Purpose::Upcalls => &mut self.upcalls,
        }
    }
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
            released: AtomicBool::new(false),
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

    /// What a call failed with. Where a wall may be why, it says what the process may do. EPERM is a filter's answer. EACCES is Landlock's, or
    /// that of a file's mode, where it has the system's words: a server, and a provider's own rules, have others; but not in a start.
    pub(super) fn failed(&self, call: &Call, failure: Failure) -> Error {
        let by_a_wall = match Code::from_raw(failure.code.into()) {
            Code::EPERM => true,
            Code::EACCES => matches!(call, Call::Start { .. }) || ends_in_the_systems_words(&failure.text),
            // A thread's stack is memory, too: EAGAIN.
            Code::ENOMEM | Code::EAGAIN => self.walls.memory.is_some(),
            _ => false,
        };
        let why = match (call, Code::from_raw(failure.code.into())) {
            // It has others, which are open in the wrong direction.
            (Call::Open(_), Code::EBADF) if !self.walls.standard_streams => {
                "may not use the host's standard streams: add standard-streams = true to its `may`".to_owned()
            }
            _ if by_a_wall => self.walls.to_string(),
            _ => return failure.into(),
        };
        Failure { text: format!("{} (its process {why})", failure.text), ..failure }.into()
    }

    /// Tells the host's log of a failure that no caller hears of. Of several, as when many files are closed, only the first.
    pub(super) fn warn(&self, failure: &Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            self.log(failure);
        }
    }

    fn log(&self, failure: &Error) {
        if let Some(host) = self.host.get() {
            host.log(Level::Warning, &Level::line(&failure.chain()));
        }
    }

    /// Takes note of how it ended. The host's log hears of that too, unless it was to end, or a call in progress gets the error.
    pub(super) fn ended(&self, note: impl FnOnce(&Death)) {
        // Before any call knows, and is over.
        let is_news = !self.released.load(Ordering::Relaxed) && self.connections.lock().calls == 0;
        note(&self.death);
        if is_news {
            self.log(&self.death.of_call());
        }
    }

    /// The error of a message that was not sent.
    pub(super) fn untold(&self, error: Error) -> Error {
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
                Err(error) if error.code() == Code::E2BIG => return Err(self.untold(error)),
                Err(error) if error.code() == Code::ETOOMANYREFS => {
                    return Err(self.untold(descriptors_under_way()));
                }
                Err(_) => return Err(self.gone()),
            }
        }
    }

    /// Waits until the control socket takes something.
    fn reads_on(&self) -> bool {
        let mut control = [PollFd::new(&self.control, PollFlags::OUT)];
        !matches!(poll(&mut control, Some(&UNREAD)), Ok(0))
    }

    /// The error of a call whose socket has closed. A process that did that and lives on can serve nothing any more.
    pub(super) fn gone(&self) -> Error {
        match self.death.comes_within(CLOSING) {
            true => self.death.of_call(),
            false => self.kill("it closed what a call went through"),
        }
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

    /// A connection for a call, which is to be given back.
    ///
    /// # Errors
    /// EMFILE: too many calls are in progress.
    pub(super) fn take_connection(&self, purpose: Purpose) -> Result<Connection> {
        self.alive()?;
        let idle = self.connections.lock().lend(purpose)?;
        idle.map_or_else(|| self.new_connection(purpose), Ok)
    }

    /// Counts a connection for upcalls that is to be made, and then given back; `false`: there are enough for the files that are open.
    pub(super) fn reserve_for_upcalls(&self) -> bool {
        let files = self.open_files();
        self.connections.lock().reserve_for_upcalls(files)
    }

    /// Makes a connection that was counted, and passes its other end on.
    pub(super) fn new_connection(&self, purpose: Purpose) -> Result<Connection> {
        let for_upcalls = purpose == Purpose::Upcalls;
        let made = Connection::new().and_then(|(connection, theirs)| {
            self.tell(&ToProcess::Connection { for_upcalls }, &theirs.borrowed())?;
            Ok(connection)
        });
        made.inspect_err(|_| self.give_back(purpose, None))
    }

    /// Takes a connection back, if it may serve further calls.
    pub(super) fn give_back(&self, purpose: Purpose, connection: Option<Connection>) {
        if self.forks != forks_now() {
            return; // some thread of the parent's may have the lock
        }
        let mut connections = self.connections.lock();
        *connections.lent(purpose) -= 1;
        if connections.idle.len() < IDLE_MOST {
            connections.idle.extend(connection);
        }
    }

    /// A name for a file that is about to be opened under a context, or for a call on a name.
    pub(super) fn add_file(&self, context: &Context) -> FileId {
        let file = self.last_file.fetch_add(1, Ordering::Relaxed) + 1;
        self.contexts.lock().insert(file, context.clone());
        file
    }

    /// How many files are open or being opened, and how many calls on names are in progress.
    pub(super) fn open_files(&self) -> usize {
        self.contexts.lock().len()
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

    /// Says that its end will be no news.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::Relaxed);
    }

    /// Lets it go: it stops what it has and ends.
    pub(super) fn leave(&self) {
        if self.forks == forks_now() {
            let _ = shutdown(&self.control, Shutdown::Both);
        }
    }
}

/// The kernel counts them for a user, whatever program sends them.
fn descriptors_under_way() -> Error {
    let text = "this user has too many descriptors under way in sockets: end the program that leaves them there, or run this host \
                as another user";
    Error::new(Code::ETOOMANYREFS, text).retryable()
}

/// Whether a text ends as system errors do: ours, or strerror's, which is what a library in C has.
fn ends_in_the_systems_words(text: &str) -> bool {
    [Code::EACCES.text(), "Permission denied"].iter().any(|words| text.ends_with(words))
}
