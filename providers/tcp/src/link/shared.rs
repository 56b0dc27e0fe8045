//! What the writer sends, through memory that both ends share: they met on one host. The connection carries what the reader says,
//! and shows when the other end is gone.

use super::Received;
use netpipe::same_host::{Consumer, Producer, Ring};
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{self, RecvFlags, SendFlags, Shutdown};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use vfs_core::Spin;

/// How long to wait for the other end's count, where a cancel does not end the wait, nor others can ask. Longer than the kernel's tick,
/// mostly: to be told of an earlier moment costs a virtual machine more than all the rest of such a wait.
const MOMENT: Duration = Duration::from_millis(5);

/// What is sent to wake the other end; nobody looks at it.
const RING: &[u8] = &[1];

/// One end.
#[derive(Debug)]
pub struct Shared {
    bell: Bell,
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

/// Where the two met: a byte there wakes the other end.
#[derive(Debug)]
struct Bell {
    socket: OwnedFd,
    /// Readable when the end is to look again: it was rung, or there is news on the connection.
    set: OwnedFd,
    /// That news: for a reader anything, for a writer that the reader is gone. What a reader says is heard elsewhere.
    news: PollFlags,
}

/// What there is to hear.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    rung: bool,
    connection: bool,
}

impl Shared {
    /// Begins with the socket where the two met, and their connection.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(ring: Ring, socket: OwnedFd, connection: impl AsFd) -> Result<Shared, Errno> {
        let (end, news, events) = match ring {
            Ring::Consumer(ring) => {
                let end = Mutex::new(End { ring, spin: Spin::default() });
                (Either::Reader(end), PollFlags::IN, EventFlags::IN)
            }
            Ring::Producer(ring) => {
                let end = Mutex::new(End { ring, spin: Spin::default() });
                (Either::Writer(end), PollFlags::RDHUP, EventFlags::RDHUP)
            }
        };
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&set, &socket, EventData::new_u64(0), EventFlags::IN)?;
        epoll::add(&set, connection, EventData::new_u64(1), events)?;
        Ok(Shared { bell: Bell { socket, set, news }, end })
    }

    /// Whether this is the end that receives.
    pub fn is_reader(&self) -> bool {
        matches!(self.end, Either::Reader(_))
    }

    /// The socket where the two met.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.bell.socket.as_fd()
    }

    /// What becomes readable when the end is to look again.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.set.as_fd()
    }

    /// Wakes both ends, for good.
    pub fn cut(&self) {
        let _ = net::shutdown(&self.bell.socket, Shutdown::Both);
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
        let news = self.bell.news(connection)?;
        let mut over = news.rung && self.bell.hear(|| ring.rang())?;
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
        let news = self.bell.news(connection)?;
        let over = news.rung && self.bell.hear(|| ring.rang())? || news.connection;
        match put(ring)? {
            0 if over => Err(Errno::PIPE),
            sent => Ok(sent),
        }
    }
}

impl Bell {
    fn ring(&self) {
        // Where it is full the other end has enough to hear; where it is gone, that shows when it is waited for.
        let _ = net::send(&self.socket, RING, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }

    /// Asks for news.
    fn news(&self, connection: BorrowedFd<'_>) -> Result<News, Errno> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds =
            [PollFd::new(&self.socket, PollFlags::IN), PollFd::from_borrowed_fd(connection, self.news)];
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

    /// Hears that it was rung; true: the other end is gone.
    fn hear(&self, rang: impl FnOnce() -> netpipe::Result<()>) -> Result<bool, Errno> {
        match retry_on_intr(|| net::recv(&self.socket, &mut [0_u8; 8], RecvFlags::DONTWAIT)) {
            Ok((0, _)) => Ok(true),
            Ok(_) => rang().map(|()| false).map_err(|_| Errno::PROTO),
            Err(Errno::AGAIN) => Ok(false),
            Err(_) => Ok(true),
        }
    }
}
