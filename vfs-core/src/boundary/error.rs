//! The error's record.

use crate::abi;
use crate::boundary::strings::write_array;
use crate::error::Error;
use std::borrow::Cow;

impl abi::Error {
    /// Writes our error, causes included: the other side has only one text.
    pub fn set(&mut self, error: &Error) {
        self.struct_size = abi::Error::SIZE;
        self.code = error.code().raw();
        self.flags = if error.is_retryable() { abi::ERROR_RETRYABLE } else { 0 };
        let text = error.chain();
        let room = self.message.len() - 1;
        write_array(&mut self.message, &shortened(&text, room));
    }
}

/// A text that fits: what is too much is left out of its middle, since what was done stands at its start and the cause at its
/// end. (Several layers, each naming its descriptor, get that long.)
pub(crate) fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    const GAP: &str = " ... ";
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let (mut head, mut tail) = (max / 3, text.len() - (max - max / 3 - GAP.len()));
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    Cow::Owned(format!("{}{GAP}{}", &text[..head], &text[tail..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_start_and_its_cause() {
        let long = format!("open {}: the cause", "\u{e4}".repeat(5000));
        for max in [100, 101, 102, 999] {
            let text = shortened(&long, max);
            assert!(text.len() <= max && text.len() > max - 5, "{}", text.len());
            assert!(text.starts_with("open \u{e4}") && text.ends_with("\u{e4}: the cause"), "{text}");
        }
        assert_eq!(shortened("short", 5), "short");
    }
}
