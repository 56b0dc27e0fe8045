//! The compiler's side of a process of its own.

use super::compile;
use crate::exit::ExitCode;
use crate::exit::panic_text;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Kinds of answers: each is followed by a length and so many bytes.
pub(super) const ARTIFACT: u8 = 0;
/// The program is refused; the bytes are the reason.
pub(super) const REFUSED: u8 = 1;
/// The compiler failed; the bytes are how.
const FAILED: u8 = 2;

/// Address space beyond what may be written to: code, stacks and the reservations of the allocator.
const RESERVED: u64 = 4 << 30;

/// Compiles the program on standard input and answers on standard output: what the command of a [`Worker`](super::Worker)
/// has to do, with the two numbers that it got as its last arguments. The process may do nothing else, before or after.
///
/// It limits memory and CPU time of the process for good.
///
/// # Errors
/// The limits cannot be set, standard input or output fails. Refusals and failures of the compiler are answers.
pub fn compile_child(memory: u64, cpu_seconds: u64) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::Data, memory),
        (Resource::As, memory.saturating_add(RESERVED)),
        (Resource::Cpu, cpu_seconds),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    let mut program = Vec::new();
    io::stdin().lock().read_to_end(&mut program)?;
    let compiled = catch_unwind(AssertUnwindSafe(|| compile(&program)));
    let (kind, bytes) = match compiled {
        Ok(Ok(artifact)) => (ARTIFACT, artifact),
        Ok(Err(failure)) if failure.exit() == ExitCode::BadProgram => {
            (REFUSED, failure.text().as_bytes().to_vec())
        }
        Ok(Err(failure)) => (FAILED, failure.text().as_bytes().to_vec()),
        Err(panic) => (FAILED, format!("panic: {}", panic_text(&*panic)).into_bytes()),
    };
    let mut output = io::stdout().lock();
    output.write_all(&[kind])?;
    output.write_all(&(bytes.len() as u64).to_le_bytes())?;
    output.write_all(&bytes)?;
    output.flush()
}
