//! Regular files.

use crate::common::*;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs;
use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use vfs_core::{Capabilities, Code, Direction, Finish, Kind, OpenFlags};

#[test]
fn a_manifests_kinds_of_channel_can_be_opened() {
    let house = House::new().with("old", "0123456789");
    // Read only: must exist.
    refused(house.open("absent", READ), Code::ENOENT, "no such file");
    // Write only: created, and emptied.
    drop(house.open("new", NEW).unwrap());
    write_all(&mut *house.open("old", NEW).unwrap(), b"x");
    assert_eq!((house.content("new").as_str(), house.content("old").as_str()), ("", "x"));
    // Read anywhere, append.
    let mut file = house.open("old", READ | WRITE | OpenFlags::CREATE | OpenFlags::APPEND).unwrap();
    assert_eq!(file.stat().unwrap().size, Some(1));
    write_all(&mut *file, b"yz");
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 3);
    assert_eq!(&buffer[..3], b"xyz");
    refused(file.write_at(b"!", 0), Code::ENOTSUP, "append");
    assert!(!file.capabilities().contains(Capabilities::POSITIONAL_WRITE));
    // Read and write anywhere.
    drop(file);
    let mut file = house.open("old", READ | WRITE).unwrap();
    file.seek(SeekFrom::Start(1)).unwrap();
    write_all(&mut *file, b"Y");
    assert_eq!(file.read(&mut buffer).unwrap(), 1);
    assert_eq!(house.content("old"), "xYz");
}

#[test]
fn one_position_is_shared() {
    let house = House::new().with("f", "0123456789");
    let mut file = house.open("f", READ | WRITE).unwrap();
    let mut two = [0; 2];
    file.read(&mut two).unwrap();
    assert_eq!(file.tell().unwrap(), 2);
    file.write(b"xy").unwrap();
    assert_eq!(file.tell().unwrap(), 4);
    file.read_at(&mut two, 9).unwrap();
    file.write_at(b"z", 0).unwrap();
    assert_eq!(file.tell().unwrap(), 4);
    let lease = file.lease(Direction::Read).unwrap();
    assert_eq!(lease.offset, Some(4));
    file.advance(Direction::Read, 3).unwrap();
    assert_eq!(file.tell().unwrap(), 7);
    file.truncate(3).unwrap();
    assert_eq!((file.tell().unwrap(), file.read(&mut two).unwrap()), (7, 0));
    file.write(b"!").unwrap();
    assert_eq!(house.content("f"), "z1x\0\0\0\0!");
}

#[test]
fn a_lease_to_append_is_refused() {
    let house = House::new().with("f", "1");
    let mut file = house.open("f", READ | WRITE | OpenFlags::APPEND).unwrap();
    refused(file.lease(Direction::Write), Code::ENOTSUP, "append");
    assert!(file.lease(Direction::Read).is_ok());
}

#[test]
fn a_lease_is_of_what_was_opened_only() {
    let house = House::new().with("f", "1");
    refused(house.open("f", READ).unwrap().lease(Direction::Write), Code::EBADF, "not open for writing");
    refused(house.open("f", WRITE).unwrap().lease(Direction::Read), Code::EBADF, "not open for reading");
}

#[test]
fn the_largest_offsets_are_errors_or_the_end() {
    let house = House::new().with("f", "1");
    let mut file = house.open("f", READ | WRITE).unwrap();
    let most = i64::MAX as u64;
    let mut buffer = [0; 8];
    for offset in [most - 8, most - 1, most, most + 1, u64::MAX] {
        assert_eq!(file.read_at(&mut buffer, offset).unwrap(), 0, "{offset}");
    }
    for offset in [most - 1, most, u64::MAX] {
        refused(file.write_at(b"12345678", offset), Code::EFBIG, "too large");
    }
    assert_eq!(file.seek(SeekFrom::Start(most)).unwrap(), most);
    refused(file.write(b"12"), Code::EFBIG, "too large");
    for to in [SeekFrom::Start(most + 1), SeekFrom::Current(1), SeekFrom::End(-2), SeekFrom::End(i64::MAX)] {
        refused(file.seek(to), Code::EINVAL, "seek");
    }
    refused(file.truncate(u64::MAX), Code::EFBIG, "too large");
    assert_eq!(file.tell().unwrap(), most);
}

#[test]
fn without_a_direction_the_flags_decide() {
    let house = House::new().with("f", "1");
    assert!(house.open("f", OpenFlags::empty()).unwrap().capabilities().contains(Capabilities::READABLE));
    let file = house.open("new", OpenFlags::CREATE).unwrap();
    assert!(file.capabilities().contains(Capabilities::WRITABLE));
}

#[test]
fn after_the_end_nothing_is_written() {
    for how in [Finish::End, Finish::Commit, Finish::Discard] {
        let house = House::new();
        let mut file = house.open("f", NEW).unwrap();
        write_all(&mut *file, b"kept");
        file.finish(how).unwrap();
        refused(file.write(b"x"), Code::EBADF, "already finished");
        refused(file.write_at(b"x", 0), Code::EBADF, "already finished");
        refused(file.truncate(0), Code::EBADF, "already finished");
        refused(file.lease(Direction::Write), Code::EBADF, "already finished");
        drop(file);
        assert_eq!(house.content("f"), "kept", "{how:?}");
    }
}

#[test]
fn stat_tells_size_time_kind_and_version() {
    let house = House::new().with("f", "12345");
    let mut file = house.open("f", READ | WRITE).unwrap();
    let before = file.stat().unwrap();
    assert_eq!((before.kind, before.size), (Kind::Regular, Some(5)));
    assert_eq!(before.modified.unwrap(), fs::metadata(house.path("f")).unwrap().modified().unwrap());
    assert!(!before.version.is_empty() && before.version.len() <= 127);
    write_all(&mut *file, b"123456");
    let after = file.stat().unwrap();
    assert_eq!(after.size, Some(6));
    assert_ne!(before.version, after.version);
}

/// Two contents of one size had one tag where the time was set back, as `touch -r`, tar and rsync do.
#[test]
fn a_time_that_is_set_back_does_not_bring_the_version_back() {
    let house = House::new().with("f", "one");
    let version = || house.open("f", READ).unwrap().stat().unwrap().version;
    let before = version();
    let time = fs::metadata(house.path("f")).unwrap().modified().unwrap();
    // The kernel's clock for files may tick as rarely as a hundred times a second.
    let ticked = || {
        fs::write(house.path("f"), "two").unwrap();
        fs::File::options().write(true).open(house.path("f")).unwrap().set_modified(time).unwrap();
        version() != before
    };
    let start = std::time::Instant::now();
    while !ticked() {
        assert!(start.elapsed() < SLACK, "{before}");
    }
    assert_eq!(fs::metadata(house.path("f")).unwrap().modified().unwrap(), time);
}

/// Whether the file system of the temporary folder can reserve at all.
fn can_reserve(house: &House) -> bool {
    let probe = fs::File::create(house.path("probe")).unwrap();
    let able = fallocate(&probe, FallocateFlags::KEEP_SIZE, 0, 4096) != Err(Errno::OPNOTSUPP);
    fs::remove_file(house.path("probe")).unwrap();
    if !able {
        zvfs_test_support::skip(format_args!(
            "the file system of {} cannot reserve",
            house.folder.path().display()
        ));
    }
    able
}

#[test]
fn a_reservation_never_shows_and_is_cut_at_close() {
    let house = House::new();
    if !can_reserve(&house) {
        return;
    }
    let reserving = NEW | OpenFlags::PREALLOCATE;
    for finish in [None, Some(Finish::Commit)] {
        let mut file = house.open_sized("f", reserving, 4 << 20).unwrap();
        write_all(&mut *file, b"little");
        let status = fs::metadata(house.path("f")).unwrap();
        assert_eq!(status.len(), 6);
        assert!(status.blocks() * 512 >= 4 << 20, "only {} blocks are reserved", status.blocks());
        if let Some(how) = finish {
            file.finish(how).unwrap();
        } else {
            drop(file);
        }
        let status = fs::metadata(house.path("f")).unwrap();
        assert_eq!(status.len(), 6);
        assert!(status.blocks() * 512 < 1 << 20, "{} blocks are left", status.blocks());
    }
}

#[test]
fn a_reservation_that_fails_leaves_no_new_file() {
    let house = House::new().with("old", "kept");
    if !can_reserve(&house) {
        return;
    }
    let reserving = NEW | OpenFlags::PREALLOCATE;
    let names = house.names();
    for atomic in [OpenFlags::empty(), OpenFlags::ATOMIC] {
        for (size, codes) in
            [(u64::MAX - 1, [Code::EFBIG, Code::EFBIG]), (1 << 62, [Code::EFBIG, Code::ENOSPC])]
        {
            for name in ["new", "old"] {
                let error = house.open_sized(name, reserving | atomic, size).err().unwrap();
                assert!(codes.contains(&error.code()), "{}", error.chain());
                assert!(error.to_string().contains(&size.to_string()), "{error}");
                assert_eq!(house.names(), names);
            }
        }
    }
    assert_eq!(house.content("old"), "kept");
}
