//! SSH servers with SFTP: OpenSSH's, with two host keys and for whoever runs the test; and asyncssh's, which has passwords.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use zvfs_http_servers::Process;
use zvfs_test_support::{free_port, have, succeeded};

/// Longer than any of them takes to start on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
/// Ports taken by somebody else in between, one after the other.
const ATTEMPTS: usize = 5;
/// Where Debian's python3 finds asyncssh.
const ASYNCSSH: &str = "/usr/lib/python3/dist-packages/asyncssh/__init__.py";
/// The host keys' types, as ssh-keygen has them; the first is the one that servers like best.
const HOST_KEYS: [&str; 2] = ["ed25519", "ecdsa"];

/// The password that [`SshServer::asyncssh`] takes.
pub const PASSWORD: &str = "swordfish";
/// Its user.
pub const USER: &str = "reader";

/// A server. Ends when it is dropped, and its files are removed.
pub struct SshServer {
    user: String,
    port: u16,
    /// The line of OpenSSH's configuration.
    subsystem: String,
    folder: TempDir,
    // Ends before its folder goes.
    process: Option<Process>,
}

impl SshServer {
    /// OpenSSH's sshd, with its SFTP server. Logs in whoever runs the test, with the key of [`key_file`](SshServer::key_file).
    ///
    /// `None`: the machine has none, which was said.
    pub fn openssh() -> Option<SshServer> {
        SshServer::with_subsystem(|_| "Subsystem sftp internal-sftp".to_owned())
    }

    /// The same with no SFTP at all.
    pub fn without_sftp() -> Option<SshServer> {
        SshServer::with_subsystem(|_| String::new())
    }

    /// The same with an SFTP server that changes nothing about a file but its content: no times, no permissions.
    pub fn without_changes() -> Option<SshServer> {
        SshServer::with_subsystem(|_| "Subsystem sftp internal-sftp -P setstat,fsetstat".to_owned())
    }

    /// The same with an SFTP server that does one thing wrong: a `fault` of `hostile.py`.
    pub fn hostile(fault: &str) -> Option<SshServer> {
        SshServer::with_subsystem(|server| {
            let script = server.write("hostile.py", include_str!("ssh/hostile.py"));
            let folder = server.folder.path().display();
            format!("Subsystem sftp /usr/bin/python3 {} {fault} {folder}", script.display())
        })
    }

    fn with_subsystem(subsystem: impl Fn(&SshServer) -> String) -> Option<SshServer> {
        if !have(&["sshd", "ssh-keygen", "ssh-agent", "ssh-add", "/usr/bin/python3"]) {
            return None;
        }
        let user = text(succeeded(program("id", &["-un"])).stdout);
        let mut server = SshServer::prepare(user.trim().to_owned());
        server.subsystem = subsystem(&server);
        for _ in 0..ATTEMPTS {
            server.port = free_port();
            server.sshd();
            if server.answers() {
                return Some(server);
            }
        }
        panic!("sshd does not start: {}", server.log());
    }

    /// asyncssh, whose SFTP is another implementation. Logs in the user [`USER`] with the password [`PASSWORD`] or that key.
    ///
    /// `None`: the machine has none, which was said.
    pub fn asyncssh() -> Option<SshServer> {
        if !have(&["/usr/bin/python3", ASYNCSSH, "ssh-keygen"]) {
            return None;
        }
        let mut server = SshServer::prepare(USER.to_owned());
        let script = server.write("server.py", include_str!("ssh/server.py"));
        let arguments = [script, server.folder.path().to_owned()];
        let arguments: Vec<&str> = arguments.iter().map(|path| path.to_str().unwrap()).collect();
        let log = server.new_log();
        let mut process = Process::start("/usr/bin/python3", &arguments, |command| {
            command.env("PASSWORD", PASSWORD).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        })
        .unwrap();
        // It chooses its port itself, and says it.
        let mut port = String::new();
        BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut port).unwrap();
        server.port =
            port.trim().parse().unwrap_or_else(|_| panic!("asyncssh does not start: {}", server.log()));
        server.process = Some(process);
        Some(server)
    }

    /// The descriptor of a name in its folder.
    pub fn sftp(&self, name: &str) -> String {
        format!("{}/{name}", self.sftp_of(&self.root()))
    }

    /// The descriptor of a path.
    pub fn sftp_of(&self, path: &Path) -> String {
        format!("sftp://{}@127.0.0.1:{}{}", self.user, self.port, path.display())
    }

    /// The folder for files of tests.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Puts a file there.
    pub fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.root().join(name), content).unwrap();
    }

    /// Whom it logs in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A private key that it logs its user in with.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// A file that knows its host keys.
    pub fn known_hosts(&self) -> PathBuf {
        let lines = HOST_KEYS.map(|kind| self.host_key_line(kind));
        self.write("known_hosts", &lines.concat())
    }

    /// The line of one of its host keys: `ed25519` or `ecdsa`.
    pub fn host_key_line(&self, kind: &str) -> String {
        let key = fs::read_to_string(self.folder.path().join(format!("host_{kind}.pub"))).unwrap();
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        format!("[127.0.0.1]:{} {}\n", self.port, key.join(" "))
    }

    /// A place for a test's own files, beside [`root`](SshServer::root).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of a test's own.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Sends a signal to the processes of all connections, but not to the one that takes new ones.
    pub fn signal(&mut self, signal: Signal) {
        for process in descendants(self.id()) {
            // It may have ended meanwhile.
            let _ = kill_process(process, signal);
        }
    }

    /// Takes no new connections any more; those that come wait.
    pub fn stop_accepting(&mut self) {
        kill_process(self.id(), Signal::STOP).unwrap();
    }

    /// How many connections are open (OpenSSH).
    pub fn connections(&mut self) -> usize {
        children(self.id()).len()
    }

    /// Ends it, with all connections.
    pub fn end(&mut self) {
        // Nobody may get in between.
        self.stop_accepting();
        self.signal(Signal::KILL);
        kill_process(self.id(), Signal::KILL).unwrap();
        self.process = None;
    }

    /// Starts it again at its port, after [`end`](SshServer::end) (OpenSSH).
    pub fn start_again(&mut self) {
        self.sshd();
        assert!(self.answers(), "sshd does not start again: {}", self.log());
    }

    /// Runs `ssh-keygen` for a key without a passphrase, in its folder.
    pub fn new_key(&self, kind: &str, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let mut command = program("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", "", "-f"]);
        command.arg(&path);
        succeeded(command);
        path
    }

    fn id(&mut self) -> Pid {
        Pid::from_child(self.process.as_mut().expect("it runs").child())
    }

    fn prepare(user: String) -> SshServer {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        let server = SshServer { user, port: 0, subsystem: String::new(), folder, process: None };
        for kind in HOST_KEYS {
            server.new_key(kind, &format!("host_{kind}"));
        }
        let key = server.new_key("ed25519", "user");
        fs::copy(key.with_extension("pub"), server.folder.path().join("authorized_keys")).unwrap();
        server
    }

    fn sshd(&mut self) {
        if rustix::process::geteuid().is_root() {
            // Where its unprivileged part stands; Debian's start script makes it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let configuration = include_str!("ssh/sshd_config")
            .replace("@FOLDER@", self.folder.path().to_str().unwrap())
            .replace("@SUBSYSTEM@", &self.subsystem)
            .replace("@PORT@", &self.port.to_string());
        let configuration = self.write("sshd_config", &configuration);
        let log = self.new_log();
        let process =
            Process::start("sshd", &["-D", "-e", "-f", configuration.to_str().unwrap()], |command| {
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            });
        self.process = Some(process.unwrap());
    }

    /// Waits until it answers; `false`: it has ended, or somebody else is at its port.
    fn answers(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.comes_to(|| is_ssh(self.port)))
    }

    fn new_log(&self) -> File {
        File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap()
    }

    /// What it logged, for a test that failed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = kill_process(self.id(), Signal::CONT);
            // Those of connections outlive the one that takes new ones, and one that was stopped cannot end.
            self.signal(Signal::KILL);
        }
    }
}

fn is_ssh(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut said = [0; 4];
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.read_exact(&mut said).is_ok() && &said == b"SSH-"
}

fn descendants(of: Pid) -> Vec<Pid> {
    children(of).into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

/// Found among all processes: the kernel's own list of a process's children leaves some out while others end.
fn children(of: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| Pid::from_raw(entry.unwrap().file_name().to_str()?.parse().ok()?));
    ids.filter(|id| parent(*id) == Some(of)).collect()
}

/// `None`: it has none, or has ended.
fn parent(of: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", of.as_raw_pid())).ok()?;
    // Its name, in parentheses, may be anything; then come its state and its parent.
    let (_, rest) = stat.rsplit_once(") ")?;
    Pid::from_raw(rest.split(' ').nth(1)?.parse().ok()?)
}

fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
