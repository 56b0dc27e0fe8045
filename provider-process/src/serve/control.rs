//! The main thread: the host's first word, its connections, changes of its controls, and the end.

use super::connection;
use super::link::broken;
use super::process::Process;
use rustix::event::{PollFd, PollFlags, poll};
use std::hint::black_box;
use std::io;
use std::mem;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use vfs_core::process::wire::{Failure, FromProcess, ToProcess, VERSION};
use vfs_core::process::{Connection, Heard, Socket};
use vfs_core::{Code, Error, Level, Result};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was stopped, or its host is gone.
    Good = 0,
    /// It loaded nothing.
    NotBegun = 1,
    /// Its host did not keep to the protocol.
    Broken = 2,
}

/// The first connection's thread has as much as a program's first thread: the library's constructors run on it.
const FIRST_STACK: usize = 8 << 20;
/// The others' have as much as Rust's threads: they count as the process's memory.
const STACK: usize = 2 << 20;
/// So much of the process's memory is left when a thread was made: what fails for want of a few bytes ends the process.
const SPARE: usize = 2 << 20;

/// Is the provider's process, to its end. Returns its exit status.
pub(crate) fn run(control: Socket, host: &OwnedFd) -> i32 {
    let end = match hello(&control) {
        Some(library) => match Process::new(control, library) {
            // Never dropped, which would close what is still open.
            Ok(process) => attend(&ManuallyDrop::new(Arc::new(process)), host),
            Err(_) => End::NotBegun,
        },
        None => End::NotBegun,
    };
    end as i32
}

/// Hears the host's first word, puts up the walls and answers. Gives the library's file.
fn hello(control: &Socket) -> Option<OwnedFd> {
    let ours = FromProcess::Hello { version: VERSION };
    let (walls, library) = match control.hear() {
        Ok(Heard::Message(ToProcess::Hello { version: VERSION, walls }, mut descriptors)) => {
            (walls, descriptors.pop()?)
        }
        Ok(Heard::End) => return None,
        // Another version's, of which this one need not understand any more.
        _ => {
            let _ = control.say(&ours, &[]);
            return None;
        }
    };
    let answer = match crate::walls::raise(&walls, library.as_fd()) {
        Ok(()) => ours,
        Err(error) => FromProcess::NoWalls { failure: Failure::from(&error) },
    };
    control.say(&answer, &[]).ok()?;
    matches!(answer, FromProcess::Hello { .. }).then_some(library)
}

/// Serves the host until it says stop, or is gone.
pub(super) fn attend(process: &Arc<Process>, host: &OwnedFd) -> End {
    let mut connections = Connections { process, first: true, without_thread: Vec::new() };
    let end = loop {
        let control = process.link().control();
        let own = [process.left(), control.as_fd(), host.as_fd()].into_iter();
        let all = own.chain(connections.without_thread.iter().map(AsFd::as_fd));
        let mut polled: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let _ = poll(&mut polled, None); // EINTR only
        let came: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        let (left, said, gone) = (came[0], came[1], came[2]);
        if left {
            return End::Good;
        }
        if gone {
            break End::Good;
        }
        connections.begin_again(&came[3..]);
        if !said {
            continue;
        }
        match control.hear().and_then(|heard| connections.take(heard)) {
            Ok(true) => {}
            Ok(false) => break End::Good,
            Err(error) => {
                process.link().log(Level::Error, &error.chain());
                break End::Broken;
            }
        }
    };
    process.end();
    end
}

struct Connections<'a> {
    process: &'a Arc<Process>,
    first: bool,
    /// Those for which the system gave no thread.
    without_thread: Vec<Connection>,
}

impl Connections<'_> {
    /// Does what the host says. Returns whether it is still there.
    fn take(&mut self, heard: Heard<ToProcess>) -> Result<bool> {
        match heard {
            Heard::Message(ToProcess::Connection { for_upcalls: true }, descriptors) => {
                self.process.link().add(Connection::try_from(descriptors)?);
            }
            Heard::Message(ToProcess::Connection { for_upcalls: false }, descriptors) => {
                let connection = Connection::try_from(descriptors)?;
                if let Err((connection, error)) = self.begin(connection) {
                    self.process.link().log(Level::Warning, &error.chain());
                    self.without_thread.push(connection);
                }
            }
            Heard::Message(ToProcess::Control { file, control }, _) => {
                self.process.files().hear(file, control);
            }
            Heard::Message(ToProcess::Hello { .. }, _) => return Err(broken("a second hello")),
            Heard::Nothing => {}
            Heard::End => return Ok(false),
        }
        Ok(true)
    }

    /// Serves a connection on a thread of its own, or gives it back.
    fn begin(&mut self, connection: Connection) -> Result<(), (Connection, Error)> {
        let stack = if self.first { FIRST_STACK } else { STACK };
        let process = self.process.clone();
        let (give, given) = channel();
        let serve = move || {
            if let Ok(connection) = given.recv() {
                connection::serve(&process, connection);
            }
        };
        // Held meanwhile, so that it is left afterwards; the compiler would leave out what nobody uses.
        let mut spare = Vec::<u8>::new();
        if black_box(&mut spare).try_reserve_exact(SPARE).is_err() {
            return Err((connection, Error::no_thread(&io::Error::from_raw_os_error(Code::ENOMEM.raw()))));
        }
        match thread::Builder::new().name("zvfs-connection".into()).stack_size(stack).spawn(serve) {
            Ok(_) => {
                self.first = false;
                give.send(connection).map_err(|connection| (connection.0, Error::from(Code::EAGAIN)))
            }
            Err(error) => Err((connection, Error::no_thread(&error))),
        }
    }

    /// A call has come on connections that have no thread: the system may give one now. If not, the call is refused.
    fn begin_again(&mut self, came: &[bool]) {
        for (connection, came) in mem::take(&mut self.without_thread).into_iter().zip(came) {
            if !came {
                self.without_thread.push(connection);
            } else if let Err((mut connection, error)) = self.begin(connection)
                && connection::refuse(self.process, &mut connection, error)
            {
                self.without_thread.push(connection);
            }
        }
    }
}
