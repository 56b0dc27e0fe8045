//! An open file of a provider in a process.

use super::lent::{Caller, Lent, last_call};
use super::payload::Half;
use super::reads::{Loan, Part, Reads};
use super::running::Running;
use super::tracked::Tracked;
use super::wire::{CHUNK, Call, FileCall, Reply, Time};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::{Direction, File, Finish, Flush, Lease, Stat};
use crate::flags::Capabilities;
use crate::lock::Mutex;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

pub(super) struct ProcessFile {
    /// Until it is closed.
    running: Arc<Running>,
    tracked: Tracked,
    /// The descriptor, for messages.
    shown: String,
    capabilities: Capabilities,
    /// Until the next call, for whoever has asked.
    lent: Option<OwnedFd>,
    /// Locked for as long as the provider is told of reads that it did not make, and while a positional call begins.
    reads: Mutex<Reads>,
    /// Positional calls in progress.
    positional: AtomicUsize,
}

/// A positional call in progress, until it is dropped.
struct Positional<'f>(&'f AtomicUsize);

impl Drop for Positional<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl ProcessFile {
    /// Takes over a file that the process opened.
    pub(super) fn new(
        running: Arc<Running>,
        tracked: Tracked,
        shown: String,
        capabilities: u64,
    ) -> ProcessFile {
        // A process is lent no descriptor that is not its own; and each call waits for the process, so that none can be tried.
        let masked = Capabilities::SPLICE | Capabilities::POLL;
        let capabilities = Capabilities::from_bits(capabilities).without(masked);
        let reads = Mutex::new(Reads::new(capabilities.contains(Capabilities::FD)));
        ProcessFile {
            running,
            tracked,
            shown,
            capabilities,
            lent: None,
            reads,
            positional: AtomicUsize::new(0),
        }
    }

    /// Before any call but a read and a positional one.
    fn settle(&self) -> Result<()> {
        self.told(&mut self.reads.lock(), Reads::None)
    }

    /// Before a positional call, which leaves this. Such calls may overlap, and wait here for one another.
    fn begin_positional(&self, then: Reads) -> Result<Positional<'_>> {
        let mut reads = self.reads.lock();
        self.told(&mut reads, then)?;
        self.positional.fetch_add(1, Ordering::Relaxed);
        Ok(Positional(&self.positional))
    }

    /// Ends the reads that were made without a call: the provider learns how far they came.
    fn told(&self, reads: &mut Reads, then: Reads) -> Result<()> {
        match reads.end(then) {
            0 => Ok(()),
            count => self.done(FileCall::Advance { direction: Direction::Read, count }),
        }
    }

    /// Borrows the kernel's file, which must be a regular one.
    fn borrow(&self, direction: Direction) -> Result<Loan> {
        let mut connection = self.running.connection()?;
        let (reply, lent) = self.call(&mut connection, FileCall::Lease(direction))?;
        let (Reply::Lease { offset, limit }, Some(fd)) = (reply, lent) else {
            return Err(unexpected(&connection));
        };
        if !is_regular(&fd)? {
            return Err(Error::new(
                Code::ENOTSUP,
                "lease: not a regular file, and the provider is in a process",
            ));
        }
        if !is_open_for(&fd, direction)? {
            return Err(connection.broken("it lent a file that is not open for the direction"));
        }
        Ok(Loan { fd, offset, limit })
    }

    /// The same for reads at offsets, which need to know what the position is.
    fn borrow_part(&self) -> Result<Part> {
        let position = self.number(FileCall::Tell)?;
        Ok(Part::new(position, self.borrow(Direction::Read)?))
    }

    /// What reads at offsets need no call for.
    fn part(&self) -> Option<Arc<Part>> {
        let mut reads = self.reads.lock();
        let quiet = self.positional.load(Ordering::Acquire) == 0;
        reads.part(quiet, || self.borrow_part())
    }

    /// Makes one call on a connection.
    fn call(&self, connection: &mut Lent<'_>, call: FileCall) -> Result<(Reply, Option<OwnedFd>)> {
        let call = Call::File { file: self.tracked.file(), control: self.tracked.control(), call };
        connection.call(&call, &mut Caller::of(&self.tracked.context))
    }

    fn done(&self, call: FileCall) -> Result<()> {
        let mut connection = self.running.connection()?;
        match self.call(&mut connection, call)?.0 {
            Reply::Done => Ok(()),
            _ => Err(unexpected(&connection)),
        }
    }

    fn number(&self, call: FileCall) -> Result<u64> {
        let mut connection = self.running.connection()?;
        match self.call(&mut connection, call)?.0 {
            Reply::Number(number) => Ok(number),
            _ => Err(unexpected(&connection)),
        }
    }

    fn read_with(&self, buf: &mut [u8], call: impl FnOnce(u32) -> FileCall) -> Result<usize> {
        let asked = buf.len().min(CHUNK);
        let mut connection = self.running.connection()?;
        match self.call(&mut connection, call(asked as u32))?.0 {
            Reply::Number(count) if count <= asked as u64 => {
                let count = count as usize;
                connection.connection().payload().take(Half::Call, &mut buf[..count]);
                Ok(count)
            }
            Reply::Number(count) => {
                Err(connection.broken(&format!("it returned {count} bytes where {asked} were asked for")))
            }
            _ => Err(unexpected(&connection)),
        }
    }

    fn write_with(&self, buf: &[u8], call: impl FnOnce(u32) -> FileCall) -> Result<usize> {
        let asked = buf.len().min(CHUNK);
        let mut connection = self.running.connection()?;
        connection.connection().payload().put(Half::Call, &buf[..asked]);
        match self.call(&mut connection, call(asked as u32))?.0 {
            Reply::Number(count) if (1..=asked as u64).contains(&count) => Ok(count as usize),
            Reply::Number(count) => Err(connection.broken(&format!("it took {count} bytes of {asked}"))),
            _ => Err(unexpected(&connection)),
        }
    }
}

fn unexpected(connection: &Lent<'_>) -> Error {
    connection.broken("a reply is not one to its call")
}

impl File for ProcessFile {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.running.child().alive()?;
        let mut reads = self.reads.lock();
        if let Some(count) = reads.read(buf, || self.borrow(Direction::Read)) {
            return Ok(count);
        }
        self.told(&mut reads, Reads::One)?;
        drop(reads);
        self.read_with(buf, |count| FileCall::Read { count })
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.settle()?;
        self.write_with(buf, |count| FileCall::Write { count })
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.settle()?;
        self.number(FileCall::Seek(to.into()))
    }

    fn tell(&mut self) -> Result<u64> {
        self.settle()?;
        self.number(FileCall::Tell)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.settle()?;
        self.done(FileCall::Truncate { size })
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        self.settle()?;
        self.done(FileCall::Flush(level))
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        self.settle()?;
        self.done(FileCall::Finish(how))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.running.child().alive()?;
        let then = match self.part() {
            None => Reads::OneAt,
            Some(part) => match part.read(buf, offset) {
                Some(count) => return Ok(count),
                None => Reads::Never,
            },
        };
        let _call = self.begin_positional(then)?;
        self.read_with(buf, |count| FileCall::ReadAt { count, offset })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        let _call = self.begin_positional(Reads::None)?;
        self.write_with(buf, |count| FileCall::WriteAt { count, offset })
    }

    fn stat(&mut self) -> Result<Stat> {
        self.settle()?;
        let mut connection = self.running.connection()?;
        match self.call(&mut connection, FileCall::Stat)?.0 {
            Reply::Stat(stat) => Ok(stat.into()),
            _ => Err(unexpected(&connection)),
        }
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.settle()?;
        self.done(FileCall::SetModified(Time::new(time)?))
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        self.settle()?;
        self.lent = None;
        let Loan { fd, offset, limit } = self.borrow(direction)?;
        let fd = (*self.lent.insert(fd)).as_fd();
        Ok(Lease { fd, offset, limit })
    }

    fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        self.settle()?;
        self.done(FileCall::Advance { direction, count })
    }
}

/// What blocks, or speaks with somebody, is not used for a process: it could hold its host.
fn is_regular(lent: &OwnedFd) -> Result<bool> {
    let stat = fstat(lent).map_err(io::Error::from)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

fn is_open_for(lent: &OwnedFd, direction: Direction) -> Result<bool> {
    let mode = fcntl_getfl(lent).map_err(io::Error::from)? & (OFlags::RWMODE | OFlags::PATH);
    Ok(mode == OFlags::RDWR
        || mode == if direction == Direction::Read { OFlags::RDONLY } else { OFlags::WRONLY })
}

impl Drop for ProcessFile {
    fn drop(&mut self) {
        let close = Call::Close { file: self.tracked.file() };
        let doing = || format!("close {}", self.shown);
        last_call(self.running.child(), &close, doing, "it did not close a file within 5 s");
    }
}
