//! Reads at the file's position: out of the answer at hand, out of ranges that are read ahead, or out of an answer that is asked for.

use crate::client::least_rate::too_slow;
use crate::client::stream::Stream;
use crate::reader::read_ahead::ReadAhead;
use crate::reader::{Reader, Window, reaches};
use crate::settings::Ranges;
use crate::wire::range::Span;
use zvfs_net::failure::Attempt;

impl Reader {
    /// Begins to read ahead, from where the stream ends, if that is wanted in any case and there is something; else begins to find out
    /// whether it pays.
    pub(super) fn look_ahead(&mut self) -> Attempt<()> {
        let Some(size) = self.object.size.filter(|_| self.object.has_positions()) else { return Ok(()) };
        if self.window != Window::Open || self.ahead.is_some() {
            return Ok(());
        }
        let position = self.position;
        let ranges = match self.caller.tuning.read_ahead {
            Ranges::Fixed(0) => return Ok(()),
            Ranges::Fixed(ranges) => ranges,
            Ranges::Auto => {
                self.watched.look(self.left(), self.caller.tuning.read_ahead_size);
                return Ok(());
            }
        };
        let from = match self.idle.take(|stream| reaches(stream, position)) {
            Some(stream) => {
                let end = stream.end().unwrap_or(size);
                self.keep(stream);
                end
            }
            None => position,
        };
        if from < size {
            let ahead = ReadAhead::start(&self.object, (from, size), (ranges, ranges), &self.caller)?;
            self.ahead = Some(ahead);
        }
        Ok(())
    }

    /// Bytes from the position to the end, as far as that is known.
    pub(super) fn left(&self) -> u64 {
        self.object.size.unwrap_or(0).saturating_sub(self.position)
    }

    /// Where what is read ahead begins, behind the position.
    pub(super) fn ahead_at(&self) -> Option<u64> {
        self.ahead.as_ref().map(ReadAhead::at).filter(|at| *at > self.position)
    }

    /// One attempt to read at the position; 0: the end. `None`: it would have to wait, and must not.
    pub(super) fn attempt(&mut self, buf: &mut [u8], waits: bool) -> Attempt<Option<usize>> {
        self.look_ahead()?;
        loop {
            if let Some(count) = self.read_ahead(buf)? {
                return Ok(Some(count));
            }
            let position = self.position;
            let at_end = self.object.size.or(self.found_end).is_some_and(|size| position >= size);
            let mut stream = match self.idle.take(|stream| reaches(stream, position)) {
                Some(stream) => stream,
                None if at_end => return Ok(Some(0)),
                None if !waits => return Ok(None),
                None => {
                    let end =
                        self.ahead_at().or_else(|| self.window.end(position, buf.len(), self.object.size));
                    match self.object.fetch(Span { start: position, end }, &self.caller)? {
                        Some(stream) => stream,
                        None => return Ok(Some(0)),
                    }
                }
            };
            let most = self.ahead_at().map_or(u64::MAX, |at| at - position);
            let most = usize::try_from(most).map_or(buf.len(), |most| most.min(buf.len()));
            let from = stream.at();
            self.rate.begin();
            let count = self.read_stream(&mut stream, &mut buf[..most], waits)?;
            self.rate.add(stream.at() - from, &self.caller.tuning).map_err(too_slow)?;
            match count {
                Some(0) => {}
                _ if waits => {
                    self.keep(stream);
                    return Ok(count);
                }
                _ => {
                    // It is still waited for.
                    if count.is_none() {
                        self.rate.begin();
                    }
                    drop(self.idle.put(stream));
                    return Ok(count);
                }
            }
            // The answer came whole. Was it all there is?
            let whole = match self.object.size {
                Some(size) => position >= size,
                None => stream.end().is_none(),
            };
            if whole {
                self.found_end = Some(position);
                return Ok(Some(0));
            }
            self.window = self.window.wider();
        }
    }

    fn read_stream(&mut self, stream: &mut Stream, buf: &mut [u8], waits: bool) -> Attempt<Option<usize>> {
        if !waits {
            return stream.try_read(self.position, buf, &self.caller);
        }
        if self.watched.is_watching() {
            return self.read_watched(stream, buf).map(Some);
        }
        stream.skip_to(self.position, &self.caller)?;
        stream.read(buf, &self.caller).map(Some)
    }

    /// Reads what was read ahead, where the position has come to that.
    fn read_ahead(&mut self, buf: &mut [u8]) -> Attempt<Option<usize>> {
        let position = self.position;
        let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.at() == position) else { return Ok(None) };
        // It was given up: one answer goes on from where it ends.
        if ahead.is_over() && self.object.size.is_some_and(|size| position < size) {
            self.ahead = None;
            self.watched.pass();
            return Ok(None);
        }
        if self.watched.is_watching() {
            return self.read_watched_ahead(buf);
        }
        let read = ahead.read(buf, &self.caller.context);
        // What failed has had its attempts; what only ended the caller's wait goes on.
        if read.is_err() && self.caller.context.status().is_ok() {
            self.ahead = None;
        }
        read.map(Some)
    }
}
