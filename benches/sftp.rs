//! sftp against OpenSSH's scp, which speaks SFTP, on the same sshd: whole processes on both sides. Ours is this program again, with
//! `get` or `put`.

use std::env::{args, current_exe};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use vfs_core::Registry;
use zvfs_benches::host::{get, host, put};
use zvfs_benches::peers::Failure;
use zvfs_benches::{cost, heading, pair_of_processes};
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::pattern;
use zvfs_test_support::have;

const MIB: u64 = 1 << 20;
const SIZES: [u64; 2] = [64, 1024];
const ROUNDS: usize = 7;

/// What scp is told of ciphers: nothing, and the one that ours chooses.
const CIPHERS: [(&str, &[&str]); 2] =
    [("scp", &[]), ("scp with aes256-gcm", &["-c", "aes256-gcm@openssh.com"])];

fn main() -> Result<(), Failure> {
    let words: Vec<String> = args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["get", settings, descriptor] => get(&host_of(settings)?, descriptor),
        ["put", settings, descriptor, from] => put(&host_of(settings)?, descriptor, Path::new(from)),
        _ if have(&["scp"]) => SshServer::openssh().map_or(Ok(()), |server| Bench::new(server)?.run()),
        _ => Ok(()),
    }
}

fn host_of(settings: &str) -> Result<Registry, Failure> {
    host(&format!("[provider.sftp]\nsettings = {{ {settings} }}\n"))
}

struct Bench {
    server: SshServer,
    folder: TempDir,
    program: PathBuf,
}

impl Bench {
    fn new(server: SshServer) -> Result<Bench, Failure> {
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
        for (title, word) in [("download", "get"), ("upload", "put")] {
            heading(&format!("{title}, each MiB"), "ours", "scp");
            for (size, (peer, cipher)) in SIZES.into_iter().flat_map(|size| CIPHERS.map(|peer| (size, peer)))
            {
                let name = if word == "get" { size.to_string() } else { "new".to_owned() };
                pair_of_processes(
                    &format!("{size} MiB, {peer}"),
                    size,
                    ROUNDS,
                    || cost(&mut self.afresh().ours(word, &name, size)),
                    || cost(&mut self.afresh().scp(cipher, word, &name, size)),
                );
            }
        }
        Ok(())
    }

    /// Without what was uploaded last: ours would keep it until the new file is complete, and scp empties it first.
    fn afresh(&self) -> &Bench {
        // There is none at first.
        let _ = fs::remove_file(self.server.root().join("new"));
        self
    }

    fn ours(&self, word: &str, name: &str, size: u64) -> Command {
        let mut command = Command::new(&self.program);
        let (known, key) = (self.server.known_hosts(), self.server.key_file());
        command.arg(word).arg(format!("known-hosts = [{known:?}], key-file = {key:?}"));
        command.arg(self.server.sftp(name));
        if word == "put" {
            command.arg(self.local(size));
        }
        command
    }

    fn scp(&self, cipher: &[&str], word: &str, name: &str, size: u64) -> Command {
        let mut command = Command::new("scp");
        command.args(cipher);
        command
            .args(["-q", "-F", "none", "-P", &self.server.port().to_string(), "-i"])
            .arg(self.server.key_file());
        let known = self.server.known_hosts();
        command.args(["-o", &format!("UserKnownHostsFile={}", known.display()), "-o", "BatchMode=yes"]);
        let remote = format!("{}@127.0.0.1:{}", self.server.user(), self.server.root().join(name).display());
        match word {
            "get" => command.arg(remote).arg("/dev/null"),
            _ => command.arg(self.local(size)).arg(remote),
        };
        command
    }
}
