//! A program, compiled and found fit to run, and what of it a session calls.

use super::linker::Imports;
use super::memory_budget::TABLE_ELEMENT;
use super::pool::Pool;
use super::state::State;
use crate::exit::{ExitCode, Failure, one_line};
use crate::manifest::START;
use vfs_core::{Error, Shown};
use wasmtime::{Engine, ExternType, InstancePre, Module, Store, ValType};

/// A page of memory, in bytes.
const PAGE: u64 = 65536;
/// What a library may export, to be called before anything else of it.
pub(crate) const INITIALIZE: &str = "_initialize";

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
        let imports = match pool {
            Some(pool) => pool.imports(),
            None => Imports::of_process().map_err(no_engine)?,
        };
        let instance = imports.lock().link(module).map_err(|error| bad(&chain(&error)))?;
        Ok(Program { instance, digest })
    }

    /// Holds it against the function that a session calls.
    ///
    /// # Errors
    /// [`ExitCode::BadProgram`]: it exports no such function.
    pub(crate) fn check(&self, entry: &str) -> Result<(), Failure> {
        let module = self.instance.module();
        let is_reactor = module.get_export(INITIALIZE).is_some();
        match module.get_export(entry) {
            None => Err(missing(entry, is_reactor)),
            Some(ExternType::Func(ty)) if ty.params().len() == 0 => {
                let returns = match ty.results().collect::<Vec<_>>().as_slice() {
                    [] => Some(false),
                    [ValType::I32] => Some(true),
                    _ => None,
                };
                if returns.is_some_and(|returns| may_return(entry, returns)) {
                    Ok(())
                } else {
                    Err(unfit(entry))
                }
            }
            Some(_) => Err(unfit(entry)),
        }
    }

    /// What it starts with, in bytes, as a guest's budget counts them: its memory, and its tables; of several tables the largest, so that it
    /// may be more.
    pub(crate) fn least(&self) -> u64 {
        let needs = self.instance.module().resources_required();
        let memory = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE);
        let table = needs.max_initial_table_size.unwrap_or(0).saturating_mul(TABLE_ELEMENT as u64);
        memory.saturating_add(table)
    }

    /// Calls the session's function; a library's own start comes first. Its result, if it has one, is the exit code.
    pub(super) fn call(&self, store: &mut Store<State>, entry: &str) -> wasmtime::Result<u32> {
        let instance = self.instance.instantiate(&mut *store)?;
        if entry != START && instance.get_func(&mut *store, INITIALIZE).is_some() {
            instance.get_typed_func::<(), ()>(&mut *store, INITIALIZE)?.call(&mut *store, ())?;
        }
        if may_return(entry, true)
            && let Ok(function) = instance.get_typed_func::<(), u32>(&mut *store, entry)
        {
            return function.call(&mut *store, ());
        }
        instance.get_typed_func::<(), ()>(&mut *store, entry)?.call(&mut *store, ()).map(|()| 0)
    }

    /// The engine that it runs in.
    pub(super) fn engine(&self) -> &Engine {
        self.instance.module().engine()
    }
}

/// Whether the function of this name may have a result, the exit code.
pub(crate) fn may_return(entry: &str, returns: bool) -> bool {
    entry != START || !returns
}

/// The program has no function of this name.
pub(crate) fn missing(entry: &str, is_reactor: bool) -> Failure {
    bad(&match (entry, is_reactor) {
        (START, true) => format!(
            "it exports `{INITIALIZE}` and no `{START}`, as a library does: name the function to call (`Function` in a manifest, --function of zvfs exec), or build it as a command"
        ),
        (START, false) => {
            format!(
                "no `{START}` is exported: build it as a command, or name the function to call (`Function` in a manifest, --function of zvfs exec)"
            )
        }
        _ => format!("Function: no `{}` is exported", Shown(entry)),
    })
}

/// What is exported under this name cannot be called.
pub(crate) fn unfit(entry: &str) -> Failure {
    bad(&match entry {
        START => format!("`{START}` is not a function without parameters and results"),
        _ => format!(
            "Function: `{}` is not a function without parameters, and with an i32 or nothing as its result",
            Shown(entry)
        ),
    })
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
