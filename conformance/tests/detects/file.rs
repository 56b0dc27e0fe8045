//! The model's open file.

use crate::PATIENCE;
use crate::fault::Fault;
use crate::model::{BLOCKING, Names, Shared, meet};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use std::io::SeekFrom;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use vfs_core::{
    Capabilities, Code, Context, Direction, Error, Events, File, Finish, Flush, Interest, Kind, Lease,
    OnCancel, OpenFlags, Result, Stat, Wanted,
};

static VERSION: AtomicU64 = AtomicU64::new(0);

pub struct Open {
    pub fault: Fault,
    pub flags: OpenFlags,
    pub name: String,
    pub names: Names,
    pub unpublished: bool,
    pub context: Context,
    pub meeting: Arc<AtomicUsize>,
    pub data: Shared,
    pub position: u64,
    /// For `TwoPositions` only.
    pub write_position: u64,
    pub end_at_open: u64,
    pub calls: usize,
    pub ended: bool,
    pub kernel_file: Option<OwnedFd>,
    pub committed: bool,
    /// For `CancelIsForEver` only: whether there was a cancel, and what notices it.
    pub cancelled: Arc<AtomicBool>,
    pub _on_cancel: Option<OnCancel>,
    /// For `OldBytesComeBack` only: what lay behind a new end.
    pub cut: (u64, Vec<u8>),
    /// The time that it is to have.
    pub modified: Option<SystemTime>,
    /// How often something was tried: each second time it does not go.
    pub tries: u32,
    /// What is lent to be waited on: one, but for `LendsAnother`.
    pub awaited: Vec<OwnedFd>,
}

impl Open {
    fn goes(&self, direction: OpenFlags) -> bool {
        let neither = !self.flags.intersects(OpenFlags::READ | OpenFlags::WRITE);
        neither || self.flags.contains(direction)
    }

    fn needs(&self, direction: OpenFlags) -> Result<()> {
        if self.goes(direction) || self.fault == Fault::IgnoresDirections {
            return Ok(());
        }
        match self.fault {
            Fault::TextOfTwoLines => Err(Error::new(Code::EBADF, "first\nsecond")),
            _ => Err(Error::new(Code::EBADF, "not open in this direction")),
        }
    }

    /// Whether what is tried goes this time.
    fn goes_now(&mut self) -> bool {
        self.tries += 1;
        if self.fault == Fault::TriesWait && self.name == BLOCKING {
            // Until the check has had enough, and cancels.
            let _ = self.context.sleep(Duration::from_secs(60));
        }
        self.name != BLOCKING && self.tries.is_multiple_of(2)
    }

    fn publish(&self) {
        self.names.lock().unwrap().insert(self.name.clone(), self.data.clone());
    }

    fn get(&self, buf: &mut [u8], offset: u64) -> usize {
        let data = self.data.lock().unwrap();
        let rest = data.bytes.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        count
    }

    fn put(&self, buf: &[u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        if end > 1 << 40 {
            if self.fault == Fault::AcceptsAnySize {
                return Ok(());
            }
            return Err(Error::new(Code::EFBIG, "write: too far out"));
        }
        let mut data = self.data.lock().unwrap();
        if end > data.bytes.len() as u64 {
            data.bytes.resize(end as usize, if self.fault == Fault::GapIsGarbage { b'?' } else { 0 });
        }
        let place = &mut data.bytes[offset as usize..end as usize];
        place.copy_from_slice(buf);
        if self.fault == Fault::Capitals {
            place.make_ascii_uppercase();
        }
        data.version = VERSION.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(())
    }
}

impl File for Open {
    fn capabilities(&self) -> Capabilities {
        type C = Capabilities;
        let mut claimed = C::SEEKABLE | C::STAT | C::FD | C::CANCEL | C::POLL;
        if self.goes(OpenFlags::READ) {
            claimed |= C::READABLE | C::POSITIONAL_READ;
        }
        if self.goes(OpenFlags::WRITE) {
            claimed |= C::WRITABLE | C::TRUNCATABLE | C::POSITIONAL_WRITE | C::TIMES;
        }
        match self.fault {
            Fault::ClaimsNothing => C::empty(),
            Fault::ClaimsBothDirections => claimed | C::READABLE | C::WRITABLE,
            Fault::CapabilitiesChange if self.calls > 0 => claimed.without(C::STAT),
            Fault::SeeksWithoutClaim => claimed.without(C::SEEKABLE),
            _ => claimed,
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.needs(OpenFlags::READ)?;
        self.calls += 1;
        if self.name == BLOCKING {
            let result = self.context.sleep(Duration::from_secs(20));
            return match self.fault {
                Fault::BlocksThroughCancel => {
                    std::thread::sleep(PATIENCE * 2);
                    result.map(|()| 0)
                }
                Fault::StopsWithEio => Err(Error::new(Code::EIO, "read: stopped")),
                _ => result.map(|()| 0),
            };
        }
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Code::ECANCELED, "read: cancelled once"));
        }
        if self.fault == Fault::FailsCancelledWithEio && self.context.status().is_err() {
            return Err(Error::new(Code::EIO, "read: cancelled"));
        }
        if matches!(self.fault, Fault::SharedPosition | Fault::ReadAtMovesThePosition) {
            self.position = self.data.lock().unwrap().position;
        }
        let position = self.position;
        let mut count = self.get(buf, position);
        self.position += count as u64;
        self.data.lock().unwrap().position = self.position;
        match self.fault {
            Fault::FlipsByte5000 if (position..position + count as u64).contains(&5000) => {
                buf[(5000 - position) as usize] ^= 1;
            }
            Fault::DropsAByteOfOddReads if count > 1 && buf.len() % 2 == 1 => count -= 1,
            Fault::ReadsOnAfterTheEnd if count == 0 && !self.ended => self.ended = true,
            Fault::ReadsOnAfterTheEnd if count == 0 => count = 1,
            Fault::TouchesTheTail if count < buf.len() => buf[count] = 0,
            Fault::CountsTooMuch => count = buf.len() + 1,
            _ => {}
        }
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.needs(OpenFlags::WRITE)?;
        self.calls += 1;
        if self.fault == Fault::CreatesAtFirstWrite && !self.flags.contains(OpenFlags::ATOMIC) {
            self.publish();
        }
        let length = self.data.lock().unwrap().bytes.len() as u64;
        let at = match self.fault {
            Fault::AppendsAtThePosition => self.position,
            Fault::AppendsAtTheOldEnd if self.flags.contains(OpenFlags::APPEND) => {
                self.end_at_open + self.write_position
            }
            Fault::TwoPositions => self.write_position,
            _ if self.flags.contains(OpenFlags::APPEND) => length,
            _ => self.position,
        };
        match self.fault {
            Fault::ForgetsWrites => {}
            Fault::LosesAByteOfSmallWrites if buf.len() == 7 => self.put(&buf[..6], at)?,
            Fault::WritesNothing => return Ok(0),
            Fault::OldBytesComeBack if at > length && self.cut.0 == length => {
                let gap = (at - length) as usize;
                let old = self.cut.1[..gap.min(self.cut.1.len())].to_vec();
                self.put(&old, length)?;
                self.put(buf, at)?;
            }
            _ => self.put(buf, at)?,
        }
        self.write_position += buf.len() as u64;
        if self.fault != Fault::TwoPositions {
            self.position = at + buf.len() as u64;
        }
        Ok(buf.len())
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        if self.fault == Fault::CannotSeek {
            return Err(Error::new(Code::ESPIPE, "seek: no positions"));
        }
        let size = self.data.lock().unwrap().bytes.len() as u64;
        let (base, offset) = match to {
            SeekFrom::Start(offset) => (offset, 0),
            SeekFrom::Current(offset) => (self.position, offset),
            SeekFrom::End(offset) => (size, offset),
        };
        let position = match self.fault {
            Fault::SeekOverflowPanics => Some((i64::try_from(base).unwrap() + offset) as u64),
            Fault::SeekStopsAtTheStart => Some(base.saturating_add_signed(offset).min(i64::MAX as u64)),
            Fault::SeekStopsAtTheEnd => base.checked_add_signed(offset).map(|position| position.min(size)),
            _ => base.checked_add_signed(offset),
        };
        let position = position.filter(|position| i64::try_from(*position).is_ok());
        self.position = position.ok_or_else(|| Error::new(Code::EINVAL, "seek: out of range"))?;
        Ok(self.position)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.needs(OpenFlags::WRITE)?;
        if size > 1 << 40 && self.fault != Fault::AcceptsAnySize {
            return Err(Error::new(Code::EFBIG, "truncate: too large"));
        }
        if self.fault == Fault::TruncateMovesThePosition {
            self.position = self.position.min(size);
        }
        let mut data = self.data.lock().unwrap();
        if self.fault == Fault::OldBytesComeBack && size < data.bytes.len() as u64 {
            self.cut = (size, data.bytes[size as usize..].to_vec());
        }
        data.bytes.resize(size.min(1 << 20) as usize, 0);
        Ok(())
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        if self.fault == Fault::SyncPublishes && level == Flush::Sync && self.unpublished {
            self.publish();
        }
        if self.fault == Fault::FlushStartsAnew {
            self.data.lock().unwrap().bytes.clear();
        }
        Ok(())
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match (self.fault, how) {
            (Fault::ReaderCannotFinish, _) if !self.goes(OpenFlags::WRITE) => {
                return Err(Error::new(Code::EBADF, "finish: not open for writing"));
            }
            (Fault::CommitAfterEndFails, Finish::Commit) if self.ended => {
                return Err(Error::new(Code::EINVAL, "finish: ended already"));
            }
            (Fault::EndPublishes, Finish::End) if self.unpublished => self.publish(),
            _ => {}
        }
        self.ended |= how == Finish::End;
        self.committed |= how == Finish::Commit;
        if how == Finish::Commit && self.modified.is_some() {
            self.data.lock().unwrap().modified = self.modified;
        }
        if how == Finish::Commit && self.unpublished {
            self.publish();
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.needs(OpenFlags::READ)?;
        match self.fault {
            Fault::ReadAtOffByOne => Ok(self.get(buf, offset + 1)),
            Fault::PositionalReadsCollide if meet(&self.meeting) => Ok(self.get(buf, offset / 2)),
            Fault::ReadAtMovesThePosition => {
                let count = self.get(buf, offset);
                self.data.lock().unwrap().position = offset;
                Ok(count)
            }
            _ => Ok(self.get(buf, offset)),
        }
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.needs(OpenFlags::WRITE)?;
        match self.fault {
            Fault::WriteAtAppends => {
                let end = self.data.lock().unwrap().bytes.len() as u64;
                self.put(buf, end)?;
            }
            Fault::PositionalWritesCollide if meet(&self.meeting) => self.put(buf, offset / 2)?,
            _ => self.put(buf, offset)?,
        }
        Ok(buf.len())
    }

    fn stat(&mut self) -> Result<Stat> {
        self.calls += 1;
        let data = self.data.lock().unwrap();
        let size = match self.fault {
            Fault::StatSizeIsOff => data.bytes.len() as u64 + 1,
            Fault::StatSizeIsStale => self.end_at_open,
            _ => data.bytes.len() as u64,
        };
        let version = if self.fault == Fault::VersionIsConstant { 1 } else { data.version };
        Ok(Stat::of_kind(Kind::Regular).size(size).version(format!("v{version}")))
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.needs(OpenFlags::WRITE)?;
        self.modified = match self.fault {
            Fault::WritesForgetTimes => None,
            Fault::TimesAreRoundedUp => Some(time + Duration::from_secs(1)),
            _ => Some(time),
        };
        Ok(())
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        let fd = memfd_create("model", MemfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        if direction == Direction::Read {
            rustix::io::pwrite(&fd, &self.data.lock().unwrap().bytes, 0).map_err(std::io::Error::from)?;
        }
        let fd = &*self.kernel_file.insert(fd);
        let offset = if self.fault == Fault::LeaseStartsAtZero { 0 } else { self.position };
        Ok(Lease { fd: fd.as_fd(), offset: Some(offset), limit: 1000 })
    }

    fn advance(&mut self, direction: Direction, count: u64) -> Result<()> {
        if let (Direction::Write, Some(fd)) = (direction, &self.kernel_file) {
            let mut moved = vec![0; count as usize];
            rustix::io::pread(fd, &mut moved, self.position).map_err(std::io::Error::from)?;
            self.put(&moved, self.position)?;
        }
        if self.fault != Fault::AdvanceIsForgotten {
            self.position += count;
        }
        Ok(())
    }

    fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        if self.fault == Fault::ReadyForAnything {
            return Ok(Interest::ready(Wanted::READ | Wanted::WRITE));
        }
        if self.awaited.is_empty() || self.fault == Fault::LendsAnother {
            // With a count in it, it is readable at once.
            let event = eventfd(1, EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
            self.awaited.push(event);
        }
        let interest = match (wanted, self.awaited.last()) {
            (Wanted::FINISH, _) | (_, None) => Interest::time(Duration::from_millis(1)),
            (_, Some(event)) => Interest::event(event.as_fd(), Events::READ),
        };
        Ok(interest)
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.needs(OpenFlags::READ)?;
        if !self.goes_now() {
            self.position += u64::from(self.fault == Fault::TriesSkipAByte);
            return Ok(None);
        }
        self.read(buf).map(Some)
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.needs(OpenFlags::WRITE)?;
        if !self.goes_now() {
            return Ok(None);
        }
        let count = self.write(buf)?;
        Ok(Some(if self.fault == Fault::TriesCountTooMuch { count + 1 } else { count }))
    }

    fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        if how == Finish::Commit && !self.goes_now() {
            return Ok(None);
        }
        self.finish(how).map(Some)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.fault == Fault::CloseWritesOn && self.committed && self.goes(OpenFlags::WRITE) {
            self.data.lock().unwrap().bytes.push(0);
        }
        // What is written for the check to read is closed on its own thread.
        if self.fault == Fault::CloseSleeps && self.goes(OpenFlags::READ) {
            std::thread::sleep(Duration::from_secs(2));
        }
    }
}
