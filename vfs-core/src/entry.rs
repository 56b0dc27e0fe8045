//! What a directory holds, name by name.

use crate::file::{Kind, Stat};

/// The longest name, in bytes: what says that it is longer says nonsense.
pub(crate) const NAME_MAX: usize = 64 << 10;

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
    /// Whether it is one: the last component of a path, and no other folder. What is none is left out of a listing, and counted.
    pub(crate) fn is_one(self) -> bool {
        let bytes = self.bytes;
        let is_path = bytes.contains(&b'/') || bytes.contains(&0) || bytes == b"." || bytes == b"..";
        !(bytes.is_empty() || bytes.len() > NAME_MAX || is_path)
    }

    /// What is known of the name itself, where the listing tells what that is. Any other may be a link, which may lead anywhere, also
    /// back to a folder above: whoever goes through a tree leaves it out.
    pub fn itself(self) -> Option<&'a Stat> {
        self.stat.filter(|stat| stat.kind != Kind::Unknown)
    }

    /// The entry of a name that is UTF-8.
    pub fn entry(self) -> Option<Entry<'a>> {
        Some(Entry { name: str::from_utf8(self.bytes).ok()?, stat: self.stat })
    }
}

/// What a host's log is told of entries that are no names, in a listing of what is shown so.
#[cfg(feature = "host")]
pub(crate) fn left_out(shown: &str, count: u64) -> String {
    format!(
        "list {shown}: left out {count} of its entries, which are no names: empty, `.`, `..`, too long, or with a / or a NUL"
    )
}
