//! What a program may be. Looked up in one pass over its sections, before the compiler sees it: that takes more than linear
//! time and memory for some programs that nobody writes.
//!
//! The numbers are several times those of the largest programs that were found, see docs/performance.md.

use super::bad;
use crate::exit::{Failure, one_line};
use wasmparser::{ElementItems, Encoding, FunctionBody, Parser, Payload};

/// Functions with a body, unless the host says otherwise.
pub(super) const FUNCTIONS: u64 = 250_000;
/// Bytes of one function's body.
const BODY: u64 = 2 << 20;
/// Locals of one function.
const LOCALS: u64 = 10_000;
/// Locals times bytes, for one function: the compiler keeps each local's value over each block.
const BODY_LOCALS: u64 = 500_000_000;
/// Bytes of all bodies.
const CODE: u64 = 128 << 20;
/// Types.
const TYPES: u64 = 20_000;
/// Imports: preview1 has 46, and each may be there once for each type that it is not.
const IMPORTS: u64 = 1_000;
/// Exports.
const EXPORTS: u64 = 100_000;
/// Globals.
const GLOBALS: u64 = 50_000;
/// Kinds of exceptions.
const TAGS: u64 = 1_000;
/// Tables; their elements are counted as memory when the program starts.
const TABLES: u64 = 16;
/// Memories.
const MEMORIES: u64 = 1;
/// Segments of elements, and of data.
const SEGMENTS: u64 = 100_000;
/// Elements in all segments.
const ELEMENTS: u64 = 1_000_000;

/// Holds a program in binary form against the limits; `functions` is how many it may have.
pub(super) fn check(binary: &[u8], functions: u64) -> Result<(), Failure> {
    let mut elements = 0;
    for payload in Parser::new(0).parse_all(binary) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                let instead = "build it as a core module for preview1 (the target wasm32-wasip1)";
                return Err(bad(format_args!("it is a component: {instead}")));
            }
            Payload::TypeSection(section) => at_most(TYPES, section.count(), "types")?,
            Payload::ImportSection(section) => at_most(IMPORTS, section.count(), "imports")?,
            Payload::FunctionSection(section) => at_most_functions(functions, section.count())?,
            Payload::TableSection(section) => at_most(TABLES, section.count(), "tables")?,
            Payload::MemorySection(section) => at_most(MEMORIES, section.count(), "memories")?,
            Payload::TagSection(section) => at_most(TAGS, section.count(), "exception tags")?,
            Payload::GlobalSection(section) => at_most(GLOBALS, section.count(), "globals")?,
            Payload::ExportSection(section) => at_most(EXPORTS, section.count(), "exports")?,
            Payload::DataSection(section) => at_most(SEGMENTS, section.count(), "data segments")?,
            Payload::ElementSection(section) => {
                at_most(SEGMENTS, section.count(), "element segments")?;
                for segment in section {
                    elements += match segment.map_err(malformed)?.items {
                        ElementItems::Functions(items) => u64::from(items.count()),
                        ElementItems::Expressions(_, items) => u64::from(items.count()),
                    };
                    at_most(ELEMENTS, elements, "elements in segments")?;
                }
            }
            Payload::CodeSectionStart { count, size, .. } => {
                at_most_functions(functions, count)?;
                at_most(CODE, size, "bytes of code")?;
            }
            Payload::CodeSectionEntry(body) => check_body(&body)?,
            _ => {}
        }
    }
    Ok(())
}

/// Holds a program that was checked before against the host's limit alone, without a look at its functions.
pub(super) fn check_functions(binary: &[u8], functions: u64) -> Result<(), Failure> {
    for payload in Parser::new(0).parse_all(binary) {
        if let Payload::CodeSectionStart { count, .. } = payload.map_err(malformed)? {
            return at_most_functions(functions, count);
        }
    }
    Ok(())
}

fn check_body(body: &FunctionBody<'_>) -> Result<(), Failure> {
    let size = body.range().len() as u64;
    at_most(BODY, size, "bytes in one function")?;
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(malformed)? {
        let (count, _) = group.map_err(malformed)?;
        locals += u64::from(count);
        at_most(LOCALS, locals, "locals in one function")?;
    }
    at_most(BODY_LOCALS, size * locals, "bytes times locals in one function")
}

/// The one limit that a program which somebody wrote was over, so that a host can raise it.
fn at_most_functions(limit: u64, count: u32) -> Result<(), Failure> {
    match u64::from(count) <= limit {
        true => Ok(()),
        false => Err(bad(format_args!(
            "{count} functions: at most {limit}, unless the host allows more, as zvfs run and exec do by --max-functions"
        ))),
    }
}

fn at_most(limit: u64, count: impl Into<u64>, what: &str) -> Result<(), Failure> {
    match count.into() {
        count if count <= limit => Ok(()),
        count => Err(bad(format_args!("{count} {what}: at most {limit}"))),
    }
}

pub(super) fn malformed(error: wasmparser::BinaryReaderError) -> Failure {
    bad(one_line(&error.to_string()))
}
