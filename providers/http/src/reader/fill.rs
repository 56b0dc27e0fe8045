//! A span of an object into a buffer, in as many attempts as it takes.

use crate::client::caller::Caller;
use crate::client::least_rate::{LeastRate, too_slow};
use crate::reader::object::Object;
use crate::wire::range::Span;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::retry::Budget;

/// How much a server that ignores ranges may send before the bytes that were asked for.
pub const PREFIX_MAX: u64 = 1 << 20;

/// Fills a buffer from an offset; all of it must lie within the object. Returns how much came, and why not all. `progress` hears of
/// bytes as they come.
pub fn fill(
    object: &Object,
    buf: &mut [u8],
    offset: u64,
    caller: &Caller,
    progress: &dyn Fn(usize),
) -> (usize, Attempt<()>) {
    let (mut budget, mut rate, mut done) = (Budget::resuming(), LeastRate::default(), 0);
    while done < buf.len() {
        let before = done;
        let Err(failure) = attempt(object, buf, offset, &mut done, &mut rate, caller, progress) else {
            break;
        };
        if done > before {
            budget.progressed((done - before) as u64);
        }
        if let Err(text) = rate.check(&caller.tuning) {
            return (done, Err(too_slow(text)));
        }
        if let Err(failure) = budget.wait(failure, caller) {
            return (done, Err(failure));
        }
    }
    (done, Ok(()))
}

/// One attempt to fill what is left of a buffer. It ends without a failure too where the object does.
fn attempt(
    object: &Object,
    buf: &mut [u8],
    offset: u64,
    done: &mut usize,
    rate: &mut LeastRate,
    caller: &Caller,
    progress: &dyn Fn(usize),
) -> Attempt<()> {
    let end = offset + buf.len() as u64;
    while *done < buf.len() {
        let start = offset + *done as u64;
        let Some(mut stream) = object.fetch(Span { start, end: Some(end) }, caller)? else { return Ok(()) };
        if start - stream.at() > PREFIX_MAX {
            return Err(Failure::new(
                Code::ENOTSUP,
                format!("the server ignores ranges, and byte {start} is far"),
            ));
        }
        let from = stream.at();
        rate.begin();
        stream.skip_to(start, caller)?;
        rate.add(stream.at() - from, &caller.tuning).map_err(too_slow)?;
        while *done < buf.len() {
            rate.begin();
            match stream.read(&mut buf[*done..], caller)? {
                0 => break,
                count => {
                    *done += count;
                    progress(count);
                    rate.add(count as u64, &caller.tuning).map_err(too_slow)?;
                }
            }
        }
        // Nothing may stand behind the range; an answer that goes on is left.
        match stream.end() == Some(end) {
            true => drop(stream.read(&mut [0; 1], caller)?),
            false => stream.dismiss(caller),
        }
    }
    Ok(())
}
