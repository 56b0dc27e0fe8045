//! The compilers that are installed.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Command;
use zvfs_test_support::{have, run};

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
    let perhaps = perhaps.into_iter().filter(|(program, _)| have(&[program]));
    always.into_iter().chain(perhaps).map(|(program, language)| Tool { program, language }).collect()
}

fn succeed(command: Command) -> io::Result<()> {
    let shown = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    let output = run(command)?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))))
}
