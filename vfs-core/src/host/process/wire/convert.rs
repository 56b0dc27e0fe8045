//! What travels, from and to the core's own types.

use super::{Failure, FileId, InnerRequest, NameEntry, Seek, Time, WireStat};
use crate::boundary::{self, shortened};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::Stat;
use crate::provider::Inner;
use std::io::SeekFrom;
use std::time::{Duration, SystemTime};

/// As the header has it, in bytes.
const VERSION_MAX: usize = 127;
/// As `zvfs_error.message` has it, in bytes.
const TEXT_MAX: usize = 999;

impl InnerRequest {
    /// What a layer asks for under the context of one of its files, or of a call on a name.
    pub fn new(file: FileId, descriptor: &str, options: &Inner) -> InnerRequest {
        InnerRequest {
            file,
            descriptor: descriptor.to_owned(),
            flags: options.flags.bits(),
            expected_size: options.expected_size,
            settings: options.settings.clone(),
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        let text = shortened(&error.chain(), TEXT_MAX).into_owned();
        Failure { code: error.code().raw(), retryable: error.is_retryable(), text }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let text = shortened(&failure.text, TEXT_MAX).into_owned();
        let error = Error::new(Code::from_raw(failure.code.into()), text);
        if failure.retryable { error.retryable() } else { error }
    }
}

/// Bytes that travel as a text does, and not as a list of numbers.
pub(super) mod bytes {
    use serde::Serializer;
    use serde::de::{Deserializer, Error, Visitor};
    use std::fmt;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_owned())
        }
    }
}

impl NameEntry {
    /// About as many bytes as it takes in a packet, or more.
    pub fn size(&self) -> usize {
        let stat = self.stat.as_ref().map_or(0, |stat| 40 + stat.version.len());
        16 + self.bytes.len() + stat
    }
}

impl From<&Stat> for WireStat {
    fn from(stat: &Stat) -> WireStat {
        let modified = stat.modified.map(|time| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        });
        WireStat { kind: stat.kind, size: stat.size, modified, version: stat.version.clone() }
    }
}

impl From<WireStat> for Stat {
    fn from(wire: WireStat) -> Stat {
        // A time that no clock has is not known.
        let modified = wire.modified.and_then(|nanoseconds| {
            let distance = u64::try_from(nanoseconds.unsigned_abs()).ok().map(Duration::from_nanos)?;
            match nanoseconds < 0 {
                true => SystemTime::UNIX_EPOCH.checked_sub(distance),
                false => SystemTime::UNIX_EPOCH.checked_add(distance),
            }
        });
        let version = if wire.version.len() <= VERSION_MAX { wire.version } else { String::new() };
        Stat { kind: wire.kind, size: wire.size, modified, version }
    }
}

impl Time {
    /// # Errors
    /// EOVERFLOW: it is not within 1677 to 2262.
    pub fn new(time: SystemTime) -> Result<Time> {
        boundary::Time(time).ns().map(|ns| Time { ns })
    }

    /// # Errors
    /// EINVAL: it is none.
    pub fn get(self) -> Result<SystemTime> {
        boundary::Time::of(self.ns).map(|time| time.0)
    }
}

impl From<SeekFrom> for Seek {
    fn from(to: SeekFrom) -> Seek {
        match to {
            SeekFrom::Start(at) => Seek::Start(at),
            SeekFrom::Current(by) => Seek::Current(by),
            SeekFrom::End(by) => Seek::End(by),
        }
    }
}

impl From<Seek> for SeekFrom {
    fn from(to: Seek) -> SeekFrom {
        match to {
            Seek::Start(at) => SeekFrom::Start(at),
            Seek::Current(by) => SeekFrom::Current(by),
            Seek::End(by) => SeekFrom::End(by),
        }
    }
}
