//! Numbers with a unit: `64k`, `30s`.

use std::time::Duration;

/// Units by their factors, the smallest first.
pub(super) type Units = [(&'static str, i64)];

pub(super) const SIZE_UNITS: [(&str, i64); 5] =
    [("", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40)];
pub(super) const TIME_UNITS: [(&str, i64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses digits and a unit, in either case; a number without a unit is in `plain`, or an error (0 needs none).
pub(super) fn scaled(text: &str, units: &Units, plain: Option<&str>) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "" if number == 0 => return Some(0),
        "" => plain?.to_owned(),
        unit => unit.to_ascii_lowercase(),
    };
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// Writes a number in the largest unit that leaves no rest.
pub(super) fn written(number: i64, units: &Units) -> String {
    if number == 0 {
        return "0".to_owned();
    }
    let whole = units.iter().rev().find(|(_, factor)| number % factor == 0);
    let (unit, factor) = whole.unwrap_or(&("", 1));
    format!("{}{unit}", number / factor)
}

/// Parses a duration such as `30s` or `1500ms`; `None` if it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    scaled(text, &TIME_UNITS, None).and_then(|ns| u64::try_from(ns).ok()).map(Duration::from_nanos)
}

/// Writes a duration as an operator would, `30s`, `1500ms`: to the millisecond, and to the microsecond below 10 ms.
pub fn written_duration(time: Duration) -> String {
    let ns = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let step = match ns {
        10_000_000.. => 1_000_000,
        10_000.. => 1_000,
        _ => 1,
    };
    written(ns - ns % step, &TIME_UNITS)
}

/// Parses a size in bytes such as `4096`, `64k` or `2g`; `None` if it is not one.
pub fn parse_size(text: &str) -> Option<u64> {
    scaled(text, &SIZE_UNITS, Some("")).and_then(|bytes| u64::try_from(bytes).ok())
}

/// Writes a size as an operator would.
#[cfg(feature = "host")]
pub(crate) fn written_size(bytes: u64) -> String {
    written(i64::try_from(bytes).unwrap_or(i64::MAX), &SIZE_UNITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_it_may_be_given() {
        for text in ["0", "7ns", "1500us", "10ms", "999ms", "1500ms", "30s", "90s", "2m", "1h"] {
            assert_eq!(written_duration(parse_duration(text).unwrap()), text);
        }
        // What was measured has more digits than anybody reads.
        for (ns, text) in [(1_234_567_891, "1234ms"), (137_123_456, "137ms"), (1_234_567, "1234us")] {
            assert_eq!(written_duration(Duration::from_nanos(ns)), text);
        }
    }
}
