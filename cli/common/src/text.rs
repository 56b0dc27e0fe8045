//! Text for people and terminals.

use std::time::{SystemTime, UNIX_EPOCH};
use vfs_core::{Kind, Printable, printable_json};

/// A text in one line: line ends become spaces, other control characters are escaped, so that none reaches a terminal.
pub fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    printable(&lines.join(" "))
}

/// A name in a listing: escaped as in a shell's `$'...'` where it holds a backslash, what cannot be printed or what is not UTF-8, so
/// that what is printed can be typed.
pub fn name(name: &[u8]) -> String {
    if let Ok(text) = str::from_utf8(name)
        && !text.contains('\\')
        && printable(text) == text
    {
        return text.to_owned();
    }
    name.utf8_chunks().fold(String::new(), |escaped, chunk| {
        let escaped = chunk.valid().chars().fold(escaped, |text, character| text + &shell_escaped(character));
        chunk.invalid().iter().fold(escaped, |text, byte| text + &format!("\\x{byte:02x}"))
    })
}

fn shell_escaped(character: char) -> String {
    match character {
        '\\' | '\'' => format!("\\{character}"),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        character if printable(character.encode_utf8(&mut [0; 4])).chars().eq([character]) => {
            character.to_string()
        }
        character => match u32::from(character) {
            number @ ..0x80 => format!("\\x{number:02x}"),
            number @ ..0x10000 => format!("\\u{number:04x}"),
            number => format!("\\U{number:08x}"),
        },
    }
}

/// A text with what a terminal obeys, or hides, escaped.
pub fn printable(text: &str) -> String {
    Printable(text).to_string()
}

/// A JSON value in one line, with what cannot be printed escaped too.
pub fn json(value: &serde_json::Value) -> String {
    printable_json(&value.to_string())
}

/// The word for a kind of file.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unknown => "unknown",
        Kind::Regular => "regular",
        Kind::Directory => "directory",
        Kind::Stream => "stream",
        Kind::Device => "device",
        Kind::Terminal => "terminal",
    }
}

/// A time as RFC 3339 has it, in UTC, to the second; `None` before the year 0 and after 9999.
pub fn rfc3339(time: SystemTime) -> Option<String> {
    with_fraction(time, "")
}

/// The same to the millisecond.
pub fn rfc3339_in_milliseconds(time: SystemTime) -> Option<String> {
    // A clock before 1970 is none.
    let milliseconds = time.duration_since(UNIX_EPOCH).map_or(0, |after| after.subsec_millis());
    with_fraction(time, &format!(".{milliseconds:03}"))
}

fn with_fraction(time: SystemTime, fraction: &str) -> Option<String> {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).ok()?,
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).ok()?;
            -whole - i64::from(before.subsec_nanos() > 0)
        }
    };
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years are counted from March, so that a leap day is
/// the last of its year; 400 of them have 146,097 days.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?; // from 0000-03-01
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // from March
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    (0..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_583_020_799, "2020-02-29T23:59:59Z"),
            (1_795_392_000, "2026-11-23T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap(), text);
        }
        let before = UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(rfc3339(before).unwrap(), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(i64::MAX as u64)), None);
    }

    #[test]
    fn a_name_is_escaped_so_that_a_shell_can_be_given_it() {
        for (given, shown) in [
            ("plain name", "plain name"),
            ("it's", "it's"),
            ("ä中", "ä中"),
            ("a\nb", "a\\nb"),
            ("a\\nb", "a\\\\nb"),
            ("it's\t\u{1b}[2J", "it\\'s\\t\\x1b[2J"),
            ("\u{85}", "\\u0085"),
        ] {
            assert_eq!(name(given.as_bytes()), shown);
        }
        assert_eq!(name(b"a\xff\xc3b\xc3\xa4"), "a\\xff\\xc3b\u{e4}");
    }

    #[test]
    fn nothing_of_a_message_moves_the_cursor() {
        assert_eq!(one_line("a\r\n  | b\x1b[2J\n"), "a | b\\u{1b}[2J");
    }
}
