//! One writer's connection, as its reader and the service thread share it: what goes back to the writer.

use crate::link::Link;
use crate::settings::Windows;
use netpipe::Message;
use netpipe::digest::Algorithm;
use netpipe::pipe::REPORT_BYTES;
use netpipe::same_host::Way;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The way back to a writer.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub link: Link,
    /// The window that this reader gave at first, and what it may grow to.
    pub windows: Windows,
    /// What is in use on the connection.
    pub features: u64,
    /// How the whole of it is digested.
    pub digest: Option<Algorithm>,
    /// Where the two may meet on this host.
    pub way: Option<Way>,
    taken: AtomicU64,
    reported: AtomicU64,
    unreported: AtomicBool,
    back: Mutex<Back>,
    /// The window now.
    window: AtomicU32,
    /// How long the writer may send nothing: then this is looked at.
    limit: Option<Duration>,
    since: Instant,
    /// When something came, in milliseconds from `since`.
    heard: AtomicU64,
    missed: AtomicBool,
}

/// Frames that the kernel did not take yet: in practice part of one.
#[derive(Debug, Default)]
struct Back {
    bytes: Vec<u8>,
    at: usize,
    /// Nothing may follow.
    last: bool,
}

impl Upstream {
    /// Begins after the handshake.
    pub fn new(link: Link, windows: Windows, features: u64, limit: Option<Duration>) -> Upstream {
        link.be_patient();
        Upstream {
            link,
            windows,
            features,
            digest: None,
            way: None,
            taken: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            unreported: AtomicBool::new(false),
            back: Mutex::default(),
            window: AtomicU32::new(windows.first),
            limit,
            since: Instant::now(),
            heard: AtomicU64::new(0),
            missed: AtomicBool::new(false),
        }
    }

    /// Digests are in use.
    pub fn with_digest(mut self, digest: Option<Algorithm>) -> Upstream {
        self.digest = digest;
        self
    }

    /// The two may meet on this host.
    pub fn with_way(mut self, way: Option<Way>) -> Upstream {
        self.way = way;
        self
    }

    /// Counts bytes that the reader's owner has taken; true: so many that a report is due.
    pub fn take(&self, bytes: u64) -> bool {
        let taken = self.taken.fetch_add(bytes, Ordering::AcqRel) + bytes;
        taken - self.reported() >= REPORT_BYTES.min(u64::from(self.windows.first) / 2)
    }

    /// The bytes taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// The bytes that the writer was told of.
    pub fn reported(&self) -> u64 {
        self.reported.load(Ordering::Acquire)
    }

    /// Tells the writer how much was taken, if that is news. True: there is nothing left to tell or to send.
    ///
    /// # Errors
    /// The connection's.
    pub fn report(&self) -> Result<bool, Errno> {
        let mut back = self.back.lock();
        let sent = self.push(&mut back)?;
        let taken = self.taken();
        if back.last || taken == self.reported() {
            return Ok(sent);
        }
        if !sent {
            return Ok(false); // the next report says more
        }
        self.reported.store(taken, Ordering::Release);
        Message::Taken(taken).append_to(&mut back.bytes);
        self.push(&mut back)
    }

    /// Doubles the writer's window, as far as it may grow and what comes then fits; the new one. The writer waits for it, and for
    /// reports too.
    pub fn grow(&self) -> Option<u32> {
        let now = self.window.load(Ordering::SeqCst);
        if now >= self.windows.most {
            return None;
        }
        let window = now.saturating_mul(2).min(self.windows.most).min(self.link.fitting_window());
        if window <= now {
            return None;
        }
        self.window.store(window, Ordering::SeqCst);
        let mut back = self.back.lock();
        if !back.last {
            Message::Window(window).append_to(&mut back.bytes);
            // What the kernel does not take now goes with the next report; a loss shows when it is read.
            let _ = self.push(&mut back);
        }
        Some(window)
    }

    /// The service thread's: gives a sign of life if that is wanted, unless something waits for the kernel already. False: the last
    /// word was said.
    pub fn say_alive(&self, wanted: bool) -> bool {
        let mut back = self.back.lock();
        if wanted && !back.last && back.bytes.is_empty() {
            Message::Alive.append_to(&mut back.bytes);
            let _ = self.push(&mut back);
        }
        !back.last
    }

    /// Notes that something came of the writer.
    pub fn note_heard(&self) {
        if self.limit.is_some() {
            self.heard.store(self.since.elapsed().as_millis() as u64, Ordering::SeqCst);
        }
    }

    /// How long nothing came. What lies in the kernel, unread by an owner that does something else, does not count here.
    pub fn silence(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::SeqCst)))
    }

    /// Notes that the writer gives no sign of life.
    pub fn miss(&self) {
        self.missed.store(true, Ordering::SeqCst);
    }

    /// How long the writer gave no sign of life, if that is why its connection ended.
    pub fn missed(&self) -> Option<Duration> {
        self.limit.filter(|_| self.missed.load(Ordering::SeqCst))
    }

    /// Says the last word: CLOSED, DONE (after a report) or REFUSAL. Only the first counts.
    pub fn say_last(&self, message: &Message) {
        let mut back = self.back.lock();
        if back.last {
            return;
        }
        let taken = self.taken();
        if *message == Message::Done && taken != self.reported() {
            self.reported.store(taken, Ordering::Release);
            Message::Taken(taken).append_to(&mut back.bytes);
        }
        message.append_to(&mut back.bytes);
        back.last = true;
        // What a lost connection does not take is lost with it.
        let _ = self.push(&mut back);
    }

    /// Notes that a report is due some time; false: that was known.
    pub fn mark_unreported(&self) -> bool {
        !self.unreported.load(Ordering::Relaxed) && !self.unreported.swap(true, Ordering::SeqCst)
    }

    /// The service thread's, before it reports.
    pub fn clear_unreported(&self) {
        self.unreported.store(false, Ordering::SeqCst);
    }

    fn push(&self, back: &mut Back) -> Result<bool, Errno> {
        while back.at < back.bytes.len() {
            match self.link.send(&back.bytes[back.at..], &[])? {
                0 => return Ok(false),
                count => back.at += count,
            }
        }
        back.bytes.clear();
        back.at = 0;
        self.link.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::set_socket_recv_buffer_size;
    use std::net::{TcpListener, TcpStream};

    /// What the kernel has no room for would make a slow reader look like a dead one.
    #[test]
    fn a_window_grows_with_the_receive_buffer_and_no_further_than_it_may() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        set_socket_recv_buffer_size(&socket, 64 << 10).unwrap();
        let link = Link::new(socket.into()).unwrap();
        let windows = link.window(Windows { first: 1 << 20, most: 180_000 });
        assert_eq!(windows, Windows { first: 64 << 10, most: 180_000 });
        let upstream = Upstream::new(link, windows, 0, None);
        assert_eq!(upstream.grow(), None);
        set_socket_recv_buffer_size(upstream.link.connection(), 150_000).unwrap();
        assert_eq!(upstream.grow(), Some(128 << 10));
        assert_eq!(upstream.grow(), Some(150_000));
        assert_eq!(upstream.grow(), None);
        set_socket_recv_buffer_size(upstream.link.connection(), 200_000).unwrap();
        assert_eq!(upstream.grow(), Some(180_000));
        assert_eq!(upstream.grow(), None);
    }
}
