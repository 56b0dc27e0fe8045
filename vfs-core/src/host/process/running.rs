//! A process with its library loaded, from its launch to its end.

use super::child::Child;
use super::lent::{Caller, Lent, last_call};
use super::listener;
use super::wire::{Call, Reply, ToProcess, VERSION};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::import::check_info;
use crate::host::loader::{CheckedFile, Refusal, trust};
use crate::host::walls::Walls;
use crate::provider::{Host, Info};
use crate::settings::Settings;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `zvfs-provider`: where it was found, and the file that was checked.
pub struct Program {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

/// What every process of a provider is made of.
pub(super) struct Blueprint {
    /// For messages.
    pub(super) name: String,
    /// What the library must call itself.
    pub(super) expected: Option<String>,
    pub(super) program: Program,
    pub(super) library: CheckedFile,
    pub(super) walls: Walls,
}

/// Stopped when the instance and all its files have let go of it.
pub(super) struct Running {
    child: Arc<Child>,
    started: AtomicBool,
}

impl Program {
    /// Opens and checks it, as a library.
    pub(crate) fn open(path: &Path) -> Result<Program, Refusal> {
        let unreadable =
            |source: io::Error| Refusal::Unreadable { path: path.to_owned(), source: source.into() };
        let path = path.canonicalize().map_err(unreadable)?;
        let file = trust::open(&path).map_err(unreadable)?;
        trust::check(&path, &file)?;
        Ok(Program { path, file })
    }
}

impl Blueprint {
    /// Starts a process and loads the library there.
    ///
    /// # Errors
    /// The library's; EIO: the process ended. ECANCELED, ETIMEDOUT: the context did, and the process is killed.
    pub(super) fn launch(&self, context: &Context) -> Result<(Running, Info)> {
        let Program { path, file } = &self.program;
        let (child, failure, orphan) = Child::launch(file, path, &self.name, &self.walls)?;
        // It holds the child until that has ended.
        listener::spawn(child.clone(), failure, orphan)?;
        let running = Running { child, started: AtomicBool::new(false) };
        // What it answers shows in the calls.
        let hello = ToProcess::Hello { version: VERSION, walls: self.walls.clone() };
        running.child.tell(&hello, &[self.library.file.as_fd()])?;
        let call = Call::Load { path: self.library.path.clone() };
        let mut connection = Lent::new(&running.child)?;
        let loaded = connection.call(&call, &mut Caller::of_start(context));
        let (reply, _) = loaded.map_err(|error| running.left(context, error))?;
        match reply {
            Reply::Info(info) => {
                drop(connection);
                self.check(&info)?;
                Ok((running, info))
            }
            _ => Err(connection.broken("it answers a load with something else")),
        }
    }

    /// What the process says may be anything: it must be what a library could say.
    fn check(&self, info: &Info) -> Result<(), Refusal> {
        let path = self.library.path.clone();
        if let Err(defect) = check_info(info) {
            return Err(Refusal::Defect { path, defect });
        }
        match &self.expected {
            Some(expected) if info.name != *expected => {
                Err(Refusal::OtherName { path, found: info.name.clone(), expected: expected.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Running {
    /// Starts the one instance.
    pub(super) fn start(&self, context: &Context, host: &Host, settings: &Settings) -> Result<()> {
        let _ = self.child.host.set(host.clone());
        let call = Call::Start {
            host: host.name().to_owned(),
            version: host.version().to_owned(),
            settings: settings.clone(),
        };
        let mut connection = Lent::new(&self.child)?;
        let started = connection.call(&call, &mut Caller::of_start(context));
        let (reply, _) = started.map_err(|error| self.left(context, error))?;
        match reply {
            Reply::Done => {
                self.started.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(connection.broken("it answers a start with something else")),
        }
    }

    pub(super) fn child(&self) -> &Arc<Child> {
        &self.child
    }

    pub(super) fn connection(&self) -> Result<Lent<'_>> {
        Lent::new(&self.child)
    }

    /// Whether a new process is needed for the next open.
    pub(super) fn is_dead(&self) -> bool {
        self.child.death.has_come()
    }

    /// The error of a load or a start: nobody waits for it any longer, if the context has ended.
    fn left(&self, context: &Context, error: Error) -> Error {
        match context.status() {
            Err(ended) if self.is_dead() => ended,
            _ => error,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.release();
        if self.started.load(Ordering::Relaxed) {
            last_call(
                &self.child,
                &Call::Stop,
                || "stop a provider".to_owned(),
                "it did not stop within 5 s",
            );
        }
        self.child.leave();
    }
}
