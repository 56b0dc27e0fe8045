//! A program, compiled and found fit to run.

use super::linker::linker;
use super::state::State;
use crate::exit::{ExitCode, Failure};
use vfs_core::{Error, Shown};
use wasmtime::{ExternType, InstancePre, Module};

/// The most tables that a program may have.
const TABLES_MAX: u32 = 16;

/// How much of the engine's words about a program is told, in characters.
const TEXT_MAX: usize = 400;

/// A program whose imports are all there and whose exports are as they must be.
pub(crate) struct Program {
    pub(super) instance: InstancePre<State>,
    pub(super) digest: [u8; 32],
}

impl Program {
    /// Makes a program of a module; `digest` is the SHA-256 of what it was compiled from.
    ///
    /// # Errors
    /// [`ExitCode::BadProgram`]: an unknown import (named), no `_start`, no exported memory.
    pub(crate) fn link(module: &Module, digest: [u8; 32]) -> Result<Program, Failure> {
        check(module)?;
        let instance = linker().map_err(no_engine)?.instantiate_pre(module).map_err(|error| {
            match error.downcast_ref::<wasmtime::UnknownImportError>() {
                Some(unknown) => {
                    bad(&format!("unknown import {}::{}", Shown(unknown.module()), Shown(unknown.name())))
                }
                None => bad(&chain(&error)),
            }
        })?;
        Ok(Program { instance, digest })
    }
}

fn check(module: &Module) -> Result<(), Failure> {
    match module.get_export("_start") {
        Some(ExternType::Func(start)) if start.params().len() == 0 && start.results().len() == 0 => {}
        Some(_) => return Err(bad("`_start` is not a function without parameters and results")),
        None => return Err(bad("no `_start` is exported: build it as a command, not as a library")),
    }
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(bad("no memory is exported as `memory`"));
    }
    match module.resources_required().num_tables {
        0..=TABLES_MAX => Ok(()),
        tables => Err(bad(&format!("{tables} tables: at most {TABLES_MAX}"))),
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

/// One line of bounded length: a parser's error quotes the program, which may be one long line of anything.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line: String = words.chars().take(TEXT_MAX).flat_map(shown).collect();
    if words.chars().nth(TEXT_MAX).is_some() {
        line.push_str("...");
    }
    line
}

/// A character for a terminal and a log: control characters escaped.
fn shown(character: char) -> impl Iterator<Item = char> {
    let control = character.is_control();
    let escaped = character.escape_unicode().filter(move |_| control);
    escaped.chain(Some(character).filter(move |_| !control))
}
