//! Machine code as bytes.
#![expect(unsafe_code, reason = "the engine has to believe that machine code is its own")]

use super::{bad, features};
use crate::exit::{ExitCode, Failure};
use crate::guest::{Pool, chain, engine, single_threaded};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};
use std::thread;
use wasmtime::Module;

/// Changes with the meaning of what is kept: entries of another one are not found.
const FORMAT: u32 = 2;

/// Machine code, as it came.
#[derive(Clone, Copy)]
pub(super) enum Artifact<'a> {
    /// From the compiler.
    Made(&'a [u8]),
    /// From the cache: a sealed file in memory, to be mapped.
    Kept(&'a File),
}

/// The name of a program's artifact: made of the program's fingerprint, the engine with all its settings, and our version, so that
/// whatever changes one of them finds nothing instead of something wrong.
pub(super) fn name(program: &[u8; 32]) -> Result<[u8; 32], Failure> {
    static ENGINE: OnceLock<[u8; 32]> = OnceLock::new();
    let engine = match ENGINE.get() {
        Some(hash) => *hash,
        None => {
            let mut hasher = Sha256Hasher(Sha256::new());
            engine().map_err(no_engine)?.precompile_compatibility_hash().hash(&mut hasher);
            *ENGINE.get_or_init(|| hasher.0.finalize().into())
        }
    };
    let mut hash = Sha256::new();
    hash.update(FORMAT.to_le_bytes());
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update([0]);
    hash.update(engine);
    hash.update(program);
    Ok(hash.finalize().into())
}

/// Compiles a program in binary form.
///
/// The engine's threads are one compilation's at a time. They take from one queue: what came second would wait there for the whole
/// of a large program, so it is compiled on its own thread.
pub(super) fn compile(binary: &[u8]) -> Result<Vec<u8>, Failure> {
    static THREADS: Mutex<()> = Mutex::new(());
    let turn = match THREADS.try_lock() {
        Ok(turn) => Some(turn),
        // A compilation that panicked is over too.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    let compiled = match turn.is_some() && can_start(pool()) {
        true => engine().map_err(no_engine)?.precompile_module(binary),
        // The engine's pool of threads panics where one cannot be started.
        false => single_threaded().map_err(no_engine)?.precompile_module(binary),
    };
    compiled.map_err(|error| bad(features::needed(binary).unwrap_or_else(|| chain(&error))))
}

/// How many threads the engine's pool has: rayon's own rule.
fn pool() -> usize {
    let told = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    told.filter(|count| *count > 0).unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Whether the system gives so many threads at one time. Once it did, the pool is there.
fn can_start(threads: usize) -> bool {
    static CAN: AtomicBool = AtomicBool::new(false);
    if CAN.load(Ordering::Relaxed) {
        return true;
    }
    let gate = Mutex::new(());
    let can = thread::scope(|scope| {
        let closed = gate.lock();
        let waits = || drop(gate.lock());
        let all = (0..threads).all(|_| thread::Builder::new().spawn_scoped(scope, waits).is_ok());
        drop(closed);
        all
    });
    CAN.store(can, Ordering::Relaxed);
    can
}

/// Makes a module of an artifact that [`compile`] made, here, in a worker, or in an earlier run: one of a pool's engine, or of the
/// process's.
pub(super) fn load(artifact: Artifact<'_>, pool: Option<&Pool>) -> Result<Module, Failure> {
    let engine = match pool {
        Some(pool) => pool.engine(),
        None => engine().map_err(no_engine)?,
    };
    let failed = |cause: String| Failure::new(ExitCode::Io, format!("load the compiled program: {cause}"));
    let module = match artifact {
        // SAFETY: the bytes are `compile`'s own, unchanged since: they come from this process, or over a pipe from a worker that
        // the host chose and that ran `compile_child`. A manifest or a guest has no way to give any. The engine checks its version
        // and settings besides.
        Artifact::Made(bytes) => unsafe { Module::deserialize(engine, bytes) },
        Artifact::Kept(file) => {
            let file = file.try_clone().map_err(|error| failed(error.to_string()))?;
            // SAFETY: as above. What the file holds was verified, as it was written, by a MAC under a key that only this user has,
            // and the file's seals keep it and its size as they were for as long as the engine maps it.
            unsafe { Module::deserialize_open_file(engine, file) }
        }
    };
    module.map_err(|error| failed(chain(&error)))
}

fn no_engine(error: vfs_core::Error) -> Failure {
    Failure::new(ExitCode::Io, error.chain())
}

/// Feeds what is hashed to SHA-256: 64 bits would be few where the result decides which machine code is run.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where no thread could be started, the engine's panic was all that the user saw. What is compiled without its pool is the same.
    #[test]
    fn what_is_compiled_without_threads_is_taken() {
        let binary = wat::parse_str("(module (func (export \"_start\")))").unwrap();
        let engine = single_threaded().unwrap();
        load(Artifact::Made(&engine.precompile_module(&binary).unwrap()), None).unwrap();
    }
}
