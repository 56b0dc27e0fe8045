//! The one way from the guest into the host: every function goes through [`enter`].

use super::errno::Errno;
use super::memory::{IOVECS_MAX, Iovecs, Memory, Span};
use super::state::State;
use super::tree::read_folder;
use crate::channel::CallError;
use crate::exit::Failure;
use wasmtime::{Caller, Error, Extern, Result, Trap};

/// What each call costs, in units of fuel.
pub(super) const CALL_COST: u64 = 100;
/// How many bytes cost one unit.
const BYTES_PER_UNIT: u64 = 16;

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Halt {
    /// The guest sees this and goes on.
    Errno(Errno),
    /// The guest never runs on.
    End(End),
}

/// Why the guest never runs on.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// It said so.
    #[error("exit with {0}")]
    Exit(u32),
    /// The session's switch was thrown.
    #[error("stopped")]
    Stopped,
    /// It cannot pay for the call.
    #[error("out of fuel")]
    Fuel,
    /// A channel failed, and a guest that swallows that would pass partial output for the whole.
    #[error("{0}")]
    Failed(Failure),
}

/// What a call comes to.
pub(super) type Outcome<T = ()> = std::result::Result<T, Halt>;

impl From<Errno> for Halt {
    fn from(errno: Errno) -> Halt {
        Halt::Errno(errno)
    }
}

impl From<CallError> for Halt {
    fn from(error: CallError) -> Halt {
        match error {
            CallError::Refused(code) => Halt::Errno(code.into()),
            CallError::Failed(failure) => Halt::End(End::Failed(failure)),
        }
    }
}

/// One call in progress.
pub(super) struct Call<'a> {
    /// The guest's memory.
    pub(super) memory: Memory<'a>,
    /// The session as the guest sees it.
    pub(super) state: &'a mut State,
}

/// Runs one call: charges it, lends it memory and state, and turns what it comes to into the guest's errno.
///
/// A session that was stopped meanwhile ends here, whatever the call came to: a cancelled guest must not take the echo of its
/// cancel for an answer.
pub(super) fn enter(
    mut caller: Caller<'_, State>,
    body: impl FnOnce(&mut Call<'_>) -> Outcome,
) -> Result<u32> {
    let memory = match caller.data().memory {
        Some(memory) => memory,
        // The start section runs before anybody could have looked it up.
        None => match caller.get_export("memory") {
            Some(Extern::Memory(memory)) => *caller.data_mut().memory.insert(memory),
            _ => return Err(Error::msg("no exported memory")),
        },
    };
    let fuel = caller.get_fuel()?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    state.fuel = fuel;
    let mut call = Call { memory: Memory::new(bytes), state };
    let outcome = call.charge(CALL_COST).and_then(|()| body(&mut call));
    let (fuel, stopped) = (state.fuel, state.stop.thrown().is_some());
    caller.set_fuel(fuel)?;
    if stopped {
        return Err(Error::new(End::Stopped));
    }
    match outcome {
        Ok(()) => Ok(0),
        Err(Halt::Errno(errno)) => Ok(u32::from(errno.raw())),
        Err(Halt::End(End::Fuel)) => Err(Trap::OutOfFuel.into()),
        Err(Halt::End(end)) => Err(Error::new(end)),
    }
}

impl Call<'_> {
    /// Takes fuel.
    ///
    /// # Errors
    /// [`End::Fuel`]: there is not as much; none is left then.
    pub(super) fn charge(&mut self, units: u64) -> Outcome {
        let left = self.state.fuel.checked_sub(units);
        self.state.fuel = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Halt::End(End::Fuel))
    }

    /// Takes the fuel for bytes that were moved.
    ///
    /// # Errors
    /// As [`charge`](Call::charge).
    pub(super) fn charge_bytes(&mut self, count: usize) -> Outcome {
        self.charge(count as u64 / BYTES_PER_UNIT)
    }

    /// Fetches the names of a provider's folder, unless that was done before, and charges for them.
    ///
    /// # Errors
    /// As the tree's listing; as [`charge`](Call::charge).
    pub(super) fn fetch_names(&mut self, directory: usize) -> Outcome {
        let names = read_folder(&mut self.state.tree, &mut self.state.channels, directory)?;
        self.charge(names)
    }

    /// Checks the buffers of a read or write and the place for its count, and charges for them.
    ///
    /// # Errors
    /// INVAL: too many, before any is looked at. FAULT. INVAL: a sum that the count couldn't tell.
    pub(super) fn buffers(&mut self, iovecs: u32, count: u32, result: u32) -> Outcome<(Iovecs, Span)> {
        if count > IOVECS_MAX {
            return Err(Errno::INVAL.into());
        }
        self.charge(u64::from(count))?;
        let result = self.memory.span(result, 4)?;
        Ok((self.memory.iovecs(iovecs, count)?, result))
    }

    /// Answers with a u32.
    pub(super) fn answer_u32(&mut self, result: &Span, value: u32) -> Outcome {
        self.memory.put_number(result, value.to_le_bytes());
        Ok(())
    }

    /// Answers with a u64.
    pub(super) fn answer_u64(&mut self, result: &Span, value: u64) -> Outcome {
        self.memory.put_number(result, value.to_le_bytes());
        Ok(())
    }
}
