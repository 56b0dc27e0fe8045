//! Bytes from one process to another: `zvfs cp` into a netpipe and out of it, against socat and iperf3 over loopback.

use crate::ours::{Host, Ours};
use crate::{Failure, MIB, ROUNDS, SIZE, expect, skips, text};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use zvfs_benches::peers;
use zvfs_benches::{Cost, cost_of, heading, pair_of_processes};
use zvfs_http_servers::pattern;
use zvfs_test_support::free_port;

/// A peer's write.
const WRITE: usize = 64 << 10;

type Way = fn(&Path) -> Result<Duration, Failure>;

pub fn run(ours: &Ours) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("source");
    pattern::write(&source, SIZE);
    for (title, same_host) in [("over TCP", "off"), ("in memory after 16 MiB", "on")] {
        let host = ours.host(&format!(
            "[provider.file]\n[provider.null]\n[provider.tcp]\nsettings = {{ same-host = \"{same_host}\" }}\n"
        ))?;
        let title = format!("{} MiB from process to process, {title}, each MiB", SIZE / MIB);
        heading(&title, "two zvfs cp, from a file to null:", "the peer's over TCP, from the same file");
        for (row, program, way) in [
            (
                "socat, in writes of 64 KiB",
                "socat",
                (|file| peers::socat_of(file, WRITE, SIZE as usize)) as Way,
            ),
            ("iperf3, in writes of 64 KiB, by its clock", "iperf3", |file| {
                peers::iperf3_of(Some(file), WRITE, SIZE as usize)
            }),
        ] {
            if let Some(missing) = skips::missing(&[program]) {
                skips::skip(row, missing);
                continue;
            }
            let peer = || {
                let mut time = Duration::ZERO;
                let cost = cost_of(|| time = expect(way(&source)));
                Cost { wall: time, ..cost }
            };
            let ours = || cost_of(|| expect(through_netpipe(&host, &source)));
            pair_of_processes(row, SIZE / MIB, ROUNDS, ours, peer);
        }
    }
    Ok(())
}

/// Both ends' starts and the time until they have found each other are part of it.
fn through_netpipe(host: &Host, source: &Path) -> Result<(), Failure> {
    let pipe = format!("tcp://127.0.0.1:{}", free_port());
    let copy = |from: &str, to: &str| {
        let mut command = host.command("cp");
        command.args([from, to]).stdin(Stdio::null());
        command
    };
    let mut reader = copy(&pipe, "null:").spawn()?;
    let written = copy(&text(source), &pipe).status()?;
    let read = reader.wait()?;
    if written.success() && read.success() {
        Ok(())
    } else {
        Err(format!("zvfs cp: {written}, {read}").into())
    }
}
