//! object against rclone and s5cmd, whole processes, on the same S3 server: objects of 64 MiB and 1 GiB, from a file and to a file.

use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;
use zvfs_benches::{cost, heading, pair_of_processes, provider_folder};
use zvfs_engines::S3;
use zvfs_http_servers::pattern;
use zvfs_test_support::{command, find, have};

const MIB: u64 = 1 << 20;
const ROUNDS: usize = 5;
/// The object, for a peer, which has a name of its own for it.
const PLACE: &str = "the object";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    if !have(&["rclone"]) {
        return Ok(());
    }
    let Some(server) = S3::s3s() else { return Ok(()) };
    let bench = Bench::new(server)?;
    for (name, size) in [("64 MiB", 64 * MIB), ("1 GiB", 1024 * MIB)] {
        bench.compare(name, size)?;
    }
    Ok(())
}

struct Bench {
    server: S3,
    folder: TempDir,
    config: PathBuf,
}

/// Makes the command that copies one to the other, either of which may be [`Bench::place`].
type Peer = fn(&Bench, &str, &str) -> Command;

impl Bench {
    fn new(server: S3) -> Result<Bench, Failure> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("zvfs.toml");
        let settings = server.settings();
        std::fs::write(
            &config,
            format!("[provider.file]\n[provider.object]\nsettings = {{ {settings} }}\n"),
        )?;
        Ok(Bench { server, folder, config })
    }

    /// What is written first is what is read then.
    fn compare(&self, name: &str, size: u64) -> Result<(), Failure> {
        let (source, target) = (self.file("source"), self.file("target"));
        std::fs::write(&source, pattern::bytes(0..size))?;
        let s3 = self.server.descriptor("object");
        for (title, ours, theirs) in [
            ("from a file to S3", [&source, &s3], [source.as_str(), PLACE]),
            ("from S3 to a file", [&s3, &target], [PLACE, target.as_str()]),
        ] {
            heading(&format!("{name} {title}, each MiB"), "zvfs cp", "the peer's");
            for (peer, make) in peers() {
                pair_of_processes(
                    peer,
                    size / MIB,
                    ROUNDS,
                    || cost(&mut self.zvfs(ours)),
                    || cost(&mut make(self, theirs[0], theirs[1])),
                );
            }
        }
        // What is fast and wrong would be no result.
        assert!(std::fs::read(&source)? == std::fs::read(&target)?, "the copy is not the same");
        Ok(())
    }

    fn zvfs(&self, from_and_to: [&String; 2]) -> Command {
        let mut zvfs = Command::new(command());
        zvfs.arg("--config").arg(&self.config).arg("--provider-path").arg(provider_folder());
        zvfs.arg("cp").args(from_and_to);
        zvfs
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}

fn peers() -> Vec<(&'static str, Peer)> {
    let mut peers: Vec<(&str, Peer)> = vec![("rclone copyto", rclone)];
    if find("s5cmd").is_some() {
        peers.push(("s5cmd cp", s5cmd));
    }
    peers
}

fn rclone(bench: &Bench, from: &str, to: &str) -> Command {
    let place =
        |name: &str| if name == PLACE { format!("zvfs:{}/object", S3::BUCKET) } else { name.to_owned() };
    let mut rclone = bench.server.rclone("zvfs");
    rclone.args(["copyto", "--ignore-times", &place(from), &place(to)]);
    rclone
}

fn s5cmd(bench: &Bench, from: &str, to: &str) -> Command {
    let place =
        |name: &str| if name == PLACE { format!("s3://{}/object", S3::BUCKET) } else { name.to_owned() };
    let mut s5cmd = Command::new("s5cmd");
    s5cmd.args(["--endpoint-url", &bench.server.endpoint(), "cp", &place(from), &place(to)]);
    s5cmd.env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY);
    s5cmd.env("AWS_REGION", "us-east-1");
    s5cmd
}
