//! The walls of a provider's process. They are put up once, before its library is loaded, and nothing takes them down again.
//!
//! | Module | What it is |
//! |---|---|
//! | `files` | Landlock: which files may be used, and in what way; connecting and listening over TCP |
//! | `calls` | filters for system calls: all that Landlock lets pass |
//! | `limits` | memory, open files, no privileges |
//! | `libraries` | which files the dynamic linker needs for a library |
//!
//! SECURITY.md says what each of them holds, and what none of them does.

mod calls;
mod files;
mod libraries;
mod limits;

use rustix::io::Errno;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use vfs_core::{Code, Error, Result, Wall, Walls};

/// Shuts this process in: from now on it can do what `walls` says, read `library` and what that links to, and use the descriptors
/// that it has.
///
/// # Errors
/// EINVAL: it has threads already, which would stay outside. ENOTSUP: the kernel does not have one of the walls, and `walls` does
/// not accept that. What the operator named is not there, or cannot be opened. After an error some walls may stand: end the process.
pub fn raise(walls: &Walls, library: BorrowedFd<'_>) -> Result<()> {
    let threads = fs::read_dir("/proc/self/task").map_err(Error::from);
    let threads = threads.map_err(|error| error.context("count the threads of this process"))?.count();
    if threads != 1 {
        let text = format!("raise the walls: the process has {threads} threads, and must have one only");
        return Err(Error::new(Code::EINVAL, text));
    }
    files::fence(walls, library)?;
    limits::set(walls.memory)?;
    calls::refuse(walls)
}

/// Raises every wall around this process, to find out which of them the kernel lacks.
///
/// # Errors
/// As [`raise`].
pub fn try_all() -> Result<()> {
    // With one half of TCP allowed, Landlock has to fence the other.
    let walls = Walls { tcp_connect: true, ..Walls::default() };
    raise(&walls, File::open("/proc/self/exe").map_err(Error::from)?.as_fd())
}

/// A wall that the kernel does not have.
fn lacking(wall: Wall, needs: &str) -> Error {
    let name = wall.name();
    let text = format!(
        "this kernel has no wall `{name}`, which needs {needs}; to do without it, write may-lack = [\"{name}\"]"
    );
    Error::new(Code::ENOTSUP, text)
}

fn failed(doing: &str, errno: Errno) -> Error {
    Error::from(std::io::Error::from(errno)).context(doing.to_owned())
}
