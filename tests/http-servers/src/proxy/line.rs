//! A line that is long but not narrow: bytes come later, and as many of them. It stands in for the kernel's netem.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What is read at once, and how many of these are on the way at most: 128 MiB each way.
const PIECE: usize = 256 << 10;
const PIECES: usize = 512;

/// Bytes on the way, and when they arrive; none: the end.
type Piece = (Instant, Vec<u8>);

/// A relay on loopback that delays everything by a fixed time each way. Stops when dropped.
///
/// The round trip of TCP's own handshake, which the kernel answers at once, is added to the first bytes of a connection.
pub struct LongLine {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    target: SocketAddr,
    delay: Duration,
    stopped: AtomicBool,
    open: Mutex<HashMap<usize, [TcpStream; 2]>>,
}

impl LongLine {
    /// A line to a server, each way this long.
    pub fn to(target: SocketAddr, delay: Duration) -> LongLine {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { target, delay, stopped: AtomicBool::new(false), open: Mutex::default() });
        let serving = shared.clone();
        let thread = Some(thread::spawn(move || serving.accept(&listener)));
        LongLine { address, shared, thread }
    }

    /// Its near end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LongLine {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Shared>, listener: &TcpListener) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        for number in 0.. {
            let Ok((near, _)) = listener.accept() else { break };
            if self.stopped.load(Ordering::SeqCst) {
                break;
            }
            threads.retain(|thread| !thread.is_finished());
            let (shared, accepted) = (self.clone(), Instant::now());
            threads.push(thread::spawn(move || {
                // A connection that breaks is its two ends' affair.
                let _ = shared.relay(near, number, accepted);
                shared.open.lock().unwrap().remove(&number);
            }));
        }
        for socket in self.open.lock().unwrap().values().flatten() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn relay(&self, near: TcpStream, number: usize, accepted: Instant) -> io::Result<()> {
        let far = TcpStream::connect(self.target)?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        self.open.lock().unwrap().insert(number, [near.try_clone()?, far.try_clone()?]);
        if self.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        let connected = accepted + self.delay * 2;
        thread::scope(|scope| {
            let (there, due) = sync_channel(PIECES);
            let (back, answered) = sync_channel(PIECES);
            scope.spawn(|| take(&near, there, self.delay, connected));
            scope.spawn(|| give(&far, due));
            scope.spawn(|| take(&far, back, self.delay, connected));
            give(&near, answered);
        });
        Ok(())
    }
}

/// Reads what comes, and notes when it arrives at the other end.
fn take(mut from: &TcpStream, onto: SyncSender<Piece>, delay: Duration, connected: Instant) {
    let mut buf = vec![0; PIECE];
    loop {
        let count = from.read(&mut buf).unwrap_or(0);
        let due = Instant::now().max(connected) + delay;
        if onto.send((due, buf[..count].to_vec())).is_err() || count == 0 {
            return;
        }
    }
}

/// Writes what has arrived.
fn give(mut to: &TcpStream, from: Receiver<Piece>) {
    for (due, bytes) in from {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() {
            break;
        }
        if to.write_all(&bytes).is_err() {
            // The other side learns of it as soon as it sends.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
