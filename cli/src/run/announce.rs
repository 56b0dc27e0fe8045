//! Says that a program is being compiled, where that takes a while.
//!
//! At a terminal, as the progress of a copy, and with `-v`: standard error is the guest's too, and what a script or a service keeps of it
//! should not differ between a program's first run and its second.

use crate::log;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use vfs_core::{Descriptor, Level, Shown};

/// How long somebody waits before they wonder what for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A compilation that is told once it has taken so long, until this is dropped.
pub struct Announced {
    /// Dropped to say that it is over.
    over: Option<Sender<()>>,
    waits: Option<JoinHandle<()>>,
}

impl Announced {
    /// `program`: its descriptor, or its path. `keeps`: the next run finds what was compiled.
    pub fn of(program: &str, keeps: bool) -> Announced {
        let only = if keeps { " (only the first time)" } else { "" };
        let program =
            Descriptor::parse(program).map_or_else(|_| Shown(program).to_string(), |shown| shown.to_string());
        let message = format!("compiling {program}{only}");
        let (over, end) = channel();
        let tell = move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                log::tell(Level::Info, &message);
            }
        };
        // Where no thread can be started, nothing is told.
        let waits = thread::Builder::new().name("zvfs-announce".into()).spawn(tell).ok();
        Announced { over: Some(over), waits }
    }
}

impl Drop for Announced {
    /// Nothing is told from here on.
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(waits) = self.waits.take() {
            let _ = waits.join();
        }
    }
}
