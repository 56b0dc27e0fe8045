//! `zvfs mount --write` when programs close what they wrote: which close brings the COMMIT, and who is told that it failed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use support::{Mounted, can_mount, configured, program};
use tempfile::{TempDir, tempdir};
use zvfs_engines::S3;
use zvfs_engines::ssh::SshServer;
use zvfs_test_support::{eventually, have};

/// Runs each line that it reads, and answers with what that printed, or the number of its error.
const PROGRAM: &str = "
import os, subprocess, sys
def new(name): return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
for line in sys.stdin:
    try: exec(line); print('ok', flush=True)
    except OSError as error: print(error.errno, flush=True)
";

/// A program that is told what to do.
struct Told {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Told {
    fn within(folder: &Path) -> Told {
        let mut child = program("python3", &["-c", PROGRAM])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Told { child, orders, answers: BufReader::new(answers).lines() }
    }

    fn does(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.answers.next().unwrap().unwrap()
    }

    #[track_caller]
    fn succeeds(&mut self, order: &str) {
        assert_eq!(self.does(order), "ok", "{order}");
    }

    /// Which must fail as what a server does that is gone.
    #[track_caller]
    fn fails(&mut self, order: &str) {
        let number = self.does(order);
        // EIO, EPIPE, ECONNRESET, ECONNREFUSED.
        assert!(["5", "32", "104", "111"].contains(&number.as_str()), "{order}: {number}");
    }

    #[track_caller]
    fn ends(self) {
        let Told { mut child, orders, answers } = self;
        drop((orders, answers));
        assert!(child.wait().unwrap().success());
    }
}

/// A bucket that is mounted.
struct Bucket {
    // Unmounted before its folder goes, and while its server is there.
    mounted: Mounted,
    server: Option<S3>,
    _folders: [TempDir; 2],
}

impl Bucket {
    fn new() -> Option<Bucket> {
        if !can_mount() || !have(&["python3", "cat", "sh"]) {
            return None;
        }
        let server = S3::moto()?;
        server.put("data/old", b"old");
        let (folder, at) = (tempdir().unwrap(), tempdir().unwrap());
        let options = ["--write", "--timeout", "5s", "--cache-time", "0ms"];
        let command = configured(folder.path(), "object", &server.settings(), &options);
        let mounted = Mounted::by(command, at.path(), &server.descriptor("data"));
        Some(Bucket { mounted, server: Some(server), _folders: [folder, at] })
    }

    fn program(&self) -> Told {
        Told::within(self.mounted.path())
    }

    fn get(&self, name: &str) -> Option<String> {
        let found = self.server.as_ref()?.get(&format!("data/{name}"))?;
        Some(String::from_utf8(found).unwrap())
    }

    fn lose_server(&mut self) {
        drop(self.server.take());
    }
}

/// Found: the file that was open under another number was taken for the one that was closed, whose COMMIT then came at its release, which
/// tells nobody of an error.
#[test]
fn a_file_that_a_program_opened_twice_is_complete_at_each_of_its_closes() {
    let Some(mut bucket) = Bucket::new() else { return };
    let mut program = bucket.program();
    program.succeeds("a = new('twice'); b = new('twice'); os.write(a, b'first'); os.write(b, b'second')");
    program.succeeds("copy = os.dup(a); os.close(a)");
    assert_eq!(bucket.get("twice"), None);
    program.succeeds("os.close(copy)");
    assert_eq!(bucket.get("twice").as_deref(), Some("first"));
    program.succeeds("os.close(b)");
    assert_eq!(bucket.get("twice").as_deref(), Some("second"));
    program.succeeds("a = new('twice'); b = new('twice'); os.write(b, b'3'); os.write(a, b'4'); os.close(b)");
    assert_eq!(bucket.get("twice").as_deref(), Some("3"));
    program.succeeds("os.close(a)");
    assert_eq!(bucket.get("twice").as_deref(), Some("4"));

    program.succeeds("a = new('never'); b = new('never'); os.write(a, b'first'); os.write(b, b'second')");
    bucket.lose_server();
    program.fails("os.close(a)");
    program.fails("os.fsync(b); os.close(b)");
    program.ends();
    bucket.mounted.unmount();
}

/// It came at the release, as if another program could still write it.
#[test]
fn an_empty_file_is_complete_when_it_is_closed() {
    let Some(mut bucket) = Bucket::new() else { return };
    let mut program = bucket.program();
    program.succeeds("os.close(new('empty'))");
    assert_eq!(bucket.get("empty").as_deref(), Some(""));
    program.succeeds("a = new('never')");
    bucket.lose_server();
    program.fails("os.close(a)");
    program.ends();
    bucket.mounted.unmount();
}

/// Found: of a program that was given its output by one that had closed it by then, nothing that it wrote was held back when it was killed,
/// and nothing was there yet when it had ended.
#[test]
fn what_a_program_was_started_to_write_is_complete_when_that_ends() {
    let Some(bucket) = Bucket::new() else { return };
    let mut program = bucket.program();
    let start = |file: &str, script: &str| {
        format!(
            "a = new('{file}'); p = subprocess.Popen({script}, stdin=subprocess.PIPE, stdout=a); os.close(a)"
        )
    };
    program.succeeds(&start("made", "['sh', '-c', 'echo a; cat; echo b']"));
    assert_eq!(bucket.get("made"), None);
    program.succeeds("p.communicate(b'piped\\n'); p.returncode and exit(1)");
    assert_eq!(bucket.get("made").as_deref(), Some("a\npiped\nb\n"));

    program.succeeds(&start("old", "['cat']"));
    program.succeeds("p.stdin.write(b'half'); p.stdin.flush()");
    eventually("it has written", || {
        std::fs::metadata(bucket.mounted.path().join("old")).is_ok_and(|known| known.len() == 4)
    });
    program.succeeds("p.kill(); p.wait()");
    program.ends();
    let said = bucket.mounted.unmount();
    assert!(said.contains("ended by a signal"), "{said}");
    assert_eq!(bucket.server.unwrap().get("data/old"), Some(b"old".to_vec()));
}

/// SFTP's writes are answered later than they are made: what became of the last ones was known at the release only.
#[test]
fn a_close_says_what_became_of_what_was_changed_in_place() {
    if !can_mount() || !have(&["python3"]) {
        return;
    }
    let Some(server) = SshServer::openssh() else { return };
    std::fs::write(server.root().join("file"), "0123456789").unwrap();
    let (config, at) = (tempdir().unwrap(), tempdir().unwrap());
    let mounted = Mounted::sftp(&server, config.path(), at.path(), &["--write", "--timeout", "5s"]);
    let mut program = Told::within(mounted.path());
    program.succeeds("a = os.open('file', os.O_WRONLY); os.pwrite(a, b'xy', 4); os.close(a)");
    assert_eq!(std::fs::read(server.root().join("file")).unwrap(), b"0123xy6789");
    program.succeeds("a = os.open('file', os.O_WRONLY); os.pwrite(a, b'lost', 4)");
    drop(server);
    program.fails("os.close(a)");
    program.ends();
    mounted.unmount();
}
