//! `make-folders`: an open that may create a file makes the folders of its path.

use crate::common::*;
use std::fs;
use std::os::unix::fs::symlink;
use vfs_core::{Code, Finish, OpenFlags, Provider as _, Result, Scope, Settings};
use zvfs_file::FileProvider;

/// Writes a file whose folders may be made.
fn write(house: &House, name: &str, flags: OpenFlags) -> Result<()> {
    let given = [("make-folders".to_owned(), "true".to_owned())];
    let settings = Settings::check(&FileProvider.info().settings, Scope::OPEN, &given)?;
    let control = vfs_core::Control::new();
    let opened = request(&house.bare(name), &control, |request| {
        house.instance.open(&request.with_flags(flags).with_settings(&settings))
    });
    let mut file = opened?;
    write_all(&mut *file, b"new");
    file.finish(Finish::Commit)
}

#[test]
fn folders_are_made_for_a_file_that_may_be_created() {
    for flags in [NEW, NEW | OpenFlags::ATOMIC] {
        let house = House::new();
        for name in ["a/b/c", "a/b/d", "a/../e/f", "g"] {
            write(&house, name, flags).unwrap();
            assert_eq!(fs::read_to_string(house.path(name)).unwrap(), "new");
        }
        // A case report: the first copy to `miss/../p2` failed, and the second did something else.
        for _ in 0..2 {
            refused(write(&house, "miss/../e/g", flags), Code::ENOENT, "make the folders");
            refused(write(&house, "miss/../h/i", flags), Code::ENOENT, "make the folders");
        }
        refused(write(&house, "x/y", WRITE), Code::ENOENT, "x/y");
        refused(house.open("x/y", flags), Code::ENOENT, "folder does not exist");
        assert_eq!(house.names(), ["a", "e", "g"]);
    }
}

#[test]
fn no_folder_is_made_where_something_else_is_or_outside_the_root() {
    let house = House::new().with("file", "old");
    refused(write(&house, "file/x", NEW), Code::ENOTDIR, "a part of the path is not a directory");
    symlink("/", house.path("out")).unwrap();
    for name in ["out/zvfs-test-made/x", "../zvfs-test-made/x"] {
        refused(write(&house, name, NEW), Code::EACCES, "outside the roots");
    }
    assert!(!fs::exists("/zvfs-test-made").unwrap());
    assert_eq!(house.names(), ["file", "out"]);
}
