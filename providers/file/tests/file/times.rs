//! The times that files and folders are given.

use crate::common::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};
use vfs_core::{Capabilities, Code, Finish, OpenFlags, Result};

const ATOMIC: OpenFlags = NEW.union(OpenFlags::ATOMIC);

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789)
}

fn modified(house: &House, name: &str) -> SystemTime {
    fs::symlink_metadata(house.path(name)).unwrap().modified().unwrap()
}

fn set(house: &House, name: &str, time: SystemTime) -> Result<()> {
    request(&house.bare(name), &vfs_core::Control::new(), |request| {
        house.instance.namespace().unwrap().set_modified(&request, time)
    })
}

#[test]
fn a_file_has_the_time_that_it_was_given_whatever_is_written_then() {
    for flags in [NEW, ATOMIC, WRITE | OpenFlags::CREATE | OpenFlags::APPEND] {
        for time in [long_ago(), SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - Duration::from_millis(1500)]
        {
            let house = House::new().with("f", "old");
            let mut file = house.open("f", flags).unwrap();
            assert!(file.capabilities().contains(Capabilities::TIMES));
            file.set_modified(time + Duration::from_secs(5)).unwrap();
            file.set_modified(time).unwrap();
            write_all(&mut *file, b"new");
            file.truncate(2).unwrap();
            file.finish(Finish::End).unwrap();
            file.finish(Finish::Commit).unwrap();
            assert_eq!(file.stat().unwrap().modified, Some(time), "{flags:?}");
            assert_eq!(modified(&house, "f"), time, "{flags:?}");
        }
    }
}

#[test]
fn a_discarded_file_leaves_the_old_time() {
    let house = House::new().with("f", "old");
    let before = modified(&house, "f");
    let mut file = house.open("f", ATOMIC).unwrap();
    file.set_modified(long_ago()).unwrap();
    file.finish(Finish::Discard).unwrap();
    drop(file);
    assert_eq!((modified(&house, "f"), house.content("f").as_str()), (before, "old"));
    refused(house.open("f", READ).unwrap().set_modified(long_ago()), Code::EBADF, "not open for writing");
}

#[test]
fn a_time_that_the_file_system_cannot_hold_is_refused_and_no_other_taken() {
    let house = House::new();
    let mut file = house.open("f", NEW).unwrap();
    // Of 2500; ext4's end in 2446, tmpfs and xfs have others, and some none.
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(16_725_225_600);
    match file.set_modified(far) {
        Ok(()) => assert_eq!(file.stat().unwrap().modified, Some(far)),
        Err(error) => {
            assert_eq!(error.code(), Code::EOVERFLOW, "{}", error.chain());
            let now = file.stat().unwrap().modified.unwrap();
            assert!(SystemTime::now().duration_since(now).unwrap() < Duration::from_secs(3600));
        }
    }
    write_all(&mut *file, b"x");
    file.finish(Finish::Commit).unwrap();
}

#[test]
fn a_name_is_given_a_time_and_a_link_is_followed_below_the_root() {
    let house = House::new().with("f", "x");
    fs::create_dir(house.path("folder")).unwrap();
    symlink("f", house.path("link")).unwrap();
    symlink("/etc/passwd", house.path("out")).unwrap();
    for name in ["f", "folder", "folder/", "folder/.", "."] {
        set(&house, name, long_ago()).unwrap();
        assert_eq!(modified(&house, name), long_ago(), "{name}");
    }
    let link = modified(&house, "link");
    set(&house, "link", SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!((modified(&house, "f"), modified(&house, "link")), (SystemTime::UNIX_EPOCH, link));
    assert_eq!(house.content("f"), "x");
    refused(set(&house, "absent", long_ago()), Code::ENOENT, "set the time of");
    refused(set(&house, "out", long_ago()), Code::EACCES, "outside the roots");
    refused(set(&house, "../x", long_ago()), Code::EACCES, "outside the roots");
    let root = house.folder.path().to_str().unwrap();
    let read_only = start(&[("root", root), ("read-only", "true")]).unwrap();
    let house = House { instance: read_only, ..house };
    refused(set(&house, "f", long_ago()), Code::EROFS, "read-only");
}
