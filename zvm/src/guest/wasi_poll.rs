//! Calls on time: the clocks, and `poll_oneoff`.

use super::call::{Call, Outcome};
use super::clock::ClockId;
use super::errno::Errno;
use super::state::FdTarget;
use crate::channel::{Channel, Wake};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most subscriptions of one call.
const SUBSCRIPTIONS_MAX: u32 = 1024;
const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;
/// The tag of a subscription to a read.
const READ: u8 = 1;
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
    kind: SubscriptionKind,
}

enum SubscriptionKind {
    /// A clock, and the time until it fires.
    Clock(Duration),
    /// A read of, or a write to, a descriptor: `tag` 1 or 2.
    File { fd: u32, tag: u8 },
    /// Cannot be waited for, which is an event too.
    Bad { errno: Errno, tag: u8 },
}

/// Waits for the first of several things. A channel waits for all that it is asked for, so that descriptors are always ready,
/// and clocks fire only where nothing else is waited for; but an interactive one is ready when it has something to read, and
/// until then real time passes.
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
                    (Ok(id), ABSOLUTE) => SubscriptionKind::Clock(call.state.clock.until(id, time)),
                    (Ok(_), 0) => SubscriptionKind::Clock(Duration::from_nanos(time)),
                    _ => SubscriptionKind::Bad { errno: Errno::INVAL, tag: 0 },
                },
                tag @ (1 | 2) => match call.state.fds.at(first) {
                    Ok(_) => SubscriptionKind::File { fd: first, tag },
                    Err(errno) => SubscriptionKind::Bad { errno, tag },
                },
                _ => return Err(Errno::INVAL),
            };
            Ok(Subscription { userdata, kind })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let waited = wait(call, &subscriptions)?;
    let mut events = 0;
    for Subscription { userdata, kind } in subscriptions {
        let (errno, tag, ready) = match kind {
            SubscriptionKind::Clock(time) if waited.is_some_and(|waited| time <= waited) => (0, 0, 0),
            SubscriptionKind::Clock(_) => continue,
            SubscriptionKind::File { fd, tag: READ }
                if waitable(call, fd)?.is_some_and(|channel| !channel.is_ready()) =>
            {
                continue;
            }
            SubscriptionKind::File { fd, tag } => (0, tag, available(call, fd)?),
            SubscriptionKind::Bad { errno, tag } => (errno.raw(), tag, 0),
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

/// Waits until one of the subscriptions is an event. Returns the time that clocks were waited for; `None`: something else
/// came before.
fn wait(call: &mut Call<'_>, subscriptions: &[Subscription]) -> Outcome<Option<Duration>> {
    let (mut first, mut at_once, mut waited_for) = (None::<Duration>, false, Vec::new());
    for Subscription { kind, .. } in subscriptions {
        match *kind {
            SubscriptionKind::Clock(time) => first = Some(first.map_or(time, |first| first.min(time))),
            SubscriptionKind::File { fd, tag: READ } if waitable(call, fd)?.is_some() => waited_for.push(fd),
            SubscriptionKind::File { .. } | SubscriptionKind::Bad { .. } => at_once = true,
        }
    }
    for fd in &waited_for {
        let stop = call.state.stop.clone();
        let wake: Wake = Arc::new(move || stop.wake());
        if let Some(channel) = waitable(call, *fd)? {
            channel.poll(&wake)?;
            at_once |= channel.is_ready();
        }
    }
    if at_once {
        return Ok(None);
    }
    if waited_for.is_empty() {
        let first = first.unwrap_or_default();
        let rest = call.state.clock.sleep(first);
        if !rest.is_zero() {
            call.state.stop.sleep(rest);
        }
        return Ok(Some(first));
    }
    let (began, stop) = (Instant::now(), call.state.stop.clone());
    let ready = stop.wait(first, || {
        waited_for.iter().any(|fd| matches!(waitable(call, *fd), Ok(Some(channel)) if channel.is_ready()))
    });
    let passed = if ready { began.elapsed() } else { first.unwrap_or_default() };
    // A virtual clock moves by it; a real one has moved.
    call.state.clock.sleep(passed);
    Ok((!ready).then_some(passed))
}

/// The channel of a descriptor, if it is interactive and read: one that there is something to wait for.
fn waitable<'a>(call: &'a mut Call<'_>, fd: u32) -> Outcome<Option<&'a mut Channel>> {
    let Ok(FdTarget::Channel(number)) = call.state.target(fd, Errno::ISDIR) else { return Ok(None) };
    let channel = call.state.channel(number)?;
    Ok(channel.can_wait().then_some(channel))
}

/// Whether a read of a descriptor would have to wait.
pub(super) fn would_block(call: &mut Call<'_>, fd: u32) -> Outcome<bool> {
    let stop = call.state.stop.clone();
    let Some(channel) = waitable(call, fd)? else { return Ok(false) };
    let wake: Wake = Arc::new(move || stop.wake());
    channel.poll(&wake)?;
    Ok(!channel.is_ready())
}

/// How many bytes are there: what lies before the end of a file; of a sequential channel, it is only known that a read answers.
fn available(call: &mut Call<'_>, fd: u32) -> Outcome<u64> {
    let position = call.state.fds.at(fd)?.position;
    match call.state.target(fd, Errno::ISDIR) {
        Ok(FdTarget::File(at)) => Ok(call.state.tree.file(at)?.size().saturating_sub(position)),
        Ok(FdTarget::Device(_)) => Ok(1),
        Ok(FdTarget::Channel(number)) => {
            let channel = call.state.channel(number)?;
            Ok(match (channel.random_read(), channel.can_wait()) {
                (true, _) => channel.size()?.saturating_sub(position),
                (false, true) => channel.available() as u64,
                (false, false) => 1,
            })
        }
        Err(_) => Ok(0),
    }
}
