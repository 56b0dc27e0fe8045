//! Real clients, as seeds: transmission and aria2.

use super::Torrent;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zvfs_http_servers::Process;
use zvfs_test_support::{free_port, have};

/// Longer than any of them takes to verify what it seeds, on a busy machine.
const BOUND: Duration = Duration::from_secs(120);
/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(50);
/// Ports taken by somebody else in between, one after the other.
const ATTEMPTS: usize = 5;

/// A client that seeds one torrent. Ends when dropped.
pub struct Client {
    port: u16,
    folder: TempDir,
    // Ends before its folder goes.
    process: Option<Process>,
}

impl Client {
    /// transmission. It gives nothing to a new peer before its next look round, which is every ten seconds.
    ///
    /// `None`: the machine has none, which was said.
    pub fn transmission(torrent: &Torrent) -> Option<Client> {
        have(&["transmission-daemon"]).then(|| Client::start(torrent, &transmission))
    }

    /// aria2. It does not look at what it seeds: of a file that was changed it gives wrong bytes.
    ///
    /// `None`: the machine has none, which was said.
    pub fn aria2(torrent: &Torrent) -> Option<Client> {
        have(&["aria2c"]).then(|| Client::start(torrent, &aria2))
    }

    fn start(torrent: &Torrent, run: &dyn Fn(&Path, u16, &mut Client)) -> Client {
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join("watch")).unwrap();
            fs::write(folder.path().join("watch/t.torrent"), &torrent.file).unwrap();
            for (path, content) in &torrent.files {
                let is_single = torrent.files.len() == 1 && *path == torrent.name;
                let path = if is_single { path.clone() } else { format!("{}/{path}", torrent.name) };
                let path = folder.path().join("data").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            let mut client = Client { port: free_port(), folder, process: None };
            let path = client.folder.path().to_owned();
            run(&path, client.port, &mut client);
            if client.seeds(torrent) {
                return client;
            }
        }
        panic!("no client seeds here");
    }

    /// host:port.
    pub fn address(&self) -> String {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).to_string()
    }

    /// The folder of what it seeds.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Whether it comes to shake hands over the torrent and says that it has pieces; `false`: it ended.
    fn seeds(&mut self, torrent: &Torrent) -> bool {
        let start = Instant::now();
        loop {
            if self.process.as_mut().is_none_or(Process::has_ended) {
                return false;
            }
            if self.answers(torrent) {
                return true;
            }
            assert!(start.elapsed() < BOUND, "a client that does not seed: {}", self.log());
            thread::sleep(LOOK);
        }
    }

    fn answers(&self, torrent: &Torrent) -> bool {
        let greeting =
            [b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".as_slice(), &torrent.hash, b"-ZV0001-zvfs-looking"];
        let asked = || {
            let mut stream = from_elsewhere(self.port)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(&greeting.concat())?;
            let mut answer = [0; 68 + 5];
            stream.read_exact(&mut answer)?;
            io::Result::Ok(answer[68 + 4] == 5) // its bitfield
        };
        asked().unwrap_or(false)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn run(&mut self, program: &str, arguments: &[&str]) {
        let log = File::create(self.folder.path().join("log")).unwrap();
        let process = Process::start(program, arguments, |command| {
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            command.env("HOME", self.folder.path());
        });
        self.process = Some(process.unwrap());
    }
}

/// Connects from another address than the reader will: for a moment transmission takes that one for a double.
fn from_elsewhere(port: u16) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), 0))?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket.into())
}

fn transmission(folder: &Path, port: u16, client: &mut Client) {
    let path = |name| folder.join(name).display().to_string();
    let (config, data, watch) = (path("config"), path("data"), path("watch"));
    let (port, remote) = (port.to_string(), free_port().to_string());
    let files = ["-g", &config, "-w", &data, "-c", &watch];
    let net = ["-P", &port, "-p", &remote, "--no-dht", "--no-lpd", "--no-portmap", "--no-utp"];
    client.run("transmission-daemon", &[&["--foreground"], &files[..], &net].concat());
}

fn aria2(folder: &Path, port: u16, client: &mut Client) {
    let (torrent, data) = (folder.join("watch/t.torrent"), folder.join("data"));
    let port = format!("--listen-port={port}");
    let dir = format!("--dir={}", data.display());
    let seeding = ["--bt-seed-unverified=true", "--check-integrity=false", "--seed-ratio=0.0"];
    let net = [
        "--enable-dht=false",
        "--enable-dht6=false",
        "--enable-peer-exchange=false",
        "--bt-enable-lpd=false",
    ];
    let torrent = torrent.display().to_string();
    client.run("aria2c", &[&["--no-conf=true", &dir, &port], &seeding[..], &net, &[&torrent]].concat());
}
