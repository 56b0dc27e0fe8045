//! Descriptors of what lies below a folder.

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
    if Descriptor::parse(folder).is_ok_and(|descriptor| descriptor.is_bare_path()) {
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

/// Adds a byte, percent-encoded unless it means itself everywhere.
fn encoded(text: String, byte: &u8) -> String {
    match byte {
        b'-' | b'.' | b'_' | b'~' => text + char::from(*byte).encode_utf8(&mut [0; 4]),
        byte if byte.is_ascii_alphanumeric() => text + char::from(*byte).encode_utf8(&mut [0; 4]),
        byte => text + &format!("%{byte:02X}"),
    }
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
}
