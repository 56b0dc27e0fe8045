//! What a guest is given: a descriptor, and the name that it knows it by, both as a manifest can hold them.

use crate::name;
use std::ffi::OsStr;
use std::path::{Component, Path};
use vfs_core::{Descriptor, Shown};

/// A descriptor, and the name that the guest knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub alias: String,
    pub source: String,
}

impl Given {
    /// Parses `ALIAS=DESCRIPTOR`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Given, String> {
        match text.split_once('=') {
            Some((name, source)) if !source.is_empty() => {
                Ok(Given { alias: alias(name)?, source: checked(name::of(OsStr::new(source))?)? })
            }
            _ => Err("write ALIAS=DESCRIPTOR: data.csv=https://host/data.csv".to_owned()),
        }
    }

    /// A file under its own name.
    ///
    /// # Errors
    /// The guest cannot open such a name, or no manifest hold it.
    pub fn of_file(path: &str) -> Result<Given, String> {
        let source = name::of_path(OsStr::new(path)).map_err(|error| error.to_string())?;
        Ok(Given { alias: alias(path)?, source: checked(source)? })
    }
}

/// A path as the guest sees it, from its root: that is where a relative one starts, too.
fn alias(path: &str) -> Result<String, String> {
    let mut alias = String::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => alias = alias + "/" + &name.to_string_lossy(),
            Component::ParentDir => {
                return Err(format!("no guest can open a name with `..`: {}", Shown(path)));
            }
            _ => {}
        }
    }
    if alias.is_empty() {
        return Err(
            "no name for the guest to use: choose one below its root, as in data=DESCRIPTOR".to_owned()
        );
    }
    if alias.ends_with(' ') || alias.contains(|character: char| character == ',' || character.is_control()) {
        return Err(format!(
            "no name of a channel: a comma, a control character or a space at its end: {}",
            Shown(path)
        ));
    }
    Ok(alias)
}

/// A descriptor as a manifest can hold it.
///
/// # Errors
/// What is wrong with it.
pub fn checked(descriptor: String) -> Result<String, String> {
    Descriptor::parse(&descriptor).map_err(|error| error.to_string())?;
    match descriptor.contains('"') || descriptor.ends_with(' ') {
        true => {
            Err("no `\"`, and no space at the end, can stand in it: percent-encode it, file:/a%20".to_owned())
        }
        false => Ok(descriptor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_seen_from_the_guests_root() {
        for (path, name) in [
            ("script.py", "/script.py"),
            ("./a//b/", "/a/b"),
            ("/srv/x", "/srv/x"),
            ("mem:x", "/mem:x"),
            ("a=b;c\"d", "/a=b;c\"d"),
        ] {
            assert_eq!(alias(path).unwrap(), name);
        }
        for path in ["", ".", "/", "../x", "a/../b", "a,b", "a\nb", "a "] {
            alias(path).unwrap_err();
        }
    }

    #[test]
    fn a_name_that_is_none_says_what_to_write() {
        for text in ["/=/x", "=/x", ".=/x"] {
            assert!(Given::parse(text).unwrap_err().contains("choose one below its root, as in data="));
        }
    }

    #[test]
    fn a_source_is_what_a_manifest_can_hold() {
        let given = Given::parse("./in=/srv/a=b,c;d").unwrap();
        assert_eq!((given.alias.as_str(), given.source.as_str()), ("/in", "/srv/a=b,c;d"));
        for text in ["", "in", "in=", "=/x", "in=/a\"b", "in=/a ", "in=mem:\u{1b}"] {
            Given::parse(text).unwrap_err();
        }
    }
}
