//! An FTP server that does what a test says, and otherwise what it should. Its files are in memory.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A command, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// In capitals.
    pub verb: String,
    /// The rest of its line.
    pub argument: String,
}

/// What becomes of a command.
pub enum Act {
    /// The server does what it should.
    Usual,
    /// It was answered, or is not to be.
    Done,
    /// The connection is closed.
    Close,
}

type Spoil = dyn Fn(&Command, &mut Peer) -> io::Result<Act> + Send + Sync;

/// A server on loopback. Stops when dropped: its connections are broken and its threads joined.
pub struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    spoil: Box<Spoil>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    is_over: bool,
    commands: Vec<Command>,
    sessions: usize,
    /// Every socket, so that none outlives the server.
    open: HashMap<usize, TcpStream>,
    next: usize,
    files: BTreeMap<String, Vec<u8>>,
    /// Seconds, as MDTM says them.
    modified: u64,
}

/// One control connection, as a test sees it.
pub struct Peer {
    shared: Arc<Shared>,
    control: BufReader<TcpStream>,
    listener: Option<TcpListener>,
    rest: usize,
    from: String,
}

impl FaultServer {
    /// Starts one. `spoil` is asked at each command, and first at the greeting, whose verb is empty.
    pub fn new(
        spoil: impl Fn(&Command, &mut Peer) -> io::Result<Act> + Send + Sync + 'static,
    ) -> FaultServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { spoil: Box::new(spoil), record: Mutex::default() });
        let serving = shared.clone();
        let thread = Some(thread::spawn(move || serving.accept(&listener)));
        FaultServer { address, shared, thread }
    }

    /// The descriptor of a name.
    pub fn ftp(&self, name: &str) -> String {
        format!("ftp://{}/{name}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a file there.
    #[must_use]
    pub fn with(self, name: &str, content: &[u8]) -> FaultServer {
        self.shared.record.lock().unwrap().files.insert(name.to_owned(), content.to_owned());
        self
    }

    /// The content of a file, if it is there.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.record.lock().unwrap().files.get(name).cloned()
    }

    /// The names of its files.
    pub fn names(&self) -> Vec<String> {
        self.shared.record.lock().unwrap().files.keys().cloned().collect()
    }

    /// What it was told so far, in order.
    pub fn commands(&self) -> Vec<Command> {
        self.shared.record.lock().unwrap().commands.clone()
    }

    /// How often it was told this.
    pub fn count(&self, verb: &str) -> usize {
        self.commands().iter().filter(|command| command.verb == verb).count()
    }

    /// How many sessions it had so far.
    pub fn sessions(&self) -> usize {
        self.shared.record.lock().unwrap().sessions
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        {
            let mut record = self.shared.record.lock().unwrap();
            record.is_over = true;
            for socket in record.open.values() {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(thread) = self.thread.take() {
            // It panicked if a test's function did, which has been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Shared>, listener: &TcpListener) {
        let mut threads = Vec::new();
        while let Ok((socket, _)) = listener.accept() {
            let Ok(guard) = self.hold(&socket) else { break };
            self.record.lock().unwrap().sessions += 1;
            let shared = self.clone();
            threads.push(thread::spawn(move || {
                let control = BufReader::new(socket);
                let mut peer =
                    Peer { shared: shared.clone(), control, listener: None, rest: 0, from: String::new() };
                // The client's faults are the test's affair, and what breaks when the server stops is nobody's.
                let _ = peer.serve();
                shared.release(guard);
            }));
        }
        for thread in threads {
            let _: Result<(), _> = thread.join();
        }
    }

    fn hold(&self, socket: &TcpStream) -> io::Result<usize> {
        let mut record = self.record.lock().unwrap();
        if record.is_over {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let number = record.next;
        record.next += 1;
        record.open.insert(number, socket.try_clone()?);
        Ok(number)
    }

    fn release(&self, number: usize) {
        if let Some(socket) = self.record.lock().unwrap().open.remove(&number) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Peer {
    fn serve(&mut self) -> io::Result<()> {
        let mut command = Command { verb: String::new(), argument: String::new() };
        loop {
            let shared = self.shared.clone();
            match (shared.spoil)(&command, self)? {
                Act::Usual => self.usual(&command)?,
                Act::Done => {}
                Act::Close => return Ok(()),
            }
            let mut line = String::new();
            if self.control.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end_matches(['\r', '\n']);
            let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
            command = Command { verb: verb.to_ascii_uppercase(), argument: argument.to_owned() };
            self.shared.record.lock().unwrap().commands.push(command.clone());
        }
    }

    /// What a server should do.
    pub fn usual(&mut self, command: &Command) -> io::Result<()> {
        let name = command.argument.clone();
        let content = self.shared.record.lock().unwrap().files.get(&name).cloned();
        let missing = "550 no such file";
        match (command.verb.as_str(), content) {
            ("", _) => self.reply("220 ready"),
            ("USER", _) => self.reply("331 and the password"),
            ("PASS", _) => self.reply("230 welcome"),
            ("TYPE" | "NOOP", _) => self.reply("200 fine"),
            ("FEAT", _) => self.reply("211-features\r\n EPSV\r\n REST STREAM\r\n SIZE\r\n MDTM\r\n211 end"),
            ("PWD", _) => self.reply("257 \"/\" is here"),
            ("CWD", _) if matches!(name.as_str(), "/" | "folder") => self.reply("250 there"),
            ("EPSV", _) => {
                let port = self.listen()?;
                self.reply(&format!("229 passive (|||{port}|)"))
            }
            ("REST", _) => {
                self.rest = name.parse().unwrap_or(0);
                self.reply("350 from there")
            }
            ("SIZE", Some(content)) => self.reply(&format!("213 {}", content.len())),
            ("MDTM", Some(_)) => {
                let seconds = self.shared.record.lock().unwrap().modified;
                self.reply(&format!("213 202601010000{:02}", seconds % 60))
            }
            ("RETR", Some(content)) => {
                let from = std::mem::take(&mut self.rest).min(content.len());
                self.send(&content[from..])?;
                self.reply("226 done")
            }
            ("LIST", _) => {
                let files = self.shared.record.lock().unwrap().files.clone();
                let line = |(name, content): (&String, &Vec<u8>)| {
                    format!("-rw-r--r-- 1 0 0 {} Jan  1  2020 {name}\r\n", content.len())
                };
                let lines: String = files.iter().map(line).collect();
                self.send(lines.as_bytes())?;
                self.reply("226 done")
            }
            ("STOR", _) => {
                let content = self.receive()?;
                self.shared.record.lock().unwrap().files.insert(name, content);
                self.reply("226 done")
            }
            ("RNFR", Some(_)) => {
                self.from = name;
                self.reply("350 to what?")
            }
            ("RNTO", _) => {
                let mut record = self.shared.record.lock().unwrap();
                let content = record.files.remove(&self.from).unwrap_or_default();
                record.files.insert(name, content);
                drop(record);
                self.reply("250 done")
            }
            ("DELE", Some(_)) => {
                self.shared.record.lock().unwrap().files.remove(&name);
                self.reply("250 done")
            }
            ("SIZE" | "MDTM" | "RETR" | "RNFR" | "DELE" | "CWD", _) => self.reply(missing),
            _ => self.reply("502 no such command"),
        }
    }

    /// Says a line, or several.
    pub fn reply(&mut self, line: &str) -> io::Result<()> {
        self.raw(format!("{line}\r\n").as_bytes())
    }

    /// Says these bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.control.get_mut().write_all(bytes)
    }

    /// Opens a port for the next transfer.
    pub fn listen(&mut self) -> io::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        self.listener = Some(listener);
        Ok(port)
    }

    /// Accepts the transfer's connection, and says 150.
    pub fn data(&mut self) -> io::Result<Data> {
        let listener = self.listener.take().ok_or(io::ErrorKind::NotConnected)?;
        let (socket, _) = listener.accept()?;
        let number = self.shared.hold(&socket)?;
        self.reply("150 here it comes")?;
        Ok(Data { socket, number, shared: self.shared.clone() })
    }

    /// The same, and sends bytes; then the connection is closed.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.data()?.socket.write_all(bytes)
    }

    /// The same, and takes what comes until the end.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let (mut data, mut content) = (self.data()?, Vec::new());
        data.socket.read_to_end(&mut content)?;
        Ok(content)
    }

    /// The offset that REST named, which this takes.
    pub fn take_rest(&mut self) -> usize {
        std::mem::take(&mut self.rest)
    }

    /// Changes a file and its time.
    pub fn change(&mut self, name: &str, content: &[u8]) {
        let mut record = self.shared.record.lock().unwrap();
        record.files.insert(name.to_owned(), content.to_owned());
        record.modified += 1;
    }

    /// Says nothing until the client has gone.
    pub fn stall(&mut self) -> io::Result<Act> {
        io::copy(&mut self.control, &mut io::sink())?;
        Ok(Act::Close)
    }
}

/// The connection of a transfer; closed when dropped.
pub struct Data {
    /// The connection.
    pub socket: TcpStream,
    number: usize,
    shared: Arc<Shared>,
}

impl Drop for Data {
    fn drop(&mut self) {
        self.shared.release(self.number);
    }
}
