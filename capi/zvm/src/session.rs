//! What stands behind a `zvm_session *`.

use crate::argument::Options;
use crate::argument::text;
use crate::channel::Channel;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use vfs_core::{Code, Configuration, Error, Registry, Result};
use zvm::{
    Cache, Compiler, ExitCode, Manifest, OpenOptions, Report, Session, SessionBuilder, SessionHandle, Worker,
};

/// Whatever the pointer of a session points to: nothing. It is a number that is given out once.
pub enum Opaque {}

/// All sessions that were not freed. A map and no pointers, so that a stale one is an error for ever.
static SESSIONS: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Table {
    last: usize,
    live: HashMap<usize, Arc<Slot>>,
}

/// One session.
pub struct Slot {
    aliases: Vec<String>,
    state: Mutex<State>,
}

enum State {
    /// Being put together. Cancelled already?
    New {
        builder: Box<SessionBuilder>,
        cancelled: bool,
    },
    /// In the hands of a function that will put something else here.
    Between,
    Running(SessionHandle),
    Over(Box<Done>),
}

struct Done {
    exit: ExitCode,
    guest: Option<u32>,
    text: CString,
    json: CString,
}

/// Makes a session and gives out its number.
pub fn make(manifest: &[u8], options: Option<Options>) -> Result<*mut Opaque> {
    let manifest =
        Manifest::parse(manifest).map_err(|failure| Error::new(Code::EINVAL, failure.text().to_owned()))?;
    let aliases = manifest.channels.iter().map(|channel| channel.alias.clone()).collect();
    let builder = Box::new(with_options(Session::builder(manifest), options)?);
    let state = Mutex::new(State::New { builder, cancelled: false });
    let mut sessions = SESSIONS.lock();
    sessions.last += 1;
    let number = sessions.last;
    sessions.live.insert(number, Arc::new(Slot { aliases, state }));
    Ok(std::ptr::without_provenance_mut(number))
}

fn with_options(builder: SessionBuilder, options: Option<Options>) -> Result<SessionBuilder> {
    let Some(options) = options else { return Ok(builder) };
    // SAFETY: the header: each is NULL or a terminated string, valid during the call.
    let [configuration, worker, folder, key, job] = unsafe {
        [
            text(options.configuration, "configuration")?,
            text(options.worker, "worker")?,
            text(options.cache_folder, "cache_folder")?,
            text(options.cache_key, "cache_key")?,
            text(options.job, "job")?,
        ]
    };
    let mut builder = builder;
    if let Some(file) = configuration {
        let configuration = Configuration::find(Some(Path::new(file)), &[])?;
        builder = builder.registry(Registry::new(configuration));
    }
    if let Some(job) = job {
        builder = builder.options(OpenOptions::new().job(job));
    }
    let mut compiler = Compiler::default();
    if let Some(worker) = worker {
        compiler = compiler.worker(Worker::new(worker).argument("compile-child"));
    }
    match (folder, key) {
        (Some(folder), Some(key)) => {
            compiler = compiler.cache(Cache::open(Path::new(folder), Path::new(key))?);
        }
        (None, None) => {}
        _ => return Err(Error::new(Code::EINVAL, "cache_folder and cache_key go together")),
    }
    Ok(builder.compiler(compiler))
}

/// The session of a number.
pub fn find(session: *mut Opaque) -> Result<Arc<Slot>> {
    if session.is_null() {
        return Err(crate::argument::null("session"));
    }
    let found = SESSIONS.lock().live.get(&session.addr()).cloned();
    found.ok_or_else(|| Error::new(Code::EBADF, "not a session, or freed already"))
}

/// Forgets a session; one that runs is cancelled.
pub fn free(session: *mut Opaque) {
    let slot = SESSIONS.lock().live.remove(&session.addr());
    if let Some(slot) = slot {
        let _ = slot.cancel();
    }
}

impl Slot {
    pub fn program(&self, bytes: &[u8]) -> Result<()> {
        self.build(|builder| builder.program(bytes))
    }

    pub fn channel(&self, alias: &str, channel: impl FnOnce() -> Result<Channel>) -> Result<()> {
        if !self.aliases.iter().any(|known| known == alias) {
            let text = format!("the manifest has no channel {}", alias.escape_default());
            return Err(Error::new(Code::EINVAL, text));
        }
        if !matches!(*self.state.lock(), State::New { .. }) {
            return Err(busy("the session has been started"));
        }
        let channel = channel()?;
        self.build(|builder| builder.file(alias, Box::new(channel)))
    }

    fn build(&self, change: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Result<()> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Between) {
            State::New { builder, cancelled } => {
                *state = State::New { builder: Box::new(change(*builder)), cancelled };
                Ok(())
            }
            other => {
                *state = other;
                Err(busy("the session has been started"))
            }
        }
    }

    pub fn run(&self) -> Result<()> {
        let running = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, State::Between) {
                State::New { builder, cancelled } => {
                    let running = builder.build().start();
                    if cancelled {
                        running.cancel();
                    }
                    *state = State::Running(running.handle());
                    running
                }
                other => {
                    *state = other;
                    return Err(busy("a session runs once"));
                }
            }
        };
        let done = Done::of(&running.wait());
        *self.state.lock() = State::Over(Box::new(done));
        Ok(())
    }

    pub fn cancel(&self) -> Result<()> {
        let handle = match &mut *self.state.lock() {
            State::New { cancelled, .. } => {
                *cancelled = true;
                return Ok(());
            }
            State::Running(handle) => handle.clone(),
            State::Between | State::Over(_) => return Ok(()),
        };
        // Without the lock: it may call the host's functions.
        handle.cancel();
        Ok(())
    }

    pub fn exit_code(&self) -> Result<u8> {
        self.done(|done| done.exit.number())
    }

    pub fn guest_code(&self) -> Result<u64> {
        let code = self.done(|done| done.guest)?;
        code.map(u64::from).ok_or_else(|| Error::new(Code::ENOENT, "the guest did not come to an exit"))
    }

    /// Valid as long as the slot is in the table: a report is never replaced.
    pub fn report(&self, form: u32) -> Result<*const c_char> {
        self.done(|done| match form {
            1 => Some(done.text.as_ptr()),
            2 => Some(done.json.as_ptr()),
            _ => None,
        })?
        .ok_or_else(|| Error::new(Code::EINVAL, "no such form of a report"))
    }

    fn done<T>(&self, look: impl FnOnce(&Done) -> T) -> Result<T> {
        match &*self.state.lock() {
            State::Over(done) => Ok(look(done)),
            _ => Err(busy("the session has no report yet")),
        }
    }
}

impl Done {
    fn of(report: &Report) -> Done {
        // Neither holds a NUL: aliases and descriptors have none, and control characters of others are escaped.
        let string = |text: String| CString::new(text.replace('\0', " ")).unwrap_or_default();
        Done {
            exit: report.exit_code,
            guest: report.guest_code,
            text: string(report.to_string()),
            json: string(report.to_json()),
        }
    }
}

fn busy(text: &'static str) -> Error {
    Error::new(Code::EBUSY, text)
}
