//! Positional reads: what is read one after the other comes out of one answer, whatever the size of the steps.

use super::Reader;
use crate::client::least_rate::{LeastRate, too_slow};
use crate::client::stream::Stream;
use crate::reader::fill::{PREFIX_MAX, fill};
use crate::wire::range::Span;
use zvfs_net::failure::{Attempt, Retry};
use zvfs_net::retry::Retrying;

/// What a positional read reads over rather than asks around: it may be one of many to anywhere.
const NEAR: u64 = 64 << 10;

impl Reader {
    /// Fills a buffer from an offset; all of it lies within the object. Returns how much came, and why not all.
    pub(super) fn read_positional(&self, buf: &mut [u8], offset: u64, size: u64) -> (usize, Attempt<()>) {
        let mut done = 0;
        if buf.is_empty() {
            return (done, Ok(()));
        }
        match self.read_along(buf, offset, size, &mut done) {
            Err(failure) if failure.retry == Retry::No => return (done, Err(failure)),
            // An answer that broke off was one attempt; now come the others.
            Err(failure) => self.caller.log(&format!("{}; trying again", failure.text)),
            Ok(()) => {}
        }
        let (count, outcome) =
            fill(&self.object, &mut buf[done..], offset + done as u64, &self.caller, &|_| ());
        (done + count, outcome)
    }

    /// Reads what an answer brings that stands here, or one that is worth asking for: the read goes on where another one
    /// ended. Counts what came into `done`; what it leaves has to be asked for by itself.
    fn read_along(&self, buf: &mut [u8], offset: u64, size: u64, done: &mut usize) -> Attempt<()> {
        // The answer that `read` goes on with is not taken away from it.
        let own = Some(self.position).filter(|position| *position > 0);
        let mut window = self.history.take(offset);
        let mut found = self.idle.take(|stream| {
            let gap = offset.checked_sub(stream.at());
            gap.is_some_and(|gap| gap <= NEAR)
                && stream.end().is_none_or(|end| offset < end)
                && Some(stream.at()) != own
        });
        let mut outcome = Ok(());
        while *done < buf.len() && outcome.is_ok() {
            let (at, before) = (offset + *done as u64, *done);
            let stream = match (found.take(), window) {
                (Some(stream), _) => stream,
                (None, Some(asked)) => {
                    window = Some(asked.doubled());
                    let end = asked.end(at, buf.len() - *done, size);
                    match self.object.fetch(Span { start: at, end: Some(end) }, &self.caller)? {
                        Some(stream) => stream,
                        None => break,
                    }
                }
                (None, None) => break,
            };
            outcome = self.read_from(stream, &mut buf[*done..], at, done);
            if *done == before {
                break;
            }
        }
        self.history.add(offset + buf.len() as u64, window);
        outcome
    }

    fn read_from(&self, mut stream: Stream, buf: &mut [u8], offset: u64, done: &mut usize) -> Attempt<()> {
        let caller = &self.caller;
        // A server that ignores ranges begins at the start.
        if offset - stream.at() > PREFIX_MAX {
            return Ok(());
        }
        let (mut read, mut rate) = (0, LeastRate::default());
        stream.skip_to(offset, caller)?; // near, or in the first MiB
        while read < buf.len() {
            rate.begin();
            match stream.read(&mut buf[read..], caller)? {
                0 => return Ok(()),
                count => {
                    read += count;
                    *done += count;
                    rate.add(count as u64, &caller.tuning).map_err(too_slow)?;
                }
            }
        }
        // Nothing may stand behind its end.
        match stream.end() == Some(stream.at()) {
            true => stream.read(&mut [0; 1], caller).map(drop),
            false => {
                self.keep(stream);
                Ok(())
            }
        }
    }
}
