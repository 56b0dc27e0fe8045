//! One run of a program, from its start section to its end.

use super::call::End;
use super::clock::Clock;
use super::memory_budget::{HostMemory, MemoryBudget, no_room};
use super::prepare::{Invocation, Names, Prepared, prepare};
use super::program::Program;
use super::random::Random;
use super::stack::stack;
use super::state::{State, standard_fds};
use super::stop::Stop;
use super::tree::OwnTree;
use super::wasi_fd::filetype;
use crate::channel::{Changes, Channels};
use crate::exit::{ExitCode, Failure, Stopped, panic_text};
use crate::manifest::Manifest;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vfs_core::Shown;
use wasmtime::{Store, ThrownException, Trap, UpdateDeadline};

/// What a run works with, beyond its program.
pub(crate) struct Setup<'a> {
    /// What the guest may use.
    pub(crate) manifest: &'a Manifest,
    /// What its host tells it beside that.
    pub(crate) invocation: &'a Invocation,
    /// Its manifest's.
    pub(crate) names: &'a Names,
    /// All that it reaches.
    pub(crate) channels: Channels,
    /// Ends it from outside.
    pub(crate) stop: Stop,
}

/// What a run came to. The channels are still open.
pub(crate) struct Ran {
    /// As they were given, for their ends.
    pub(crate) channels: Channels,
    /// The guest's own exit code, or why it has none.
    pub(crate) outcome: Result<u32, Failure>,
    /// Fuel that it used: exact if it ran to its end, else at most this.
    pub(crate) fuel: u64,
    /// What is worth telling of a good run too.
    pub(crate) notes: Vec<String>,
    /// The files that it made.
    pub(crate) files: Files,
}

/// What a guest made, after its end.
#[derive(Debug, Default)]
pub(crate) struct Files(Option<OwnTree>);

impl Files {
    /// What is to be written for each of the session's exports, in their order.
    ///
    /// # Errors
    /// [`ExitCode::Io`]: more than can be kept in mind.
    pub(crate) fn changes(&self, channels: &Channels) -> Result<Vec<Changes>, Failure> {
        let Some(tree) = &self.0 else { return Ok(Vec::new()) };
        let changes = channels.exports().enumerate().map(|(area, export)| {
            tree.changes(area).map_err(|_| {
                let path = Shown(export.path());
                let text = format!("export {path}: the paths of what is in it take more than 256 MiB");
                Failure::new(ExitCode::Io, text)
            })
        });
        changes.collect()
    }

    /// Reads a file that [`changes`](Files::changes) has: into the whole buffer, unless it ends before.
    pub(crate) fn read(&self, file: usize, buf: &mut [u8], at: u64) -> usize {
        self.0.as_ref().map_or(0, |tree| tree.read_own(file, buf, at))
    }
}

/// Runs a program on the thread of the caller, which must have a stack to spare.
pub(crate) fn run(program: &Program, setup: Setup<'_>) -> Ran {
    let Setup { manifest, invocation, names, mut channels, stop } = setup;
    let random = match manifest.deterministic {
        true => Random::seeded(&program.digest, manifest.node.as_deref(), manifest.seed),
        false => Random::entropy(),
    };
    // Only when all is known to be there a target is touched.
    let prepared = prepare(manifest, invocation, names, &mut channels, &stop);
    let prepared = match prepared.and_then(|prepared| channels.begin().map(|()| prepared)) {
        Ok(prepared) => prepared,
        Err(failure) => {
            // A cancelled read is only the echo of why the session ends.
            return Ran {
                channels,
                outcome: Err(stop.echo(failure)),
                fuel: 0,
                notes: Vec::new(),
                files: Files::default(),
            };
        }
    };
    let Prepared { tree, preopened, arguments, environment, time, notes } = prepared;
    let state = State {
        tree,
        filetypes: channels.iter().map(filetype).collect(),
        fds: standard_fds(&mut channels, preopened),
        channels,
        arguments,
        environment,
        clock: Clock::new(manifest.deterministic, time),
        random,
        stop: stop.clone(),
        memory_budget: MemoryBudget::new(manifest.memory),
        memory: None,
        fuel: 0,
        buffer: Vec::new(),
    };
    let mut store = Store::new(program.engine(), state);
    // Without a limit the fuel is counted all the same, for the report.
    let budget = manifest.fuel.unwrap_or(u64::MAX);
    let entry = manifest.entry();
    let outcome = catch_unwind(AssertUnwindSafe(|| execute(program, &mut store, budget, entry)));
    let outcome = match outcome {
        Ok(Ok(code)) => Ok(code),
        Ok(Err(error)) => verdict(&error, &store, &stop, budget),
        Err(panic) => {
            Err(Failure::new(ExitCode::Io, format!("panic in a call of the guest: {}", panic_text(&*panic))))
        }
    };
    let left = store.get_fuel().unwrap_or(0);
    let State { channels, tree, .. } = store.into_data();
    Ran { channels, outcome, fuel: budget.saturating_sub(left), notes, files: Files(Some(tree)) }
}

fn execute(program: &Program, store: &mut Store<State>, fuel: u64, entry: &str) -> wasmtime::Result<u32> {
    store.limiter(|state| &mut state.memory_budget);
    store.set_fuel(fuel)?;
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| match store.data().stop.thrown() {
        Some(_) => Ok(UpdateDeadline::Interrupt),
        None => Ok(UpdateDeadline::Continue(1)),
    });
    // Thrown before the deadline above was set: no epoch would tell.
    if store.data().stop.thrown().is_some() {
        return Err(wasmtime::Error::new(End::Stopped));
    }
    program.call(store, entry)
}

/// What the engine's error means.
fn verdict(error: &wasmtime::Error, store: &Store<State>, stop: &Stop, budget: u64) -> Result<u32, Failure> {
    if let Some(End::Exit(code)) = error.downcast_ref::<End>() {
        return Ok(*code);
    }
    if let Some(failure) = stop.failure() {
        return Err(match failure.is_timeout() {
            true => Failure::timeout(located(stop.at(), error).as_deref()),
            false => failure,
        });
    }
    if let Some(End::Failed(failure)) = error.downcast_ref::<End>() {
        return Err(failure.clone());
    }
    if error.is::<HostMemory>() {
        return Err(Failure::new(ExitCode::Memory, HostMemory.to_string()));
    }
    if error.is::<ThrownException>() {
        let known = "an exception that nothing caught";
        return Err(Failure::stopped(Stopped::Trap, located(Some(known), error).as_deref()));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let used = format!("all {budget} units are used up");
            Err(Failure::stopped(Stopped::Fuel, located(Some(&used), error).as_deref()))
        }
        // The engine's words name the instruction's memory, and no reason.
        Some(Trap::AtomicWaitNonSharedMemory) => {
            let known = "a wait for another thread, of which a guest has none";
            Err(Failure::stopped(Stopped::Trap, located(Some(known), error).as_deref()))
        }
        Some(trap) => {
            let text = trap.to_string();
            let kind = text.strip_prefix("wasm trap: ").unwrap_or(&text);
            Err(Failure::stopped(Stopped::Trap, located(Some(kind), error).as_deref()))
        }
        // The engine has no name for a limiter's refusal, and only a module that starts can meet one as an error.
        None if store.data().memory_budget.refused() => {
            let limit = store.data().memory_budget.limit();
            let text = match stack(error) {
                None => format!("the program needs more to start than the {limit} bytes that it may have"),
                // For more memory of its own it asks itself, and is told.
                Some(at) => format!(
                    "the exceptions that are kept do not fit into the {limit} bytes that it may have, {at}"
                ),
            };
            Err(Failure::new(ExitCode::Memory, format!("Memory: {text}")))
        }
        None if error.is::<rustix::io::Errno>() || error.is::<std::io::Error>() => {
            Err(Failure::new(ExitCode::Memory, no_room(error)))
        }
        None => {
            let causes: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
            Err(Failure::new(ExitCode::Memory, format!("start the program: {}", causes.join(": "))))
        }
    }
}

/// What is known of a guest that was stopped, with where it was.
fn located(known: Option<&str>, error: &wasmtime::Error) -> Option<String> {
    known
        .map(str::to_owned)
        .into_iter()
        .chain(stack(error))
        .reduce(|known, stack| format!("{known}, {stack}"))
}
