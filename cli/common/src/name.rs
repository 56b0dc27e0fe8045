//! From what a user types to a descriptor: a scheme and what follows it, or a path, which counts from the current folder.

use clap::builder::{OsStringValueParser, TypedValueParser};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path;
use vfs_core::{Descriptor, of_absolute_path};

/// Takes a descriptor or a path.
pub fn descriptor() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|text: OsString| of(&text))
}

/// Takes a descriptor or a path, or `-`, which stays: a standard stream.
pub fn descriptor_or_stream() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new()
        .try_map(|text: OsString| if text == "-" { Ok("-".to_owned()) } else { of(&text) })
}

/// The descriptor of `-`, else the one that was given.
pub fn stream<'a>(descriptor: &'a str, standard: &'static str) -> &'a str {
    if descriptor == "-" { standard } else { descriptor }
}

/// The descriptor that a text means.
///
/// # Errors
/// What is wrong with it, for a command line.
pub fn of(text: &OsStr) -> Result<String, String> {
    match text.to_str() {
        // Nothing is no path either: whoever opens it says so.
        Some(text) if text.is_empty() || has_scheme(text) => Ok(text.to_owned()),
        None if has_scheme(&text.to_string_lossy()) => Err("not UTF-8: percent-encode it".to_owned()),
        _ => of_path(text).map_err(|error| error.to_string()),
    }
}

/// The descriptor of a path, whatever it looks like.
pub fn of_path(path: &OsStr) -> io::Result<String> {
    path::absolute(path).map(|path| of_absolute_path(&path))
}

/// A path that looks so is written with `./` before it.
fn has_scheme(text: &str) -> bool {
    text.find(':').is_some_and(|colon| !text.starts_with('/') && Descriptor::parse(&text[..=colon]).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn a_text_without_a_scheme_is_a_path_from_here() {
        let here = std::env::current_dir().unwrap().into_os_string().into_string().unwrap();
        for (typed, meant) in [
            ("out.bin", format!("{here}/out.bin")),
            ("./x", format!("{here}/x")),
            ("./mem:x", format!("{here}/mem:x")),
            ("a/b:c", format!("{here}/a/b:c")),
            ("c:x", format!("{here}/c:x")),
            ("../x", format!("{here}/../x")),
            ("/srv/x", "/srv/x".to_owned()),
            ("/srv/a:b", "/srv/a:b".to_owned()),
            ("mem:x", "mem:x".to_owned()),
            ("HTTP://h/x?y", "HTTP://h/x?y".to_owned()),
            ("nosuch:", "nosuch:".to_owned()),
        ] {
            assert_eq!(of(OsStr::new(typed)), Ok(meant), "{typed}");
        }
        assert_eq!(of(OsStr::new("")), Ok(String::new()));
        assert!(of(OsStr::from_bytes(b"file:/\xff")).is_err());
    }

    #[test]
    fn a_path_that_no_descriptor_may_hold_is_percent_encoded() {
        assert_eq!(of(OsStr::from_bytes(b"/a b/\xff\n%")).unwrap(), "file:/a%20b/%FF%0A%25");
        // Still a descriptor that is refused, and no path.
        assert_eq!(of(OsStr::new("mem:a\nb")).unwrap(), "mem:a\nb");
    }
}
