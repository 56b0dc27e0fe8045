//! What stands behind a `zvm_host *`: what many sessions have in common.

use crate::argument::{HOST_POOLED, HostOptions, LogFn, SessionOptions};
use crate::jobs::Jobs;
use crate::objects::{Objects, Opaque};
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::sync::Arc;
use vfs_core::boundary::text;
use vfs_core::{Code, Configuration, Error, Host, Level, Registry, Result, log_to_stderr};
use zvm::{Cache, Compiler, Worker};

/// All hosts of this process that were not freed.
static HOSTS: Objects<Shared> = Objects::new("host");

/// The most jobs that a host may have.
const JOBS_MAX: u32 = 4096;

/// The providers and the compiler, whose clones are the same, and the sessions of both.
pub struct Shared {
    pub registry: Registry,
    pub compiler: Compiler,
    pub jobs: Arc<Jobs>,
}

/// Where a host's parts are, as C says it.
struct Places {
    configuration: *const c_char,
    worker: *const c_char,
    cache_folder: *const c_char,
    cache_key: *const c_char,
}

/// Where the providers' log goes.
struct Log(LogFn, *mut c_void);

// SAFETY: the header: the log is called on any thread, so its author made it and its argument fit for that.
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

/// Makes a host and gives out its number.
pub fn make(options: Option<HostOptions>) -> Result<*mut Opaque> {
    let none = std::ptr::null();
    let mut places = Places { configuration: none, worker: none, cache_folder: none, cache_key: none };
    let mut log = None;
    let mut limits = Limits::default();
    if let Some(options) = options {
        let HostOptions { configuration, worker, cache_folder, cache_key, .. } = options;
        places = Places { configuration, worker, cache_folder, cache_key };
        log = options.log.map(|log| Log(log, options.log_arg));
        limits = Limits::of(options.jobs, options.flags)?;
    }
    Ok(HOSTS.insert(places.shared(log, limits)?))
}

/// The host of a number.
pub fn find(host: *mut Opaque) -> Result<Arc<Shared>> {
    HOSTS.find(host)
}

/// Forgets a host. Its sessions go on.
pub fn free(host: *mut Opaque) {
    if let Some(shared) = HOSTS.remove(host) {
        shared.registry.release();
    }
}

/// The host that a session's options name, or one of its own.
pub fn of_session(options: &SessionOptions) -> Result<Arc<Shared>> {
    let SessionOptions { configuration, worker, cache_folder, cache_key, host, .. } = *options;
    let places = Places { configuration, worker, cache_folder, cache_key };
    if host.is_null() {
        return Ok(Arc::new(places.shared(None, Limits::default())?));
    }
    if !places.are_none() {
        let text =
            "options.host has configuration, worker and cache: leave them NULL in the session's options";
        return Err(Error::new(Code::EINVAL, text));
    }
    find(host)
}

/// How many sessions may run at a time, and whether their memory is reserved.
#[derive(Default)]
struct Limits {
    /// 0: any number.
    jobs: u32,
    pooled: bool,
}

impl Limits {
    fn of(jobs: u64, flags: u64) -> Result<Limits> {
        let wrong = |text: String| Err(Error::new(Code::EINVAL, text));
        let Some(jobs) = u32::try_from(jobs).ok().filter(|jobs| *jobs <= JOBS_MAX) else {
            return wrong(format!("options.jobs is {jobs}: {JOBS_MAX} at most"));
        };
        match flags {
            0 => Ok(Limits { jobs, pooled: false }),
            HOST_POOLED if jobs > 0 => Ok(Limits { jobs, pooled: true }),
            HOST_POOLED => {
                wrong("options.flags has ZVM_HOST_POOLED: say for how many sessions, in jobs".into())
            }
            _ => wrong(format!("options.flags is {flags:#x}: only ZVM_HOST_POOLED is known")),
        }
    }
}

impl Places {
    fn are_none(&self) -> bool {
        let Places { configuration, worker, cache_folder, cache_key } = self;
        [configuration, worker, cache_folder, cache_key].into_iter().all(|place| place.is_null())
    }

    fn shared(&self, log: Option<Log>, limits: Limits) -> Result<Shared> {
        // SAFETY: the header: each is NULL or a terminated string, valid during the call.
        let [configuration, worker, folder, key] = unsafe {
            [
                text(self.configuration, "configuration")?,
                text(self.worker, "worker")?,
                text(self.cache_folder, "cache_folder")?,
                text(self.cache_key, "cache_key")?,
            ]
        };
        let configuration = match configuration {
            Some(file) => Configuration::find(Some(Path::new(file)), &[])?,
            None => Configuration::default(),
        };
        let mut compiler = match limits {
            Limits { jobs, pooled: true } => Compiler::new().pooled(jobs)?,
            Limits { .. } => Compiler::default(),
        };
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
        let log = move |level, text: &str| write(log.as_ref(), level, text);
        let host = Host::logging("libzvm", env!("CARGO_PKG_VERSION"), log);
        let jobs = Arc::new(Jobs::new(limits.jobs));
        Ok(Shared { registry: Registry::with_host(configuration, host), compiler, jobs })
    }
}

/// Warnings and errors only, as libzvfs does by default.
fn write(log: Option<&Log>, level: Level, line: &str) {
    if level > Level::Warning {
        return;
    }
    match log {
        Some(Log(log, arg)) => {
            let line = CString::new(line.replace('\0', " ")).unwrap_or_default();
            // SAFETY: the caller's own function with its own argument; the text is valid during the call.
            unsafe { log(*arg, level as u32, line.as_ptr()) }
        }
        None => log_to_stderr("libzvm", line),
    }
}
