//! The manifest's numbers, as C writes them: decimal, `0x` hexadecimal, `0` octal; sizes also as settings have them: `64k`, `1g`.

use vfs_core::Shown;

/// Parses a number.
///
/// # Errors
/// A text that says what is wrong: empty, not a number, over 63 bits.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(format!("`{}` is not a number", Shown(text)));
    }
    // The sign goes with the digits: the smallest number has no positive counterpart.
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    i64::from_str_radix(&signed, radix).map_err(|_| format!("`{}` does not fit in 63 bits", Shown(text)))
}

/// Parses a number of bytes; `k`, `m`, `g`, `t` behind a decimal one are powers of 1024.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_size(text: &str) -> Result<i64, String> {
    let has_unit = text.ends_with(|last: char| "kmgt".contains(last.to_ascii_lowercase()));
    if !has_unit {
        return parse(text);
    }
    let size = vfs_core::parse_size(text).and_then(|bytes| i64::try_from(bytes).ok());
    size.ok_or_else(|| format!("`{}` is not a size such as 4096, 64k or 1g", Shown(text)))
}

/// Parses a number of bytes that is not negative.
///
/// # Errors
/// As [`parse`]; a negative one.
pub(super) fn parse_size_count(text: &str) -> Result<u64, String> {
    let number = parse_size(text)?;
    u64::try_from(number).map_err(|_| format!("{number} is negative"))
}

/// Parses a number that counts something.
///
/// # Errors
/// As [`parse`]; a negative one.
pub(super) fn parse_count(text: &str) -> Result<u64, String> {
    let number = parse(text)?;
    u64::try_from(number).map_err(|_| format!("{number} is negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_c() {
        for (text, number) in [
            ("0", 0),
            ("10", 10),
            ("+10", 10),
            ("0x10", 16),
            ("0XfF", 255),
            ("010", 8),
            ("-0x10", -16),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn sizes_may_have_the_units_of_settings() {
        for (text, bytes) in [("1g", 1 << 30), ("64K", 65_536), ("0x10", 16), ("-1", -1), ("0", 0)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["1 g", "g", "-1k", "1.5g", "1kk", "9999999999t", "k1"] {
            parse_size(text).unwrap_err();
        }
        assert!(parse("1k").is_err(), "a count has no unit");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", "x", "0x", "08", "1 000", "1k", "--1", "0x-1", "1.5", "٣"] {
            assert!(parse(text).unwrap_err().contains("not a number"), "{text}");
        }
        for text in ["9223372036854775808", "0x8000000000000000", "99999999999999999999999"] {
            assert!(parse(text).unwrap_err().contains("63 bits"), "{text}");
        }
        assert!(parse_count("-1").unwrap_err().contains("negative"));
    }
}
