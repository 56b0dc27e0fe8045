//! What the texts of descriptors say of names and folders.

use crate::code::Code;
use crate::descriptor::{Descriptor, Shown};
use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The descriptor of a name in a folder: the name is percent-encoded, unless the folder is a bare path.
///
/// # Errors
/// EINVAL: the folder has a query, behind which no name can stand.
pub fn below(folder: &str, name: &[u8]) -> Result<String> {
    if is_bare_path(folder) {
        return Ok(of_absolute_path(&Path::new(folder).join(OsStr::from_bytes(name))));
    }
    if folder.contains('?') {
        let text =
            format!("name a file below {}: it has a query: leave out what follows the ?", Shown(folder));
        return Err(Error::new(Code::EINVAL, text));
    }
    let slash = if folder.ends_with(['/', ':']) { "" } else { "/" };
    Ok(name.iter().fold(format!("{folder}{slash}"), encoded))
}

/// An absolute path as a descriptor: itself, unless it holds what no descriptor may.
pub fn of_absolute_path(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.bytes().any(|byte| byte.is_ascii_control()) => text.to_owned(),
        _ => path.as_os_str().as_bytes().iter().fold("file:".to_owned(), |text, byte| match byte {
            b'/' => text + "/",
            byte => encoded(text, byte),
        }),
    }
}

/// The last name of a descriptor, decoded: what it is called in another folder. `None`: it has none.
pub fn last_name(descriptor: &str) -> Option<Vec<u8>> {
    let bare = is_bare_path(descriptor);
    let path = if bare { descriptor } else { descriptor.split(['?', '#']).next()?.split_once(':')?.1 };
    let last = path.trim_end_matches('/').rsplit('/').next()?;
    let name = if bare { last.as_bytes().to_vec() } else { decoded(last.as_bytes()) };
    let is_path = name.contains(&b'/') || name.contains(&0);
    (!name.is_empty() && name != b"." && name != b".." && !is_path).then_some(name)
}

/// The descriptor of the folder that a descriptor lies in. `None`: it lies in none, or its text does not say in which.
pub fn parent(descriptor: &str) -> Option<String> {
    last_name(descriptor)?;
    let (place, end) = match is_bare_path(descriptor) {
        true => (descriptor, ""),
        false => descriptor.split_at(descriptor.find(['?', '#']).unwrap_or(descriptor.len())),
    };
    let above = place.trim_end_matches('/').rsplit_once('/')?.0;
    // No name has an empty one above it: what stands there is a root, or the server.
    let is_root = above.is_empty() || above.ends_with(['/', ':']);
    (!is_root).then(|| format!("{above}{end}"))
}

/// Whether a descriptor is a folder or lies below it, as far as their texts say: `..` leads back, whatever is a link.
pub fn is_below(descriptor: &str, folder: &str) -> bool {
    steps(descriptor).starts_with(&steps(folder))
}

/// Adds a byte, percent-encoded unless it means itself everywhere.
fn encoded(text: String, byte: &u8) -> String {
    match byte {
        b'-' | b'.' | b'_' | b'~' => text + char::from(*byte).encode_utf8(&mut [0; 4]),
        byte if byte.is_ascii_alphanumeric() => text + char::from(*byte).encode_utf8(&mut [0; 4]),
        byte => text + &format!("%{byte:02X}"),
    }
}

/// The names that a path goes through.
fn steps(descriptor: &str) -> Vec<&str> {
    let mut steps: Vec<&str> = Vec::new();
    for step in descriptor.split('/').filter(|step| !matches!(*step, "" | ".")) {
        // The root's parent is the root.
        match step {
            ".." if steps.last().is_none_or(|last| last.ends_with(':')) => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps
}

fn is_bare_path(descriptor: &str) -> bool {
    Descriptor::parse(descriptor).is_ok_and(|descriptor| descriptor.is_bare_path())
}

/// Decodes what is percent-encoded; a `%` that two hexadecimal digits do not follow stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digits = after.first_chunk::<2>().filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_below_a_folder_is_written_as_the_folder_is() {
        for (folder, name, descriptor) in [
            ("/srv", "a b", "/srv/a b"),
            ("/srv/", "100%", "/srv/100%"),
            ("/srv", "a\nb", "file:/srv/a%0Ab"),
            ("file:/srv", "a b", "file:/srv/a%20b"),
            ("file:/srv/", "100%?#", "file:/srv/100%25%3F%23"),
            ("s3://bucket", "ä", "s3://bucket/%C3%A4"),
            ("mem:", "x", "mem:x"),
        ] {
            assert_eq!(below(folder, name.as_bytes()).unwrap(), descriptor);
        }
        assert_eq!(below("http://h/x?y", b"z").unwrap_err().code(), Code::EINVAL);
    }

    #[test]
    fn a_descriptor_s_last_name_is_decoded_once() {
        for (descriptor, name) in [
            ("/srv/a%20b", Some("a%20b")),
            ("/srv/a/", Some("a")),
            ("/", None),
            ("file:/srv/a%2520b", Some("a%20b")),
            ("file:/srv/100%", Some("100%")),
            ("file:/srv/a%2Fb", None),
            ("file:/srv/%2e%2e", None),
            ("http://h/x/data.csv?sig=1#top", Some("data.csv")),
            ("s3://bucket/", Some("bucket")),
            ("mem:", None),
            ("mem:x", Some("x")),
        ] {
            assert_eq!(last_name(descriptor).as_deref(), name.map(str::as_bytes), "{descriptor}");
        }
    }

    #[test]
    fn a_parent_is_what_the_text_says() {
        for (descriptor, above) in [
            ("/srv/a/b", Some("/srv/a")),
            ("/srv/a/b//", Some("/srv/a")),
            ("/srv", None),
            ("/", None),
            ("/srv/a?b/c", Some("/srv/a?b")),
            ("/srv/miss/..", None),
            ("file:/srv/a%20b/c", Some("file:/srv/a%20b")),
            ("sftp://h/a/b", Some("sftp://h/a")),
            // The server itself has no name.
            ("sftp://h/a", Some("sftp://h")),
            ("sftp://h", None),
            ("ftp://h/a/b?x=y/z", Some("ftp://h/a?x=y/z")),
            ("mem:x", None),
        ] {
            assert_eq!(parent(descriptor).as_deref(), above, "{descriptor}");
        }
    }

    #[test]
    fn what_begins_alike_is_not_below() {
        assert!(is_below("/srv/a/b", "/srv/a") && is_below("/srv/a", "/srv/a/"));
        assert!(!is_below("/srv/ab", "/srv/a") && !is_below("/srv", "/srv/a"));
        // A case report: `cp -r . ../copy` was refused, since the one text begins with the other.
        assert!(!is_below("/srv/a/../b", "/srv/a") && !is_below("/srv/a/../../a", "/srv/a/."));
        assert!(is_below("/srv/a/../a/b", "/srv/a/.") && is_below("file:/srv/b/../a", "file:/srv/a"));
        assert!(is_below("/x", "/") && !is_below("mem:x", "mem:") && is_below("s3://b/x", "s3://b"));
    }
}
