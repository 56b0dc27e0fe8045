//! From a program's bytes to a program that can run: limits, the compiler, and what spares its work.
//!
//! | Module | What it is |
//! |---|---|
//! | `limits`, `interface` | what a program may be, and what it imports and exports: looked at before anything is compiled |
//! | `artifact` | machine code as bytes, and back: the one unsafe step |
//! | `worker`, `child` | the compiler in a process of its own, which can be ended: both sides of the pipe |
//! | `cache` | artifacts in a folder, authenticated |
//! | `loaded` | programs in memory, shared by the process's sessions |

mod artifact;
mod cache;
mod child;
mod features;
mod interface;
mod limits;
mod loaded;
mod worker;

pub use cache::Cache;
pub use child::compile_child;
pub use worker::Worker;

use crate::exit::{ExitCode, Failure, one_line};
use crate::guest::{Pool, Program, Stop};
use artifact::Artifact;
use loaded::Loaded;
use sha2::{Digest, Sha256};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use vfs_core::{Code, PerProcess};

/// The largest program, in bytes.
pub const PROGRAM_MAX: usize = 256 << 20;
/// The largest program as text: its parser needs many times its size.
const TEXT_MAX: usize = 16 << 20;

/// How a session's program becomes machine code. Clones share what they keep.
///
/// Whatever it is told, a program is first held against fixed limits (size, functions, locals, tables and more), and
/// programs stay in memory, up to 256 MiB of machine code, so that the process's next session of one starts at once.
///
/// Without a [`Worker`] the compiler runs on the session's thread. The limits leave room for large programs, so a hostile one
/// can still keep it busy for minutes and take gigabytes of the host's memory, and nothing can interrupt that, neither Timeout
/// nor a cancel. Hosts of programs that they did not choose want a worker.
///
/// ```
/// # fn of() -> Result<zvm::Compiler, vfs_core::Error> {
/// let cache = zvm::Cache::open("/var/cache/host/modules".as_ref(), "/var/lib/host/cache.key".as_ref())?;
/// let worker = zvm::Worker::new("/usr/bin/zvfs").argument("compile-child");
/// Ok(zvm::Compiler::new().worker(worker).cache(cache))
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    worker: Option<Arc<Worker>>,
    cache: Option<Cache>,
    pool: Option<Arc<Pool>>,
    loaded: Arc<Loaded>,
    functions: u64,
    on_compile: Option<OnCompile>,
}

/// Called before a program is compiled; what it returns is dropped after that.
#[derive(Clone)]
struct OnCompile(Arc<dyn Fn() -> Box<dyn Any> + Send + Sync>);

impl fmt::Debug for OnCompile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnCompile")
    }
}

/// A program, and what is worth telling of its way here.
pub(crate) struct Compiled {
    pub(crate) program: Arc<Program>,
    pub(crate) notes: Vec<String>,
}

/// The process's own: compiles on the session's thread, keeps nothing on disk.
impl Default for Compiler {
    fn default() -> Compiler {
        static SHARED: PerProcess<Arc<Loaded>> = PerProcess::new();
        let loaded = SHARED.get_or_make(Arc::default).clone();
        Compiler { loaded, ..Compiler::new() }
    }
}

impl Compiler {
    /// A compiler that shares no program with any other.
    pub fn new() -> Compiler {
        Compiler {
            worker: None,
            cache: None,
            pool: None,
            loaded: Arc::default(),
            functions: limits::FUNCTIONS,
            on_compile: None,
        }
    }

    /// Compiles in processes of their own.
    pub fn worker(mut self, worker: Worker) -> Compiler {
        self.worker = Some(Arc::new(worker));
        self
    }

    /// Keeps what was compiled, for other processes too.
    pub fn cache(mut self, cache: Cache) -> Compiler {
        self.cache = Some(cache);
        self
    }

    /// Lets a program have so many functions: 250,000 by default. Of all limits it is the one that a real program was over, pandoc with
    /// 619,906.
    pub fn functions(mut self, most: u64) -> Compiler {
        self.functions = most;
        self
    }

    /// Calls a function before each program that it compiles, not for one that is in memory or in the cache; what that returns is dropped
    /// when the compiler has ended, well or not. A large program takes minutes, and who waits for it wants to know what for. On the
    /// session's thread: it must not wait.
    ///
    /// ```
    /// struct Compiling(std::time::Instant);
    /// impl Drop for Compiling {
    ///     fn drop(&mut self) {
    ///         eprintln!("the compiler took {:?}", self.0.elapsed());
    ///     }
    /// }
    /// let compiler = zvm::Compiler::new().on_compile(|| Compiling(std::time::Instant::now()));
    /// # let _ = compiler;
    /// ```
    pub fn on_compile<T: 'static>(mut self, call: impl Fn() -> T + Send + Sync + 'static) -> Compiler {
        self.on_compile = Some(OnCompile(Arc::new(move || Box::new(call()))));
        self
    }

    /// Reserves memory for so many guests, in which the compiler's programs then run: a session takes what an earlier one has left,
    /// cleared, where it would have asked the kernel for some. It shares no program with any other compiler. Of more sessions at a
    /// time the last ends with [`ExitCode::Memory`]: a [`SessionPool`](crate::SessionPool) sees to it that there are no more.
    ///
    /// A table of a guest cannot grow beyond 1,048,576 elements. A program that has a larger one from the start, or more than four,
    /// gets memory of its own, as without this.
    ///
    /// # Errors
    /// ENOMEM: there is no room; each guest takes over 8 GiB of address space. ENOTSUP: the engine doesn't run on this machine.
    pub fn pooled(self, guests: u32) -> vfs_core::Result<Compiler> {
        Ok(Compiler { pool: Some(Arc::new(Pool::new(guests)?)), loaded: Arc::default(), ..self })
    }

    /// Makes a program of its bytes: a WebAssembly binary, or its text. Nothing else is one: no precompiled file either. If it has to be
    /// compiled for that, and nothing can be said against it yet, `before` is called first.
    ///
    /// # Errors
    /// `before`'s.
    /// [`ExitCode::BadProgram`]: not WebAssembly, over a limit, an unknown import (named), no such function to call, no exported memory.
    /// [`ExitCode::Stopped`]: the session was stopped. [`ExitCode::Io`]: the worker failed.
    pub(crate) fn program(
        &self,
        bytes: &[u8],
        entry: &str,
        stop: &Stop,
        before: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Compiled, Failure> {
        let form = Form::of(bytes)?;
        let mut notes = Vec::new();
        let fingerprint = fingerprint(bytes);
        let program = self.loaded.get_or_make(fingerprint, stop, || {
            if let Some(program) = self.cached(bytes, form, fingerprint, &mut notes)? {
                return Ok(program);
            }
            // Text is looked at where it is compiled: its parser is no small thing to trust.
            if form == Form::Binary {
                look(bytes, Some(entry), self.functions)?;
            }
            before()?;
            self.make(bytes, fingerprint, stop, &mut notes)
        })?;
        // What was compiled for another session may be called otherwise there.
        program.check(entry)?;
        Ok(Compiled { program, notes })
    }

    /// The same, if nothing has to be compiled for it: the program is in memory or in the cache.
    ///
    /// # Errors
    /// [`ExitCode::BadProgram`]: neither WebAssembly nor its text, over a limit, no such function to call.
    pub(crate) fn kept(&self, bytes: &[u8], entry: &str, stop: &Stop) -> Result<Option<Compiled>, Failure> {
        let form = Form::of(bytes)?;
        let mut notes = Vec::new();
        let fingerprint = fingerprint(bytes);
        let program = match self.loaded.get(fingerprint) {
            Some(program) => program,
            None => match self.cached(bytes, form, fingerprint, &mut notes)? {
                Some(program) => self.loaded.get_or_make(fingerprint, stop, || Ok(program))?,
                None => return Ok(None),
            },
        };
        program.check(entry)?;
        Ok(Some(Compiled { program, notes }))
    }

    /// What can be said against a program before it is compiled, or the bytes that its guest starts with. Its text is for the worker to
    /// read, if there is one: then 0.
    ///
    /// # Errors
    /// As [`program`](Compiler::program).
    pub(crate) fn check(&self, bytes: &[u8], entry: &str) -> Result<u64, Failure> {
        if Form::of(bytes)? == Form::Text && self.worker.is_some() {
            return Ok(0);
        }
        let binary = binary(bytes)?;
        let least = look(&binary, Some(entry), self.functions)?;
        features::check(&binary)?;
        Ok(least)
    }

    /// Whether the worker compiles, if there is one.
    ///
    /// # Errors
    /// [`ExitCode::Io`]: it does not. [`ExitCode::Stopped`]: `stop` was thrown.
    pub(crate) fn check_worker(&self, stop: &Stop) -> Result<(), Failure> {
        const NOTHING: &[u8] = b"(module (memory (export \"memory\") 0))";
        self.worker.as_ref().map_or(Ok(()), |worker| worker.compile(NOTHING, self.functions, stop).map(drop))
    }

    /// The program from the cache. It was looked at before it was compiled, by this version; how many functions it may have is the
    /// host's to say each time.
    fn cached(
        &self,
        bytes: &[u8],
        form: Form,
        fingerprint: [u8; 32],
        notes: &mut Vec<String>,
    ) -> Result<Option<(Program, usize)>, Failure> {
        let Some(cache) = &self.cache else { return Ok(None) };
        let name = artifact::name(&fingerprint)?;
        let failure = match cache.load(&name) {
            Ok(None) => return Ok(None),
            Ok(Some(entry)) => {
                if form == Form::Binary {
                    limits::check_functions(bytes, self.functions)?;
                }
                match self.link(Artifact::Kept(&entry.artifact), entry.digest) {
                    Ok(program) => return Ok(Some(program)),
                    Err(failure) => {
                        cache.remove(&name);
                        failure.text().to_owned()
                    }
                }
            }
            Err(error) => error.chain(),
        };
        notes.push(format!("cached program: compiled again: {failure}"));
        Ok(None)
    }

    fn make(
        &self,
        bytes: &[u8],
        fingerprint: [u8; 32],
        stop: &Stop,
        notes: &mut Vec<String>,
    ) -> Result<(Program, usize), Failure> {
        let compiling = self.on_compile.as_ref().map(|OnCompile(call)| call());
        let artifact = match &self.worker {
            Some(worker) => worker.compile(bytes, self.functions, stop)?,
            None => compile(bytes, self.functions)?,
        };
        drop(compiling);
        let digest = Sha256::digest(bytes).into();
        let program = self.link(Artifact::Made(&artifact), digest)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(&artifact::name(&fingerprint)?, &digest, &artifact)
            && error.code() != Code::EFBIG
        {
            notes.push(format!("the compiled program was not cached: {}", error.chain()));
        }
        Ok(program)
    }

    /// A program of its machine code, and how much that is. It is the pool's, if there is one and it fits in.
    fn link(&self, artifact: Artifact<'_>, digest: [u8; 32]) -> Result<(Program, usize), Failure> {
        let pooled = self.pool.as_deref().and_then(|pool| {
            let module = artifact::load(artifact, Some(pool)).ok()?;
            Some((module, Some(pool)))
        });
        let (module, pool) = match pooled {
            Some(pooled) => pooled,
            None => (artifact::load(artifact, None)?, None),
        };
        Ok((Program::link(&module, digest, pool)?, size(&module)))
    }
}

/// What a program is known by here: its BLAKE3, which takes half the time of the SHA-256 that its random numbers are made of.
fn fingerprint(program: &[u8]) -> [u8; 32] {
    blake3::hash(program).into()
}

fn size(module: &wasmtime::Module) -> usize {
    let image = module.image_range();
    (image.end as usize).saturating_sub(image.start as usize)
}

/// Compiles on this thread.
fn compile(bytes: &[u8], functions: u64) -> Result<Vec<u8>, Failure> {
    let binary = binary(bytes)?;
    look(&binary, None, functions)?;
    artifact::compile(&binary)
}

/// Looks at a program in binary form, in linear time: what is refused here costs no compiler. Returns the bytes that its guest starts
/// with.
fn look(binary: &[u8], entry: Option<&str>, functions: u64) -> Result<u64, Failure> {
    limits::check(binary, functions)?;
    interface::check(binary, entry)
}

/// What a program can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Binary,
    Text,
}

impl Form {
    fn of(bytes: &[u8]) -> Result<Form, Failure> {
        match bytes.strip_prefix(b"\0asm") {
            Some(_) if bytes.len() <= PROGRAM_MAX => Ok(Form::Binary),
            Some(_) => Err(bad(format_args!("it is over {PROGRAM_MAX} bytes"))),
            None if !looks_like_text(bytes) => Err(bad("neither a WebAssembly binary nor its text")),
            None if bytes.len() <= TEXT_MAX => Ok(Form::Text),
            None => Err(bad(format_args!("as text it is over {TEXT_MAX} bytes: use the binary form"))),
        }
    }
}

/// The binary form.
fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    match Form::of(bytes)? {
        Form::Binary => Ok(Cow::Borrowed(bytes)),
        Form::Text => {
            let binary = wat::parse_bytes(bytes).map_err(|error| bad(one_line(&error.to_string())))?;
            Ok(Cow::Owned(binary.into_owned()))
        }
    }
}

/// Text begins with a parenthesis or a comment.
fn looks_like_text(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'(' | b';'))
}

fn bad(text: impl fmt::Display) -> Failure {
    Failure::new(ExitCode::BadProgram, format!("bad program: {text}"))
}

#[cfg(test)]
mod tests;
