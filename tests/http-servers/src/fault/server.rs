//! Listening, a thread for each connection, and the record.

use super::peer::{After, Ending, Peer};
use super::request::Request;
use super::stream::Stream;
use crate::certificates::Identity;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::io::{self, BufReader, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most requests that are recorded: more are answered, and forgotten.
const RECORD_MAX: usize = 100_000;

type Handler = dyn Fn(&Request, &mut Peer) -> io::Result<After> + Send + Sync;

/// A server on loopback. Stops when dropped: its connections are broken and its threads joined.
pub struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    speech: Speech,
    /// The next connection is accepted when one is over.
    alone: bool,
    ending: Ending,
    record: Mutex<Record>,
    changed: Condvar,
}

/// What a connection begins with.
enum Speech {
    Plain,
    Tls(Arc<ServerConfig>),
    /// No HTTP at all.
    Greeting(&'static str),
}

#[derive(Default)]
struct Record {
    requests: Vec<Request>,
    connections: usize,
    open: HashMap<usize, TcpStream>,
}

impl FaultServer {
    /// Serves http by a function that is called for each request.
    pub fn http(
        handler: impl Fn(&Request, &mut Peer) -> io::Result<After> + Send + Sync + 'static,
    ) -> FaultServer {
        FaultServer::start(Box::new(handler), Speech::Plain, false)
    }

    /// The same where another server listened that has ended, as if that were started again.
    pub fn http_again(
        address: SocketAddr,
        handler: impl Fn(&Request, &mut Peer) -> io::Result<After> + Send + Sync + 'static,
    ) -> FaultServer {
        FaultServer::start_at(address, Box::new(handler), Speech::Plain, false)
    }

    /// Serves http one connection at a time: the next one waits until that is over, however long it is kept open.
    pub fn one_at_a_time(
        handler: impl Fn(&Request, &mut Peer) -> io::Result<After> + Send + Sync + 'static,
    ) -> FaultServer {
        FaultServer::start(Box::new(handler), Speech::Plain, true)
    }

    /// Serves https under this certificate.
    pub fn https(
        identity: &Identity,
        handler: impl Fn(&Request, &mut Peer) -> io::Result<After> + Send + Sync + 'static,
    ) -> FaultServer {
        FaultServer::start(Box::new(handler), Speech::Tls(identity.server()), false)
    }

    /// Says this to everybody before it is asked anything, and then nothing more.
    pub fn greeting(words: &'static str) -> FaultServer {
        FaultServer::start(Box::new(|_, _| Ok(After::Close)), Speech::Greeting(words), false)
    }

    /// Accepts everybody and never says anything.
    pub fn silent() -> FaultServer {
        FaultServer::greeting("")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it; the path begins with `/`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if matches!(self.shared.speech, Speech::Tls(_)) { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The same at the name `localhost`: another origin.
    pub fn url_by_name(&self, path: &str) -> String {
        self.url(path).replace("127.0.0.1", "localhost")
    }

    /// What it was asked so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.record.lock().unwrap().requests.clone()
    }

    /// How many connections it had so far.
    pub fn connections(&self) -> usize {
        self.shared.record.lock().unwrap().connections
    }

    /// How many of them are open.
    pub fn open_connections(&self) -> usize {
        self.shared.record.lock().unwrap().open.len()
    }

    /// Waits until requests, connections and open connections are as wanted; whether they are within the time.
    pub fn wait_until(
        &self,
        limit: Duration,
        mut is_so: impl FnMut(&[Request], usize, usize) -> bool,
    ) -> bool {
        let record = self.shared.record.lock().unwrap();
        let waits = |record: &mut Record| !is_so(&record.requests, record.connections, record.open.len());
        !self.shared.changed.wait_timeout_while(record, limit, waits).unwrap().1.timed_out()
    }

    fn start(handler: Box<Handler>, speech: Speech, alone: bool) -> FaultServer {
        FaultServer::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), handler, speech, alone)
    }

    fn start_at(at: SocketAddr, handler: Box<Handler>, speech: Speech, alone: bool) -> FaultServer {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler,
            speech,
            alone,
            ending: Ending::default(),
            record: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = shared.clone();
        let thread = Some(thread::spawn(move || serving.accept(&listener)));
        FaultServer { address, shared, thread }
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.shared.ending.begin();
        self.shared.break_connections();
        // Wakes the thread that accepts; it breaks the connections.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(thread) = self.thread.take() {
            // It panicked if a handler did, which has been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Shared>, listener: &TcpListener) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        for number in 0.. {
            let Ok((socket, _)) = listener.accept() else { break };
            if self.ending.has_begun() {
                break;
            }
            // A client's Nagle waits for no acknowledgement of ours, nor ours for theirs.
            let _ = socket.set_nodelay(true);
            self.change(|record| {
                record.connections += 1;
                record.open.extend(socket.try_clone().ok().map(|socket| (number, socket)));
            });
            let shared = self.clone();
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread::spawn(move || {
                // The client's faults are the test's affair, and what breaks when the server stops is nobody's.
                let _ = shared.serve(socket, number);
                shared.change(|record| record.open.remove(&number));
            }));
            if self.alone {
                // It panicked if the handler did, which has been printed.
                let _ = threads.pop().map(JoinHandle::join);
            }
        }
        self.break_connections();
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn break_connections(&self) {
        for socket in self.record.lock().unwrap().open.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Answers the requests of one connection until it is over.
    fn serve(&self, socket: TcpStream, number: usize) -> io::Result<()> {
        let tls = if let Speech::Tls(config) = &self.speech { Some(config) } else { None };
        let stream = BufReader::new(Stream::new(socket, tls)?);
        let mut peer = Peer { stream, ending: self.ending.clone(), headless: false };
        if let Speech::Greeting(words) = self.speech {
            peer.raw(words.as_bytes())?;
            peer.stall()?;
        }
        loop {
            if self.ending.has_begun() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            let Some(request) = Request::read(&mut peer.stream, number)? else { break };
            peer.headless = request.method == "HEAD";
            self.change(|record| {
                if record.requests.len() < RECORD_MAX {
                    record.requests.push(request.clone());
                }
            });
            match (self.handler)(&request, &mut peer)? {
                After::Next => {}
                After::Close => break,
                After::Reset => {
                    let socket = peer.stream.get_ref().socket();
                    rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
                    self.change(|record| record.open.remove(&number));
                    return Ok(());
                }
            }
        }
        part(&mut peer);
        Ok(())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let changed = change(&mut self.record.lock().unwrap());
        self.changed.notify_all();
        changed
    }
}

/// Closes so that the client gets everything: a close with something unread would be a reset, so what still comes is taken,
/// until the client closes too or half a second is over.
fn part(peer: &mut Peer) {
    peer.stream.get_mut().end();
    let mut socket = peer.stream.get_ref().socket();
    let _ = socket.shutdown(Shutdown::Write);
    let (end, mut buf) = (Instant::now() + Duration::from_millis(500), [0; 4096]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match io::Read::read(&mut socket, &mut buf) {
            Ok(count) if count > 0 => {}
            _ => return,
        }
    }
}
