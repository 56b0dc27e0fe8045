//! Bencode, written.

/// A byte string.
pub fn text(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

/// A number.
pub fn integer(number: usize) -> Vec<u8> {
    format!("i{number}e").into_bytes()
}

/// A list of what is written already.
pub fn list(items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    [b"l".to_vec(), items.flatten().collect(), b"e".to_vec()].concat()
}
