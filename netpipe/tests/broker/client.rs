//! A broker on a thread, and a small blocking client.

use netpipe::broker::{Broker, Config, Handle, Limits, Times};
use netpipe::{
    Address, Decoder, Error, Handshake, Hello, Match, Message, Name, Progress, Reason, Register, Role,
    Secret, Sender, Token,
};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use zvfs_test_support::eventually;

/// The longest wait of any test.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that serves until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub stop: Handle,
    log: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// One connection to a broker.
pub struct Peer {
    pub stream: TcpStream,
    decoder: Decoder,
    rest: Vec<u8>,
}

impl Running {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a broker whose configuration was changed.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), change)
    }

    pub fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|config| change(&mut config.limits))
    }

    pub fn timed(change: impl FnOnce(&mut Times)) -> Self {
        Self::with(|config| change(&mut config.times))
    }

    pub fn at(address: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        let log_line = move |line: &str| lines.lock().unwrap().push(line.to_owned());
        let mut config = Config { log: Some(Box::new(log_line)), ..Config::default() };
        change(&mut config);
        let broker = Broker::bind(address, config).unwrap();
        let (address, stop) = (broker.local_addr(), broker.handle());
        let thread = std::thread::Builder::new().name(thread_name(address)).spawn(|| broker.run()).unwrap();
        Self { address, stop, log, thread: Some(thread) }
    }

    pub fn dial(&self) -> Peer {
        self.dial_as(Hello::broker(), None).unwrap()
    }

    pub fn dial_as(&self, hello: Hello, secret: Option<&Secret>) -> Result<Peer, Error> {
        Peer::new(self.raw(), hello, secret, &[])
    }

    /// Opens a connection without any handshake.
    pub fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Has the broker prepare a relay, and returns its token.
    pub fn prepare_relay(&self, secret: Option<&Secret>) -> Token {
        let mut reader = self.dial_as(Hello::broker(), secret).unwrap();
        let mut writer = self.dial_as(Hello::broker(), secret).unwrap();
        reader.reader(1, "relayed");
        writer.writer(2, "relayed");
        let (to_reader, to_writer) = (reader.matched(), writer.matched());
        writer.send(&Message::Unreachable { id: 2, token: to_writer.token });
        let ((reader_id, token), (writer_id, same)) = (reader.relayed(), writer.relayed());
        assert_eq!((reader_id, writer_id), (1, 2));
        assert_eq!(token, same);
        assert_ne!(token, to_reader.token);
        token
    }

    /// Dials one end of a relay, and sends some bytes with the last of the handshake.
    pub fn dial_relay(
        &self,
        token: Token,
        secret: Option<&Secret>,
        early: &[u8],
    ) -> Result<TcpStream, Error> {
        Peer::new(self.raw(), Hello::relay(token), secret, early).map(|peer| peer.stream)
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log that has this in it.
    pub fn await_log(&self, part: &str) {
        let what = fmt::from_fn(|f| write!(f, "{part:?} in {:?}", self.log()));
        eventually(what, || self.log().iter().any(|line| line.contains(part)));
    }

    /// The processor time that the broker's thread has taken.
    pub fn processor_time(&self) -> Duration {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let task = tasks
            .into_iter()
            .find(|task| read(task.join("comm")).trim() == thread_name(self.address))
            .expect("the broker's thread");
        let stat = read(task.join("stat"));
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // User and system time, in ticks of 10 ms.
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Waits until the broker has returned.
    pub fn join(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        eventually("the broker's end", || thread.is_finished());
        thread.join().unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        if !std::thread::panicking() {
            self.join();
        }
    }
}

impl Peer {
    /// Goes through the handshake, and sends some bytes with the last of its own.
    pub fn new(
        mut stream: TcpStream,
        hello: Hello,
        secret: Option<&Secret>,
        early: &[u8],
    ) -> Result<Self, Error> {
        let mut dialler = Handshake::dialler(hello, secret.cloned(), None)?;
        let mut first = dialler.output();
        if secret.is_none() {
            first.extend_from_slice(early);
        }
        // A refusal may come before all of it is sent.
        let _ = stream.write_all(&first);
        let mut rest = Vec::new();
        loop {
            let mut input = &rest[..];
            let progress = dialler.input(&mut input)?;
            rest = input.to_vec();
            let mut output = dialler.output();
            if !output.is_empty() {
                output.extend_from_slice(early);
                let _ = stream.write_all(&output);
            }
            if let Progress::Done(_) = progress {
                return Ok(Self { stream, decoder: Decoder::new(Sender::Broker), rest });
            }
            // Not a byte more: what follows may be another peer's.
            let mut buffer = vec![0; dialler.want()];
            match stream.read(&mut buffer) {
                Ok(0) => return Err(dialler.closed()),
                Ok(count) => rest.extend_from_slice(&buffer[..count]),
                Err(error) if is_timeout(&error) => panic!("no answer to a handshake in {PATIENCE:?}"),
                Err(_) => return Err(dialler.closed()),
            }
        }
    }

    pub fn send(&mut self, message: &Message) {
        self.stream.write_all(&message.to_bytes()).unwrap();
    }

    pub fn register(&mut self, id: u64, role: Role, name: &str, writers: Option<u32>) {
        let addresses = if role == Role::Reader { vec![Address::new(":7001").unwrap()] } else { Vec::new() };
        let name = Name::new(name).unwrap();
        self.send(&Message::Register(Register { id, role, name, addresses, writers, takeover: false }));
    }

    /// Registers a reader that takes the place of one that is gone.
    pub fn heir(&mut self, id: u64, name: &str) {
        let (name, addresses) = (Name::new(name).unwrap(), vec![Address::new(":7001").unwrap()]);
        let role = Role::Reader;
        self.send(&Message::Register(Register { id, role, name, addresses, writers: None, takeover: true }));
    }

    pub fn reader(&mut self, id: u64, name: &str) {
        self.register(id, Role::Reader, name, None);
    }

    pub fn writer(&mut self, id: u64, name: &str) {
        self.register(id, Role::Writer, name, None);
    }

    /// Waits for the next frame; `None`: the connection ended in order or was reset.
    pub fn next(&mut self) -> Option<Message> {
        loop {
            let mut input = &self.rest[..];
            let message = self.decoder.next(&mut input).unwrap();
            self.rest = input.to_vec();
            if message.is_some() {
                return message;
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.rest.extend_from_slice(&buffer[..count]),
                Err(error) if is_timeout(&error) => panic!("no frame in {PATIENCE:?}"),
                Err(_) => return None,
            }
        }
    }

    pub fn receive(&mut self) -> Message {
        self.next().expect("the broker closed the connection")
    }

    pub fn matched(&mut self) -> Match {
        match self.receive() {
            Message::Match(matched) => matched,
            other => panic!("{other:?} instead of MATCH"),
        }
    }

    pub fn refused(&mut self) -> (u64, Reason) {
        match self.receive() {
            Message::Refused { id, reason } => (id, reason),
            other => panic!("{other:?} instead of REFUSED"),
        }
    }

    pub fn relayed(&mut self) -> (u64, Token) {
        match self.receive() {
            Message::Relay { id, token } => (id, token),
            other => panic!("{other:?} instead of RELAY"),
        }
    }

    /// Waits for the last frame, and the end behind it.
    pub fn refusal(&mut self) -> Reason {
        match self.receive() {
            Message::Refusal(reason) => {
                assert!(self.at_end(), "bytes after a REFUSAL");
                reason
            }
            other => panic!("{other:?} instead of REFUSAL"),
        }
    }

    /// Waits for the end of the connection, and returns whether nothing came before it.
    pub fn at_end(&mut self) -> bool {
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => self.rest.is_empty(),
            Ok(_) => false,
            Err(error) if is_timeout(&error) => panic!("no end of the connection in {PATIENCE:?}"),
            Err(_) => self.rest.is_empty(),
        }
    }

    /// Waits until the broker has taken everything sent so far: it answers in order.
    pub fn sync(&mut self) {
        self.send(&Message::Ping);
        assert_eq!(self.receive(), Message::Pong);
    }
}

fn thread_name(address: SocketAddr) -> String {
    format!("broker {}", address.port())
}

pub fn secret(byte: u8) -> Secret {
    Secret::new(&[byte; 32]).unwrap()
}

pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
