//! What stands behind a `zvm_session *`.

use crate::argument::Options;
use crate::argument::text;
use crate::channel::Channel;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
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
        parts: Box<Parts>,
        cancelled: bool,
    },
    /// In the hands of `run`, which calls the host's functions without the lock. Cancelled meanwhile?
    Starting {
        cancelled: bool,
    },
    Running(SessionHandle),
    Over(Box<Done>),
}

/// What a session is made of. Dropping it closes the host's channels, so it is never dropped under the lock: `close` may cancel.
struct Parts {
    builder: SessionBuilder,
    program: Option<Vec<u8>>,
    channels: BTreeMap<String, Channel>,
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
    let builder = with_options(Session::builder(manifest), options)?;
    let parts = Box::new(Parts { builder, program: None, channels: BTreeMap::new() });
    let state = Mutex::new(State::New { parts, cancelled: false });
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
        match &mut *self.state.lock() {
            State::New { parts, .. } => parts.program = Some(bytes.to_owned()),
            _ => return Err(busy("the session has been started")),
        }
        Ok(())
    }

    /// Makes the channel last, when nothing can fail any more: one that was made is closed.
    pub fn channel(&self, alias: &str, channel: impl FnOnce() -> Result<Channel>) -> Result<()> {
        if !self.aliases.iter().any(|known| known == alias) {
            let text = format!("the manifest has no channel {}", alias.escape_default());
            return Err(Error::new(Code::EINVAL, text));
        }
        let State::New { parts, .. } = &mut *self.state.lock() else {
            return Err(busy("the session has been started"));
        };
        if parts.channels.contains_key(alias) {
            let text = format!("the session has a channel {} already", alias.escape_default());
            return Err(Error::new(Code::EEXIST, text));
        }
        parts.channels.insert(alias.to_owned(), channel()?);
        Ok(())
    }

    pub fn run(&self) -> Result<()> {
        let parts = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, State::Starting { cancelled: false }) {
                State::New { parts, cancelled } => {
                    *state = State::Starting { cancelled };
                    parts
                }
                other => {
                    *state = other;
                    return Err(busy("a session runs once"));
                }
            }
        };
        // Without the lock: if there is no thread for it, the channels are closed here.
        let running = parts.build().start();
        let starting = std::mem::replace(&mut *self.state.lock(), State::Running(running.handle()));
        if let State::Starting { cancelled: true } = starting {
            running.cancel();
        }
        let done = Done::of(&running.wait());
        *self.state.lock() = State::Over(Box::new(done));
        Ok(())
    }

    pub fn cancel(&self) -> Result<()> {
        let handle = match &mut *self.state.lock() {
            State::New { cancelled, .. } | State::Starting { cancelled } => {
                *cancelled = true;
                return Ok(());
            }
            State::Running(handle) => handle.clone(),
            State::Over(_) => return Ok(()),
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

impl Parts {
    fn build(self) -> Session {
        let mut builder = self.builder;
        if let Some(program) = self.program {
            builder = builder.program(program);
        }
        for (alias, channel) in self.channels {
            builder = builder.file(&alias, Box::new(channel));
        }
        builder.build()
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
