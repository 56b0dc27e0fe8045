//! The compiler's side of a process of its own.

use super::compile;
use crate::exit::ExitCode;
use crate::exit::panic_text;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
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
/// has to do, with the three numbers that it got as its last arguments. The process may do nothing else, before or after.
///
/// It limits memory and CPU time of the process for good; where the process has a lower limit already, as by `ulimit`, that is
/// kept.
///
/// # Errors
/// The limits cannot be set, standard input or output fails. Refusals and failures of the compiler are answers.
pub fn compile_child(memory: u64, cpu_seconds: u64, functions: u64) -> io::Result<()> {
    let [data, space, cpu] = wanted(memory, cpu_seconds);
    for (resource, limit) in [data, space, cpu, (Resource::Core, 0), (Resource::Fsize, 0)] {
        let limit = own(resource).map_or(limit, |own| own.min(limit));
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    let mut program = Vec::new();
    io::stdin().lock().read_to_end(&mut program)?;
    let compiled = catch_unwind(AssertUnwindSafe(|| compile(&program, functions)));
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

/// The limits of a worker: memory that it may write to, address space, CPU time.
fn wanted(memory: u64, cpu_seconds: u64) -> [(Resource, u64); 3] {
    [(Resource::Data, memory), (Resource::As, memory.saturating_add(RESERVED)), (Resource::Cpu, cpu_seconds)]
}

/// The limit that this process has already, the lower one of the two; a worker inherits it.
fn own(resource: Resource) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(resource);
    current.into_iter().chain(maximum).min()
}

/// The limits of this process that are lower than what a worker may use, in words; `None`: there is none.
pub(super) fn lower_limits(memory: u64, cpu_seconds: u64) -> Option<String> {
    let words = wanted(memory, cpu_seconds).into_iter().filter_map(|(resource, limit)| {
        let own = own(resource).filter(|own| *own < limit)?;
        Some(match resource {
            Resource::Data => format!("{} MiB of memory (ulimit -d)", own >> 20),
            Resource::As => format!("{} MiB of address space (ulimit -v)", own >> 20),
            _ => format!("{own} s of CPU time (ulimit -t)"),
        })
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}
