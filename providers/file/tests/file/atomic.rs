//! Files that appear on COMMIT.

use crate::common::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use vfs_core::{Code, Finish, Flush, OpenFlags};

const ATOMIC: OpenFlags = NEW.union(OpenFlags::ATOMIC);

fn mode(house: &House, name: &str) -> u32 {
    fs::metadata(house.path(name)).unwrap().permissions().mode() & 0o7777
}

#[test]
fn commit_shows_it_and_nothing_is_left_beside_it() {
    for sync in [false, true] {
        let house = House::new().with("f", "old");
        let mut file = house.open("f", ATOMIC).unwrap();
        write_all(&mut *file, b"new");
        assert_eq!(house.names().len(), 2);
        if sync {
            file.flush(Flush::Sync).unwrap();
        }
        assert_eq!(house.content("f"), "old");
        file.finish(Finish::Commit).unwrap();
        assert_eq!(house.content("f"), "new");
        assert_eq!(house.names(), ["f"]);
        refused(file.write(b"x"), Code::EBADF, "finished already");
        drop(file);
        assert_eq!(house.names(), ["f"]);
    }
}

#[test]
fn discard_and_close_leave_no_trace() {
    for finish in [Some(Finish::Discard), Some(Finish::End), None] {
        let house = House::new().with("f", "old");
        let mut file = house.open("f", ATOMIC).unwrap();
        write_all(&mut *file, b"new");
        if let Some(how) = finish {
            file.finish(how).unwrap();
        }
        if finish == Some(Finish::Discard) {
            assert_eq!(house.names(), ["f"], "gone at once, not at close");
            refused(file.finish(Finish::Commit), Code::EINVAL, "discarded");
        }
        drop(file);
        assert_eq!((house.names(), house.content("f")), (vec!["f".to_owned()], "old".to_owned()));
    }
}

#[test]
fn the_mode_is_the_old_files_or_what_the_umask_leaves() {
    let house = House::new().with("plain", "").with("private", "").with("set-uid", "");
    fs::set_permissions(house.path("private"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(house.path("set-uid"), fs::Permissions::from_mode(0o4755)).unwrap();
    for name in ["private", "set-uid", "new"] {
        house.open(name, ATOMIC).unwrap().finish(Finish::Commit).unwrap();
    }
    assert_eq!(mode(&house, "private"), 0o640);
    assert_eq!(mode(&house, "set-uid"), 0o755);
    assert_eq!(mode(&house, "new"), mode(&house, "plain"));
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let house = House::new();
    fs::create_dir(house.path("dir")).unwrap();
    fs::write(house.path("dir/real"), "old").unwrap();
    symlink("dir/real", house.path("link")).unwrap();
    let mut file = house.open("link", ATOMIC).unwrap();
    write_all(&mut *file, b"new");
    file.finish(Finish::Commit).unwrap();
    assert!(fs::symlink_metadata(house.path("link")).unwrap().is_symlink());
    assert_eq!(house.content("dir/real"), "new");
}

#[test]
fn a_link_that_leads_out_is_refused() {
    let (house, other) = (House::new(), House::new().with("f", "old"));
    symlink(other.path("f"), house.path("link")).unwrap();
    refused(house.open("link", ATOMIC), Code::EACCES, "outside the roots");
    assert_eq!((other.content("f").as_str(), other.names()), ("old", vec!["f".to_owned()]));
}

#[test]
fn create_and_exclusive_mean_what_they_say() {
    let house = House::new().with("f", "old");
    refused(house.open("absent", WRITE | OpenFlags::ATOMIC), Code::ENOENT, "no such file");
    refused(house.open("f", ATOMIC | OpenFlags::EXCLUSIVE), Code::EEXIST, "exists already");

    // Somebody else makes the name before COMMIT: it stays theirs.
    let mut file = house.open("new", ATOMIC | OpenFlags::EXCLUSIVE).unwrap();
    write_all(&mut *file, b"ours");
    fs::write(house.path("new"), "theirs").unwrap();
    refused(file.finish(Finish::Commit), Code::EEXIST, "commit");
    assert_eq!((house.content("new").as_str(), house.names()), ("theirs", vec!["f".into(), "new".into()]));

    let mut file = house.open("newer", ATOMIC | OpenFlags::EXCLUSIVE).unwrap();
    write_all(&mut *file, b"ours");
    file.finish(Finish::Commit).unwrap();
    assert_eq!(house.content("newer"), "ours");
}

#[test]
fn of_two_the_last_commit_wins() {
    let house = House::new().with("f", "old");
    let mut one = house.open("f", ATOMIC).unwrap();
    let mut two = house.open("f", ATOMIC).unwrap();
    write_all(&mut *one, b"one");
    write_all(&mut *two, b"two");
    two.finish(Finish::Commit).unwrap();
    one.finish(Finish::Commit).unwrap();
    assert_eq!((house.content("f").as_str(), house.names()), ("one", vec!["f".to_owned()]));
}

#[test]
fn a_writer_in_place_and_an_atomic_one_exclude_each_other() {
    let house = House::new().with("f", "old");
    let in_place = house.open("f", WRITE).unwrap();
    refused(house.open("f", ATOMIC), Code::EBUSY, "somebody else is writing");
    drop(in_place);
    let atomic = house.open("f", ATOMIC).unwrap();
    refused(house.open("f", NEW), Code::EBUSY, "somebody else is writing");
    drop(atomic);
    assert_eq!(house.content("f"), "old");
    house.open("f", WRITE).unwrap();
}

#[test]
fn what_is_no_regular_file_cannot_be_atomic() {
    let house = House::new().with_fifo("fifo");
    fs::create_dir(house.path("dir")).unwrap();
    refused(house.open("fifo", ATOMIC), Code::ENOTSUP, "without ATOMIC");
    refused(house.open("dir", ATOMIC), Code::EISDIR, "is a directory");
    refused(house.open("dir/", ATOMIC), Code::EISDIR, "is a directory");
    let instance = start(&[]).unwrap();
    refused(open_in(&*instance, "/dev/null", ATOMIC), Code::ENOTSUP, "without ATOMIC");
    refused(open_in(&*instance, "/dev/stdout", WRITE | OpenFlags::ATOMIC), Code::ENOTSUP, "without ATOMIC");
    assert_eq!(house.names(), ["dir", "fifo"]);
}

#[test]
fn the_longest_name_works_too() {
    let house = House::new();
    let name = "n".repeat(255);
    let mut file = house.open(&name, ATOMIC).unwrap();
    write_all(&mut *file, b"new");
    file.finish(Finish::Commit).unwrap();
    assert_eq!((house.content(&name).as_str(), house.names()), ("new", vec![name]));
}

#[test]
fn it_can_be_read_back_before_commit() {
    let house = House::new();
    let mut file = house.open("f", ATOMIC | READ).unwrap();
    write_all(&mut *file, b"0123");
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 1).unwrap(), 3);
}
