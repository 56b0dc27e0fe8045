//! Runs `zvfs broker`.

use crate::support::{Done, Folder, Started};
use rustix::process::Signal;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use zvfs_test_support::{bounded, eventually};

/// A broker in a process of its own. Killed when dropped.
pub struct Broker {
    /// Where it listens, as it said itself.
    pub address: String,
    process: Started,
    log: PathBuf,
}

impl Broker {
    /// Starts a command that is `zvfs broker ...`, and waits until it listens. Its log goes to a file of that name.
    #[track_caller]
    pub fn start(mut command: Command, folder: &Folder, log: &str) -> Broker {
        let log = folder.path().join(log);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut process = Started::as_set(&mut command);
        let stdout = BufReader::new(process.child.stdout.take().unwrap());
        let line = bounded(move || stdout.lines().next());
        let Some(Ok(line)) = line else {
            let code = process.end().code;
            panic!("no broker, but code {code}: {}", fs::read_to_string(&log).unwrap());
        };
        let address = line.strip_prefix("listening at ").unwrap().to_owned();
        Broker { address, process, log }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until its log has this text, that many times.
    #[track_caller]
    pub fn logged(&self, text: &str, times: usize) {
        eventually(format!("{times} times `{text}` in the log of the broker"), || {
            self.log().matches(text).count() >= times
        });
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends it a signal, and waits for its end.
    #[track_caller]
    pub fn end(self, signal: Signal) -> Done {
        self.signal(signal);
        let done = self.process.end();
        Done { stderr: fs::read_to_string(&self.log).unwrap(), ..done }
    }
}

/// A file with a secret that its owner alone can read.
pub fn secret_file(folder: &Folder, name: &str, secret: &str) -> String {
    let path = folder.write(name, secret);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}
