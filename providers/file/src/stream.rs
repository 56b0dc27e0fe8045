//! Streams: FIFOs, character devices, and the host's own standard streams.

mod tries;

use crate::confine::Roots;
use crate::failure::{fail, only_in_place, unsupported, wrong_direction};
use crate::flags::kernel_flags;
use crate::path::Standard;
use crate::status;
use crate::transfer::{Mode, allows};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, fsync, major};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, ioctl_fionread, retry_on_intr};
use rustix::stdio;
use rustix::termios::isatty;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{
    Capabilities, Code, Context, Direction, Error, Events, File, Finish, Flush, Interest, Kind, Lease,
    OpenFlags, Request, Result, Stat, Wanted,
};

/// Linux's devices.txt: `/dev/null`, `zero`, `full`, `random`, `urandom`. None of them ever waits.
const MEMORY_DEVICES: u32 = 1;

/// How long to sleep where there is nothing to poll: a FIFO without a reader, and one that is being drained.
const STEP: Duration = Duration::from_millis(5);

/// An open stream.
pub struct Stream {
    /// `None`: a FIFO's writer that waits for a reader, or the writing side is finished.
    fd: Option<OwnedFd>,
    mode: Mode,
    kind: Kind,
    readable: bool,
    writable: bool,
    cancellable: bool,
    context: Context,
    shown: Box<str>,
    /// The end was read. It stays the end, whoever opens the FIFO next.
    ended: bool,
    finished: bool,
    /// Where to look for a reader that is not there yet.
    awaited: Option<(Arc<Roots>, PathBuf)>,
    /// The fd was lent to be polled.
    lent: bool,
    /// What keeps the number of a lent fd once the writing side is finished.
    spent: Option<OwnedFd>,
}

impl Stream {
    /// Takes over an open FIFO; without an fd, one whose reader is not there yet.
    ///
    /// # Errors
    /// EINVAL: both directions.
    pub fn fifo(
        fd: Option<OwnedFd>,
        roots: &Arc<Roots>,
        path: &Path,
        request: &Request<'_>,
        flags: OpenFlags,
    ) -> Result<Stream> {
        if flags.contains(OpenFlags::READ | OpenFlags::WRITE) {
            let text =
                format!("open {}: a FIFO has one direction: open it to read or to write", request.shown());
            return Err(Error::new(Code::EINVAL, text));
        }
        let awaited = if fd.is_none() { Some((roots.clone(), path.to_owned())) } else { None };
        let stream = Stream::new(fd, Mode::Own { pipe: true }, Kind::Stream, request, flags);
        Ok(Stream { awaited, cancellable: true, ..stream })
    }

    /// Takes over an open character device.
    pub fn device(fd: OwnedFd, stat: &rustix::fs::Stat, request: &Request<'_>, flags: OpenFlags) -> Stream {
        let terminal = isatty(&fd);
        // Of other drivers nobody knows whether they heed O_NONBLOCK.
        let memory = major(stat.st_rdev) == MEMORY_DEVICES;
        let cancellable = terminal || memory;
        let kind = if terminal { Kind::Terminal } else { Kind::Device };
        let mode = if memory { Mode::Memory } else { Mode::Own { pipe: false } };
        let stream = Stream::new(Some(fd), mode, kind, request, flags);
        Stream { cancellable, ..stream }
    }

    /// Opens a duplicate of one of the host's standard streams, whatever that is. Nothing about it is changed.
    ///
    /// # Errors
    /// EBADF: closed, or the other direction. EISDIR. ENOTSUP: ATOMIC. EEXIST: EXCLUSIVE.
    pub fn standard(standard: Standard, request: &Request<'_>) -> Result<Stream> {
        let write = standard != Standard::In;
        let wanted = request.flags();
        let shown = request.shown();
        let (against, other) = if write { (OpenFlags::READ, "written") } else { (OpenFlags::WRITE, "read") };
        if wanted.intersects(against) {
            return Err(Error::new(Code::EBADF, format!("open {shown}: it can only be {other}")));
        }
        if wanted.contains(OpenFlags::EXCLUSIVE) {
            return Err(fail("open", shown, Errno::EXIST));
        }
        if wanted.contains(OpenFlags::ATOMIC) {
            return Err(only_in_place(request, "it is a standard stream"));
        }

        let closed = |errno| match errno {
            Errno::BADF => Error::new(Code::EBADF, format!("open {shown}: the host has closed it")),
            errno => fail("open", shown, errno),
        };
        let fd = duplicate(standard).map_err(closed)?;
        if !allows(&fd, write).map_err(closed)? {
            let text = format!("open {shown}: the host's descriptor is not open in this direction");
            return Err(Error::new(Code::EBADF, text));
        }
        let stat = fstat(&fd).map_err(closed)?;
        let (mode, kind, cancellable) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Err(unsupported(FileType::Directory, request)),
            FileType::Fifo => (Mode::SharedPipe { nowait: true }, Kind::Stream, true),
            FileType::Socket => (Mode::SharedSocket, Kind::Stream, true),
            FileType::RegularFile => (Mode::Regular, Kind::Regular, true),
            FileType::CharacterDevice if isatty(&fd) => (Mode::SharedDevice, Kind::Terminal, false),
            FileType::CharacterDevice if major(stat.st_rdev) == MEMORY_DEVICES => {
                (Mode::Memory, Kind::Device, true)
            }
            FileType::CharacterDevice => (Mode::SharedDevice, Kind::Device, false),
            _ => (Mode::SharedDevice, Kind::Unknown, false),
        };
        let flags = if write { OpenFlags::WRITE } else { OpenFlags::READ };
        Ok(Stream { cancellable, ..Stream::new(Some(fd), mode, kind, request, flags) })
    }

    fn new(fd: Option<OwnedFd>, mode: Mode, kind: Kind, request: &Request<'_>, flags: OpenFlags) -> Stream {
        Stream {
            fd,
            mode,
            kind,
            readable: flags.contains(OpenFlags::READ),
            writable: flags.contains(OpenFlags::WRITE),
            cancellable: false,
            context: request.context().clone(),
            shown: request.shown().into(),
            ended: false,
            finished: false,
            awaited: None,
            lent: false,
            spent: None,
        }
    }

    fn fail(&self, doing: &str, errno: Errno) -> Error {
        fail(doing, &self.shown, errno)
    }

    fn check_writable(&self, doing: &str) -> Result<()> {
        if self.writable && !self.finished {
            return Ok(());
        }
        Err(wrong_direction(doing, &self.shown, self.finished))
    }

    fn check_readable(&self) -> Result<()> {
        if self.readable { Ok(()) } else { Err(wrong_direction("read", &self.shown, false)) }
    }

    /// Waits until there is something to read; `false`: the end came, and stays.
    ///
    /// A FIFO without a writer says "end" to read, from the first moment on. Only poll tells the two apart: it reports a
    /// hang-up once a writer has been there and has gone.
    fn await_input(&mut self) -> Result<bool> {
        let Some(fd) = &self.fd else { return Ok(false) };
        let events = self
            .context
            .wait(Some(fd.as_fd()), Events::READ, None)
            .map_err(|error| error.context(format!("read {}", self.shown)))?;
        if !events.contains(Events::READ) && events.contains(Events::HANGUP) {
            self.ended = true;
        }
        Ok(!self.ended)
    }

    /// Opens a FIFO that had no reader when it was opened; with `wait`, waits for one. Says whether there is somebody to
    /// write to.
    fn connect(&mut self, wait: bool) -> Result<bool> {
        let Some((roots, path)) = &self.awaited else { return Ok(self.fd.is_some()) };
        loop {
            match roots.open(path, kernel_flags(OpenFlags::WRITE)) {
                Ok(fd) => {
                    let stat = fstat(&fd).map_err(|errno| self.fail("open", errno))?;
                    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
                        let text = format!("open {}: it was a FIFO, and no longer is", self.shown);
                        return Err(Error::new(Code::ESTALE, text));
                    }
                    self.fd = Some(fd);
                    self.awaited = None;
                    return Ok(true);
                }
                Err(Errno::NXIO) if wait => self
                    .context
                    .sleep(STEP)
                    .map_err(|error| error.context(format!("wait for a reader of {}", self.shown)))?,
                Err(Errno::NXIO) => return Ok(false),
                Err(errno) => return Err(self.fail("open", errno)),
            }
        }
    }

    /// Waits until the reader has taken what the pipe holds.
    fn drain(&self, fd: &OwnedFd) -> Result<()> {
        while ioctl_fionread(fd).map_err(|errno| self.fail("sync", errno))? > 0 {
            let events = self
                .context
                .wait(Some(fd.as_fd()), Events::empty(), Some(STEP))
                .map_err(|error| error.context(format!("sync {}", self.shown)))?;
            if events.contains(Events::ERROR) {
                return Err(self.fail("sync", Errno::PIPE));
            }
        }
        Ok(())
    }
}

impl File for Stream {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::STAT | Capabilities::FD;
        for (has, capability) in [
            (self.readable, Capabilities::READABLE),
            (self.writable, Capabilities::WRITABLE),
            (self.cancellable, Capabilities::CANCEL),
            (self.cancellable && self.mode.can_try(), Capabilities::POLL),
        ] {
            if has {
                capabilities |= capability;
            }
        }
        capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.check_readable()?;
        let mut waits = 0;
        while let (false, Some(fd)) = (self.ended, &self.fd) {
            match self.mode.read(fd, buf) {
                Ok(0) if matches!(self.mode, Mode::Own { pipe: true }) => {
                    self.await_input()?;
                }
                Ok(0) => self.ended = true,
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    wait_for(&self.context, fd.as_fd(), Events::READ, &mut waits)
                        .map_err(|error| error.context(format!("read {}", self.shown)))?;
                }
                Err(errno) => return Err(self.fail("read", errno)),
            }
        }
        Ok(0)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.check_writable("write")?;
        self.connect(true)?;
        let mut waits = 0;
        while let Some(fd) = &self.fd {
            match self.mode.write(fd, buf) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait_for(&self.context, fd.as_fd(), Events::WRITE, &mut waits)
                    .map_err(|error| error.context(format!("write {}", self.shown)))?,
                Err(errno) => return Err(self.fail("write", errno)),
            }
        }
        Err(wrong_direction("write", &self.shown, true))
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        let Some(fd) = &self.fd else { return Ok(()) };
        if level == Flush::Push || !self.writable {
            return Ok(());
        }
        match self.mode {
            Mode::Own { pipe: true } | Mode::SharedPipe { .. } => self.drain(fd),
            Mode::Regular => retry_on_intr(|| fsync(fd)).map_err(|errno| self.fail("sync", errno)),
            Mode::Own { pipe: false } | Mode::SharedSocket | Mode::SharedDevice | Mode::Memory => Ok(()),
        }
    }

    /// A FIFO's reader sees the end as soon as the last writer is gone, so END is to close. One that nobody reads yet is
    /// told by COMMIT, which waits for it. A standard stream goes on without us.
    fn finish(&mut self, how: Finish) -> Result<()> {
        if !self.writable {
            return Ok(());
        }
        self.finished = true;
        match how {
            Finish::End => self.connect(false).map(|_| ())?,
            Finish::Commit => self.connect(true).map(|_| ())?,
            Finish::Discard => self.awaited = None,
        }
        self.hang_up()
    }

    fn stat(&mut self) -> Result<Stat> {
        match &self.fd {
            Some(fd) if self.kind == Kind::Regular => {
                fstat(fd).map(|stat| status::of(&stat)).map_err(|errno| self.fail("stat", errno))
            }
            _ => Ok(Stat::of_kind(self.kind)),
        }
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        match direction {
            Direction::Read => {
                self.check_readable()?;
                // Whoever borrows a FIFO before its first writer would take that for the end.
                if self.mode == (Mode::Own { pipe: true }) && !self.ended {
                    self.await_input()?;
                }
            }
            Direction::Write => {
                self.check_writable("write")?;
                self.connect(true)?;
            }
        }
        let Some(fd) = &self.fd else { return Err(wrong_direction("lease", &self.shown, true)) };
        let append = self.kind == Kind::Regular
            && direction == Direction::Write
            && fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::APPEND));
        if append {
            let text = format!("lease {}: the host opened it to append", self.shown);
            return Err(Error::new(Code::ENOTSUP, text));
        }
        let limit = if self.ended && direction == Direction::Read { 0 } else { u64::MAX };
        Ok(Lease { fd: fd.as_fd(), offset: None, limit })
    }

    fn advance(&mut self, _direction: Direction, _count: u64) -> Result<()> {
        Ok(())
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        Ok(self.awaits(wanted))
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.read_now(buf)
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.write_now(buf)
    }

    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.finish_now(how)
    }
}

/// Waits for an event. If what was announced was not there again and again (somebody else took it), not at full speed.
fn wait_for(
    context: &Context,
    fd: std::os::fd::BorrowedFd<'_>,
    events: Events,
    waits: &mut u32,
) -> Result<()> {
    context.wait(Some(fd), events, None)?;
    *waits += 1;
    if *waits > 2 { context.sleep(STEP) } else { Ok(()) }
}

fn duplicate(standard: Standard) -> Result<OwnedFd, Errno> {
    let fd = match standard {
        Standard::In => stdio::stdin(),
        Standard::Out => stdio::stdout(),
        Standard::Error => stdio::stderr(),
    };
    // An exec would close it, so it is none of the standard streams: the host has closed that one, and something else has its number.
    if fcntl_getfd(fd)?.contains(FdFlags::CLOEXEC) {
        return Err(Errno::BADF);
    }
    fcntl_dupfd_cloexec(fd, 3)
}
