//! Where the run's programs are compiled, and where what comes of it is kept.

use super::announce::Announced;
use crate::exit::{Failure, warn};
use crate::options::Options;
use clap::Args;
use std::env;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use zvm::{Cache, Compiler, Worker};

/// How programs are compiled, and where what comes of it is kept.
#[derive(Args, Debug)]
pub struct CacheOptions {
    /// Where to keep compiled programs; default: zvfs/modules in XDG_CACHE_HOME or ~/.cache. Yours alone: mode 0700
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// The key that authenticates compiled programs; default: zvfs/cache.key in XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "FILE")]
    cache_key: Option<PathBuf>,
    /// Compile every program, and keep nothing
    #[arg(long, conflicts_with_all = ["cache_dir", "cache_key"])]
    no_cache: bool,
    /// How many functions a program may have; default: 250000. Compiling one takes more time and memory with each
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max_functions: Option<u64>,
}

/// What compiles the programs of this process.
pub struct Compilers {
    shared: Compiler,
    /// What was compiled is there for the next run.
    keeps: bool,
    /// Somebody waits who wants to know what for.
    tells: bool,
}

impl Compilers {
    /// The compiler of a program of this name.
    pub fn of(&self, program: &str) -> Compiler {
        let compiler = self.shared.clone();
        if !self.tells {
            return compiler;
        }
        let (program, keeps) = (program.to_owned(), self.keeps);
        compiler.on_compile(move || Announced::of(&program, keeps))
    }
}

impl CacheOptions {
    /// The compilers: this command again, in a process of its own, and the cache.
    pub fn compilers(&self, options: &Options) -> Result<Compilers, Failure> {
        let verbose = options.verbose > 0;
        // Also if the command was replaced meanwhile, it is this one that runs again.
        let own = PathBuf::from("/proc/self/exe");
        let own = if own.exists() { own } else { env::current_exe()? };
        let compiler = Compiler::new().worker(Worker::new(own).argument("compile-child"));
        let compiler = match self.max_functions {
            Some(most) => compiler.functions(most),
            None => compiler,
        };
        let cache = self.cache(verbose)?;
        let keeps = cache.is_some();
        let shared = match cache {
            Some(cache) => compiler.cache(cache),
            None => compiler,
        };
        Ok(Compilers { shared, keeps, tells: verbose || io::stderr().is_terminal() })
    }

    /// What was asked for must be there. The default places are used where they can be trusted: they come from the
    /// environment, which may be another user's, after `sudo` say.
    fn cache(&self, verbose: bool) -> Result<Option<Cache>, Failure> {
        if self.no_cache {
            return Ok(None);
        }
        let asked = self.cache_dir.is_some() || self.cache_key.is_some();
        let folder = self.cache_dir.clone().or_else(|| place("XDG_CACHE_HOME", ".cache", "zvfs/modules"));
        let key =
            self.cache_key.clone().or_else(|| place("XDG_STATE_HOME", ".local/state", "zvfs/cache.key"));
        let opened = match (folder, key) {
            (Some(folder), Some(key)) => Cache::open(&folder, &key).map_err(Failure::from),
            _ => {
                let text = "cache of compiled programs: no place for it: give --cache-dir and --cache-key, or set HOME to an existing folder";
                Err(io::Error::new(io::ErrorKind::NotFound, text).into())
            }
        };
        match opened {
            Ok(cache) => Ok(Some(cache)),
            Err(failure) if asked => Err(failure),
            Err(failure) => {
                if verbose {
                    failure.tell();
                    warn("compiled programs are not kept");
                }
                Ok(None)
            }
        }
    }
}

/// A place below an XDG folder; as its specification says, one that is not absolute does not count. A home that is not there is
/// nobody's: it is not made, least of all by root.
fn place(variable: &str, below_home: &str, name: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable)
        .or_else(|| Some(absolute("HOME").filter(|home| home.is_dir())?.join(below_home)))?;
    Some(base.join(name))
}

/// Compiles one program, for `zvfs run`
#[derive(Args, Debug)]
pub struct CompileChild {
    memory: u64,
    cpu_seconds: u64,
    functions: u64,
}

impl CompileChild {
    pub fn execute(&self) -> Result<(), Failure> {
        Ok(zvm::compile_child(self.memory, self.cpu_seconds, self.functions)?)
    }
}
