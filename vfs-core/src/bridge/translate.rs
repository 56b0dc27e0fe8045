//! Values that look different on the two sides, in both directions.

use crate::abi;
use crate::boundary::{read_array, time_from_ns, time_to_ns, write_array};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::{Direction, Finish, Flush, Kind, Stat};
use crate::flags::{Events, OpenFlags};
use crate::printable::is_printable;
use crate::settings::SettingKind;
use std::io::SeekFrom;
use std::time::Duration;

impl abi::Error {
    /// Reads what the other side wrote. `returned` is the negative code that the call returned, and counts; a missing text
    /// becomes the code's own.
    #[cold]
    #[inline(never)]
    pub(crate) fn take(&self, returned: i64) -> Error {
        let code = Code::from_raw(returned.checked_neg().unwrap_or(0));
        let text = read_array(&self.message);
        // Control characters would reach a terminal.
        let text = text.trim().replace(|character: char| !is_printable(character), " ");
        let error = Error::new(code, text);
        let error = match code {
            Code::EINTR | Code::EAGAIN => {
                Error::new(Code::EIO, format!("the provider broke a rule: it returned {code}"))
                    .with_source(error)
            }
            _ => error,
        };
        if self.flags & abi::ERROR_RETRYABLE != 0 { error.retryable() } else { error }
    }
}

pub(crate) fn kind_to_abi(kind: SettingKind) -> u32 {
    match kind {
        SettingKind::Text => abi::TYPE_STRING,
        SettingKind::Boolean => abi::TYPE_BOOLEAN,
        SettingKind::Integer => abi::TYPE_INTEGER,
        SettingKind::Size => abi::TYPE_SIZE,
        SettingKind::Duration => abi::TYPE_DURATION,
        SettingKind::Path => abi::TYPE_PATH,
    }
}

pub(crate) fn kind_from_abi(kind: u32) -> Option<SettingKind> {
    Some(match kind & !abi::TYPE_LIST {
        abi::TYPE_STRING => SettingKind::Text,
        abi::TYPE_BOOLEAN => SettingKind::Boolean,
        abi::TYPE_INTEGER => SettingKind::Integer,
        abi::TYPE_SIZE => SettingKind::Size,
        abi::TYPE_DURATION => SettingKind::Duration,
        abi::TYPE_PATH => SettingKind::Path,
        _ => return None,
    })
}

impl From<&Stat> for abi::Stat {
    fn from(stat: &Stat) -> abi::Stat {
        let mut out = empty_stat();
        out.size = stat.size.unwrap_or(abi::SIZE_UNKNOWN);
        out.modified_ns = stat.modified.and_then(time_to_ns).unwrap_or(abi::TIME_UNKNOWN);
        out.kind = match stat.kind {
            Kind::Unknown => abi::KIND_UNKNOWN,
            Kind::Regular => abi::KIND_REGULAR,
            Kind::Directory => abi::KIND_DIRECTORY,
            Kind::Stream => abi::KIND_STREAM,
            Kind::Device => abi::KIND_DEVICE,
            Kind::Terminal => abi::KIND_TERMINAL,
        };
        write_array(&mut out.version, &stat.version);
        out
    }
}

pub(crate) fn stat_from_abi(stat: &abi::Stat) -> Stat {
    let kind = match stat.kind {
        abi::KIND_REGULAR => Kind::Regular,
        abi::KIND_DIRECTORY => Kind::Directory,
        abi::KIND_STREAM => Kind::Stream,
        abi::KIND_DEVICE => Kind::Device,
        abi::KIND_TERMINAL => Kind::Terminal,
        _ => Kind::Unknown,
    };
    let mut ours = Stat::of_kind(kind).version(read_array(&stat.version));
    ours.size = Some(stat.size).filter(|size| *size != abi::SIZE_UNKNOWN);
    ours.modified = time_from_ns(stat.modified_ns);
    ours
}

pub(crate) fn empty_stat() -> abi::Stat {
    abi::Stat {
        struct_size: abi::Stat::SIZE,
        size: abi::SIZE_UNKNOWN,
        modified_ns: abi::TIME_UNKNOWN,
        kind: abi::KIND_UNKNOWN,
        reserved: 0,
        version: [0; 128],
    }
}

pub(crate) fn finish_from_abi(how: u32) -> Result<Finish> {
    let known = [Finish::End, Finish::Commit, Finish::Discard].into_iter().find(|known| *known as u32 == how);
    known.ok_or_else(|| Error::new(Code::EINVAL, format!("finish: unknown value {how}")))
}

pub(crate) fn flush_from_abi(level: u32) -> Result<Flush> {
    let known = [Flush::Push, Flush::Sync].into_iter().find(|known| *known as u32 == level);
    known.ok_or_else(|| Error::new(Code::EINVAL, format!("flush: unknown level {level}")))
}

pub(crate) fn direction_from_abi(direction: u64) -> Result<Direction> {
    match OpenFlags::from_bits(direction) {
        OpenFlags::READ => Ok(Direction::Read),
        OpenFlags::WRITE => Ok(Direction::Write),
        _ => Err(Error::new(Code::EINVAL, format!("unknown direction {direction:#x}"))),
    }
}

pub(crate) fn direction_to_abi(direction: Direction) -> u64 {
    match direction {
        Direction::Read => OpenFlags::READ.bits(),
        Direction::Write => OpenFlags::WRITE.bits(),
    }
}

/// Where a seek goes.
pub(crate) fn seek_from_abi(offset: i64, whence: u32) -> Result<SeekFrom> {
    let before = |_| Error::new(Code::EINVAL, "seek: before the start");
    match whence {
        abi::SEEK_SET => Ok(SeekFrom::Start(u64::try_from(offset).map_err(before)?)),
        abi::SEEK_CUR => Ok(SeekFrom::Current(offset)),
        abi::SEEK_END => Ok(SeekFrom::End(offset)),
        _ => Err(Error::new(Code::EINVAL, format!("seek: unknown whence {whence}"))),
    }
}

pub(crate) fn seek_to_abi(to: SeekFrom) -> Result<(i64, u32)> {
    match to {
        SeekFrom::Start(offset) => {
            let offset = i64::try_from(offset);
            Ok((offset.map_err(|_| Error::new(Code::EINVAL, "seek: beyond 2^63"))?, abi::SEEK_SET))
        }
        SeekFrom::Current(offset) => Ok((offset, abi::SEEK_CUR)),
        SeekFrom::End(offset) => Ok((offset, abi::SEEK_END)),
    }
}

/// The low bits are the same numbers on both sides; a higher one is of a newer version.
pub(crate) fn events_from_abi(events: u32) -> Events {
    Events::from_bits(events.into())
}

pub(crate) fn limit_to_abi(limit: Option<Duration>) -> u64 {
    limit
        .map_or(abi::TIME_UNLIMITED, |time| u64::try_from(time.as_nanos()).unwrap_or(abi::TIME_UNLIMITED - 1))
}

pub(crate) fn limit_from_abi(ns: u64) -> Option<Duration> {
    (ns != abi::TIME_UNLIMITED).then(|| Duration::from_nanos(ns))
}
