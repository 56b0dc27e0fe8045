//! What stands behind a `zvm_session *`.

use crate::argument::SessionOptions;
use crate::channel::Channel;
use crate::host::{self, Shared};
use crate::jobs::Jobs;
use crate::objects::{Objects, Opaque};
use std::ffi::{CStr, CString, c_char};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use vfs_core::boundary::text;
use vfs_core::{Code, Control, Error, Registry, Result};
use zvm::{
    Compiler, ExitCode, Failure, Invocation, Manifest, PROGRAM_MAX, Report, RunOptions, STANDARD, Session,
    signals_blocked,
};

/// All sessions of this process that were not freed.
static SESSIONS: Objects<Slot> = Objects::new("session");

/// One session.
pub struct Slot {
    manifest: Arc<Manifest>,
    control: Control,
    /// Its host's. The host itself would keep the providers, which stop with the last session.
    jobs: Arc<Jobs>,
    state: Mutex<State>,
}

enum State {
    /// Being put together.
    New(Box<Parts>),
    /// In the hands of its thread.
    Running,
    Over(Box<Done>),
    /// Freed before it ran.
    Freed,
}

impl State {
    /// Why what belongs to a new session cannot be done.
    fn not_new(&self) -> Error {
        match self {
            State::Freed => SESSIONS.ended(),
            _ => busy("the session has been started, and runs once"),
        }
    }
}

/// What a session is made of. Dropping it closes the host's channels, so it is never dropped under the lock: `close` may call the
/// library.
struct Parts {
    session: Session,
    program: Option<Vec<u8>>,
    job: Option<String>,
    invocation: Invocation,
    /// By alias. A few, so that a list is the fastest map.
    channels: Vec<(Arc<str>, Channel)>,
}

/// A report, and its forms once somebody has asked for them: never changed, so that C can have their addresses.
struct Done {
    report: Arc<Report>,
    state: OnceLock<CString>,
    text: OnceLock<CString>,
    json: OnceLock<CString>,
    line: OnceLock<CString>,
}

/// What `zvm_session_options` say.
pub struct Common {
    pub registry: Registry,
    pub options: RunOptions,
    pub compiler: Compiler,
    pub jobs: Arc<Jobs>,
}

impl Common {
    pub fn of(options: &SessionOptions) -> Result<Common> {
        let host = host::of_session(options)?;
        // SAFETY: the header: it is NULL or a terminated string, valid during the call.
        let job = unsafe { text(options.job, "job") }?;
        let options = job.map_or_else(RunOptions::new, |job| RunOptions::new().job(job));
        let Shared { registry, compiler, jobs } = &*host;
        Ok(Common { registry: registry.clone(), options, compiler: compiler.clone(), jobs: jobs.clone() })
    }
}

/// A manifest of its text.
pub fn parse(manifest: &[u8]) -> Result<Manifest> {
    Manifest::parse(manifest).map_err(|failure| Error::new(Code::EINVAL, failure.text().to_owned()))
}

/// Whether bytes may be a program by their size.
pub fn check_program(bytes: &[u8]) -> Result<()> {
    if bytes.len() > PROGRAM_MAX {
        return Err(Error::new(Code::EINVAL, format!("the program is over {PROGRAM_MAX} bytes")));
    }
    Ok(())
}

/// Makes a session and gives out its number.
pub fn make(manifest: &[u8], options: Option<SessionOptions>) -> Result<*mut Opaque> {
    let mut session = Session::new(parse(manifest)?);
    let mut jobs = Arc::default();
    if let Some(options) = options {
        let common = Common::of(&options)?;
        session = session.registry(common.registry).options(common.options).compiler(common.compiler);
        jobs = common.jobs;
    }
    Ok(insert(Slot::new(jobs, session)))
}

/// Gives out the number of a session.
pub fn insert(slot: Slot) -> *mut Opaque {
    SESSIONS.insert(slot)
}

/// The session of a number.
pub fn find(session: *mut Opaque) -> Result<Arc<Slot>> {
    SESSIONS.find(session)
}

/// Forgets a session; one that runs is cancelled.
pub fn free(session: *mut Opaque) {
    if let Some(slot) = SESSIONS.remove(session) {
        slot.cancel();
        // Here, and not where another call on the session lets go of it: its channels are closed when this returns.
        drop(slot.parts(State::Freed, || Ok(())));
    }
}

impl Slot {
    /// A session that is new; `jobs` is its host's.
    pub fn new(jobs: Arc<Jobs>, session: Session) -> Slot {
        let (manifest, control) = (session.manifest().clone(), Control::new());
        let parts = Parts {
            session: session.own_control(&control),
            program: None,
            job: None,
            invocation: Invocation::default(),
            channels: Vec::with_capacity(STANDARD.len()),
        };
        Slot { manifest, control, jobs, state: Mutex::new(State::New(Box::new(parts))) }
    }

    pub fn program(&self, bytes: &[u8]) -> Result<()> {
        check_program(bytes)?;
        self.change(|parts| parts.program = Some(bytes.to_owned()))
    }

    pub fn job(&self, name: &str) -> Result<()> {
        self.change(|parts| parts.job = Some(name.to_owned()))
    }

    pub fn argument(&self, text: &CStr) -> Result<()> {
        self.change(|parts| parts.invocation.argument(text.to_bytes()))
    }

    pub fn environment(&self, name: &CStr, value: &CStr) -> Result<()> {
        let name = name.to_bytes();
        if name.is_empty() || name.contains(&b'=') {
            let text = format!("environment: the name `{}` is empty or has a `=`", name.escape_ascii());
            return Err(Error::new(Code::EINVAL, text));
        }
        self.change(|parts| parts.invocation.variable(name, value.to_bytes()))
    }

    /// Changes what a session is made of that is new.
    fn change(&self, change: impl FnOnce(&mut Parts)) -> Result<()> {
        match &mut *self.lock() {
            State::New(parts) => change(parts),
            state => return Err(state.not_new()),
        }
        Ok(())
    }

    /// Makes the channel last, when nothing can fail any more: one that was made is closed.
    pub fn channel(&self, alias: &str, channel: impl FnOnce() -> Result<Channel>) -> Result<()> {
        let Some(spec) = self.manifest.channels.iter().find(|known| &*known.alias == alias) else {
            let text = format!("the manifest has no channel {}", alias.escape_default());
            return Err(Error::new(Code::EINVAL, text));
        };
        let mut state = self.lock();
        let parts = match &mut *state {
            State::New(parts) => parts,
            state => return Err(state.not_new()),
        };
        if parts.channels.iter().any(|(known, _)| *known == spec.alias) {
            let text = format!("the session already has a channel {}", alias.escape_default());
            return Err(Error::new(Code::EEXIST, text));
        }
        parts.channels.push((spec.alias.clone(), channel()?));
        Ok(())
    }

    pub fn run(self: &Arc<Self>) -> Result<()> {
        let (sender, ended) = sync_channel(1);
        self.clone().start(move || {
            let _ = sender.send(());
        })?;
        // It is sent in any case, at the latest when the session is given up.
        let _ = ended.recv();
        Ok(())
    }

    /// Starts the session, which calls a function once it has a report.
    pub fn start(self: Arc<Self>, ended: impl FnOnce() + Send + 'static) -> Result<()> {
        zvm::claim_process()?;
        let (parts, permit) = self.parts(State::Running, || self.jobs.begin())?;
        let mut session = parts.build();
        if let Some(permit) = permit {
            session = session.permit(permit);
        }
        let session = session.on_end(move |report| {
            self.jobs.end(&report);
            *self.lock() = State::Over(Box::new(Done::of(report)));
            ended();
        });
        // Without the lock: if there is no thread for it, the channels are closed here, and it ends.
        drop(session.start());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for what would make the run fail. Meanwhile nothing else can be done with the session.
    pub fn check(&self) -> Result<()> {
        let (mut parts, ()) = self.parts(State::Running, || Ok(()))?;
        if let Some(program) = parts.program.take() {
            parts.session = parts.session.program(program);
        }
        let given = |alias: &str| parts.channels.iter().any(|(known, _)| &**known == alias);
        // A provider may start threads when it is loaded.
        let checked = signals_blocked(|| parts.session.check(&given));
        *self.lock() = State::New(parts);
        checked.map_err(|failure| error(&failure))
    }

    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Takes the parts of a session that is new, which then has another state, if it can have what goes with that.
    fn parts<T>(&self, then: State, take: impl FnOnce() -> Result<T>) -> Result<(Box<Parts>, T)> {
        let mut state = self.lock();
        let taken = match &*state {
            State::New(_) => take()?,
            other => return Err(other.not_new()),
        };
        match std::mem::replace(&mut *state, then) {
            State::New(parts) => Ok((parts, taken)),
            // It was new under the same lock.
            other => Err(other.not_new()),
        }
    }

    pub fn exit_code(&self) -> Result<u8> {
        self.done(|done| done.report.exit_code.number())
    }

    pub fn guest_code(&self) -> Result<u64> {
        let code = self.done(|done| done.report.guest_code)?;
        code.map(u64::from).ok_or_else(|| Error::new(Code::ENOENT, "the guest did not exit by itself"))
    }

    pub fn fuel(&self) -> Result<u64> {
        let fuel = self.done(|done| done.report.fuel)?;
        fuel.ok_or_else(|| Error::new(Code::ENOENT, "the guest never ran"))
    }

    /// As [`report`](Slot::report).
    pub fn state(&self) -> Result<*const c_char> {
        self.done(|done| {
            let state = done.state.get_or_init(|| string(done.report.state.clone()));
            state.as_ptr()
        })
    }

    /// Valid as long as the slot is in the table: a report is never replaced.
    pub fn report(&self, form: u32) -> Result<*const c_char> {
        self.done(|done| {
            let report = &done.report;
            let form = match form {
                1 => done.text.get_or_init(|| string(report.to_string())),
                2 => done.json.get_or_init(|| string(report.to_json())),
                3 => done.line.get_or_init(|| string(report.to_line())),
                _ => return None,
            };
            Some(form.as_ptr())
        })?
        .ok_or_else(|| Error::new(Code::EINVAL, "no such form of a report"))
    }

    fn done<T>(&self, look: impl FnOnce(&Done) -> T) -> Result<T> {
        match &*self.lock() {
            State::Over(done) => Ok(look(done)),
            State::Freed => Err(SESSIONS.ended()),
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
        if let Some(job) = self.job {
            session = session.options(RunOptions::new().job(job));
        }
        session = session.invocation(self.invocation);
        for (alias, channel) in self.channels {
            session = session.file_with(alias, |context| channel.open(context));
        }
        session
    }
}

impl Done {
    fn of(report: Arc<Report>) -> Done {
        Done {
            report,
            state: OnceLock::new(),
            text: OnceLock::new(),
            json: OnceLock::new(),
            line: OnceLock::new(),
        }
    }
}

/// For C. A report holds no NUL: aliases and descriptors have none, and control characters of others are escaped.
fn string(text: String) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// A failure that no report tells of.
pub fn error(failure: &Failure) -> Error {
    let code = match (failure.exit(), failure.code()) {
        (ExitCode::Missing, _) => Code::ENOENT,
        (ExitCode::Stopped, _) => Code::ECANCELED,
        (ExitCode::Memory, _) => Code::ENOMEM,
        (_, Some(code)) => code,
        (ExitCode::Io, None) => Code::EIO,
        (ExitCode::Manifest, None) => Code::EACCES,
        (_, None) => Code::EINVAL,
    };
    Error::new(code, failure.text().to_owned())
}

fn busy(text: &'static str) -> Error {
    Error::new(Code::EBUSY, text)
}
