//! What stands behind a `zvm_session *`.

use crate::argument::SessionOptions;
use crate::channel::Channel;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, c_char};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vfs_core::boundary::{null, text};
use vfs_core::{Code, Configuration, Control, Error, PerProcess, Registry, Result};
use zvm::{Cache, Compiler, ExitCode, Manifest, PROGRAM_MAX, Report, RunOptions, Session, Worker};

/// Whatever the pointer of a session points to: nothing. It is a number that is given out once, and odd, so that libzvfs, whose
/// pointers are aligned, takes it for none of its own.
pub enum Opaque {}

/// The next session's number. A forked child counts on where its parent was.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// All sessions of this process that were not freed.
static SESSIONS: PerProcess<Table> = PerProcess::new();

struct Table {
    /// Lower numbers are the parent process's.
    first: usize,
    /// A map and no pointers, so that a stale one is an error for ever.
    live: Mutex<HashMap<usize, Arc<Slot>>>,
}

impl Table {
    fn current() -> &'static Table {
        SESSIONS.get_or_make(|| Table { first: NEXT.load(Ordering::SeqCst), live: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Arc<Slot>>> {
        // Nothing panics while it is held.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session.
pub struct Slot {
    aliases: Vec<String>,
    control: Control,
    state: Mutex<State>,
}

enum State {
    /// Being put together.
    New(Box<Parts>),
    /// In the hands of `run`.
    Running,
    Over(Box<Done>),
    /// Freed before it ran.
    Freed,
}

impl State {
    /// Why what belongs to a new session cannot be done.
    fn not_new(&self) -> Error {
        match self {
            State::Freed => ended(),
            _ => busy("the session has been started, and runs once"),
        }
    }
}

/// What a session is made of. Dropping it closes the host's channels, so it is never dropped under the lock: `close` may call the
/// library.
struct Parts {
    session: Session,
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
pub fn make(manifest: &[u8], options: Option<SessionOptions>) -> Result<*mut Opaque> {
    let manifest =
        Manifest::parse(manifest).map_err(|failure| Error::new(Code::EINVAL, failure.text().to_owned()))?;
    let aliases = manifest.channels.iter().map(|channel| channel.alias.clone()).collect();
    let control = Control::new();
    let session = with_options(Session::new(manifest).control(&control), options)?;
    let state = Mutex::new(State::New(Box::new(Parts { session, program: None, channels: BTreeMap::new() })));
    // The table first: it looks at the number that is next.
    let mut sessions = Table::current().lock();
    let number = NEXT.fetch_add(2, Ordering::SeqCst);
    sessions.insert(number, Arc::new(Slot { aliases, control, state }));
    Ok(std::ptr::without_provenance_mut(number))
}

fn with_options(mut session: Session, options: Option<SessionOptions>) -> Result<Session> {
    let Some(options) = options else { return Ok(session) };
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
    if let Some(file) = configuration {
        let configuration = Configuration::find(Some(Path::new(file)), &[])?;
        session = session.registry(Registry::new(configuration));
    }
    if let Some(job) = job {
        session = session.options(RunOptions::new().job(job));
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
    Ok(session.compiler(compiler))
}

/// The session of a number.
pub fn find(session: *mut Opaque) -> Result<Arc<Slot>> {
    if session.is_null() {
        return Err(null("session"));
    }
    let (table, number) = (Table::current(), session.addr());
    let found = table.lock().get(&number).cloned();
    found.ok_or_else(|| match number % 2 == 1 && number < table.first {
        true => {
            Error::new(Code::EPERM, "the session belongs to the parent process: make a new one after a fork")
        }
        false => ended(),
    })
}

/// Forgets a session; one that runs is cancelled.
pub fn free(session: *mut Opaque) {
    let slot = Table::current().lock().remove(&session.addr());
    if let Some(slot) = slot {
        slot.cancel();
        // Here, and not where another call on the session lets go of it: its channels are closed when this returns.
        drop(slot.parts(State::Freed));
    }
}

impl Slot {
    pub fn program(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > PROGRAM_MAX {
            let text = format!("the program is over {PROGRAM_MAX} bytes");
            return Err(Error::new(Code::EINVAL, text));
        }
        match &mut *self.lock() {
            State::New(parts) => parts.program = Some(bytes.to_owned()),
            state => return Err(state.not_new()),
        }
        Ok(())
    }

    /// Makes the channel last, when nothing can fail any more: one that was made is closed.
    pub fn channel(&self, alias: &str, channel: impl FnOnce() -> Result<Channel>) -> Result<()> {
        if !self.aliases.iter().any(|known| known == alias) {
            let text = format!("the manifest has no channel {}", alias.escape_default());
            return Err(Error::new(Code::EINVAL, text));
        }
        let mut state = self.lock();
        let parts = match &mut *state {
            State::New(parts) => parts,
            state => return Err(state.not_new()),
        };
        if parts.channels.contains_key(alias) {
            let text = format!("the session already has a channel {}", alias.escape_default());
            return Err(Error::new(Code::EEXIST, text));
        }
        parts.channels.insert(alias.to_owned(), channel()?);
        Ok(())
    }

    pub fn run(&self) -> Result<()> {
        zvm::claim_process()?;
        let parts = self.parts(State::Running)?;
        // Without the lock: if there is no thread for it, the channels are closed here.
        let report = parts.build().run();
        *self.lock() = State::Over(Box::new(Done::of(&report)));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Takes the parts of a session that is new, which then has another state.
    fn parts(&self, then: State) -> Result<Box<Parts>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, then) {
            State::New(parts) => Ok(parts),
            other => {
                *state = other;
                Err(state.not_new())
            }
        }
    }

    pub fn exit_code(&self) -> Result<u8> {
        self.done(|done| done.exit.number())
    }

    pub fn guest_code(&self) -> Result<u64> {
        let code = self.done(|done| done.guest)?;
        code.map(u64::from).ok_or_else(|| Error::new(Code::ENOENT, "the guest did not exit by itself"))
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
        match &*self.lock() {
            State::Over(done) => Ok(look(done)),
            State::Freed => Err(ended()),
            State::New(_) | State::Running => Err(busy("the session has no report yet")),
        }
    }
}

impl Parts {
    fn build(self) -> Session {
        let mut session = self.session;
        if let Some(program) = self.program {
            session = session.program(program);
        }
        for (alias, channel) in self.channels {
            session = session.file_with(&alias, |context| channel.open(context));
        }
        session
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

fn ended() -> Error {
    Error::new(Code::EBADF, "not a session, or already freed")
}

fn busy(text: &'static str) -> Error {
    Error::new(Code::EBUSY, text)
}
