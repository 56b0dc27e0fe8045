//! The writing end for a host with an event loop: `zvfs.poll/1`.

use super::{FRAME_MAX, LAST_WORD, Writer};
use crate::failure::lost;
use crate::outgoing::Outgoing;
use crate::queue::Command;
use netpipe::Header;
use netpipe::frame::{ATOMIC, HEADER};
use netpipe::pairing::LastWord;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::{Events, Interest, Result, Wanted};
use zvfs_net::failure::Failure;

/// How often a lost connection is looked at for its reader's last word: no event announces that none will come.
const STEP: Duration = Duration::from_millis(5);

/// How the last try went, and what is polled until the next.
#[derive(Default)]
pub(super) struct Tries {
    stopped: Option<Stopped>,
    /// A send failed; until then the reader's last word may come, which says more.
    lost: Option<(Instant, Errno)>,
    lent: Option<Lent>,
}

/// What kept a try from moving anything.
#[derive(Clone, Copy)]
enum Stopped {
    /// The window has less room than this.
    Window(u64),
    /// The kernel takes nothing.
    Kernel,
}

/// One descriptor for the file's life, with the pipe's signal in it, and the connection.
struct Lent {
    epoll: OwnedFd,
    /// What is awaited of the connection, once it is there.
    link: Option<EventFlags>,
    /// What is awaited of the memory, where the payload goes through that.
    memory: Option<EventFlags>,
}

fn await_events(
    epoll: &OwnedFd,
    fd: BorrowedFd<'_>,
    known: &mut Option<EventFlags>,
    events: EventFlags,
) -> Result<(), Errno> {
    match *known {
        Some(known) if known == events => {}
        Some(_) => epoll::modify(epoll, fd, EventData::new_u64(0), events)?,
        None => epoll::add(epoll, fd, EventData::new_u64(0), events)?,
    }
    *known = Some(events);
    Ok(())
}

impl Writer {
    pub(super) fn write_now(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.check_unfinished()?;
        self.hear_now();
        if let Some(outcome) = self.pipe.outcome() {
            return Err(self.fail("write", outcome));
        }
        if let Some((until, errno)) = self.tries.lost {
            return match Instant::now() < until {
                true => Ok(None),
                false => Err(lost(errno).error("write", &self.caller.shown)),
            };
        }
        let Some(outgoing) = self.pipe.outgoing().cloned() else { return Ok(None) };
        match self.send_now(&outgoing, buf) {
            Ok(Ok(count)) => {
                self.tries.stopped = None;
                return Ok(Some(count));
            }
            Ok(Err(stopped)) => self.tries.stopped = Some(stopped),
            Err(errno) => self.tries.lost = Some((Instant::now() + LAST_WORD, errno)),
        }
        Ok(None)
    }

    /// Sends one frame, as far as the kernel takes it now, if there is room for it.
    fn send_now(&self, outgoing: &Arc<Outgoing>, buf: &[u8]) -> Result<Result<usize, Stopped>, Errno> {
        let least = buf.len().min(ATOMIC) as u64;
        let room = outgoing.window.room();
        if room < least {
            if outgoing.say_full() {
                self.queue.ask(Command::Flush(self.pipe.id));
            }
            return Ok(Err(Stopped::Window(least)));
        }
        // A frame's TAKEN must not be heard before the frame is counted. First of the two locks: whoever hears may want to refuse.
        let reports = outgoing.listen();
        let mut rest = outgoing.sending();
        outgoing.approach(&mut rest);
        if !outgoing.push(&mut rest)? {
            return Ok(Err(Stopped::Kernel));
        }
        if outgoing.is_finished() {
            // Whoever heard the reader break a rule has refused it, and is about to say why.
            return Err(Errno::PIPE);
        }
        let payload = &buf[..buf.len().min(FRAME_MAX).min(usize::try_from(room).unwrap_or(usize::MAX))];
        let header = Header::data(payload, outgoing.crc).encode();
        let sent = outgoing.link.send(&header, payload)?;
        if sent == 0 {
            return Ok(Err(Stopped::Kernel));
        }
        outgoing.count(payload);
        drop(reports);
        // A frame begun is finished: by the next try, or by the service thread.
        rest.keep(&header[sent.min(HEADER)..]);
        rest.keep(&payload[sent.saturating_sub(HEADER)..]);
        if !outgoing.push(&mut rest)? {
            self.queue.ask(Command::Flush(self.pipe.id));
        }
        Ok(Ok(payload.len()))
    }

    pub(super) fn commit_now(&mut self) -> Result<Option<()>> {
        if !self.finished {
            self.say_last(LastWord::End);
        }
        self.hear_now();
        let committed = self.committed().transpose();
        committed.inspect_err(|_| self.pipe.abandon())
    }

    /// Hears what the reader has said, unless the service thread does so at this moment, which then raises the signal.
    fn hear_now(&self) {
        self.pipe.signal.clear();
        if let (None, Some(outgoing)) = (self.pipe.outcome(), self.pipe.outgoing())
            && let Some(mut reports) = outgoing.listen_for_file()
        {
            self.hear(outgoing, &mut reports, false);
        }
    }

    /// What must happen before a try is worth it.
    pub(super) fn next_try(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        // Before anything is looked at: what the service thread hears from here on, it signals.
        self.pipe.poll();
        // What has ended, or never was, says so at once.
        if self.pipe.outcome().is_some() || wanted.contains(Wanted::READ) {
            return Ok(Interest::ready(wanted));
        }
        if self.tries.lost.is_some() {
            return Ok(Interest::time(STEP));
        }
        let ready = self.ready_of(wanted);
        if !ready.is_empty() {
            return Ok(Interest::ready(ready));
        }
        let of_kernel = wanted.contains(Wanted::WRITE) && matches!(self.tries.stopped, Some(Stopped::Kernel));
        let of_reader = wanted.contains(Wanted::FINISH) || !of_kernel;
        self.lend(of_kernel, of_reader)
            .map_err(|errno| Failure::system(errno).error("write", &self.caller.shown))?;
        Ok(match &self.tries.lent {
            Some(lent) => Interest::event(lent.epoll.as_fd(), Events::READ),
            None => Interest::ready(wanted),
        })
    }

    /// What of it can be tried without an event.
    fn ready_of(&self, wanted: Wanted) -> Wanted {
        let outgoing = self.pipe.outgoing();
        let more_to_hear = outgoing.is_some_and(|outgoing| outgoing.link.has_more());
        let writes = match (outgoing, self.tries.stopped) {
            _ if self.finished => true,
            (None, _) | (_, Some(Stopped::Kernel)) => false,
            (Some(outgoing), Some(Stopped::Window(least))) => more_to_hear || outgoing.window.room() >= least,
            (Some(_), None) => true,
        };
        let finishes = !self.finished || more_to_hear || self.committed().is_some();
        let mut ready = Wanted::empty();
        for (goes, what) in [(writes, Wanted::WRITE), (finishes, Wanted::FINISH)] {
            if goes && wanted.contains(what) {
                ready |= what;
            }
        }
        ready
    }

    /// Puts what is awaited of the connection into the lent set.
    fn lend(&mut self, of_kernel: bool, of_reader: bool) -> Result<(), Errno> {
        let Lent { epoll, link, memory } = match &mut self.tries.lent {
            Some(lent) => lent,
            none => {
                let epoll = epoll::create(CreateFlags::CLOEXEC)?;
                epoll::add(&epoll, &self.pipe.signal, EventData::new_u64(0), EventFlags::IN)?;
                none.insert(Lent { epoll, link: None, memory: None })
            }
        };
        let Some(outgoing) = self.pipe.outgoing() else { return Ok(()) };
        let shared = outgoing.link.is_shared();
        let mut events = EventFlags::empty();
        events.set(EventFlags::OUT, of_kernel && !shared);
        events.set(EventFlags::IN, of_reader);
        await_events(epoll, outgoing.link.as_fd(), link, events)?;
        if shared {
            let mut events = EventFlags::empty();
            events.set(EventFlags::IN, of_kernel);
            await_events(epoll, outgoing.link.writable().0, memory, events)?;
        }
        Ok(())
    }
}
