//! The main thread: the host's first word, its lanes, changes of its controls, and the end.

use super::lane;
use super::link::broken;
use super::process::Process;
use rustix::event::{PollFd, PollFlags, poll};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use vfs_core::process::wire::{Failure, FromProcess, ToProcess, VERSION};
use vfs_core::process::{Heard, Lane, Socket};
use vfs_core::{Error, Level, Result};

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

/// The first lane's thread has as much as a program's first thread: the library's constructors run on it.
const FIRST_STACK: usize = 8 << 20;
/// The others' have as much as Rust's threads: they count as the process's memory.
const STACK: usize = 2 << 20;

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
    let mut lanes = Lanes { process, first: true };
    let end = loop {
        let control = process.link().control();
        let mut polled = [process.left(), control.as_fd(), host.as_fd()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let _ = poll(&mut polled, None); // EINTR only
        let [left, said, gone] = polled.map(|polled| !polled.revents().is_empty());
        if left {
            return End::Good;
        }
        if gone {
            break End::Good;
        }
        if !said {
            continue;
        }
        match control.hear().and_then(|heard| lanes.take(heard)) {
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

struct Lanes<'a> {
    process: &'a Arc<Process>,
    first: bool,
}

impl Lanes<'_> {
    /// Does what the host says. Returns whether it is still there.
    fn take(&mut self, heard: Heard<ToProcess>) -> Result<bool> {
        match heard {
            Heard::Message(ToProcess::Lane { for_upcalls: true }, descriptors) => {
                self.process.link().add(Lane::try_from(descriptors)?);
            }
            Heard::Message(ToProcess::Lane { for_upcalls: false }, descriptors) => {
                self.begin(Lane::try_from(descriptors)?);
            }
            Heard::Message(ToProcess::Control { file, control }, _) => {
                self.process.files().hear(file, control)
            }
            Heard::Message(ToProcess::Hello { .. }, _) => return Err(broken("a second hello")),
            Heard::Nothing => {}
            Heard::End => return Ok(false),
        }
        Ok(true)
    }

    /// Starts a lane's thread. Without one the lane ends, and its host sees that.
    fn begin(&mut self, lane: Lane) {
        let stack = if self.first { FIRST_STACK } else { STACK };
        let process = self.process.clone();
        let thread = thread::Builder::new().name("zvfs-lane".into()).stack_size(stack);
        match thread.spawn(move || lane::serve(&process, lane)) {
            Ok(_) => self.first = false,
            Err(error) => self.process.link().log(Level::Error, &Error::no_thread(&error).chain()),
        }
    }
}
