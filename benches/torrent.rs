//! A torrent's file against aria2 and transmission-cli, from the same seed: whole processes on both sides, and how soon each has
//! the file's first bytes. Ours is this program again, with `get` or `first`.

use std::env::{args, current_exe};
use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vfs_core::{OpenFlags, OpenOptions};
use zvfs_benches::host::{get, host};
use zvfs_benches::peers::Failure;
use zvfs_benches::{Cost, cost, heading, pair_of_processes};
use zvfs_engines::torrent::{Client, Torrent, Tracker};
use zvfs_http_servers::pattern;
use zvfs_test_support::{free_port, have};

const PROVIDERS: &str = "[provider.file]\n[provider.torrent]\n";
const MIB: usize = 1 << 20;
const SIZE: usize = 256;
const ROUNDS: usize = 5;
/// What counts as the first bytes: a block as peers send it.
const FIRST: usize = 16 << 10;
/// Between two looks whether a client has them.
const LOOK: Duration = Duration::from_millis(2);
/// transmission-cli waits ten seconds before it asks its first peer.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<(), Failure> {
    let words: Vec<String> = args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["get", descriptor] => get(&host(PROVIDERS)?, descriptor),
        ["first", descriptor] => first(descriptor),
        _ if have(&["aria2c", "transmission-cli"]) => Bench::new()?.map_or(Ok(()), |bench| bench.run()),
        _ => Ok(()),
    }
}

fn first(descriptor: &str) -> Result<(), Failure> {
    let flags = OpenFlags::READ | OpenFlags::SEQUENTIAL;
    Ok(host(PROVIDERS)?.open(descriptor, &OpenOptions::new(flags))?.read_exact(&mut [0; FIRST])?)
}

/// An address of this machine that is not loopback's: transmission believes no tracker that names one of those. `None`: there is none,
/// which was said.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent: the route says which address would be used.
    let routed = socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9));
    let address = routed.and_then(|()| socket.local_addr()).map(|address| address.ip());
    if let Err(error) = &address {
        println!("skipped: no address but loopback's: {error}");
    }
    address.ok()
}

struct Bench {
    folder: TempDir,
    program: PathBuf,
    torrent: PathBuf,
    _seed: Client,
    _tracker: Tracker,
}

impl Bench {
    /// `None`: there is no seed, which was said.
    fn new() -> Result<Option<Bench>, Failure> {
        let torrent = Torrent::of_file("content", &pattern::bytes(0..(SIZE * MIB) as u64), MIB);
        let Some(seed) = Client::aria2(&torrent) else { return Ok(None) };
        let Some(address) = own_address() else { return Ok(None) };
        let port = seed.address().rsplit_once(':').map_or("", |(_, port)| port).to_owned();
        let tracker = Tracker::naming(&format!("{address}:{port}"));
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("content.torrent");
        fs::write(&path, &torrent.announced_by(&tracker).file)?;
        let bench = Bench { folder, program: current_exe()?, torrent: path, _seed: seed, _tracker: tracker };
        bench.prepare_transmission()?;
        Ok(Some(bench))
    }

    /// It asks nobody but the tracker, and ends when it has all.
    fn prepare_transmission(&self) -> Result<(), Failure> {
        let off = ["dht", "lpd", "pex", "utp"].map(|what| format!("\"{what}-enabled\": false"));
        fs::create_dir_all(self.at("config"))?;
        fs::write(self.at("config/settings.json"), format!("{{{}}}", off.join(", ")))?;
        fs::write(self.at("finished"), "#!/bin/sh\nkill -INT $PPID\n")?;
        Ok(fs::set_permissions(self.at("finished"), PermissionsExt::from_mode(0o755))?)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> Result<(), Failure> {
        let size = SIZE as u64;
        heading("a whole file, each MiB", "ours", "aria2, transmission-cli");
        let title = |peer: &str| format!("{SIZE} MiB, {peer}");
        let ours = |word: &str| cost(&mut self.ours(word));
        pair_of_processes(
            &title("aria2"),
            size,
            ROUNDS,
            || ours("get"),
            || cost(&mut self.fresh(Bench::aria2)),
        );
        let transmission = || cost(&mut self.fresh(Bench::transmission));
        pair_of_processes(&title("transmission-cli"), size, ROUNDS, || ours("get"), transmission);
        heading("until the first 16 KiB", "ours", "aria2, transmission-cli");
        pair_of_processes("aria2", 1, ROUNDS, || ours("first"), || self.first(Bench::aria2));
        pair_of_processes(
            "transmission-cli",
            1,
            ROUNDS,
            || ours("first"),
            || self.first(Bench::transmission),
        );
        Ok(())
    }

    fn ours(&self, word: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(word).arg(format!("torrent:{}", self.torrent.display()));
        command
    }

    /// A client with nothing from an earlier run.
    fn fresh(&self, client: fn(&Bench, &Path) -> Command) -> Command {
        let folder = self.at("theirs");
        // The first run finds none.
        let _ = fs::remove_dir_all(&folder);
        let mut command = client(self, &folder);
        // transmission-cli tells of all that it does.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn aria2(&self, folder: &Path) -> Command {
        let mut command = Command::new("aria2c");
        command.args(["--no-conf=true", "--seed-time=0", "--file-allocation=none", "--quiet=true"]);
        command.args(["--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"]);
        command.args(["--enable-peer-exchange=false", "--stream-piece-selector=inorder"]);
        command.arg(format!("--listen-port={}", free_port())).arg("--dir").arg(folder).arg(&self.torrent);
        command
    }

    fn transmission(&self, folder: &Path) -> Command {
        let mut command = Command::new("transmission-cli");
        command.args(["--no-portmap", "--port", &free_port().to_string(), "--finish"]);
        command.arg(self.at("finished")).arg("--config-dir").arg(self.at("config"));
        // What it remembers of an earlier run would be part of this one.
        let _ = fs::remove_dir_all(self.at("config/resume"));
        command.arg("--download-dir").arg(folder).arg(&self.torrent);
        command
    }

    /// How long until a client has written the file's first block; then it is ended.
    fn first(&self, client: fn(&Bench, &Path) -> Command) -> Cost {
        let start = Instant::now();
        let mut process = self.fresh(client).spawn().expect("a client that `have` has found");
        while !self.has_first() {
            assert!(start.elapsed() < PATIENCE, "no first block after {PATIENCE:?}");
            thread::sleep(LOOK);
        }
        let wall = start.elapsed();
        // It may have ended by itself.
        let _ = process.kill();
        let _ = process.wait();
        Cost { wall, cpu: None }
    }

    fn has_first(&self) -> bool {
        let part =
            ["theirs/content", "theirs/content.part"].iter().find_map(|name| File::open(self.at(name)).ok());
        let mut block = vec![0; FIRST];
        part.is_some_and(|mut part| part.read_exact(&mut block).is_ok())
            && block.iter().any(|byte| *byte != 0)
    }
}
