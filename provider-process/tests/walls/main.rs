//! Behind the walls: each forbidden thing is tried, and each allowed one works.
//!
//! Walls are for processes with one thread and stay for good. So this program runs each case in a process of its own, itself.
#![expect(unsafe_code, reason = "system calls that no library would make")]

mod files;
mod kernel;
mod libraries;
mod limits;
mod network;
mod processes;

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use vfs_core::Walls;
use zvfs_test_support::have_walls;

/// How a case says that something is not as it should be.
type Outcome = Result<(), Box<dyn Error>>;

/// A case: its name, and what is tried, walls and all.
type Case = (&'static str, fn(&Setting) -> Outcome);

/// What the cases find outside of the walls, made by the process that runs them.
struct Setting {
    folder: PathBuf,
    /// Somebody listens here, over TCP.
    port: u16,
}

impl Setting {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name, folder, port] = arguments.as_slice()
        && word == "--case"
    {
        let setting = Setting { folder: folder.into(), port: port.parse().expect("a port") };
        let (_, tried) = cases().into_iter().find(|(known, _)| known == name).expect("a case");
        return match tried(&setting) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    if !have_walls() {
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let cases = cases().into_iter().filter(|(name, _)| wanted.is_none_or(|wanted| name.contains(wanted)));
    let failed = cases.filter(|(name, _)| !passes(name)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cases() -> Vec<Case> {
    [
        network::cases(),
        files::cases(),
        processes::cases(),
        limits::cases(),
        kernel::cases(),
        libraries::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs a case in a process of its own.
fn passes(name: &str) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["read", "write", "write/below"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for name in ["read/file", "write/file", "secret"] {
        fs::write(folder.path().join(name), "text").expect("a file");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port().to_string();
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg("--case").arg(name).arg(folder.path()).arg(port);
    let output = command.output().expect("this program again");
    let passes = output.status.success();
    println!("test {name} ... {}", if passes { "ok" } else { "FAILED" });
    if !passes {
        println!("  {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    passes
}

/// Raises walls around this program, as around a library.
fn raise(walls: &Walls) -> vfs_core::Result<()> {
    zvfs_provider::walls::raise(walls, File::open("/proc/self/exe")?.as_fd())
}

/// Makes a system call.
fn call<const COUNT: usize>(number: libc::c_long, arguments: [usize; COUNT]) -> io::Result<usize> {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
    // SAFETY: the cases pass numbers, and pointers to what lives as long as the call.
    let result = unsafe {
        libc::syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// What a wall must refuse, and with which codes.
fn refused<T>(what: &str, result: io::Result<T>, codes: &[i32]) -> Outcome {
    match result {
        Ok(_) => Err(format!("{what}: was not refused").into()),
        Err(error) if error.raw_os_error().is_some_and(|code| codes.contains(&code)) => Ok(()),
        Err(error) => Err(format!("{what}: refused, but with {error}").into()),
    }
}

fn by_filter<T>(what: &str, result: io::Result<T>) -> Outcome {
    refused(what, result, &[libc::EPERM])
}

fn by_landlock<T>(what: &str, result: io::Result<T>) -> Outcome {
    refused(what, result, &[libc::EACCES])
}

fn allowed<T>(what: &str, result: io::Result<T>) -> Result<T, Box<dyn Error>> {
    result.map_err(|error| format!("{what}: {error}").into())
}

fn c_string(path: &Path) -> std::ffi::CString {
    std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without NUL")
}
