//! What the writer sends, through memory that both ends share: they met on one host. The connection carries what the reader says,
//! and shows when the other end is gone.

use super::Received;
use netpipe::same_host::{Arriving, Bell, Consumer, Guest, Heard, Producer, Ring};
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use vfs_core::Spin;

/// How long to wait for the other end's count, where a cancel does not end the wait, nor others can ask. Longer than the kernel's tick,
/// mostly: to be told of an earlier moment costs a virtual machine more than all the rest of such a wait.
const MOMENT: Duration = Duration::from_millis(5);

/// One end.
#[derive(Debug)]
pub struct Shared {
    /// Where the two met: a byte there wakes the other end.
    bell: Bell,
    /// Readable when the end is to look again: it was rung, or there is news on the connection.
    set: OwnedFd,
    /// That news: for a reader anything, for a writer that the reader is gone. What a reader says is heard elsewhere.
    news: PollFlags,
    end: Either,
}

#[derive(Debug)]
enum Either {
    Reader(Mutex<End<Consumer>>),
    Writer(Mutex<End<Producer>>),
}

#[derive(Debug)]
struct End<R> {
    ring: R,
    spin: Spin,
}

/// What there is to hear.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    rung: bool,
    connection: bool,
}

impl Shared {
    /// Welcomes a reader that has come to where its writer waits.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM. It is gone.
    pub fn with_guest(guest: Guest<'_>, connection: impl AsFd) -> Result<Shared, Errno> {
        let set = watching(&guest.socket, connection, EventFlags::RDHUP)?;
        let (ring, socket) = guest.welcome()?;
        Ok(Shared::new(ring, socket, set))
    }

    /// Goes on with a writer that has shown its memory.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM. PROTO: it is no such memory.
    pub fn with_host(arriving: Arriving, theirs: OwnedFd, connection: impl AsFd) -> Result<Shared, Errno> {
        let set = watching(arriving.socket(), connection, EventFlags::IN)?;
        let (ring, socket) = arriving.join(theirs)?;
        Ok(Shared::new(ring, socket, set))
    }

    fn new(ring: Ring, socket: OwnedFd, set: OwnedFd) -> Shared {
        let (end, news) = match ring {
            Ring::Consumer(ring) => {
                (Either::Reader(Mutex::new(End { ring, spin: Spin::default() })), PollFlags::IN)
            }
            Ring::Producer(ring) => {
                (Either::Writer(Mutex::new(End { ring, spin: Spin::default() })), PollFlags::RDHUP)
            }
        };
        Shared { bell: Bell::new(socket), set, news, end }
    }

    /// Whether this is the end that receives.
    pub fn is_reader(&self) -> bool {
        matches!(self.end, Either::Reader(_))
    }

    /// What becomes readable when the end is to look again.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }

    /// Wakes both ends, for good.
    pub fn cut(&self) {
        self.bell.cut();
    }

    /// The reader's: whether there are bytes. A writer that lies is found out by who receives.
    pub fn has_more(&self) -> bool {
        match &self.end {
            Either::Reader(end) => end.lock().ring.there() != Ok(0),
            Either::Writer(_) => false,
        }
    }

    /// The reader's, before it waits: asks to be rung.
    pub fn sleep(&self) {
        if let Either::Reader(end) = &self.end {
            end.lock().ring.sleep();
        }
    }

    /// The reader's: receives into the first part, and then into the second. `waits`: or waits for a moment. `beside` gives what
    /// comes on the connection, where the writer is to say nothing.
    pub fn receive(
        &self,
        connection: BorrowedFd<'_>,
        [first, ahead]: [&mut [u8]; 2],
        waits: bool,
        beside: impl FnOnce() -> Result<Received, Errno>,
    ) -> Result<Received, Errno> {
        let Either::Reader(end) = &self.end else { return beside() };
        let mut take = |ring: &mut Consumer| match ring.take([&mut *first, &mut *ahead]) {
            Ok(0) => None,
            Ok(count) => {
                if ring.wake() {
                    self.bell.ring();
                }
                Some(Ok(Received::Bytes(count)))
            }
            Err(_) => Some(Err(Errno::PROTO)),
        };
        let mut locked = end.lock();
        let End { ring, spin } = &mut *locked;
        let taken = if waits { spin.ask(|| take(ring)) } else { take(ring) };
        if let Some(taken) = taken {
            return taken;
        }
        if waits {
            ring.doze(MOMENT).map_err(|_| Errno::PROTO)?;
            if let Some(taken) = take(ring) {
                return taken;
            }
        }
        let news = self.news(connection)?;
        let mut over = news.rung && self.bell.hear(|| ring.rang())? == Heard::End;
        if news.connection {
            match beside() {
                Ok(Received::Nothing) => {}
                Ok(Received::Bytes(_)) => return Err(Errno::PROTO),
                Ok(Received::End) | Err(_) => over = true,
            }
        }
        // What was there when the writer went still counts.
        take(ring).unwrap_or(Ok(if over { Received::End } else { Received::Nothing }))
    }

    /// The writer's: sends what there is room for; `waits`: or, if that is not all, waits for a moment until there is more.
    ///
    /// # Errors
    /// PIPE: the reader is gone. PROTO: it lied.
    pub fn send(
        &self,
        connection: BorrowedFd<'_>,
        first: &[u8],
        then: &[u8],
        waits: bool,
    ) -> Result<usize, Errno> {
        let Either::Writer(end) = &self.end else { return Err(Errno::PROTO) };
        let total = first.len() + then.len();
        let mut sent = 0;
        let mut put = |ring: &mut Producer| -> Result<usize, Errno> {
            let rest = [&first[sent.min(first.len())..], &then[sent.saturating_sub(first.len())..]];
            let count = ring.put(rest).map_err(|_| Errno::PROTO)?;
            if count > 0 && ring.wake() {
                self.bell.ring();
            }
            sent += count;
            Ok(sent)
        };
        let mut locked = end.lock();
        let End { ring, spin } = &mut *locked;
        let before = put(ring)?;
        if before == total || before > 0 && !waits {
            return Ok(before);
        }
        if waits {
            let more = spin.ask(|| match put(ring) {
                Ok(sent) if sent == before => None,
                more => Some(more),
            });
            if let Some(more) = more {
                return more;
            }
            ring.doze(total - before, MOMENT).map_err(|_| Errno::PROTO)?;
        }
        ring.sleep(total - before);
        let after = put(ring)?;
        if after > before {
            return Ok(after);
        }
        let news = self.news(connection)?;
        let over = news.rung && self.bell.hear(|| ring.rang())? == Heard::End || news.connection;
        match put(ring)? {
            0 if over => Err(Errno::PIPE),
            sent => Ok(sent),
        }
    }

    /// Asks for news.
    fn news(&self, connection: BorrowedFd<'_>) -> Result<News, Errno> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds =
            [PollFd::new(&self.bell, PollFlags::IN), PollFd::from_borrowed_fd(connection, self.news)];
        match poll(&mut fds, Some(&now)) {
            // Interrupted: whoever asks goes on to wait, and asks again.
            Ok(0) | Err(Errno::INTR) => Ok(News::default()),
            Ok(_) => {
                let [rung, connection] = fds.map(|fd| !fd.revents().is_empty());
                Ok(News { rung, connection })
            }
            Err(errno) => Err(errno),
        }
    }
}

/// A set that is readable when one of the two is.
fn watching(socket: impl AsFd, connection: impl AsFd, news: EventFlags) -> Result<OwnedFd, Errno> {
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&set, socket, EventData::new_u64(0), EventFlags::IN)?;
    epoll::add(&set, connection, EventData::new_u64(1), news)?;
    Ok(set)
}
