//! The process's engine, with every feature said out loud, and its variants: they take each other's machine code.

use super::stack::FRAMES_MAX;
use std::sync::{Mutex, OnceLock, PoisonError};
use vfs_core::{Code, Error, PerProcess, Result};
use wasmtime::{
    Collector, Config, Engine, EngineWeak, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

/// How much of its thread's stack a guest may use, in bytes.
pub(super) const WASM_STACK: usize = 512 << 10;

/// What guests may use. All else is off, whatever the engine's crate features are: Cargo unifies those over a whole
/// program, and a neighbour's choice must not change what a guest may do.
pub(crate) const FEATURES: [WasmFeatures; 15] = [
    WasmFeatures::FLOATS,
    WasmFeatures::MUTABLE_GLOBAL,
    WasmFeatures::SIGN_EXTENSION,
    WasmFeatures::SATURATING_FLOAT_TO_INT,
    WasmFeatures::MULTI_VALUE,
    WasmFeatures::BULK_MEMORY,
    WasmFeatures::BULK_MEMORY_OPT,
    WasmFeatures::REFERENCE_TYPES,
    WasmFeatures::CALL_INDIRECT_OVERLONG,
    WasmFeatures::SIMD,
    WasmFeatures::TAIL_CALL,
    WasmFeatures::EXTENDED_CONST,
    WasmFeatures::EXCEPTIONS,
    // What an exception is thrown with lies in the engine's own heap; a guest's own objects there are another feature, and off.
    WasmFeatures::GC_TYPES,
    // Atomic instructions, which compilers emit for programs that never start a thread. A memory that could be shared is refused.
    WasmFeatures::THREADS,
];

static ENGINE: OnceLock<Engine> = OnceLock::new();

/// Those of [`pooled`] that are still in use. Std's lock, as all that the process's timer takes.
static POOLED: PerProcess<Mutex<Vec<EngineWeak>>> = PerProcess::new();

/// Calls a function for each engine that guests may run in.
pub(super) fn each(call: impl Fn(&Engine)) {
    if let Some(engine) = ENGINE.get() {
        call(engine);
    }
    if let Some(pooled) = POOLED.get() {
        // Nothing panics while it is held.
        pooled.lock().unwrap_or_else(PoisonError::into_inner).retain(|weak| {
            let engine = weak.upgrade();
            engine.as_ref().map(&call).is_some()
        });
    }
}

/// The process's engine, made at first use.
///
/// # Errors
/// ENOTSUP: the engine doesn't run on this machine.
pub(crate) fn engine() -> Result<&'static Engine> {
    if let Some(engine) = ENGINE.get() {
        return Ok(engine);
    }
    let engine = Engine::new(&config()).map_err(|error| {
        Error::new(Code::ENOTSUP, "start the WebAssembly engine").with_source(error.into_boxed_dyn_error())
    })?;
    // Two threads may both have made one; the first stays, and the other is dropped unused.
    Ok(ENGINE.get_or_init(|| engine))
}

/// An engine of its own that compiles on the thread that asks. What it makes, the process's engine takes.
///
/// # Errors
/// ENOTSUP, as [`engine`].
pub(crate) fn single_threaded() -> Result<Engine> {
    Engine::new(config().parallel_compilation(false)).map_err(|error| {
        Error::new(Code::ENOTSUP, "start the WebAssembly engine").with_source(error.into_boxed_dyn_error())
    })
}

/// An engine of its own whose guests' memory is that of a pool.
///
/// # Errors
/// As [`engine`]. ENOMEM: there is no room for the pool.
pub(super) fn pooled(pool: PoolingAllocationConfig) -> Result<Engine> {
    // Whatever this machine lacks for any engine is not the pool's fault.
    engine()?;
    let pooled = Engine::new(config().allocation_strategy(pool)).map_err(|error| {
        Error::new(
            Code::ENOMEM,
            "reserve the guests' memory: each takes over 8 GiB of address space, half of it for exceptions",
        )
        .with_source(error.into_boxed_dyn_error())
    })?;
    let known = POOLED.get_or_make(Mutex::default);
    known.lock().unwrap_or_else(PoisonError::into_inner).push(pooled.weak());
    Ok(pooled)
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_features(WasmFeatures::all(), false);
    for feature in FEATURES {
        config.wasm_features(feature, true);
    }
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        // A NaN's bits would otherwise differ from one machine to the next.
        .cranelift_nan_canonicalization(true)
        // Exceptions die young, and in no circles.
        .collector(Collector::DeferredReferenceCounting)
        .max_wasm_stack(WASM_STACK)
        // Else the environment would say, and a worker's is empty.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(Some(FRAMES_MAX));
    config
}
