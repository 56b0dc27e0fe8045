//! Lists of texts, as a guest is given its arguments and its environment.

/// Texts one after the other, each ended by a NUL.
#[derive(Clone, Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    /// Where each ends, behind its NUL.
    ends: Vec<usize>,
}

impl Strings {
    /// Makes room for so many texts more, of so many bytes with their NULs.
    pub(super) fn reserve(&mut self, texts: usize, bytes: usize) {
        self.ends.reserve(texts);
        self.bytes.reserve(bytes);
    }

    /// Adds a text, given in parts.
    pub(super) fn push(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(0);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All of them, as a guest gets them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each begins.
    pub(super) fn starts(&self) -> impl Iterator<Item = usize> {
        [0].into_iter().chain(self.ends.iter().copied()).take(self.len())
    }

    /// Each without its NUL.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts().zip(&self.ends).map(|(start, end)| &self.bytes[start..end - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_bytes_lie_one_after_the_other() {
        let mut strings = Strings::default();
        assert_eq!((strings.len(), strings.starts().count(), strings.bytes()), (0, 0, &b""[..]));
        strings.push(&[b"A", b"=", b"\xff"]);
        strings.push(&[]);
        strings.push(&[b"b"]);
        assert_eq!(strings.bytes(), b"A=\xff\0\0b\0");
        assert_eq!(strings.starts().collect::<Vec<_>>(), [0, 4, 5]);
        assert_eq!(strings.iter().collect::<Vec<_>>(), [&b"A=\xff"[..], b"", b"b"]);
    }
}
