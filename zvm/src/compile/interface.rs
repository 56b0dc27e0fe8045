//! What a program imports and exports, looked at before it is compiled: a large one that cannot run would cost its compiler's
//! time at each start.

use super::{bad, limits};
use crate::exit::{Failure, one_line};
use crate::guest::{INITIALIZE, PREVIEW1, TABLE_ELEMENT, may_return, missing, signature, unfit};
use std::ops::ControlFlow;
use vfs_core::Shown;
use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, TypeSectionReader, ValType,
};

/// A page of memory, in bytes.
const PAGE: u64 = 65536;
/// What is said of whatever else is imported.
const ONLY: &str = "a guest can import the functions of wasi_snapshot_preview1 only (docs/wasi.md)";
/// What is said of whatever threads need.
const NO_THREADS: &str = "build it without threads (the target wasm32-wasip1, no -pthread)";

/// Holds a program in binary form against what a guest can import and has to export: its memory, and the function that a session
/// calls, unless nobody knows that yet. Returns the bytes that it starts with, as a guest's budget counts them.
///
/// # Errors
/// What doesn't fit, with what to build instead. What the sections say of each other is the engine's to check.
pub(super) fn check(binary: &[u8], entry: Option<&str>) -> Result<u64, Failure> {
    let mut module = Module { entry, ..Module::default() };
    for payload in Parser::new(0).parse_all(binary) {
        if module.read(payload.map_err(limits::malformed)?)?.is_break() {
            break;
        }
    }
    module.exports()?;
    Ok(module.least)
}

/// What is known of a program, section by section.
#[derive(Default)]
struct Module<'a> {
    entry: Option<&'a str>,
    /// `None`: not a function's type.
    types: Vec<Option<FuncType>>,
    /// The types of all functions, the imported ones first.
    functions: Vec<u32>,
    /// What is exported under the name of `entry`.
    called: Option<(ExternalKind, u32)>,
    exports_memory: bool,
    /// What its memory and its tables have from the start, in bytes.
    least: u64,
    /// `_initialize`, which a library has instead of `_start`.
    is_reactor: bool,
}

impl Module<'_> {
    /// Takes a section in. Nothing behind the start of the code is of interest.
    fn read(&mut self, payload: Payload<'_>) -> Result<ControlFlow<()>, Failure> {
        match payload {
            Payload::TypeSection(section) => self.types(section)?,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(limits::malformed)?;
                    self.import(import.module, import.name, import.ty)?;
                }
            }
            Payload::FunctionSection(section) => {
                for function in section {
                    self.functions.push(function.map_err(limits::malformed)?);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.map_err(limits::malformed)?;
                    if memory.shared {
                        return Err(bad(format_args!("its memory is shared: {NO_THREADS}")));
                    }
                    if memory.memory64 {
                        return Err(bad("its memory has 64-bit addresses: build it for wasm32"));
                    }
                    self.least = self.least.saturating_add(memory.initial.saturating_mul(PAGE));
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let elements = table.map_err(limits::malformed)?.ty.initial;
                    self.least = self.least.saturating_add(elements.saturating_mul(TABLE_ELEMENT as u64));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(limits::malformed)?;
                    if Some(export.name) == self.entry {
                        self.called = Some((export.kind, export.index));
                    }
                    match export.name {
                        INITIALIZE => self.is_reactor = true,
                        "memory" => self.exports_memory = export.kind == ExternalKind::Memory,
                        _ => {}
                    }
                }
            }
            Payload::CodeSectionStart { .. } => return Ok(ControlFlow::Break(())),
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn types(&mut self, section: TypeSectionReader<'_>) -> Result<(), Failure> {
        for group in section {
            for ty in group.map_err(limits::malformed)?.into_types() {
                self.types.push(match ty.composite_type.inner {
                    CompositeInnerType::Func(ty) => Some(ty),
                    _ => None,
                });
            }
        }
        Ok(())
    }

    fn import(&mut self, module: &str, name: &str, ty: TypeRef) -> Result<(), Failure> {
        let import = format!("{}::{}", Shown(module), Shown(name));
        let type_index = match ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => index,
            TypeRef::Memory(memory) if memory.shared => {
                return Err(bad(format_args!(
                    "it imports its memory, {import}, which is shared: {NO_THREADS}"
                )));
            }
            TypeRef::Memory(_) => {
                return Err(bad(format_args!(
                    "it imports its memory, {import}: link it with a memory of its own, exported as `memory`"
                )));
            }
            _ => return Err(bad(format_args!("{import} is imported, but is not a function: {ONLY}"))),
        };
        self.functions.push(type_index);
        let known = match module {
            PREVIEW1 => signature(name),
            "wasi_unstable" => {
                return Err(bad(format_args!(
                    "it imports {import}, of the interface before preview1: build it with an SDK that has {PREVIEW1}"
                )));
            }
            "wasi" if name == "thread-spawn" => {
                return Err(bad(format_args!("it imports {import}, which starts a thread: {NO_THREADS}")));
            }
            _ if module.starts_with("wasi:") => {
                return Err(bad(format_args!(
                    "it imports {import}, of preview2 or later: build it for wasm32-wasip1"
                )));
            }
            _ => None,
        };
        let Some(known) = known else {
            return Err(bad(format_args!("unknown import {import}: {ONLY}")));
        };
        match self.function_type(type_index) {
            Some(given) if *given != known => {
                let given = one_line(&given.to_string());
                Err(bad(format_args!("{import} is imported as {given}, but is {known}")))
            }
            _ => Ok(()),
        }
    }

    fn exports(&self) -> Result<(), Failure> {
        if let Some(entry) = self.entry {
            let (kind, index) = self.called.ok_or_else(|| missing(entry, self.is_reactor))?;
            let ty = self.functions.get(index as usize).and_then(|ty| self.function_type(*ty));
            let is_function = matches!(kind, ExternalKind::Func | ExternalKind::FuncExact);
            let returns = ty.map_or(Some(false), |ty| match (ty.params(), ty.results()) {
                ([], []) => Some(false),
                ([], [ValType::I32]) => Some(true),
                _ => None,
            });
            if !is_function || !returns.is_some_and(|returns| may_return(entry, returns)) {
                return Err(unfit(entry));
            }
        }
        if !self.exports_memory {
            return Err(bad("no memory is exported as `memory`"));
        }
        Ok(())
    }

    fn function_type(&self, index: u32) -> Option<&FuncType> {
        self.types.get(index as usize).and_then(Option::as_ref)
    }
}
