//! One name: the pipe that it has now, those that were before, and the writers that wait for the next.

use crate::fault::Fault;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use vfs_core::{Code, Context, Error, Result};

/// How often a wait looks whether it was cancelled: nothing wakes it for that.
const LOOK: Duration = Duration::from_millis(5);

pub struct Place {
    pub fault: Fault,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub struct State {
    pub pipes: HashMap<u64, Pipe>,
    pub writers: HashMap<u64, WriterState>,
    current: Option<u64>,
    waiting: VecDeque<u64>,
    last_id: u64,
    readers_opened: u32,
}

/// One incarnation: from its reader's open on.
#[derive(Default)]
pub struct Pipe {
    /// `None`: any number.
    expected: Option<u32>,
    joined: u32,
    ended: u32,
    /// Writer, bytes, and how many of them are taken.
    pub blocks: VecDeque<(u64, Vec<u8>, usize)>,
    pub held: usize,
    pub broken: bool,
    pub closed: bool,
    /// The reader has seen the end.
    pub over: bool,
    /// A read waits.
    pub blocked: bool,
    pub was_read: bool,
    /// For `StopDropsData` only: until its writer's host stops, that has what was not read before END; then nobody has.
    stopped: bool,
}

#[derive(Default)]
pub struct WriterState {
    pub pipe: Option<u64>,
    pub refused: bool,
    pub written: u64,
    pub taken: u64,
    pub ended: bool,
    pub discarded: bool,
    /// For `TimedOutWriteMoves`, `HoldsUntilEnd` and `SwapsWrites`.
    pub kept: Vec<u8>,
}

impl Pipe {
    pub fn at_end(&self, fault: Fault) -> bool {
        match self.expected {
            _ if fault == Fault::FirstEndEnds => self.ended > 0,
            Some(expected) => self.ended >= expected,
            None => self.joined > 0 && self.ended == self.joined && fault != Fault::AnyNumberNeverEnds,
        }
    }

    pub fn is_held_back(&self, fault: Fault) -> bool {
        fault == Fault::StopDropsData && self.ended > 0 && !self.stopped
    }

    fn has_room_for_a_writer(&self, fault: Fault) -> bool {
        fault == Fault::AdmitsMoreWriters || self.expected.is_none_or(|expected| self.joined < expected)
    }
}

impl Place {
    pub fn with(fault: Fault) -> Place {
        Place { fault, state: Mutex::default(), changed: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits for a change, or for a moment; fails when the call should end.
    pub fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        context: Option<&Context>,
    ) -> Result<MutexGuard<'a, State>> {
        if let Some(Err(error)) = context.map(Context::status) {
            match (error.code(), self.fault) {
                (Code::ECANCELED, Fault::IgnoresCancel) => {}
                (Code::ETIMEDOUT, Fault::DeadlineIsEagain) => {
                    return Err(Error::new(Code::EAGAIN, "nothing yet"));
                }
                _ => return Err(error),
            }
        }
        Ok(self.changed.wait_timeout(state, LOOK).unwrap().0)
    }

    /// `None`: there is a reader already.
    pub fn join_reader(&self, expected: Option<u32>) -> Option<u64> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(pipe) = state.current.and_then(|id| state.pipes.get(&id)) {
            let stays = self.fault == Fault::NamesAreForOnce
                || self.fault == Fault::BrokenNamesStay && pipe.broken
                || !pipe.over && !pipe.closed;
            if stays {
                return None;
            }
        }
        state.last_id += 1;
        state.readers_opened += 1;
        let id = state.last_id;
        state.current = Some(id);
        state.pipes.insert(id, Pipe { expected, ..Pipe::default() });
        if self.fault != Fault::LosesEarlyWriters {
            let waiting = std::mem::take(&mut state.waiting);
            let most = if self.fault == Fault::LosesOtherEarlyWriters { 1 } else { usize::MAX };
            waiting.into_iter().take(most).for_each(|writer| self.admit(state, writer));
        }
        self.notify();
        Some(id)
    }

    pub fn join_writer(&self) -> Result<u64> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.last_id += 1;
        let id = state.last_id;
        state.writers.insert(id, WriterState::default());
        self.admit(state, id);
        if self.fault == Fault::RefusesAtOpen && state.writers[&id].refused {
            return Err(Error::new(Code::EBUSY, "open: there is a writer already"));
        }
        self.notify();
        Ok(id)
    }

    /// Lets a writer join the current pipe, refuses it, or lets it wait for the next.
    fn admit(&self, state: &mut State, id: u64) {
        let Some(writer) = state.writers.get_mut(&id) else { return };
        let alive = |pipe: &&mut Pipe| !pipe.over && !pipe.closed && !pipe.broken;
        let current = state.current.filter(|id| {
            self.fault == Fault::LateWriterIsEpipe || state.pipes.get_mut(id).as_ref().is_some_and(alive)
        });
        let Some((pipe_id, pipe)) = current.and_then(|id| Some((id, state.pipes.get_mut(&id)?))) else {
            state.waiting.push_back(id);
            return;
        };
        if pipe.over {
            // For `LateWriterIsEpipe` only.
            pipe.closed = true;
        }
        if !pipe.has_room_for_a_writer(self.fault) && !pipe.over {
            writer.refused = true;
            return;
        }
        writer.pipe = Some(pipe_id);
        pipe.joined += 1;
        pipe.ended += u32::from(writer.ended);
        pipe.broken |= writer.discarded || self.fault == Fault::BlockedReaderBreaks && pipe.blocked;
    }

    /// For `OpenWaitsForThePeer` only.
    pub fn meet(&self, context: &Context, reads: bool) -> Result<()> {
        let mut state = self.lock();
        while self.fault == Fault::OpenWaitsForThePeer
            && if reads { state.writers.is_empty() } else { state.readers_opened == 0 }
        {
            state = self.wait(state, Some(context))?;
        }
        Ok(())
    }

    /// Notes a writer's last word.
    pub fn last_word(&self, id: u64, discard: bool) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(writer) = state.writers.get_mut(&id) else { return };
        if writer.ended || writer.discarded {
            return;
        }
        let discard = discard && self.fault != Fault::DiscardIsEnd;
        writer.discarded = discard;
        writer.ended = !discard;
        match writer.pipe.and_then(|id| state.pipes.get_mut(&id)) {
            Some(pipe) if discard => pipe.broken = true,
            Some(pipe) => {
                let kept = std::mem::take(&mut writer.kept);
                if !kept.is_empty() {
                    pipe.held += kept.len();
                    pipe.blocks.push_back((id, kept, 0));
                }
                pipe.ended += 1;
            }
            None if discard && self.fault == Fault::ForgetsEarlyDiscards => {
                state.waiting.retain(|waiting| *waiting != id);
            }
            None => {}
        }
        self.notify();
    }

    /// Closes a writing end.
    pub fn leave_writer(&self, id: u64) {
        let joined = {
            let mut state = self.lock();
            let writer = &state.writers[&id];
            let (said, joined) = (writer.ended || writer.discarded, writer.pipe.is_some());
            if !said && !joined {
                state.waiting.retain(|waiting| *waiting != id);
                return;
            }
            !said
        };
        if joined {
            self.last_word(id, self.fault != Fault::CloseIsEnd);
        } else if self.fault == Fault::CloseDropsData {
            self.drop_data(id);
        }
    }

    pub fn leave_reader(&self, pipe: Option<u64>) {
        let mut state = self.lock();
        if let Some(pipe) = pipe.and_then(|id| state.pipes.get_mut(&id)) {
            pipe.closed = true;
            pipe.blocks.clear();
        }
        self.notify();
    }

    pub fn drop_data(&self, id: u64) {
        let mut guard = self.lock();
        for pipe in guard.pipes.values_mut() {
            pipe.blocks.retain(|(writer, ..)| *writer != id);
            pipe.stopped = true;
        }
        self.notify();
    }
}
