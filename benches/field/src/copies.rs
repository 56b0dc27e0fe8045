//! Copies by command, whole processes from start to end.

use crate::ours::Host;
use crate::{Failure, MIB, ROUNDS, skips, text};
use std::fs;
use std::path::Path;
use std::process::Command;
use zvfs_benches::{Cost, cost, heading, pair_of_processes};
use zvfs_engines::S3;

/// A command that makes the same copy, and what it consists of.
struct Peer {
    row: &'static str,
    programs: &'static [&'static str],
    command: Command,
}

fn peer(row: &'static str, programs: &'static [&'static str], arguments: &[&str]) -> Peer {
    let mut command = Command::new(programs[0]);
    command.args(arguments);
    Peer { row, programs, command }
}

/// A local file.
pub fn of_file(host: &Host, source: &Path) -> Result<(), Failure> {
    let (from, target) = (text(source), source.with_file_name("target"));
    let to = text(&target);
    let peers = vec![
        peer("cp", &["cp"], &[&from, &to]),
        peer("nbdcopy, two files", &["nbdcopy"], &[&from, &to]),
        peer("nbdcopy from nbdkit", &["nbdcopy", "nbdkit"], &["--", "[", "nbdkit", "file", &from, "]", &to]),
        peer(
            "rclone copyto",
            &["rclone"],
            &["--config", "/dev/null", "copyto", "--ignore-times", &from, &to],
        ),
    ];
    let mut ours = host.command("cp");
    ours.args([&from, &to]);
    compare("from file to file", ours, peers, &Copy { source, target: &target })
}

/// A file of a web server, which has it as `source`.
pub fn of_url(host: &Host, url: &str, source: &Path) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("target");
    let to = text(&target);
    let curl = ["--disable", "--noproxy", "*", "--silent", "--show-error", "--fail", "--output", &to, url];
    let peers = vec![
        peer("curl", &["curl"], &curl),
        peer("nbdcopy from nbdkit", &["nbdcopy", "nbdkit"], &["--", "[", "nbdkit", "curl", url, "]", &to]),
        peer("rclone copyurl", &["rclone"], &["--config", "/dev/null", "copyurl", url, &to]),
    ];
    let mut ours = host.command("cp");
    ours.args([url, &to]);
    compare("from http to a file", ours, peers, &Copy { source, target: &target })
}

/// An object: written first, as `key`, and then read.
pub fn of_object(host: &Host, server: &S3, key: &str, source: &Path) -> Result<(), Failure> {
    let target = source.with_file_name("target");
    let place = format!("here:{}/{key}", S3::BUCKET);
    let rclone = |from: &str, to: &str| {
        let mut command = server.rclone("here");
        command.args(["copyto", "--ignore-times", from, to]);
        vec![Peer { row: "rclone copyto", programs: &["rclone"], command }]
    };
    let mut ours = host.command("cp");
    ours.args([&text(source), &server.descriptor(key)]);
    let peers = rclone(&text(source), &place);
    compare("from a file to S3", ours, peers, &Copy { source, target: &server.file(key) })?;
    let mut ours = host.command("cp");
    ours.args([&server.descriptor(key), &text(&target)]);
    let peers = rclone(&place, &text(&target));
    compare("from S3 to a file", ours, peers, &Copy { source, target: &target })
}

/// What a copy is of, and where it is afterwards.
struct Copy<'a> {
    source: &'a Path,
    target: &'a Path,
}

impl Copy<'_> {
    fn by(&self, command: &mut Command) -> Cost {
        // Where the target is from before is not measured.
        let _ = fs::remove_file(self.target);
        let cost = cost(command);
        assert_eq!(size(self.target), size(self.source), "{command:?}: the copy's size");
        cost
    }

    /// What is fast and wrong would be no result.
    fn check(&self, command: &mut Command) -> Result<(), Failure> {
        self.by(command);
        match fs::read(self.source)? == fs::read(self.target)? {
            true => Ok(()),
            false => Err(format!("{command:?}: the copy is not the same").into()),
        }
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn compare(way: &str, mut ours: Command, peers: Vec<Peer>, copy: &Copy) -> Result<(), Failure> {
    let mib = size(copy.source) / MIB;
    heading(&format!("{mib} MiB {way}, each MiB"), "zvfs cp", "the peer's");
    copy.check(&mut ours)?;
    for mut peer in peers {
        if let Some(missing) = skips::missing(peer.programs) {
            skips::skip(&format!("{way}: {}", peer.row), missing);
            continue;
        }
        copy.check(&mut peer.command)?;
        let ours = || copy.by(&mut ours);
        pair_of_processes(peer.row, mib, ROUNDS, ours, || copy.by(&mut peer.command));
    }
    Ok(())
}
