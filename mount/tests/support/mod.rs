//! A folder that is mounted for one test, and is unmounted whatever becomes of that.

#![allow(dead_code, reason = "each test file uses its part")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use tempfile::TempDir;
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::{FaultServer, Object};
use zvfs_test_support::{LIMIT, built, collect, ends, eventually, find, have, skip, succeeded};

/// Whether this machine has what a mount needs. If not, the test is skipped: the caller returns.
pub fn can_mount() -> bool {
    if !have(&["fusermount3"]) {
        return false;
    }
    let device = fs::File::options().read(true).write(true).open("/dev/fuse");
    if let Err(error) = &device {
        skip(format!("open /dev/fuse: {error}"));
    }
    device.is_ok()
}

/// `zvfs mount` with these options, over the providers that were built for this test.
pub fn zvfs_mount(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-mount"));
    command.env_remove("ZVFS_CONFIG").arg("--provider-path").arg(built()).arg("mount").args(options);
    command
}

/// `zvfs mount` under an operator's file, in this folder, that gives a provider settings.
pub fn configured(folder: &Path, provider: &str, settings: &str, options: &[&str]) -> Command {
    let config = folder.join("zvfs.toml");
    let text =
        format!("provider-path = [{:?}]\n[provider.{provider}]\nsettings = {{ {settings} }}\n", built());
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-mount"));
    command.arg("--config").arg(config).arg("mount").args(options);
    command
}

/// A program of the machine's.
pub fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(find(name).unwrap());
    command.args(arguments);
    command
}

/// Runs a program that must succeed; what it said.
#[track_caller]
pub fn succeeds(command: &mut Command) -> Output {
    succeeded(mem::replace(command, Command::new("true")))
}

/// Whether something is mounted at a path.
pub fn is_mounted(at: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == at.to_str())
}

/// A mount.
pub struct Mounted {
    at: PathBuf,
    folder: Option<TempDir>,
    child: Option<Child>,
    said: Option<JoinHandle<Vec<u8>>>,
}

impl Mounted {
    /// Mounts a descriptor on a new folder.
    #[track_caller]
    pub fn of(descriptor: &str, options: &[&str]) -> Mounted {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_owned();
        let mut mounted = Mounted::on(&at, descriptor, options);
        mounted.folder = Some(folder);
        mounted
    }

    /// Mounts a descriptor on a folder.
    #[track_caller]
    pub fn on(at: &Path, descriptor: &str, options: &[&str]) -> Mounted {
        Mounted::by(zvfs_mount(options), at, descriptor)
    }

    /// Mounts a descriptor by this command.
    #[track_caller]
    pub fn by(mut command: Command, at: &Path, descriptor: &str) -> Mounted {
        let mut child = command
            .arg(descriptor)
            .arg(at)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = collect(child.stderr.take());
        let mut mounted =
            Mounted { at: at.canonicalize().unwrap(), folder: None, child: Some(child), said: Some(said) };
        eventually(format!("{descriptor} is mounted"), || {
            if mounted.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                panic!("{:?}", mounted.ended());
            }
            is_mounted(&mounted.at)
        });
        mounted
    }

    /// Mounts an SSH server's folder on `at`; the operator's file goes into `config`.
    #[track_caller]
    pub fn sftp(server: &SshServer, config: &Path, at: &Path, options: &[&str]) -> Mounted {
        let (known_hosts, key_file) = (server.known_hosts(), server.key_file());
        let settings = format!("known-hosts = {known_hosts:?}, key-file = {key_file:?}");
        Mounted::by(configured(config, "sftp", &settings, options), at, &server.sftp_of(&server.root()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Sends a signal to the program that serves.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// How the program that serves ended.
    #[track_caller]
    pub fn ended(&mut self) -> Output {
        let mut child = self.child.take().unwrap();
        let in_time = ends(&child, LIMIT);
        if !in_time {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        let stderr = self.said.take().unwrap().join().unwrap();
        assert!(in_time, "it still runs, and said {}", String::from_utf8_lossy(&stderr));
        Output { status, stdout: Vec::new(), stderr }
    }

    /// Ends it by a signal, which must unmount it at once: nobody uses it. What it said.
    #[track_caller]
    pub fn unmount(mut self) -> String {
        self.signal(Signal::TERM);
        let done = self.ended();
        assert!(done.status.success() && !is_mounted(&self.at), "{done:?}");
        // That it is in use may be said: a child that another test's thread is just starting has this process's descriptors until its exec.
        String::from_utf8(done.stderr).unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Of a test that failed: the folder must not stay.
        if is_mounted(&self.at) {
            let _ = program("fusermount3", &["-u", "-z"]).arg(&self.at).status();
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The size of what a stalling server has.
pub const SIZE: u64 = 1_000_000;

/// A server of one file that says what it is, and gives its first bytes only.
pub fn stalling() -> FaultServer {
    FaultServer::http(|request, peer| {
        let answer = Object::new(SIZE).answer(request);
        // What is whole by then ends, or the connection's next request would get no answer.
        if request.method == "HEAD" || answer.body.size() <= 1000 {
            return peer.send(&answer);
        }
        peer.raw(&answer.head())?;
        peer.send_body(&answer.body, 1000)?;
        peer.stall()
    })
}

/// Waits until a child waits for the program that serves it: in each of fifty looks.
#[track_caller]
pub fn waits_for_its_file(child: &Child) {
    let mut seen = 0;
    eventually("it waits for its file", || {
        let place = fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap();
        // For an answer, or for a page that the kernel reads ahead.
        let waits = matches!(place.as_str(), "request_wait_answer" | "folio_wait_bit_common");
        seen = if waits { seen + 1 } else { 0 };
        seen == 50
    });
}
