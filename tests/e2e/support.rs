//! Runs the command over the providers that cargo built for this test, never longer than a bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(dead_code, reason = "each test file uses its part")]

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;
use zvfs_test_support::{LIMIT, bounded, built, collect, ends, have};

/// What compiles the guests in C.
pub const WASM_TOOLS: [&str; 3] = ["clang", "wasm-ld", "/usr/include/wasm32-wasi/stdio.h"];

/// Words of Rust, of its standard library and of the crates in use, none of which helps whoever reads a message.
const FOREIGN: [&str; 20] = [
    "Some(",
    "None)",
    "Ok(",
    "Err(",
    "Error(",
    "Os {",
    "os error",
    "expected struct",
    "expected a sequence",
    "unknown field",
    "unknown variant",
    "as i128",
    "$__toml",
    "stream did not contain",
    "Utf8Error",
    "ParseIntError",
    "InvalidInput",
    "Current(",
    "panicked",
    ".rs:",
];

/// A word in a message that belongs in none.
pub fn foreign_word(text: &str) -> Option<&'static str> {
    FOREIGN.into_iter().find(|word| text.contains(word))
}

/// The command, with no configuration but its arguments, and a cache of these tests' own.
pub fn bare() -> Command {
    // Where the test is another package's, Cargo does not say where the command is.
    let program = option_env!("CARGO_BIN_EXE_zvfs").map_or_else(zvfs_test_support::command, Path::new);
    let mut command = Command::new(program);
    command.env_remove("ZVFS_CONFIG");
    let place = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache");
    command.env("XDG_CACHE_HOME", place).env("XDG_STATE_HOME", place);
    command
}

/// The command, under an operator's file.
pub fn under(config: &str, arguments: &[&str]) -> Command {
    let mut command = bare();
    command.args(["--config", config]).args(arguments);
    command
}

/// The command, over the providers that were built for this test.
pub fn zvfs<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = bare();
    command.arg("--provider-path").arg(built()).args(arguments);
    command
}

/// How a command ended.
pub struct Done {
    /// The exit code, or 128 and the signal's number.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Done {
    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Checks code and one line on standard error that has all these words, and none of Rust's.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in {self:?}");
        }
        assert!(self.stderr.lines().all(|line| line.starts_with("zvfs: ")), "{self:?}");
        assert_eq!(foreign_word(&self.stderr), None, "{self:?}");
    }

    #[track_caller]
    pub fn succeeded(&self) -> &Done {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(5000)]);
        write!(f, "code {}\n--- standard output\n{out}\n--- standard error\n{}", self.code, self.stderr)
    }
}

/// Runs a command to its end, with nothing on standard input.
#[track_caller]
pub fn run(command: Command) -> Done {
    run_within(LIMIT, command)
}

/// The same for one that takes longer on a busy machine: it builds a crate with all that it depends on, from nothing.
#[track_caller]
pub fn run_within(bound: Duration, mut command: Command) -> Done {
    Started::new(command.stdin(Stdio::null())).end_within(bound)
}

/// Runs a command that does a hundred things, or compiles some, on a machine that may be busy with others.
#[track_caller]
pub fn run_long(command: Command) -> Done {
    run_within(10 * LIMIT, command)
}

/// Runs a command whose time ends within a step that writes `mark` to standard error; a busy machine that did not come so far
/// gets ten times as many seconds, twice.
#[track_caller]
pub fn run_timed(mark: &str, command: impl Fn(u32) -> Command) -> Done {
    let runs = [1, 10, 100].into_iter().map(|seconds| run_long(command(seconds)));
    let mut last = None;
    for done in runs {
        if done.stderr.contains(mark) {
            return done;
        }
        last = Some(done);
    }
    panic!("no `{mark}` in {last:?}");
}

/// Runs a command to its end, with this on standard input.
#[track_caller]
pub fn run_with(mut command: Command, input: &[u8]) -> Done {
    let mut started = Started::new(command.stdin(Stdio::piped()));
    let (mut stdin, input) = (started.child.stdin.take().unwrap(), input.to_vec());
    // The command may leave before it has read all.
    thread::spawn(move || stdin.write_all(&input));
    started.end()
}

/// A command that runs. Killed when dropped.
pub struct Started {
    pub child: Child,
    output: [Option<JoinHandle<Vec<u8>>>; 2],
}

impl Started {
    /// Starts it; what it writes is collected, but for what the caller gave a place to.
    #[track_caller]
    pub fn new(command: &mut Command) -> Started {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = [collect(child.stdout.take()), collect(child.stderr.take())].map(Some);
        Started { child, output }
    }

    /// Starts it, with all its streams as the caller set them. What is a pipe and was not taken is collected at the end.
    #[track_caller]
    pub fn as_set(command: &mut Command) -> Started {
        Started { child: command.spawn().unwrap(), output: [None, None] }
    }

    /// Starts it, and waits for its first line on standard error, which must be this one.
    #[track_caller]
    pub fn until_said(command: &mut Command, line: &str) -> Started {
        let mut started = Started::as_set(command.stdout(Stdio::null()).stderr(Stdio::piped()));
        let mut stderr = BufReader::new(started.child.stderr.take().unwrap());
        let (first, stderr) = bounded(move || {
            let mut first = String::new();
            stderr.read_line(&mut first).unwrap();
            (first, stderr)
        });
        assert_eq!(first.trim_end(), line);
        started.output = [None, Some(collect(Some(stderr)))];
        started
    }

    /// Fails with what it said if it is over already.
    #[track_caller]
    pub fn still_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let said = self.output[1].take().map(|stderr| stderr.join().unwrap()).unwrap_or_default();
            panic!("ended early, {status}: {}", String::from_utf8_lossy(&said));
        }
    }

    /// How much it has written to files of a folder that have no name yet.
    pub fn unnamed_bytes(&self, folder: &Folder) -> u64 {
        let Ok(files) = fs::read_dir(format!("/proc/{}/fd", self.child.id())) else { return 0 };
        let files = files.filter_map(|file| Some(file.ok()?.path()));
        let inside =
            files.filter(|file| fs::read_link(file).is_ok_and(|path| path.starts_with(folder.at(""))));
        inside.filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, within the bound.
    #[track_caller]
    pub fn end(self) -> Done {
        self.end_within(LIMIT)
    }

    /// Waits for its end, within another bound.
    #[track_caller]
    pub fn end_within(mut self, bound: Duration) -> Done {
        use std::os::unix::process::ExitStatusExt;
        let [stdout, stderr] = std::mem::take(&mut self.output);
        let stdout = stdout.unwrap_or_else(|| collect(self.child.stdout.take()));
        let stderr = stderr.unwrap_or_else(|| collect(self.child.stderr.take()));
        let ended = ends(&self.child, bound);
        if !ended {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|output| output.join().unwrap());
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(ended, "still running after {bound:?}: {stderr}");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        Done { code, stdout, stderr }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It has ended in a test that passed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of a test's own.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// One for a test that needs these programs; `None`: the machine lacks one, which was said.
    pub fn needing(programs: &[&str]) -> Option<Folder> {
        have(programs).then(Folder::new)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a name in it, as a descriptor.
    pub fn at(&self, name: &str) -> String {
        self.path().join(name).into_os_string().into_string().unwrap()
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path().join(name), content).unwrap();
        self.at(name)
    }

    /// Writes a manifest in it: the words of one descriptor are counted into another.
    pub fn wordcount(&self, name: &str, timeout: u32, input: &str, output: &str) -> String {
        let program = repository("examples/jobs/wordcount/wordcount.wat");
        self.write(
            name,
            format!(
                "Version = 20140509\nProgram = {}\nMemory = 1048576, 0\nTimeout = {timeout}\n\
                 Channel = {input}, /dev/stdin, 0, 99999, 99999999, 0, 0\n\
                 Channel = {output}, /dev/stdout, 0, 0, 0, 10, 4096\n\
                 Channel = /dev/null, /dev/stderr, 0, 0, 0, 9, 9\n",
                program.display()
            ),
        )
    }

    /// Writes an operator's file in it, over the providers that were built for this test.
    pub fn operator(&self, name: &str, text: &str) -> String {
        self.write(name, format!("provider-path = [{:?}]\n{text}\n", built()))
    }

    /// Makes a FIFO in it.
    pub fn fifo(&self, name: &str) -> String {
        zvfs_test_support::fifo(self.path().join(name));
        self.at(name)
    }

    /// Builds a library of this C source.
    pub fn library(&self, file: &str, source: &str) -> String {
        let source = self.write("source.c", source);
        self.compiled(file, Path::new(&source), &[])
    }

    /// Builds a plug-in of `tests/faults/plugins` under its source's name.
    pub fn plugin(&self, name: &str, more: &[&str]) -> String {
        self.provider(name, &repository("tests/faults/plugins").join(name).with_extension("c"), more)
    }

    /// Builds a provider, which learns its name from the compiler.
    pub fn provider(&self, name: &str, source: &Path, more: &[&str]) -> String {
        let define = format!("-DNAME=\"{name}\"");
        self.compiled(&format!("libzvfs_{name}.so"), source, &[more, &[&define]].concat())
    }

    fn compiled(&self, file: &str, source: &Path, more: &[&str]) -> String {
        let library = self.at(file);
        let mut command = Command::new("cc");
        command.arg("-I").arg(repository("include")).args(["-shared", "-fPIC", "-pthread"]).args(more);
        command.arg("-o").arg(&library).arg(source);
        run(command).succeeded();
        library
    }

    /// The names in it, hidden ones too.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A folder of this repository.
pub fn repository(folder: &str) -> PathBuf {
    let inside = Path::new(env!("CARGO_MANIFEST_DIR"));
    inside.ancestors().find(|above| above.join("include").is_dir()).unwrap().join(folder)
}

/// Copies an example, without what somebody built in it.
pub fn copy_example(name: &str, to: &Path) {
    for entry in fs::read_dir(repository("examples").join(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension != "wasm") {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}
