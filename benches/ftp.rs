//! ftp against curl and lftp, on the same vsftpd: whole processes on both sides. Ours is this program again, with `get` or `put`.

use std::env::{args, current_exe};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use vfs_core::Registry;
use zvfs_benches::host::{get, host, put};
use zvfs_benches::peers::Failure;
use zvfs_benches::{cost, heading, pair_of_processes};
use zvfs_engines::ftp::FtpServer;
use zvfs_http_servers::pattern;
use zvfs_test_support::have;

const MIB: u64 = 1 << 20;
const SIZES: [u64; 2] = [64, 1024];
const ROUNDS: usize = 7;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["get", ca_file, descriptor] => get(&host_of(ca_file)?, descriptor),
        ["put", ca_file, descriptor, from] => put(&host_of(ca_file)?, descriptor, Path::new(from)),
        _ if have(&["curl", "lftp"]) => {
            FtpServer::vsftpd().map_or(Ok(()), |server| Bench::new(server)?.run())
        }
        _ => Ok(()),
    }
}

fn host_of(ca_file: &str) -> Result<Registry, Failure> {
    host(&format!("[provider.ftp]\nsettings = {{ ca-file = {ca_file:?} }}\n"))
}

struct Bench {
    server: FtpServer,
    folder: TempDir,
    program: PathBuf,
}

impl Bench {
    fn new(server: FtpServer) -> Result<Bench, Failure> {
        let bench = Bench { server, folder: tempfile::tempdir()?, program: current_exe()? };
        for size in SIZES {
            let content = pattern::bytes(0..size * MIB);
            bench.server.put(&size.to_string(), &content);
            fs::write(bench.local(size), &content)?;
        }
        Ok(bench)
    }

    fn local(&self, size: u64) -> PathBuf {
        self.folder.path().join(size.to_string())
    }

    fn run(&self) -> Result<(), Failure> {
        let ours = |word: &str, descriptor: &str| {
            let mut command = Command::new(&self.program);
            command.arg(word).arg(self.server.ca_file()).arg(descriptor);
            command
        };
        let curl = || {
            let mut command = Command::new("curl");
            command.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(self.server.ca_file());
            command
        };
        let lftp = |script: String| {
            let mut command = Command::new("lftp");
            command.args(["--norc", "-c", &script]);
            command
        };
        heading("download, each MiB", "ours", "curl, lftp");
        for size in SIZES {
            let (plain, secure) = (self.server.ftp(&size.to_string()), self.server.ftps(&size.to_string()));
            pair_of_processes(
                &format!("{size} MiB, curl"),
                size,
                ROUNDS,
                || cost(&mut ours("get", &plain)),
                || cost(curl().args(["--output", "/dev/null", &plain])),
            );
            pair_of_processes(
                &format!("{size} MiB with TLS, curl"),
                size,
                ROUNDS,
                || cost(&mut ours("get", &secure)),
                // To curl, ftps is implicit TLS.
                || cost(curl().args(["--ssl-reqd", "--output", "/dev/null", &plain])),
            );
            pair_of_processes(
                &format!("{size} MiB, lftp"),
                size,
                ROUNDS,
                || cost(&mut ours("get", &plain)),
                || cost(&mut lftp(format!("set ftp:ssl-allow no; cat {plain}"))),
            );
        }
        heading("upload, each MiB", "ours", "curl, lftp");
        for size in SIZES {
            let (local, plain) = (self.local(size), self.server.ftp("new"));
            let folder = self.server.ftp("");
            // What was uploaded last ours would keep until the new file is complete, and the others empty it first.
            let clear = || ["new", "theirs"].map(|name| fs::remove_file(self.server.root().join(name)).ok());
            pair_of_processes(
                &format!("{size} MiB, curl"),
                size,
                ROUNDS,
                || {
                    clear();
                    cost(ours("put", &plain).arg(&local))
                },
                || {
                    clear();
                    cost(curl().arg("--upload-file").arg(&local).arg(&plain))
                },
            );
            pair_of_processes(
                &format!("{size} MiB, lftp"),
                size,
                ROUNDS,
                || {
                    clear();
                    cost(ours("put", &plain).arg(&local))
                },
                || {
                    clear();
                    cost(&mut lftp(format!(
                        "set ftp:ssl-allow no; put -O {folder} {} -o theirs",
                        local.display()
                    )))
                },
            );
        }
        Ok(())
    }
}
