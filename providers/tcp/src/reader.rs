//! The reading end, as an open file.

mod tries;

use crate::inflow::{Flow, Inflow};
use crate::pipe::ReaderPipe;
use crate::queue::{Command, Queue};
use crate::upstream::Upstream;
use netpipe::Message;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tries::Lent;
use vfs_core::{Capabilities, Error, Events, File, Finish, Interest, Result, Wanted};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;

/// A reader that waits for so long tells its writers what it has taken: they may be waiting for that, and the service thread
/// would say it later. A reader with one writer waits as long in its receive, see `link`.
const PAUSE: Duration = Duration::from_millis(2);
/// Every so many choices of a writer the kernel is asked first, so that those in memory leave the others something.
const KERNELS_TURN: usize = 16;
/// Of the epoll set: no upstream, but the pipe's signal.
const SIGNAL: u64 = u64::MAX;

/// An open reader.
pub struct Reader {
    pipe: Arc<ReaderPipe>,
    queue: Arc<Queue>,
    caller: Caller,
    /// Writers that have not ENDed; each has a number of its own.
    upstreams: Vec<(u64, Inflow)>,
    arrived: u64,
    /// How often one of several writers was chosen.
    turns: usize,
    state: State,
    /// Made when there is more than one thing to wait for.
    epoll: Option<OwnedFd>,
    /// What a host with an event loop polls, once it has asked.
    lent: Option<Lent>,
}

/// What has to become readable.
#[derive(Clone)]
enum Awaited {
    /// The connection of one writer.
    Upstream(Arc<Upstream>),
    /// All connections, and the pipe's signal: the epoll set.
    All,
    /// The pipe's signal.
    Signal,
}

enum State {
    Open,
    Ended,
    Broken(Failure),
}

impl Reader {
    /// Begins with a pipe that the service thread knows.
    pub fn new(pipe: Arc<ReaderPipe>, queue: Arc<Queue>, caller: Caller) -> Reader {
        let (upstreams, state) = (Vec::new(), State::Open);
        Reader { pipe, queue, caller, upstreams, arrived: 0, turns: 0, state, epoll: None, lent: None }
    }

    /// Whether writers may still come.
    fn awaits_writers(&self) -> bool {
        self.pipe.plan.writers.is_none_or(|writers| self.arrived < u64::from(writers))
    }

    /// Whether there is one writer, and it is the last: nothing else can come meanwhile.
    fn is_alone(&self) -> bool {
        self.upstreams.len() == 1 && !self.awaits_writers()
    }

    /// Takes in the writers that came.
    fn admit(&mut self) -> Result<()> {
        for upstream in self.pipe.take_arrived() {
            let number = self.arrived;
            self.arrived += 1;
            if let Some(epoll) = &self.epoll {
                watch(epoll, &upstream.link, number).map_err(|errno| self.cannot_wait(errno))?;
            }
            self.upstreams.push((number, Inflow::new(upstream)));
        }
        if self.upstreams.len() > 1 {
            self.upstreams.iter_mut().for_each(|(_, inflow)| inflow.note_others());
        }
        if self.upstreams.len() > 1 && self.epoll.is_none() {
            self.epoll = Some(self.watch_all().map_err(|errno| self.cannot_wait(errno))?);
        }
        Ok(())
    }

    /// Reads from one writer after the other, until one gives something. `waits`: or waits for a moment until the only one does.
    fn flow(&mut self, buf: &mut [u8], waits: bool) -> Flow {
        while let Some(at) = self.choose() {
            let alone = waits && self.is_alone();
            let inflow = &mut self.upstreams[at].1;
            let flow = inflow.read(buf, alone);
            if inflow.has_moved() {
                self.follow(at);
            }
            match flow {
                Flow::Bytes(count) => {
                    self.took(at, count);
                    return Flow::Bytes(count);
                }
                Flow::Nothing => return Flow::Nothing,
                Flow::End => self.ended(at),
                Flow::Broken(failure) => return self.broke(at, failure),
            }
        }
        if self.is_over() { Flow::End } else { Flow::Nothing }
    }

    /// Has what a writer sends awaited where it comes now: in memory.
    fn follow(&mut self, at: usize) {
        let (number, inflow) = &self.upstreams[at];
        let link = &inflow.upstream.link;
        if let Some(epoll) = &self.epoll {
            // Where there is no memory for that, the writer is found when others are.
            let _ = epoll::delete(epoll, link.connection());
            let _ = watch(epoll, link, *number);
        }
        if let Some(lent) = &mut self.lent {
            lent.forget(link);
        }
    }

    /// Whose turn it is: of the writer whose frame was begun, for a frame arrives whole; of one that was read ahead of; of
    /// one that has sent something, by turns where that is in memory, and else in the kernel's order, which is fair.
    fn choose(&mut self) -> Option<usize> {
        if self.upstreams.len() < 2 {
            return (!self.upstreams.is_empty()).then_some(0);
        }
        if let Some(at) = self.upstreams.iter().position(|(_, inflow)| inflow.is_within_frame()) {
            return Some(at);
        }
        if let Some(at) = self.upstreams.iter().position(|(_, inflow)| inflow.is_staged()) {
            return Some(at);
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(KERNELS_TURN)
            && let Some(at) = self.next_of_kernel()
        {
            return Some(at);
        }
        let count = self.upstreams.len();
        let mut turns = (0..count).map(|more| (self.turns % count + more) % count);
        turns.find(|at| self.upstreams[*at].1.is_ready()).or_else(|| self.next_of_kernel())
    }

    /// One of several writers that has sent something by a connection.
    fn next_of_kernel(&self) -> Option<usize> {
        loop {
            let number = next_event(self.epoll.as_ref()?)?;
            if number == SIGNAL {
                // Whoever came is admitted before the next wait.
                self.pipe.signal.clear();
            } else if let Some(at) = self.upstreams.iter().position(|(known, _)| *known == number) {
                return Some(at);
            }
        }
    }

    /// Whether the writers that have ENDed were all that were expected; of any number, all that are there, or on their way.
    fn is_last(&self) -> bool {
        match self.pipe.plan.writers {
            Some(writers) => self.arrived >= u64::from(writers),
            None => self.pipe.is_complete(),
        }
    }

    /// Whether all writers have ENDed, and everything of them was taken.
    fn is_over(&self) -> bool {
        self.upstreams.is_empty() && self.arrived > 0 && self.is_last()
    }

    /// Accounts for bytes that the caller gets from an upstream.
    fn took(&mut self, at: usize, count: usize) {
        let inflow = &mut self.upstreams[at].1;
        if inflow.upstream.take(count as u64) {
            // What the kernel does not take now, or a loss, shows later.
            let _ = inflow.upstream.report();
        }
        if inflow.has_ended() {
            self.ended(at);
        } else {
            self.queue.report_later(&inflow.upstream);
        }
    }

    /// A writer has ENDed, and everything of it was taken.
    fn ended(&mut self, at: usize) {
        let (_, inflow) = self.upstreams.swap_remove(at);
        self.forget(&inflow);
        inflow.upstream.say_last(&Message::Done);
        self.queue.ask(Command::Linger(inflow.upstream));
        if self.upstreams.is_empty() && self.pipe.plan.writers.is_some() && !self.awaits_writers() {
            self.queue.ask(Command::Over(self.pipe.id));
        }
    }

    /// One writer broke the pipe: it is broken for the others as well.
    fn broke(&mut self, at: usize, failure: Failure) -> Flow {
        let (_, inflow) = self.upstreams.swap_remove(at);
        self.forget(&inflow);
        if let Some(refusal) = inflow.refusal() {
            inflow.upstream.say_last(&refusal);
            self.queue.ask(Command::Linger(inflow.upstream));
        }
        self.pipe.fail(failure.clone());
        self.abandon();
        Flow::Broken(failure)
    }

    /// Cuts the connections that are left, those not yet looked at too: to their writers this reader is lost.
    fn abandon(&mut self) {
        self.pipe.take_arrived().iter().for_each(|upstream| upstream.link.cut());
        for (_, inflow) in std::mem::take(&mut self.upstreams) {
            self.forget(&inflow);
            inflow.upstream.link.cut();
        }
        self.queue.ask(Command::Over(self.pipe.id));
    }

    fn forget(&self, inflow: &Inflow) {
        if let Some(epoll) = &self.epoll {
            // It fails only if the kernel did that already.
            let _ = epoll::delete(epoll, &inflow.upstream.link);
        }
    }

    /// What a read gives that waits for nothing, or only for a moment; `None`: nothing yet.
    fn look(&mut self, buf: &mut [u8], waits: bool) -> Result<Option<usize>> {
        match &self.state {
            State::Ended => return Ok(Some(0)),
            State::Broken(failure) => return Err(self.error(failure)),
            State::Open => {}
        }
        if self.pipe.has_arrivals() {
            self.admit()?;
        }
        match self.flow(buf, waits) {
            Flow::Bytes(count) => return Ok(Some(count)),
            Flow::Nothing => {}
            Flow::End => {
                self.state = State::Ended;
                self.queue.ask(Command::Over(self.pipe.id));
                return Ok(Some(0));
            }
            Flow::Broken(failure) => {
                let error = self.error(&failure);
                self.state = State::Broken(failure);
                return Err(error);
            }
        }
        if let Some(failure) = self.pipe.failure() {
            let (failure, error) = (failure.clone(), self.error(failure));
            self.abandon();
            self.state = State::Broken(failure);
            return Err(error);
        }
        Ok(None)
    }

    /// What has to become readable before there may be bytes, or another writer; `None`: there are bytes already, or the end.
    fn awaited(&mut self) -> Result<Option<Awaited>> {
        let within = self.upstreams.iter().position(|(_, inflow)| inflow.is_within_frame());
        // Within a frame the others are not asked, whatever was read ahead of them.
        let ready = match within {
            Some(at) => self.upstreams[at].1.is_ready_or_expects(),
            None => self.upstreams.iter().any(|(_, inflow)| inflow.is_ready_or_expects()),
        };
        if ready || self.is_over() {
            return Ok(None);
        }
        let several = self.upstreams.len() + usize::from(self.awaits_writers()) > 1;
        if several && self.epoll.is_none() {
            self.epoll = Some(self.watch_all().map_err(|errno| self.cannot_wait(errno))?);
        }
        self.upstreams.iter_mut().for_each(|(_, inflow)| inflow.grow());
        Ok(Some(match within.or_else(|| self.upstreams.first().map(|_| 0)) {
            Some(at) if within.is_some() || !several => {
                Awaited::Upstream(self.upstreams[at].1.upstream.clone())
            }
            Some(_) => Awaited::All,
            None => Awaited::Signal,
        }))
    }

    fn fd<'a>(&'a self, awaited: &'a Awaited) -> BorrowedFd<'a> {
        match (awaited, &self.epoll) {
            (Awaited::Upstream(upstream), _) => upstream.link.as_fd(),
            (Awaited::All, Some(epoll)) => epoll.as_fd(),
            _ => self.pipe.signal.as_fd(),
        }
    }

    fn has_unreported(&self) -> bool {
        self.upstreams.iter().any(|(_, inflow)| inflow.upstream.taken() != inflow.upstream.reported())
    }

    fn report(&self) {
        for (_, inflow) in &self.upstreams {
            let _ = inflow.upstream.report();
        }
    }

    /// Waits for bytes, or for another writer.
    fn wait(&mut self) -> Result<()> {
        let Some(awaited) = self.awaited()? else { return Ok(()) };
        let fd = self.fd(&awaited);
        // First for a moment: then whoever waits for TAKEN has it before the protocol's 50 ms.
        if self.has_unreported() {
            if !self.is_alone() && !self.caller.context.wait(Some(fd), Events::READ, Some(PAUSE))?.is_empty()
            {
                return Ok(());
            }
            self.report();
        }
        self.caller.wait(fd, Events::READ, "read", || match self.upstreams.len() {
            0 => self.pipe.waits_for(),
            _ => WaitedFor::from("data"),
        })
    }

    fn watch_all(&self) -> Result<OwnedFd, Errno> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&set, &self.pipe.signal, EventData::new_u64(SIGNAL), EventFlags::IN)?;
        for (number, inflow) in &self.upstreams {
            watch(&set, &inflow.upstream.link, *number)?;
        }
        Ok(set)
    }

    fn cannot_wait(&self, errno: Errno) -> Error {
        Failure::system(errno).error("read", &self.caller.shown)
    }

    fn error(&self, failure: &Failure) -> Error {
        failure.error("read", &self.caller.shown)
    }
}

/// The number of one that is ready now.
fn next_event(epoll: &OwnedFd) -> Option<u64> {
    let mut events: [MaybeUninit<Event>; 1] = [MaybeUninit::uninit()];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Interrupted: whoever asks goes on to wait, and asks again.
    let (ready, _) = epoll::wait(epoll, &mut events, Some(&now)).ok()?;
    ready.first().map(|event| event.data.u64())
}

fn watch(epoll: &OwnedFd, link: impl AsFd, number: u64) -> Result<(), Errno> {
    epoll::add(epoll, link, EventData::new_u64(number), EventFlags::IN)
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE | Capabilities::CANCEL | Capabilities::POLL
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if matches!(self.state, State::Open) {
            self.caller.context.status()?;
        }
        loop {
            if let Some(count) = self.look(buf, true)? {
                return Ok(count);
            }
            self.wait()?;
        }
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.next_try(wanted)
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.look(buf, false)
    }

    /// There is nothing to finish.
    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.finish(how).map(Some)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if matches!(self.state, State::Open) {
            // Whoever came and was never read hears of it too.
            let _ = self.admit();
            for (_, mut inflow) in std::mem::take(&mut self.upstreams) {
                let last = match inflow.look_for_end() {
                    true => Message::Done,
                    false => Message::Closed(inflow.upstream.taken()),
                };
                inflow.upstream.say_last(&last);
                self.queue.ask(Command::Linger(inflow.upstream));
            }
        }
        self.queue.ask(Command::Closed(self.pipe.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use crate::plan::Plan;
    use crate::settings::{Checksums, Windows};
    use crate::upstream::Upstream;
    use netpipe::pairing::Route;
    use netpipe::{Endpoint, Name, Role};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;
    use vfs_core::{Code, Control};

    /// A reader of any number of writers, which is not waited for longer than the control says.
    fn reader_of_any() -> (Reader, Control) {
        let windows = Windows { first: 1 << 20, most: 1 << 20 };
        let plan = Plan {
            shown: "a pipe".to_owned(),
            role: Role::Reader,
            route: Route::Listen(Endpoint::parse("127.0.0.1:1", None).unwrap()),
            name: Name::unnamed(),
            writers: None,
            window: windows,
            checksums: Checksums::Off,
            digest: None,
        };
        let control = Control::new();
        let caller = Caller { context: control.context(), shown: plan.shown.clone() };
        let pipe = Arc::new(ReaderPipe::new(1, plan).unwrap());
        (Reader::new(pipe, Arc::new(Queue::new().unwrap()), caller), control)
    }

    /// A writer that has written nothing, and ENDed.
    fn ended_writer(listener: &TcpListener) -> (TcpStream, Arc<Upstream>) {
        let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        writer.write_all(&Message::End(0).to_bytes()).unwrap();
        let link = Link::new(listener.accept().unwrap().0.into()).unwrap();
        let windows = Windows { first: 1 << 20, most: 1 << 20 };
        (writer, Arc::new(Upstream::new(link, windows, 0, None)))
    }

    /// A writer was told that it is in, wrote and ENDed before the service thread had handed its connection over; the others had
    /// ENDed, and the reader took that for the end of the pipe.
    #[test]
    fn a_writer_on_its_way_is_waited_for() {
        let (mut reader, control) = reader_of_any();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_one, upstream) = ended_writer(&listener);
        reader.pipe.arrive(upstream);
        let coming = reader.pipe.expect();
        control.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
        assert_eq!(reader.read(&mut [0; 8]).unwrap_err().code(), Code::ETIMEDOUT);
        control.set_deadline(None);
        let (_other, upstream) = ended_writer(&listener);
        reader.pipe.arrive(upstream);
        drop(coming);
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(reader.arrived, 2);
    }

    #[test]
    fn a_writer_that_does_not_come_after_all_is_not_waited_for() {
        let (mut reader, _control) = reader_of_any();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_one, upstream) = ended_writer(&listener);
        reader.pipe.arrive(upstream);
        let coming = reader.pipe.expect();
        let pipe = reader.pipe.clone();
        let reading = std::thread::spawn(move || reader.read(&mut [0; 8]));
        while pipe.has_arrivals() {
            std::thread::yield_now();
        }
        drop(coming);
        assert_eq!(reading.join().unwrap().unwrap(), 0);
    }
}
