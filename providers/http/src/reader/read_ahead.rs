//! Read-ahead: ranges that are fetched at once by threads, ahead of a file that is read from start to end.
//!
//! It pays where a single connection is slower than the way to the server: long distances, servers that give each
//! connection its share. Each range is fetched, checked and tried again like any other.

use crate::client::caller::Caller;
use crate::reader::fill::fill;
use crate::reader::object::Object;
use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::{Code, Context, Control, Events};
use zvfs_net::failure::{Attempt, Failure, no_thread};

/// Ranges under way, and what came of them. Dropped, it stops: its threads end on their own, without being waited for.
pub struct ReadAhead {
    shared: Arc<Shared>,
    /// The position of the next byte to be read, and of that within the first range.
    at: u64,
    within: usize,
}

struct Shared {
    object: Arc<Object>,
    /// Under `control`: a file's context ends with the file, and its threads after it.
    caller: Caller,
    control: Control,
    /// Written when a range is there.
    came: OwnedFd,
    /// Ranges that are kept at a time.
    most: usize,
    state: Mutex<State>,
    /// Told when there is room for another range, or none is wanted any more.
    room: Condvar,
}

struct State {
    /// In the object's order; the first is the one that is read.
    ranges: VecDeque<Range>,
    /// Where the next one begins.
    next: u64,
    /// Where there is nothing more to fetch.
    end: u64,
    /// Threads that were started.
    threads: usize,
    received: Received,
}

/// What came of all ranges, read or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    pub bytes: u64,
    /// When the first of them came, and the last.
    times: Option<(Instant, Instant)>,
}

impl Received {
    fn add(&mut self, count: usize) {
        let now = Instant::now();
        self.bytes += count as u64;
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
    }

    /// From the first byte to the last.
    pub fn time(&self) -> Duration {
        self.times.map_or(Duration::ZERO, |(first, last)| last - first)
    }
}

struct Range {
    start: u64,
    /// `None`: it is under way.
    outcome: Option<Attempt<Vec<u8>>>,
}

impl ReadAhead {
    /// Begins to fetch from a position on: up to so many ranges, which are kept until they are read, by so many threads.
    ///
    /// # Errors
    /// EMFILE, EBUSY: the system has no descriptors or threads left.
    pub fn start(
        object: &Arc<Object>,
        (from, size): (u64, u64),
        (ranges, threads): (usize, usize),
        caller: &Caller,
    ) -> Attempt<ReadAhead> {
        let cannot = |errno| Failure::system(errno).context("read ahead");
        let control = Control::new();
        let came = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(cannot)?;
        let state = State {
            ranges: VecDeque::new(),
            next: from,
            end: size,
            threads: 0,
            received: Received::default(),
        };
        let shared = Arc::new(Shared {
            object: object.clone(),
            caller: Caller { context: control.context(), ..caller.clone() },
            control,
            came,
            most: ranges,
            state: Mutex::new(state),
            room: Condvar::new(),
        });
        let ahead = ReadAhead { shared, at: from, within: 0 };
        ahead.widen(threads)?;
        Ok(ahead)
    }

    /// Fetches with so many threads from here on.
    ///
    /// # Errors
    /// EBUSY: the system has none left for the first one.
    pub fn widen(&self, threads: usize) -> Attempt<()> {
        let shared = &self.shared;
        let (started, ranges) = {
            let state = shared.state.lock();
            let left = (state.end - state.next).div_ceil(shared.caller.tuning.read_ahead_size);
            (state.threads, state.ranges.len() + usize::try_from(left).unwrap_or(usize::MAX))
        };
        for started in started..threads.min(shared.most).min(ranges) {
            let works = shared.clone();
            if let Err(error) = shared.object.workers().spawn("zvfs-http-ahead", move || works.work()) {
                // With one it works, only slower.
                if started == 0 {
                    return Err(no_thread("read ahead", &error));
                }
                break;
            }
            shared.state.lock().threads += 1;
        }
        Ok(())
    }

    /// Begins no further range: what is under way is the rest.
    pub fn narrow(&self) {
        let mut state = self.shared.state.lock();
        state.end = state.next;
        self.shared.room.notify_all();
    }

    /// Whether no further range is begun.
    pub fn is_narrowed(&self) -> bool {
        let state = self.shared.state.lock();
        state.next >= state.end
    }

    /// Whether all that is fetched has been read.
    pub fn is_over(&self) -> bool {
        self.at >= self.shared.state.lock().end
    }

    /// What has come.
    pub fn received(&self) -> Received {
        self.shared.state.lock().received
    }

    /// Whether no more comes before something is read.
    pub fn is_full(&self) -> bool {
        let state = self.shared.state.lock();
        let no_room = state.ranges.len() >= self.shared.most || state.next >= state.end;
        no_room && state.ranges.iter().all(|range| range.outcome.is_some())
    }

    /// Whether a range has failed.
    pub fn has_failed(&self) -> bool {
        self.shared.state.lock().ranges.iter().any(|range| matches!(range.outcome, Some(Err(_))))
    }

    /// The position of the next byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Reads what is there of the first range, waiting for it; 0: there is no further one.
    ///
    /// # Errors
    /// What the range failed with, for good; the caller's.
    pub fn read(&mut self, buf: &mut [u8], context: &Context) -> Attempt<usize> {
        loop {
            {
                let mut state = self.shared.state.lock();
                if self.at >= state.end {
                    return Ok(0);
                }
                let first = state.ranges.front_mut().and_then(|range| range.outcome.as_mut());
                match first {
                    Some(Ok(bytes)) => {
                        let left = &bytes[self.within..];
                        let count = left.len().min(buf.len());
                        buf[..count].copy_from_slice(&left[..count]);
                        self.within += count;
                        self.at += count as u64;
                        if self.within == bytes.len() {
                            self.within = 0;
                            let done = state.ranges.pop_front();
                            drop(state);
                            self.shared.room.notify_one();
                            drop(done);
                        }
                        return Ok(count);
                    }
                    // It has had its attempts.
                    Some(Err(failure)) => return Err(failure.clone().for_good()),
                    None => {}
                }
            }
            let _waits = context.waits_for("a range that is read ahead");
            context.wait(Some(self.shared.came.as_fd()), Events::READ, None)?;
            // Whatever had come by now is looked at above.
            let _ = rustix::io::read(&self.shared.came, &mut [0; 8]);
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.shared.control.cancel();
        // Under the lock: whoever found no room and no cancel waits by now.
        let _state = self.shared.state.lock();
        self.shared.room.notify_all();
    }
}

impl Shared {
    /// A thread's work: one range after the other.
    fn work(&self) {
        while let Some((start, length)) = self.next() {
            let fetched = catch_unwind(AssertUnwindSafe(|| self.fetch(start, length)));
            let outcome =
                fetched.unwrap_or_else(|_| Err(Failure::new(Code::EIO, "a thread that read ahead panicked")));
            if let Some(range) = self.state.lock().ranges.iter_mut().find(|range| range.start == start) {
                range.outcome = Some(outcome);
            }
            // It is full only if nobody reads it.
            let _ = rustix::io::write(&self.came, &1_u64.to_ne_bytes());
        }
    }

    /// Waits for room and takes the next range; `None`: no more are wanted.
    fn next(&self) -> Option<(u64, usize)> {
        let mut state = self.state.lock();
        loop {
            if self.control.is_cancelled() || state.next >= state.end {
                return None;
            }
            if state.ranges.len() < self.most {
                let start = state.next;
                let length = self.caller.tuning.read_ahead_size.min(state.end - start);
                state.next += length;
                state.ranges.push_back(Range { start, outcome: None });
                return Some((start, usize::try_from(length).unwrap_or(usize::MAX)));
            }
            self.room.wait(&mut state);
        }
    }

    fn fetch(&self, start: u64, length: usize) -> Attempt<Vec<u8>> {
        let mut bytes = vec![0; length];
        let received = |count| self.state.lock().received.add(count);
        let (count, outcome) = fill(&self.object, &mut bytes, start, &self.caller, &received);
        outcome?;
        if count < length {
            return Err(Failure::protocol(format!("the object ends {} bytes early", length - count)));
        }
        Ok(bytes)
    }
}
