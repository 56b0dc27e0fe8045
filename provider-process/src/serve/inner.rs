//! A file of another provider, which the host has open for a layer.

use super::link::{Link, ask, other_reply};
use std::io::SeekFrom;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use vfs_core::process::wire::{CHUNK, FileCall, InnerId, Reply, Time, Upcall};
use vfs_core::process::{Connection, Half};
use vfs_core::{Capabilities, Context, Control, File, Finish, Flush, Result, Stat};

/// How long a close waits for a connection, on a thread that is in no call.
const CLOSE: Duration = Duration::from_secs(5);

pub(super) struct InnerFile {
    pub(super) link: Arc<Link>,
    /// That of the layer's own file, or of its call on a name.
    pub(super) context: Context,
    pub(super) inner: InnerId,
    pub(super) capabilities: Capabilities,
}

impl InnerFile {
    fn call(&self, call: FileCall) -> Result<Reply> {
        self.link.route(&self.context)?.ask(self.upcall(call))
    }

    fn upcall(&self, call: FileCall) -> Upcall {
        Upcall::File { inner: self.inner, call }
    }

    fn done(&self, call: FileCall) -> Result<()> {
        match self.call(call)? {
            Reply::Done => Ok(()),
            _ => Err(other_reply()),
        }
    }

    fn number(&self, call: FileCall) -> Result<u64> {
        match self.call(call)? {
            Reply::Number(number) => Ok(number),
            _ => Err(other_reply()),
        }
    }

    /// As much as fits into a payload.
    fn fill(&self, buf: &mut [u8], call: impl FnOnce(u32) -> FileCall) -> Result<usize> {
        let asked = buf.len().min(CHUNK);
        let upcall = self.upcall(call(asked as u32));
        self.link.route(&self.context)?.with(|connection| {
            let count = count(connection, upcall, asked)?;
            connection.payload().take(Half::Upcall, &mut buf[..count]);
            Ok(count)
        })
    }

    /// As much as fits into a payload.
    fn drain(&self, buf: &[u8], call: impl FnOnce(u32) -> FileCall) -> Result<usize> {
        let asked = buf.len().min(CHUNK);
        let upcall = self.upcall(call(asked as u32));
        self.link.route(&self.context)?.with(|connection| {
            connection.payload().put(Half::Upcall, &buf[..asked]);
            count(connection, upcall, asked)
        })
    }
}

fn count(connection: &mut Connection, upcall: Upcall, asked: usize) -> Result<usize> {
    match ask(connection, upcall)? {
        Reply::Number(count) => {
            usize::try_from(count).ok().filter(|count| *count <= asked).ok_or_else(other_reply)
        }
        _ => Err(other_reply()),
    }
}

impl File for InnerFile {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.fill(buf, |count| FileCall::Read { count })
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.drain(buf, |count| FileCall::Write { count })
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.number(FileCall::Seek(to.into()))
    }

    fn tell(&mut self) -> Result<u64> {
        self.number(FileCall::Tell)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.done(FileCall::Truncate { size })
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        self.done(FileCall::Flush(level))
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        self.done(FileCall::Finish(how))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.fill(buf, |count| FileCall::ReadAt { count, offset })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.drain(buf, |count| FileCall::WriteAt { count, offset })
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.done(FileCall::SetModified(Time::new(time)?))
    }

    fn stat(&mut self) -> Result<Stat> {
        match self.call(FileCall::Stat)? {
            Reply::Stat(stat) => Ok(stat.into()),
            _ => Err(other_reply()),
        }
    }
}

impl Drop for InnerFile {
    fn drop(&mut self) {
        // A close is made however the file's own control stands.
        let control = Control::new();
        control.set_deadline(Some(Instant::now() + CLOSE));
        let route = self.link.route(&control.context());
        // What the host does not hear of, it closes with the layer's own file.
        let _ = route.and_then(|mut route| route.ask(Upcall::Close { inner: self.inner }));
    }
}
