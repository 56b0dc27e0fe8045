//! A program, compiled and found fit to run.

use super::engine::engine;
use super::linker::linker;
use super::state::State;
use crate::exit::{ExitCode, Failure};
use sha2::{Digest, Sha256};
use vfs_core::{Error, Shown};
use wasmtime::{ExternType, InstancePre, Module};

/// The largest program, in bytes.
pub(crate) const PROGRAM_MAX: usize = 256 << 20;
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
    /// Compiles a program, in binary form or as text. Nothing else is one: no precompiled file either.
    ///
    /// # Errors
    /// [`ExitCode::BadProgram`]: not WebAssembly, an unknown import (named), no `_start`, no exported memory.
    ///
    /// # Blocking
    /// As long as it takes; nothing interrupts it.
    pub(crate) fn compile(bytes: &[u8]) -> Result<Program, Failure> {
        let text = match bytes.strip_prefix(b"\0asm") {
            Some(_) => false,
            None if looks_like_text(bytes) => true,
            None => return Err(bad("neither a WebAssembly binary nor its text")),
        };
        let engine = engine().map_err(no_engine)?;
        let module = match text {
            true => Module::new(engine, bytes),
            false => Module::from_binary(engine, bytes),
        };
        let module = module.map_err(|error| bad(&one_line(&error)))?;
        check(&module)?;
        let instance = linker().map_err(no_engine)?.instantiate_pre(&module).map_err(|error| {
            match error.downcast_ref::<wasmtime::UnknownImportError>() {
                Some(unknown) => {
                    bad(&format!("unknown import {}::{}", Shown(unknown.module()), Shown(unknown.name())))
                }
                None => bad(&one_line(&error)),
            }
        })?;
        Ok(Program { instance, digest: Sha256::digest(bytes).into() })
    }
}

/// Text begins with a parenthesis or a comment.
fn looks_like_text(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'(' | b';'))
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

/// All causes in one line of bounded length: a parser's error quotes the program, which may be one long line of anything.
fn one_line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    let words = causes.join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(program: &str) -> String {
        match Program::compile(program.as_bytes()) {
            Ok(_) => panic!("compiled: {program}"),
            Err(failure) => {
                assert_eq!(failure.exit(), ExitCode::BadProgram, "{failure}");
                failure.text().to_owned()
            }
        }
    }

    #[test]
    fn what_is_no_program_is_refused_and_told_why() {
        for (program, words) in [
            ("", "neither"),
            ("#!/bin/sh\n", "neither"),
            ("\u{7f}ELF", "neither"),
            ("\0asm\x01", "bad program"),
            ("(module", "bad program"),
            ("(module (memory (export \"memory\") 1))", "_start"),
            ("(module (func (export \"_start\")))", "memory"),
            ("(module (memory (export \"memory\") 1) (func (export \"_start\") (param i32)))", "_start"),
            (
                "(module (memory (export \"memory\") 1) (global (export \"_start\") i32 (i32.const 0)))",
                "_start",
            ),
        ] {
            let text = refusal(program);
            assert!(text.contains(words), "{program:?}: {text}");
            assert!(!text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn the_programs_own_text_is_told_in_bounds_and_without_control_characters() {
        let text = refusal(&format!("(module \u{1b}[2J {}", "x".repeat(1 << 20)));
        assert!(text.len() < 2000 && text.contains("\\u{1b}") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn an_unknown_import_is_named() {
        let module = |import: &str| {
            format!("(module {import} (memory (export \"memory\") 1) (func (export \"_start\")))")
        };
        assert!(refusal(&module("(import \"env\" \"system\" (func))")).contains("env::system"));
        assert!(
            refusal(&module("(import \"wasi_snapshot_preview1\" \"fd_reed\" (func))")).contains("fd_reed")
        );
        let wrong_type = refusal(&module("(import \"wasi_snapshot_preview1\" \"fd_close\" (func))"));
        assert!(wrong_type.contains("fd_close"), "{wrong_type}");
    }

    #[test]
    fn features_beyond_the_list_are_off() {
        for body in [
            "(memory (export \"memory\") 1 1 shared)",
            "(memory (export \"memory\") i64 1)",
            "(memory (export \"memory\") 1) (memory 1)",
            "(memory (export \"memory\") 1) (func (param externref))",
            "(memory (export \"memory\") 1) (type (struct))",
            "(memory (export \"memory\") 1) (tag)",
            "(memory (export \"memory\") 1) (func (param v128) (result v128)
                (i16x8.relaxed_q15mulr_s (local.get 0) (local.get 0)))",
            "(memory (export \"memory\") 1) (func (param i64 i64 i64 i64) (result i64 i64)
                (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))",
            "(memory (export \"memory\") 1 (pagesize 1))",
        ] {
            refusal(&format!("(module {body} (func (export \"_start\")))"));
        }
    }

    #[test]
    fn features_on_the_list_are_on() {
        for body in [
            "(func (result i32) (i32.extend8_s (i32.const 1)))",
            "(func (result i32) (i32.trunc_sat_f32_s (f32.const 1)))",
            "(func (result i32 i32) (i32.const 1) (i32.const 2))",
            "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
            "(table 1 funcref) (func (drop (table.size 0)))",
            "(func (result v128) (i32x4.splat (i32.const 1)))",
            "(func $f (return_call $f))",
            "(global (mut i32) (i32.add (i32.const 1) (i32.const 2)))",
        ] {
            let program =
                format!("(module (memory (export \"memory\") 1) {body} (func (export \"_start\")))");
            assert!(Program::compile(program.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn more_tables_than_the_limit_are_refused() {
        let tables = |count: usize| {
            let tables = "(table 0 funcref)".repeat(count);
            format!("(module (memory (export \"memory\") 1) {tables} (func (export \"_start\")))")
        };
        assert!(Program::compile(tables(16).as_bytes()).is_ok());
        assert!(refusal(&tables(17)).contains("17 tables"));
    }
}
