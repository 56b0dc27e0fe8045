//! The time that an object was given: kept beside it as metadata named `mtime`, in the form that rclone writes for each kind of store,
//! so that each reads what the other has written.

use crate::target::Kind;
use chrono::{DateTime, SecondsFormat, Utc};
use object_store::{Attribute, AttributeValue, Attributes};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

const NAME: Attribute = Attribute::Metadata(Cow::Borrowed("mtime"));
/// Digits of a fraction.
const NANOSECONDS: usize = 9;

/// What an object is to have: of S3 a decimal number of seconds, of the others a time of RFC 3339.
pub fn attributes(time: SystemTime, kind: Kind) -> Attributes {
    let text = match kind {
        Kind::S3 => seconds(time),
        Kind::Google | Kind::Azure => DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Nanos, true),
    };
    Attributes::from_iter([(NAME, AttributeValue::from(text))])
}

/// What an object has, in either form; `None`: no such time, or a text that is none.
pub fn of(attributes: &Attributes) -> Option<SystemTime> {
    let text: &str = attributes.get(&NAME)?.as_ref();
    let written = || DateTime::parse_from_rfc3339(text).ok().map(SystemTime::from);
    from_seconds(text).or_else(written)
}

fn seconds(time: SystemTime) -> String {
    let (sign, distance) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => ("", after),
        Err(before) => ("-", before.duration()),
    };
    let fraction = format!("{:09}", distance.subsec_nanos());
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{}", distance.as_secs()),
        fraction => format!("{sign}{}.{fraction}", distance.as_secs()),
    }
}

fn from_seconds(text: &str) -> Option<SystemTime> {
    let (is_before, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(seconds) || !are_digits(fraction) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<NANOSECONDS$}")[..NANOSECONDS].parse().ok()?;
    let distance = Duration::new(seconds.parse().ok()?, nanoseconds);
    match is_before {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn times_are_written_and_read_as_rclone_has_them() {
        let nanoseconds = Duration::new(1_354_040_105, 123_456_789);
        for (kind, time, text) in [
            (Kind::S3, EPOCH, "0"),
            (Kind::S3, EPOCH + Duration::from_secs(1_354_040_105), "1354040105"),
            (Kind::S3, EPOCH + nanoseconds, "1354040105.123456789"),
            (Kind::S3, EPOCH + Duration::from_millis(1500), "1.5"),
            (Kind::S3, EPOCH + Duration::from_nanos(1), "0.000000001"),
            (Kind::S3, EPOCH - Duration::from_millis(1500), "-1.5"),
            (Kind::Google, EPOCH + nanoseconds, "2012-11-27T18:15:05.123456789Z"),
            (Kind::Azure, EPOCH - Duration::from_secs(1), "1969-12-31T23:59:59.000000000Z"),
        ] {
            let attributes = attributes(time, kind);
            assert_eq!(attributes.get(&NAME).map(AsRef::as_ref), Some(text));
            assert_eq!(of(&attributes), Some(time), "{text}");
        }
    }

    #[test]
    fn what_others_wrote_is_a_time_or_none() {
        let read = |text: &'static str| of(&Attributes::from_iter([(NAME, AttributeValue::from(text))]));
        let after = |seconds, nanoseconds| Some(EPOCH + Duration::new(seconds, nanoseconds));
        assert_eq!(read("7.1234567891"), after(7, 123_456_789));
        assert_eq!(read("7."), after(7, 0));
        assert_eq!(read("1970-01-01T01:00:07+01:00"), after(7, 0));
        for text in ["", ".", "-", "x", "1.x", "+1", "1e9", " 1", "2012-11-27", "99999999999999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(of(&Attributes::new()), None);
    }
}
