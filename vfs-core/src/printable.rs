//! Text for a terminal, a log or a report: nothing in it moves the cursor, turns the order of what follows, or hides.

use std::fmt::{self, Write as _};
use std::ops::RangeInclusive;

/// Characters that are no controls and do as much: they turn the direction of text, end a line, or take no room.
const INVISIBLE: [RangeInclusive<char>; 9] = [
    '\u{ad}'..='\u{ad}',
    '\u{61c}'..='\u{61c}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{e0000}'..='\u{e007f}',
];

/// Whether a character may stand in a message as it is.
pub fn is_printable(character: char) -> bool {
    let invisible = || INVISIBLE.iter().any(|range| range.contains(&character));
    !character.is_control() && (character.is_ascii() || !invisible())
}

/// A text with what cannot be printed escaped: `\n`, `\u{1b}`, `\u{202e}`.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write_printable(f, character))
    }
}

/// Writes one character, escaped if need be.
pub(crate) fn write_printable(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match is_printable(character) {
        true => f.write_char(character),
        false if character.is_ascii() => write!(f, "{}", character.escape_default()),
        false => write!(f, "{}", character.escape_unicode()),
    }
}

/// A JSON text that says the same, with what cannot be printed escaped as JSON has it. (Such characters stand between quotes only.)
pub fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_printable(character) {
            shown.push(character);
        } else {
            let units = character.encode_utf16(&mut [0; 2]).to_vec();
            shown.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_escaped() {
        let text = "a\u{1b}[31m\u{9b}1m\n\u{202e}\u{2028}\u{200d}\u{e0041}\u{7f}\u{fc}\u{1f600}";
        let shown = Printable(text).to_string();
        assert_eq!(
            shown,
            "a\\u{1b}[31m\\u{9b}1m\\n\\u{202e}\\u{2028}\\u{200d}\\u{e0041}\\u{7f}\u{fc}\u{1f600}"
        );
        assert!(shown.chars().all(is_printable));
    }

    #[test]
    fn a_json_text_keeps_what_it_says() {
        let shown = printable_json("{\"a\":\"x\u{202e}y\u{e0041}\u{7f}\u{fc}\"}");
        assert_eq!(shown, "{\"a\":\"x\\u202ey\\udb40\\udc41\\u007f\u{fc}\"}");
    }
}
