//! Calls on the program itself: arguments, environment, randomness, its end.

use super::call::{Call, End, Halt, Outcome};
use super::errno::Errno;
use super::state::State;
use super::strings::Strings;
use crate::channel::CallError;

/// Long fills look at the session's switch once in so many bytes.
const STEP: usize = 64 << 10;

pub(super) fn args_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Outcome {
    sizes(call, Which::Arguments, count, size)
}

pub(super) fn args_get(call: &mut Call<'_>, pointers: u32, texts: u32) -> Outcome {
    strings(call, Which::Arguments, pointers, texts)
}

pub(super) fn environ_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Outcome {
    sizes(call, Which::Environment, count, size)
}

pub(super) fn environ_get(call: &mut Call<'_>, pointers: u32, texts: u32) -> Outcome {
    strings(call, Which::Environment, pointers, texts)
}

#[derive(Clone, Copy)]
enum Which {
    Arguments,
    Environment,
}

impl Which {
    fn of(self, state: &State) -> &Strings {
        match self {
            Which::Arguments => &state.arguments,
            Which::Environment => &state.environment,
        }
    }
}

fn sizes(call: &mut Call<'_>, which: Which, count: u32, size: u32) -> Outcome {
    let (count, size) = (call.memory.span(count, 4)?, call.memory.span(size, 4)?);
    let list = which.of(call.state);
    let (strings, bytes) = (list.len() as u32, list.bytes().len() as u32);
    call.answer_u32(&count, strings)?;
    call.answer_u32(&size, bytes)
}

fn strings(call: &mut Call<'_>, which: Which, pointers: u32, texts: u32) -> Outcome {
    let list = which.of(call.state);
    // A manifest has at most half a mebibyte.
    let (count, bytes) = (list.len() as u32, list.bytes().len());
    let places = call.memory.array(pointers, count, 4)?;
    let room = call.memory.span(texts, bytes as u32)?;
    call.charge(u64::from(count))?;
    call.charge_bytes(bytes)?;
    let Call { memory, state, .. } = call;
    let list = which.of(state);
    for (index, start) in list.starts().enumerate() {
        memory.put_at(&places, index * 4, &(texts + start as u32).to_le_bytes());
    }
    memory.put_at(&room, 0, list.bytes());
    Ok(())
}

pub(super) fn random_get(call: &mut Call<'_>, buffer: u32, length: u32) -> Outcome {
    let buffer = call.memory.span(buffer, length)?;
    let mut done = 0;
    while done < buffer.len() {
        let step = buffer.step(done, STEP);
        call.charge_bytes(step.len())?;
        if call.state.stop.thrown().is_some() {
            return Err(Halt::End(End::Stopped));
        }
        call.state.random.fill(call.memory.bytes_mut(&step)).map_err(CallError::Failed)?;
        done += step.len();
    }
    Ok(())
}

pub(super) fn proc_exit(_: &mut Call<'_>, code: u32) -> Outcome {
    Err(Halt::End(End::Exit(code)))
}

pub(super) fn proc_raise(_: &mut Call<'_>, _signal: u32) -> Outcome {
    Err(Errno::NOTSUP.into())
}

pub(super) fn sock_accept(call: &mut Call<'_>, fd: u32, _flags: u32, _result: u32) -> Outcome {
    no_socket(call, fd)
}

pub(super) fn sock_recv(
    call: &mut Call<'_>,
    fd: u32,
    _iovecs: u32,
    _count: u32,
    _flags: u32,
    _result: u32,
    _result_flags: u32,
) -> Outcome {
    no_socket(call, fd)
}

pub(super) fn sock_send(
    call: &mut Call<'_>,
    fd: u32,
    _iovecs: u32,
    _count: u32,
    _flags: u32,
    _result: u32,
) -> Outcome {
    no_socket(call, fd)
}

pub(super) fn sock_shutdown(call: &mut Call<'_>, fd: u32, _how: u32) -> Outcome {
    no_socket(call, fd)
}

fn no_socket(call: &mut Call<'_>, fd: u32) -> Outcome {
    call.state.fds.at(fd)?;
    Err(Errno::NOTSOCK.into())
}
