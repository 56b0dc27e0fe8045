//! The compilers that are installed, and programs run with a limit on their time.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a compiler or a small program may take; far beyond what it needs on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(600);

/// Warnings that the header and the sample provider must not cause.
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

/// A source's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cpp,
}

impl Language {
    /// A source file's extension.
    pub fn extension(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Cpp => "cpp",
        }
    }

    /// The oldest and the newest standard that the header keeps to.
    pub fn standards(self) -> [&'static str; 2] {
        match self {
            Language::C => ["c99", "c17"],
            Language::Cpp => ["c++11", "c++20"],
        }
    }
}

/// An installed compiler.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The program.
    pub program: &'static str,
    /// What it compiles.
    pub language: Language,
}

impl Tool {
    /// A strict run of this compiler with a standard; the header's folder is known to it.
    pub fn strict(&self, standard: &str) -> Command {
        let mut command = Command::new(self.program);
        command.arg(format!("-std={standard}")).args(STRICT).arg("-I").arg(crate::include_folder());
        command
    }

    /// Compiles one source into a program or, with `-shared`, a library.
    ///
    /// # Errors
    /// The compiler's words.
    pub fn build(&self, source: &Path, out: &Path, more: &[&str]) -> io::Result<()> {
        let mut command = self.strict(self.language.standards()[0]);
        command.args(more).arg("-o").arg(out).arg(source);
        succeed(command)
    }

    /// Only checks one source.
    ///
    /// # Errors
    /// The compiler's words.
    pub fn check(&self, standard: &str, source: &Path) -> io::Result<()> {
        let mut command = self.strict(standard);
        command.arg("-fsyntax-only").arg(source);
        succeed(command)
    }
}

/// The compilers of this machine: `cc` and `g++` always (a missing one fails the test), clang's two where installed.
pub fn compilers() -> Vec<Tool> {
    let always = [("cc", Language::C), ("g++", Language::Cpp)];
    let perhaps = [("clang", Language::C), ("clang++", Language::Cpp)];
    let perhaps = perhaps.into_iter().filter(|(program, _)| zvfs_test_support::have(&[program]));
    always.into_iter().chain(perhaps).map(|(program, language)| Tool { program, language }).collect()
}

fn succeed(command: Command) -> io::Result<()> {
    let shown = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    let output = run(command, LIMIT)?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))))
}

/// Runs a program to its end, or kills it at the limit.
///
/// # Errors
/// It does not start; TimedOut.
pub fn run(mut command: Command, limit: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (drained(child.stdout.take()), drained(child.stderr.take()));
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{command:?}: not done after {limit:?}"),
            ));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
}

/// Reads a pipe on a thread of its own, so that a full one never blocks the program.
fn drained(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A program that was killed leaves what it had written.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
