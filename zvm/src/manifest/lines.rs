//! The manifest's lines: `key = value`.

use super::{BYTES_MAX, LINES_MAX, Warning, defect};
use crate::exit::Failure;

/// How many ignored lines are told one by one: whole texts are full of them.
const TOLD: usize = 3;

/// One line that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// All lines that count, and the number of the last one of the text.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub(super) list: Vec<Line<'a>>,
    pub(super) last: usize,
}

/// Splits a text into its lines. Empty ones and comments (`#`) are skipped; others without `=` too, with a warning.
pub(super) fn split<'a>(text: &'a [u8], warnings: &mut Vec<Warning>) -> Result<Lines<'a>, Failure> {
    if text.len() > BYTES_MAX {
        return Err(defect(1, format_args!("the manifest has more than {BYTES_MAX} bytes")));
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut list = Vec::new();
    let (mut last, mut ignored) = (0, 0);
    for line in text.split(|byte| *byte == b'\n') {
        last += 1;
        if last > LINES_MAX {
            return Err(defect(last, format_args!("the manifest has more than {LINES_MAX} lines")));
        }
        let line = readable(line, last)?;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) => list.push(Line { number: last, key: trim(key), value: trim(value) }),
            None => {
                ignored += 1;
                if ignored <= TOLD {
                    // Not repeated: half of a descriptor may stand here, with the half that is secret.
                    let text = "the line is ignored: it has no `=`".to_owned();
                    warnings.push(Warning { line: last, text });
                }
            }
        }
    }
    if ignored > TOLD {
        let text = format!("{} more lines are ignored: is this a manifest?", ignored - TOLD);
        warnings.push(Warning { line: last, text });
    }
    Ok(Lines { list, last })
}

/// The line as text, without the white space around it.
fn readable(line: &[u8], number: usize) -> Result<&str, Failure> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(defect(number, "not UTF-8 text: is this a manifest?"));
    };
    let text = trim(text);
    if text.contains('\0') {
        return Err(defect(number, "a NUL character: is this a manifest?"));
    }
    Ok(text)
}

/// Strips what ZeroVM strips: spaces, tabs and carriage returns.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r'])
}
