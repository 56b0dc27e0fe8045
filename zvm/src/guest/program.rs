//! A program, compiled and found fit to run.

use super::linker::linker;
use super::pool::Pool;
use super::state::State;
use crate::exit::{ExitCode, Failure, one_line};
use vfs_core::Error;
use wasmtime::{Engine, InstancePre, Module};

/// A program whose imports are all there.
pub(crate) struct Program {
    pub(super) instance: InstancePre<State>,
    pub(super) digest: [u8; 32],
}

impl Program {
    /// Makes a program of a module of the pool's engine, or, without one, of the process's; `digest` is the SHA-256 of what it was
    /// compiled from. What it imports and exports was looked at before it was compiled.
    ///
    /// # Errors
    /// [`ExitCode::BadProgram`]: an import doesn't fit.
    pub(crate) fn link(module: &Module, digest: [u8; 32], pool: Option<&Pool>) -> Result<Program, Failure> {
        let linker = match pool {
            Some(pool) => pool.linker(),
            None => linker().map_err(no_engine)?,
        };
        let instance = linker.instantiate_pre(module).map_err(|error| bad(&chain(&error)))?;
        Ok(Program { instance, digest })
    }

    /// The engine that it runs in.
    pub(super) fn engine(&self) -> &Engine {
        self.instance.module().engine()
    }
}

fn bad(text: &str) -> Failure {
    Failure::new(ExitCode::BadProgram, format!("bad program: {text}"))
}

fn no_engine(error: Error) -> Failure {
    Failure::new(ExitCode::Io, error.chain())
}

/// All causes of an error of the engine, as [`one_line`] has it.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    one_line(&causes.join(": "))
}
