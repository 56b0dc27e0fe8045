//! A process of its own. The command starts itself again and waits until that says that the folder can be used, or ends.

use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::env;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use vfs_core::{Error, Result};
use zvfs_command::exit::Failure;

/// Set in the environment of the process that serves.
const SERVES: &str = "ZVFS_MOUNT_SERVES";
/// What it says once the folder can be used.
const READY: &[u8] = b"ready\n";

/// Whether this process is the one that serves in the background.
pub fn serves() -> bool {
    env::var_os(SERVES).is_some()
}

/// Starts the process that serves, and waits until the folder can be used.
///
/// # Errors
/// That process ended instead: it has said why.
pub fn start() -> std::result::Result<(), Failure> {
    let failed = |error: std::io::Error| Error::from(error).context("start the process that serves");
    let mut child = Command::new(env::current_exe().map_err(failed)?)
        .args(env::args_os().skip(1))
        .env(SERVES, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut said = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut said).map_err(failed)?;
    }
    if said == READY {
        return Ok(());
    }
    let ended = child.wait().map_err(failed)?;
    Err(Failure::told(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(5)))
}

/// Leaves the terminal and the session of whoever started this process.
pub fn detach() -> Result<()> {
    // It leads no group of processes, having been started: that is the one thing that could fail.
    setsid().map_err(|error| Error::from(std::io::Error::from(error)).context("begin a session"))?;
    env::set_current_dir("/").map_err(|error| Error::from(error).context("go to /"))
}

/// Says that the folder can be used, and lets go of the standard streams; messages go on to the log if there is one.
pub fn ready(has_log: bool) -> Result<()> {
    let failed = |error: std::io::Error| Error::from(error).context("let go of the standard streams");
    let nothing = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
    std::io::stdout().write_all(READY).and_then(|()| std::io::stdout().flush()).map_err(failed)?;
    dup2_stdin(&nothing).map_err(|error| failed(error.into()))?;
    dup2_stdout(&nothing).map_err(|error| failed(error.into()))?;
    if !has_log {
        dup2_stderr(nothing.as_fd()).map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

/// Has messages written to the end of a file.
///
/// # Errors
/// It cannot be opened.
pub fn log_to(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::from(error).context(format!("--log {}", path.display()));
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    dup2_stderr(&file).map_err(|error| failed(error.into()))
}
