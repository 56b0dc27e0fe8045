//! What a directory holds, name by name.

use crate::file::Stat;

/// One name below a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The last component only.
    pub name: &'a str,
    /// What is known without asking again.
    pub stat: Option<&'a Stat>,
}

/// One name below a directory, as the bytes that it is made of.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// The last component only. Need not be UTF-8.
    pub bytes: &'a [u8],
    /// What is known without asking again.
    pub stat: Option<&'a Stat>,
}

impl<'a> From<Entry<'a>> for Name<'a> {
    fn from(entry: Entry<'a>) -> Name<'a> {
        Name { bytes: entry.name.as_bytes(), stat: entry.stat }
    }
}

impl<'a> Name<'a> {
    /// Whether it is one: the last component of a path, and no other folder.
    pub(crate) fn is_one(self) -> bool {
        let bytes = self.bytes;
        !(bytes.is_empty() || bytes.contains(&b'/') || bytes.contains(&0) || bytes == b"." || bytes == b"..")
    }

    /// The entry of a name that is UTF-8.
    pub fn entry(self) -> Option<Entry<'a>> {
        Some(Entry { name: str::from_utf8(self.bytes).ok()?, stat: self.stat })
    }
}
