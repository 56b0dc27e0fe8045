//! Programs in C that are linked with a library that Cargo just built, as it is and under valgrind.

use crate::include_folder;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use zvfs_test_support::{built, succeeded};

/// A folder with a library, as an installation has it, and the programs of a test.
#[derive(Debug)]
pub struct Bench {
    folder: TempDir,
    library: &'static str,
}

impl Bench {
    /// A folder with `lib<library>.so` and `.so.1`, which Cargo calls `lib<built_as>.so`.
    pub fn new(library: &'static str, built_as: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        for version in ["", ".1"] {
            let link = folder.path().join(format!("lib{library}.so{version}"));
            symlink(built().join(format!("lib{built_as}.so")), link).unwrap();
        }
        Bench { folder, library }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Builds a program without a warning, against the shared library.
    pub fn build(&self, compiler: &[&str], source: &Path) -> PathBuf {
        let program = self.path().join(source.file_stem().unwrap());
        let folder = self.path().display();
        let mut command = Command::new(compiler[0]);
        command
            .args(&compiler[1..])
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-I"])
            .arg(include_folder())
            .arg("-o")
            .arg(&program)
            .arg(source)
            .arg(format!("-L{folder}"))
            .arg(format!("-Wl,-rpath,{folder}"))
            .arg(format!("-l{}", self.library))
            .arg("-lpthread");
        succeeded(command);
        program
    }
}

/// Links a program in Cargo's own folder, where its library has no other name, and runs it there.
pub fn starts_in_a_build_tree(library: &str, source: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (file, program) = (folder.path().join("a.c"), folder.path().join("a"));
    fs::write(&file, source).unwrap();
    let mut cc = Command::new("cc");
    cc.arg("-I").arg(include_folder()).arg("-o").arg(&program).arg(&file);
    cc.arg("-L").arg(built()).arg(format!("-l{library}"));
    succeeded(cc);
    let mut program = Command::new(program);
    program.env("LD_LIBRARY_PATH", built());
    succeeded(program);
}

/// valgrind, which says nothing but what it found.
pub fn valgrind(more: &[&str]) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    command.args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]).args(more);
    command
}

/// Checks that valgrind reported nothing. What it says of itself (system calls that it does not know) begins with `--`.
pub fn found_nothing(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.lines().any(|line| line.starts_with("==")), "{text}");
}
