//! Calls on the program itself: arguments, environment, randomness, its end.

use super::call::{Call, End, Halt, Outcome};
use super::errno::Errno;

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
    fn of<'a>(self, call: &'a Call<'_>) -> &'a [Vec<u8>] {
        match self {
            Which::Arguments => &call.state.arguments,
            Which::Environment => &call.state.environment,
        }
    }
}

fn sizes(call: &mut Call<'_>, which: Which, count: u32, size: u32) -> Outcome {
    let (count, size) = (call.memory.span(count, 4)?, call.memory.span(size, 4)?);
    let list = which.of(call);
    let (strings, bytes) = (list.len() as u32, list.iter().map(Vec::len).sum::<usize>() as u32);
    call.answer_u32(&count, strings)?;
    call.answer_u32(&size, bytes)
}

fn strings(call: &mut Call<'_>, which: Which, pointers: u32, texts: u32) -> Outcome {
    let list = which.of(call);
    // A manifest has at most half a mebibyte.
    let (count, bytes) = (list.len() as u32, list.iter().map(Vec::len).sum::<usize>());
    let places = call.memory.array(pointers, count, 4)?;
    let room = call.memory.span(texts, bytes as u32)?;
    call.charge(u64::from(count))?;
    call.charge_bytes(bytes)?;
    let mut used = 0;
    for index in 0..count as usize {
        let text = match which {
            Which::Arguments => &call.state.arguments[index],
            Which::Environment => &call.state.environment[index],
        };
        call.memory.put_at(&places, index * 4, &(texts + used as u32).to_le_bytes());
        used += call.memory.put_at(&room, used, text);
    }
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
        call.state.random.fill(call.memory.bytes_mut(&step));
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
