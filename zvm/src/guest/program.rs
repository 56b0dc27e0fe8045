//! A program, compiled and found fit to run.

use super::linker::linker;
use super::state::State;
use crate::exit::{ExitCode, Failure};
use vfs_core::{Error, is_printable};
use wasmtime::{InstancePre, Module};

/// How much of the engine's words about a program is told, in characters.
const TEXT_MAX: usize = 400;

/// A program whose imports are all there.
pub(crate) struct Program {
    pub(super) instance: InstancePre<State>,
    pub(super) digest: [u8; 32],
}

impl Program {
    /// Makes a program of a module; `digest` is the SHA-256 of what it was compiled from. What it imports and exports was
    /// looked at before it was compiled.
    ///
    /// # Errors
    /// [`ExitCode::BadProgram`]: an import doesn't fit.
    pub(crate) fn link(module: &Module, digest: [u8; 32]) -> Result<Program, Failure> {
        let linker = linker().map_err(no_engine)?;
        let instance = linker.instantiate_pre(module).map_err(|error| bad(&chain(&error)))?;
        Ok(Program { instance, digest })
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
    let control = !is_printable(character);
    let escaped = character.escape_unicode().filter(move |_| control);
    escaped.chain(Some(character).filter(move |_| !control))
}
