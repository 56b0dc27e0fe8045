//! Moving bytes through a stream without holding the caller: each call either moves some, or says EAGAIN.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2, read, write};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use vfs_core::without_sigpipe;

/// The most bytes of one call: so that also a device that always has data (`/dev/zero`) comes back soon.
const COUNT_MAX: usize = 1 << 20;

/// What a pipe that polls as writable takes at once: Linux's PIPE_BUF.
const PIPE_BUF: usize = 4096;

/// What goes through a pipe of our own, to or from a shared pipe that cannot be asked not to wait: what such a pipe holds.
const RELAYED: usize = 64 << 10;

/// preadv2's way to say: at the file's own position.
const OWN_POSITION: u64 = u64::MAX;

/// A stream's mode: how a call on it is kept from waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// O_NONBLOCK, on a description of our own. `pipe`: a write may raise SIGPIPE.
    Own { pipe: bool },
    /// A pipe shared with others, whose modes are not ours to change: each call asks not to wait. Kernels that cannot do
    /// that for a pipe get a poll, and so few bytes that they fit.
    SharedPipe { nowait: bool },
    /// A socket shared with others: each call asks not to wait.
    SharedSocket,
    /// A terminal or device shared with others: a poll first. It may still wait, if somebody else is quicker.
    SharedDevice,
    /// A device such as `/dev/null`, which never waits.
    Memory,
    /// A regular file: nothing to wait for.
    Regular,
}

impl Mode {
    /// Reads some bytes; 0: the end; EAGAIN: nothing now.
    pub fn read(&mut self, fd: &OwnedFd, buf: &mut [u8]) -> Result<usize, Errno> {
        let count = buf.len().min(COUNT_MAX);
        let buf = &mut buf[..count];
        match self {
            Mode::Own { .. } | Mode::Memory | Mode::Regular => read(fd, buf),
            Mode::SharedPipe { nowait: true } => match self.nowait(read_nowait(fd, buf)) {
                Some(result) => result,
                None => self.read(fd, buf),
            },
            Mode::SharedSocket => recv(fd, buf, RecvFlags::DONTWAIT).map(|(count, _)| count),
            Mode::SharedPipe { nowait: false } | Mode::SharedDevice => {
                ready(fd, PollFlags::IN)?;
                read(fd, buf)
            }
        }
    }

    /// Writes some bytes; EAGAIN: there is no room now. Raises no SIGPIPE.
    pub fn write(&mut self, fd: &OwnedFd, buf: &[u8]) -> Result<usize, Errno> {
        let buf = &buf[..buf.len().min(COUNT_MAX)];
        match self {
            Mode::Own { pipe: true } => without_sigpipe(|| write(fd, buf)),
            Mode::Own { pipe: false } | Mode::Memory | Mode::Regular => write(fd, buf),
            Mode::SharedPipe { nowait: true } => match self.nowait(write_nowait(fd, buf)) {
                Some(result) => result,
                None => self.write(fd, buf),
            },
            Mode::SharedSocket => send(fd, buf, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Mode::SharedPipe { nowait: false } | Mode::SharedDevice => {
                ready(fd, PollFlags::OUT)?;
                let buf = &buf[..buf.len().min(PIPE_BUF)];
                without_sigpipe(|| write(fd, buf))
            }
        }
    }
}

/// What never waits, not even if somebody else is quicker: for a host that has no thread to let wait.
impl Mode {
    /// Whether there is such a way. A device shared with others may wait after any poll, and so may one of its own whose driver
    /// nobody knows.
    pub fn can_try(self) -> bool {
        !matches!(self, Mode::SharedDevice | Mode::Regular)
    }

    /// As [`read`](Mode::read).
    pub fn try_read(&mut self, fd: &OwnedFd, buf: &mut [u8]) -> Result<usize, Errno> {
        if *self == (Mode::SharedPipe { nowait: true })
            && let Some(result) = self.nowait(read_nowait(fd, buf))
        {
            return result;
        }
        if *self != (Mode::SharedPipe { nowait: false }) {
            return self.read(fd, buf);
        }
        let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        match splice(fd, None, &to, None, buf.len().min(RELAYED), SpliceFlags::NONBLOCK)? {
            0 => Ok(0),
            // It has so many bytes, which are read at once.
            count => read(&from, &mut buf[..count]),
        }
    }

    /// As [`write`](Mode::write).
    pub fn try_write(&mut self, fd: &OwnedFd, buf: &[u8]) -> Result<usize, Errno> {
        if *self == (Mode::SharedPipe { nowait: true })
            && let Some(result) = self.nowait(write_nowait(fd, buf))
        {
            return result;
        }
        if *self != (Mode::SharedPipe { nowait: false }) {
            return self.write(fd, buf);
        }
        let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let count = write(&to, &buf[..buf.len().min(RELAYED)])?;
        // What does not fit goes with the pipe.
        without_sigpipe(|| splice(&from, None, fd, None, count, SpliceFlags::NONBLOCK))
    }

    /// Takes note of a kernel, or a pipe, that cannot be asked not to wait: one that was opened by its name, as by a shell.
    fn nowait(&mut self, result: Result<usize, Errno>) -> Option<Result<usize, Errno>> {
        if matches!(result, Err(Errno::OPNOTSUPP | Errno::NOSYS)) {
            *self = Mode::SharedPipe { nowait: false };
            return None;
        }
        Some(result)
    }
}

fn read_nowait(fd: &OwnedFd, buf: &mut [u8]) -> Result<usize, Errno> {
    preadv2(fd, &mut [IoSliceMut::new(buf)], OWN_POSITION, ReadWriteFlags::NOWAIT)
}

fn write_nowait(fd: &OwnedFd, buf: &[u8]) -> Result<usize, Errno> {
    without_sigpipe(|| pwritev2(fd, &[IoSlice::new(buf)], OWN_POSITION, ReadWriteFlags::NOWAIT))
}

/// EAGAIN unless poll sees the event, an error or a hang-up: those the call itself reports.
fn ready(fd: &OwnedFd, events: PollFlags) -> Result<(), Errno> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(fd, events)], Some(&now))? {
        0 => Err(Errno::AGAIN),
        _ => Ok(()),
    }
}

/// Whether a descriptor was opened in a way that allows this direction.
pub fn allows(fd: impl AsFd, write: bool) -> Result<bool, Errno> {
    let mode = rustix::fs::fcntl_getfl(fd)? & (OFlags::ACCMODE | OFlags::PATH);
    Ok(mode == OFlags::RDWR || mode == if write { OFlags::WRONLY } else { OFlags::RDONLY })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;

    /// A blocking pipe, as a shell makes it: neither way may wait on it.
    #[test]
    fn a_shared_pipe_is_never_waited_for() {
        for nowait in [true, false] {
            let (reader, writer) = pipe().unwrap();
            let mut mode = Mode::SharedPipe { nowait };
            let (mut buffer, mut taken) = (vec![0; 1 << 20], 0);
            let sent: Vec<u8> = (0..1_u32 << 20).map(|n| (n ^ (n >> 8)) as u8).collect();
            assert_eq!(mode.read(&reader, &mut buffer), Err(Errno::AGAIN), "{nowait}");
            loop {
                match mode.write(&writer, &buffer) {
                    Ok(count) => taken += count,
                    Err(errno) => break assert_eq!(errno, Errno::AGAIN, "{nowait}"),
                }
            }
            assert!(taken >= PIPE_BUF, "{nowait}");
            while taken > 0 {
                taken -= mode.read(&reader, &mut buffer).unwrap();
            }
            assert_eq!(mode.try_read(&reader, &mut buffer), Err(Errno::AGAIN), "{nowait}");
            loop {
                match mode.try_write(&writer, &sent[taken..]) {
                    Ok(count) => taken += count,
                    Err(errno) => break assert_eq!(errno, Errno::AGAIN, "{nowait}"),
                }
            }
            assert!(taken >= RELAYED, "{nowait}");
            let mut came = 0;
            while came < taken {
                let count = mode.try_read(&reader, &mut buffer[..3000]).unwrap();
                assert!(buffer[..count] == sent[came..came + count], "{nowait}: at {came}");
                came += count;
            }
            assert_eq!(mode.read(&reader, &mut buffer), Err(Errno::AGAIN), "{nowait}");
            drop(writer);
            assert_eq!(mode.read(&reader, &mut buffer), Ok(0), "{nowait}");
            assert_eq!(mode.try_read(&reader, &mut buffer), Ok(0), "{nowait}");
        }
    }

    #[test]
    fn a_shared_pipe_without_a_reader_is_epipe() {
        for nowait in [true, false] {
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            assert_eq!(Mode::SharedPipe { nowait }.write(&writer, b"x"), Err(Errno::PIPE), "{nowait}");
            assert_eq!(Mode::SharedPipe { nowait }.try_write(&writer, b"x"), Err(Errno::PIPE), "{nowait}");
        }
    }

    /// 4 KiB at a time, each with a poll, took as long as the download that was thrown away.
    #[test]
    fn a_device_that_never_waits_takes_all_at_once() {
        let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
        let (fd, mut buffer) = (OwnedFd::from(null), vec![0; 256 << 10]);
        assert_eq!(Mode::Memory.write(&fd, &buffer), Ok(buffer.len()));
        assert_eq!(Mode::Memory.read(&fd, &mut buffer), Ok(0));
    }

    #[test]
    fn a_direction_is_what_the_descriptor_was_opened_for() {
        let (reader, writer) = pipe().unwrap();
        assert_eq!((allows(&reader, false), allows(&reader, true)), (Ok(true), Ok(false)));
        assert_eq!((allows(&writer, false), allows(&writer, true)), (Ok(false), Ok(true)));
    }
}
