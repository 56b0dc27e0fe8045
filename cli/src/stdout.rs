//! Standard output as an open file. Usually the provider `file` serves it like any other; where that is not installed, or the
//! operator does not allow it, the command still owns its output: an author with one provider in a folder can see what it gives.

use crate::exit::Failure;
use crate::watch::Watch;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, retry_on_intr};
use std::fs;
use std::io::{self, LineWriter, Write as _, stdout};
use std::os::fd::AsFd;
use vfs_core::{
    Capabilities, Code, Context, Events, File, Host, Info, Instance, OpenFile, OpenFlags, OpenOptions,
    Provider, Registry, Request, Result, Settings,
};

/// Standard output for the command's own words. Not std's, which takes a write to what is closed for a success.
pub fn writer() -> io::Result<LineWriter<fs::File>> {
    Ok(LineWriter::new(stdout().as_fd().try_clone_to_owned()?.into()))
}

/// Writes a text and a line's end.
pub fn print(text: &str) -> Result<(), Failure> {
    writer().and_then(|mut out| out.write_all(format!("{text}\n").as_bytes())).map_err(Failure::output)
}

/// Fails if nothing can be written to it, for whoever writes by std's.
pub fn check() -> Result<(), Failure> {
    match fcntl_getfl(stdout()) {
        Ok(mode) if mode & OFlags::RWMODE == OFlags::RDONLY => Err(Failure::output(Code::EBADF)),
        _ => Ok(()),
    }
}

/// Opens standard output.
pub fn open(registry: &Registry, watch: &Watch) -> Result<OpenFile, Failure> {
    let how = OpenOptions::new(OpenFlags::WRITE).control(&watch.control("file:/dev/stdout"));
    match registry.open("file:/dev/stdout", &how) {
        // The provider could not be had, as opposed to what it answered.
        Err(error) if error.refusal().is_some() => {
            registry.register(Box::new(Stdout)).map_err(Failure::output)?;
            registry.open("stdout:", &how).map_err(Failure::output)
        }
        opened => opened.map_err(Failure::output),
    }
}

struct Stdout;

impl Provider for Stdout {
    fn info(&self) -> Info {
        Info::new("stdout", env!("CARGO_PKG_VERSION"), "the command's standard output")
            .supported_flags(OpenFlags::WRITE)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Stdout))
    }
}

impl Instance for Stdout {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        Ok(Box::new(Writer { context: request.context().clone() }))
    }
}

struct Writer {
    context: Context,
}

impl File for Writer {
    // No CANCEL: the descriptor may be in blocking mode, and its modes are not ours to change.
    fn capabilities(&self) -> Capabilities {
        Capabilities::WRITABLE
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let output = stdout();
        loop {
            self.context.wait(Some(output.as_fd()), Events::WRITE, None)?;
            match retry_on_intr(|| rustix::io::write(&output, buf)) {
                Err(Errno::AGAIN) => {} // somebody else filled it first
                written => return Ok(written.map_err(io::Error::from)?),
            }
        }
    }
}
