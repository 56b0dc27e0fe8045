//! Text in C's form.

use std::ffi::{CString, c_char};

/// A C string of a text; an inner NUL ends it.
pub fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// Writes a text into a fixed array: cut at a character's boundary, always terminated. Bytes after the NUL stay.
pub fn write_array(array: &mut [c_char], text: &str) {
    let room = array.len() - 1;
    let mut end = text.find('\0').unwrap_or(text.len()).min(room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in array.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = *from as c_char;
    }
    array[end] = 0;
}

/// Reads a fixed array up to its NUL or its end, whatever it holds.
pub fn read_array(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut array = [1 as c_char; 6];
        write_array(&mut array, "ab\u{20ac}\u{20ac}");
        assert_eq!(read_array(&array), "ab\u{20ac}");
        write_array(&mut array, "a\0b");
        assert_eq!(read_array(&array), "a");
    }

    #[test]
    fn an_array_without_nul_ends_with_itself() {
        assert_eq!(read_array(&[b'x' as c_char; 3]), "xxx");
    }
}
