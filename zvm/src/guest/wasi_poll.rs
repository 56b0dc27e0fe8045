//! Calls on time: the clocks, and `poll_oneoff`.

use super::call::{Call, Outcome};
use super::clock::ClockId;
use super::errno::Errno;
use std::time::Duration;

/// The most subscriptions of one call.
const SUBSCRIPTIONS_MAX: u32 = 1024;
const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;
/// The time of a clock's subscription is a moment, not a span.
const ABSOLUTE: u32 = 1;

pub(super) fn clock_res_get(call: &mut Call<'_>, id: u32, result: u32) -> Outcome {
    let result = call.memory.span(result, 8)?;
    ClockId::new(id)?;
    call.answer_u64(&result, call.state.clock.resolution())
}

pub(super) fn clock_time_get(call: &mut Call<'_>, id: u32, _precision: u64, result: u32) -> Outcome {
    let result = call.memory.span(result, 8)?;
    let now = call.state.clock.now(ClockId::new(id)?);
    call.answer_u64(&result, now)
}

pub(super) fn sched_yield(_: &mut Call<'_>) -> Outcome {
    Ok(())
}

/// One thing that the guest waits for.
struct Subscription {
    userdata: u64,
    kind: Kind,
}

enum Kind {
    /// A clock, and the time until it fires.
    Clock(Duration),
    /// A read of, or a write to, a descriptor: `tag` 1 or 2.
    File { fd: u32, tag: u8 },
    /// Cannot be waited for, which is an event too.
    Bad { errno: Errno, tag: u8 },
}

/// Waits for the first of several things. Every channel waits for all that it is asked for, so that descriptors are always
/// ready; clocks fire only where nothing else is waited for.
pub(super) fn poll_oneoff(call: &mut Call<'_>, input: u32, output: u32, count: u32, result: u32) -> Outcome {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::INVAL.into());
    }
    call.charge(u64::from(count))?;
    let input = call.memory.array(input, count, SUBSCRIPTION as u32)?;
    let output = call.memory.array(output, count, EVENT as u32)?;
    let result = call.memory.span(result, 4)?;
    let subscriptions = (0..count as usize)
        .map(|index| {
            let at = index * SUBSCRIPTION;
            let memory = &call.memory;
            let (time, flags) = (memory.u64(&input, at + 24), memory.u32(&input, at + 40) & 0xffff);
            let (userdata, first) = (memory.u64(&input, at), memory.u32(&input, at + 16));
            let kind = match memory.bytes(&input)[at + 8] {
                0 => match (ClockId::new(first), flags) {
                    (Ok(id), ABSOLUTE) => Kind::Clock(call.state.clock.until(id, time)),
                    (Ok(_), 0) => Kind::Clock(Duration::from_nanos(time)),
                    _ => Kind::Bad { errno: Errno::INVAL, tag: 0 },
                },
                tag @ (1 | 2) => match call.state.fds.at(first) {
                    Ok(_) => Kind::File { fd: first, tag },
                    Err(errno) => Kind::Bad { errno, tag },
                },
                _ => return Err(Errno::INVAL),
            };
            Ok(Subscription { userdata, kind })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let wait = wait(&subscriptions);
    let rest = call.state.clock.sleep(wait.unwrap_or_default());
    if !rest.is_zero() {
        call.state.stop.sleep(rest);
    }
    let mut events = 0;
    for Subscription { userdata, kind } in subscriptions {
        let (errno, tag, ready) = match kind {
            Kind::Clock(time) if wait.is_some_and(|wait| time <= wait) => (0, 0, 0),
            Kind::Clock(_) => continue,
            Kind::File { fd, tag } => (0, tag, available(call, fd)?),
            Kind::Bad { errno, tag } => (errno.raw(), tag, 0),
        };
        let mut event = [0; EVENT];
        event[0..8].copy_from_slice(&userdata.to_le_bytes());
        event[8..10].copy_from_slice(&errno.to_le_bytes());
        event[10] = tag;
        event[16..24].copy_from_slice(&ready.to_le_bytes());
        call.memory.put_at(&output, events * EVENT, &event);
        events += 1;
    }
    call.answer_u32(&result, events as u32)
}

/// How long until the first clock fires; `None` if something else is ready at once.
fn wait(subscriptions: &[Subscription]) -> Option<Duration> {
    let mut first: Option<Duration> = None;
    for subscription in subscriptions {
        let Kind::Clock(time) = subscription.kind else { return None };
        first = Some(first.map_or(time, |first| first.min(time)));
    }
    first
}

/// How many bytes are there: what lies before the end of a random channel; of another, it is only known that a read answers.
fn available(call: &mut Call<'_>, fd: u32) -> Outcome<u64> {
    let Ok((channel, descriptor)) = call.state.channel(fd, Errno::ISDIR) else { return Ok(0) };
    Ok(if channel.random_read() { channel.size()?.saturating_sub(descriptor.position) } else { 1 })
}
