//! Times: nanoseconds since 1970 in C, before that negative.

use crate::abi::TIME_UNKNOWN;
use crate::code::Code;
use crate::error::{Error, Result};
use std::time::{Duration, SystemTime};

/// The number of a time; `None`: there is none for it.
pub(crate) fn time_to_ns(time: SystemTime) -> Option<i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|ns| -ns),
    }
}

/// The time of a number, if it is one.
pub(crate) fn time_from_ns(ns: i64) -> Option<SystemTime> {
    let span = Duration::from_nanos(ns.unsigned_abs());
    match ns {
        TIME_UNKNOWN => None,
        0.. => SystemTime::UNIX_EPOCH.checked_add(span),
        _ => SystemTime::UNIX_EPOCH.checked_sub(span),
    }
}

/// A time that is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub SystemTime);

impl Time {
    /// Of a number.
    ///
    /// # Errors
    /// EINVAL: it is none.
    pub(crate) fn of(ns: i64) -> Result<Time> {
        let none =
            || Error::new(Code::EINVAL, format!("set_modified: {ns} is ZVFS_TIME_UNKNOWN, and no time"));
        time_from_ns(ns).map(Time).ok_or_else(none)
    }

    /// Its number.
    ///
    /// # Errors
    /// EOVERFLOW: there is none for it.
    pub(crate) fn ns(self) -> Result<i64> {
        let beyond = || Error::new(Code::EOVERFLOW, "set_modified: the time is not within 1677 to 2262");
        time_to_ns(self.0).ok_or_else(beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_its_number_are_one() {
        for ns in [0, 1, -1, 1_500_000_000, -1_500_000_000, i64::MAX, i64::MIN + 1] {
            assert_eq!(Time::of(ns).unwrap().ns().unwrap(), ns);
        }
        assert_eq!(Time::of(TIME_UNKNOWN).unwrap_err().code(), Code::EINVAL);
        let beyond = [
            SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 34),
            SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 34),
        ];
        for time in beyond {
            assert_eq!(Time(time).ns().unwrap_err().code(), Code::EOVERFLOW);
        }
    }
}
