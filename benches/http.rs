//! http against curl and rclone, on the same nginx: whole processes where both sides are some, and over a line of 20 ms.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vfs_core::{OpenFile, OpenFlags, OpenOptions};
use zvfs_benches::host::host;
use zvfs_benches::peers::Failure;
use zvfs_benches::{cost, heading, offsets, pair_of_processes, pair_timed, provider_folder};
use zvfs_http_servers::{LongLine, Server, pattern};
use zvfs_test_support::have;

const ZVFS: &str = env!("CARGO_BIN_EXE_zvfs");
const MIB: u64 = 1 << 20;
/// What is downloaded whole.
const BIG: u64 = 2048 * MIB;
/// What goes over the long line.
const FAR: u64 = 256 * MIB;
/// What goes over it from a server that limits each answer.
const NEAR: u64 = 48 * MIB;
const ROUNDS: usize = 7;
const FEW_ROUNDS: usize = 5;
const SMALL_READS: u64 = 10_000;
const FAR_READS: u64 = 40;
/// Each way.
const DISTANCE: Duration = Duration::from_millis(20);

fn main() -> Result<(), Failure> {
    if !have(&["nginx", "curl"]) {
        return Ok(());
    }
    let Some(server) = Server::nginx() else { return Ok(()) };
    let bench = Bench::new(server)?;
    // `-- small` runs that part only; cargo adds an argument of its own.
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("downloads") {
        bench.downloads();
    }
    if wanted("small") {
        bench.small_reads()?;
    }
    if wanted("far") {
        bench.far_reads()?;
        bench.far_downloads();
    }
    Ok(())
}

struct Bench {
    server: Server,
    folder: TempDir,
    config: PathBuf,
}

impl Bench {
    fn new(server: Server) -> Result<Bench, Failure> {
        for (name, size) in [("big", BIG), ("far", FAR), ("near", NEAR)] {
            pattern::write(&server.root().join(name), size);
        }
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("zvfs.toml");
        std::fs::write(&config, settings(&server.ca_file()))?;
        Ok(Bench { server, folder, config })
    }

    fn zvfs(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ZVFS);
        command
            .arg("--config")
            .arg(&self.config)
            .arg("--provider-path")
            .arg(provider_folder())
            .args(arguments);
        command
    }

    fn curl(&self) -> Command {
        let mut command = curl();
        command.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(self.server.ca_file());
        command
    }

    fn downloads(&self) {
        heading(&format!("download of {} MiB, each MiB", BIG / MIB), "zvfs cat", "curl");
        for (name, url) in [("http", self.server.http("big")), ("https", self.server.https("big"))] {
            pair_of_processes(
                name,
                BIG / MIB,
                ROUNDS,
                || cost(&mut self.zvfs(&["cat", &url])),
                || cost(self.curl().args(["--output", "/dev/null", &url])),
            );
        }
    }

    /// curl reads a list of ranges; what reading the list costs is found by the same list of ranges of a local file, and
    /// taken off.
    fn small_reads(&self) -> Result<(), Failure> {
        heading(
            &format!("{SMALL_READS} ranges of 4 KiB, each"),
            "read_at through the library",
            "curl, less its start",
        );
        let offsets = offsets(SMALL_READS, BIG, 4096);
        let local = format!("file://{}", self.server.root().join("far").display());
        let nothing = self.list("local", &local, &vec![0; offsets.len()], 1)?;
        for (name, url) in [("http", self.server.http("big")), ("https", self.server.https("big"))] {
            let list = self.list(name, &url, &offsets, 4096)?;
            let file = self.open(&url)?;
            pair_timed(
                name,
                SMALL_READS,
                || read_each(&file, &offsets, 4096),
                || self.curl_list(&list).saturating_sub(self.curl_list(&nothing)),
            );
        }
        Ok(())
    }

    fn far_reads(&self) -> Result<(), Failure> {
        let line = self.line();
        let url = format!("http://{}/far", line.address());
        heading(&format!("{FAR_READS} ranges of 64 KiB over 20 ms each way, each"), "read_at", "curl");
        let offsets = offsets(FAR_READS, FAR, 64 << 10);
        let list = self.list("line", &url, &offsets, 64 << 10)?;
        pair_timed(
            "random reads",
            FAR_READS,
            || {
                // A connection of its own each time, as curl's is.
                let start = Instant::now();
                match self.open(&url) {
                    Ok(file) => read_each(&file, &offsets, 64 << 10),
                    Err(error) => panic!("{error}"),
                };
                start.elapsed()
            },
            || self.curl_list(&list),
        );
        Ok(())
    }

    fn far_downloads(&self) {
        let line = self.line();
        let origin = format!("http://{}", line.address());
        let url = format!("{origin}/far");
        let ahead =
            |size: &str| vec!["-o".to_owned(), "read-ahead=4".to_owned(), "-o".to_owned(), size.to_owned()];
        let ours = |more: &[String], url: &str| {
            let mut command = self.zvfs(&["cat"]);
            cost(command.args(more).arg(url))
        };
        let curl = |url: &str| cost(self.curl().args(["--output", "/dev/null", url]));
        let rclone = |name: &str| {
            let mut rclone = Command::new("rclone");
            rclone.args(["--config", "", "cat", "--http-url", &origin, name]);
            cost(&mut rclone)
        };
        let has_rclone = have(&["rclone"]);
        let one = vec!["-o".to_owned(), "read-ahead=0".to_owned()];
        let ways = [
            ("one stream", one),
            ("as it finds out", Vec::new()),
            ("4 ranges of 8 MiB ahead", ahead("read-ahead-size=8m")),
        ];
        heading(&format!("{} MiB over 20 ms each way, each MiB", FAR / MIB), "zvfs cat", "curl, rclone");
        for (name, more) in &ways {
            let title = format!("{name}, curl");
            pair_of_processes(&title, FAR / MIB, FEW_ROUNDS, || ours(more, &url), || curl(&url));
            if has_rclone {
                let title = format!("{name}, rclone");
                pair_of_processes(&title, FAR / MIB, FEW_ROUNDS, || ours(more, &url), || rclone(":http:far"));
            }
        }
        let limited = format!("{origin}/limited/near");
        let title = format!("{} MiB over that line, at 16 MiB/s for each answer, each MiB", NEAR / MIB);
        heading(&title, "zvfs cat", "curl, rclone");
        let size = vec!["-o".to_owned(), "read-ahead-size=2m".to_owned()];
        for (name, more) in
            [("as it finds out, 2 MiB", size), ("4 ranges of 2 MiB ahead", ahead("read-ahead-size=2m"))]
        {
            let title = format!("{name}, curl");
            pair_of_processes(&title, NEAR / MIB, 3, || ours(&more, &limited), || curl(&limited));
            if has_rclone {
                let title = format!("{name}, rclone");
                let peer = || rclone(":http:limited/near");
                pair_of_processes(&title, NEAR / MIB, 3, || ours(&more, &limited), peer);
            }
        }
    }

    fn line(&self) -> LongLine {
        LongLine::to(([127, 0, 0, 1], self.server.port()).into(), DISTANCE)
    }

    /// The file, through the library; a positional read's own cost is what is measured, not the command's.
    fn open(&self, url: &str) -> Result<OpenFile, Failure> {
        let host = host(&settings(&self.server.ca_file()))?;
        Ok(host.open(url, &OpenOptions::new(OpenFlags::READ | OpenFlags::RANDOM))?)
    }

    /// A list of transfers for one curl process, which keeps its connection.
    fn list(&self, name: &str, url: &str, offsets: &[u64], size: u64) -> Result<PathBuf, Failure> {
        let path = self.folder.path().join(format!("{name}.curl"));
        let mut list = BufWriter::new(File::create(&path)?);
        let ca = self.server.ca_file();
        for (number, offset) in offsets.iter().enumerate() {
            if number > 0 {
                writeln!(list, "next")?;
            }
            let last = offset + size - 1;
            writeln!(
                list,
                "url = \"{url}\"\nrange = {offset}-{last}\noutput = \"/dev/null\"\ncacert = {ca:?}\nnoproxy = *\nsilent\nfail"
            )?;
        }
        list.flush()?;
        Ok(path)
    }

    fn curl_list(&self, list: &Path) -> Duration {
        cost(curl().arg("--config").arg(list)).wall
    }
}

/// Without a configuration of somebody's, and without a proxy.
fn curl() -> Command {
    let mut command = Command::new("curl");
    command.args(["--disable", "--noproxy", "*"]);
    command
}

/// The operator's file, without its folders.
fn settings(ca: &Path) -> String {
    format!("[provider.http]\nsettings = {{ ca-file = {ca:?} }}\n[provider.file]\n")
}

/// Reads everywhere; the time of that.
fn read_each(file: &OpenFile, offsets: &[u64], size: usize) -> Duration {
    let (mut buf, mut wanted) = (vec![0; size], vec![0; size]);
    let start = Instant::now();
    for offset in offsets {
        let mut done = 0;
        while done < size {
            match file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(count @ 1..) => done += count,
                end => panic!("read at {offset}: {end:?}"),
            }
        }
    }
    let time = start.elapsed();
    // The last one stands for all: comparing each would be part of what is measured.
    pattern::fill(offsets.last().copied().unwrap_or(0), &mut wanted);
    assert!(buf == wanted, "wrong bytes");
    time
}
