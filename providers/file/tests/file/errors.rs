//! What cannot be opened or written, and what is said of it.

use crate::common::*;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use vfs_core::{Code, File, OpenFlags};
use zvfs_test_support::SmallDisk;

const WAYS: [OpenFlags; 4] = [READ, WRITE, NEW, NEW.union(OpenFlags::ATOMIC)];

#[test]
fn a_folder_is_eisdir() {
    let house = House::new();
    fs::create_dir(house.path("dir")).unwrap();
    for flags in WAYS {
        for name in ["dir", "dir/", "", "dir/.."] {
            refused(house.open(name, flags), Code::EISDIR, "is a directory");
        }
    }
}

#[test]
fn sockets_and_block_devices_are_eprotonosupport() {
    let house = House::new();
    let _listener = UnixListener::bind(house.path("socket")).unwrap();
    for flags in WAYS {
        refused(house.open("socket", flags), Code::EPROTONOSUPPORT, "is a socket");
    }
    // Some number that no driver has, and one that a driver may have.
    for device in [makedev(252, 199), makedev(7, 0)] {
        let path = house.path("block");
        let made = mknodat(CWD, &path, FileType::BlockDevice, Mode::RUSR | Mode::WUSR, device);
        if let Err(errno) = made {
            zvfs_test_support::skip(format_args!("block devices: mknod: {errno}"));
            return;
        }
        for flags in [READ, NEW.union(OpenFlags::ATOMIC)] {
            let result = house.open("block", flags);
            let code = result.as_ref().err().map(|error| error.code());
            if code == Some(Code::EACCES) || code == Some(Code::EPERM) {
                zvfs_test_support::skip(format_args!(
                    "block devices: this file system allows none: {code:?}"
                ));
                continue;
            }
            refused(result, Code::EPROTONOSUPPORT, "is a block device");
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn the_text_says_what_was_tried_on_what() {
    let house = House::new().with("f", "");
    let bare = house.bare("absent");
    refused(house.open("absent", READ), Code::ENOENT, &format!("open {bare}: no such file"));
    // "no such file" of what was to be made.
    for flags in [NEW, NEW | OpenFlags::ATOMIC] {
        refused(house.open("absent/x", flags), Code::ENOENT, "absent/x: its folder does not exist");
    }
    refused(house.open("f/x", READ), Code::ENOTDIR, "a part of the path is not a directory");
    refused(house.open("f", NEW | OpenFlags::EXCLUSIVE), Code::EEXIST, "exists already");
    refused(house.open(&"n".repeat(256), READ), Code::ENAMETOOLONG, "name too long");
    symlink("loop", house.path("loop")).unwrap();
    refused(house.open("loop", READ), Code::ELOOP, "too many symbolic links");
    refused(house.open("../x", READ), Code::EACCES, "setting `root`");
    refused(open_in(&*house.instance, "/etc/passwd", READ), Code::EACCES, "setting `root`");
    let mut file = house.open("f", READ).unwrap();
    let text = format!("write {}: not open for writing", house.bare("f"));
    refused(file.write(b"x"), Code::EBADF, &text);
}

#[test]
fn read_only_refuses_every_way_to_write() {
    let house = House::new().with("f", "kept").with_fifo("fifo");
    let root = house.folder.path().to_str().unwrap().to_owned();
    let instance = start(&[("root", &root), ("read-only", "true")]).unwrap();
    for flags in [WRITE, READ | WRITE, NEW, NEW | OpenFlags::ATOMIC, OpenFlags::CREATE, OpenFlags::APPEND] {
        for name in ["f", "new", "fifo"] {
            refused(open_in(&*instance, &house.bare(name), flags), Code::EROFS, "setting `read-only`");
        }
    }
    assert_eq!(read_all(&mut *open_in(&*instance, &house.bare("f"), READ).unwrap()), b"kept");
    assert_eq!(house.names(), ["f", "fifo"]);
    // The host's own streams are not the operator's files.
    open_in(&*instance, "/dev/stderr", WRITE).unwrap();
}

#[test]
fn an_instance_without_its_root_does_not_start() {
    let house = House::new().with("f", "");
    refused(start(&[("root", &house.bare("absent"))]), Code::ENOENT, "absent: no such file");
    refused(start(&[("root", &house.bare("f"))]), Code::ENOTDIR, "/f: a part of the path is not a directory");
}

#[test]
fn permissions_are_eacces() {
    if let Some(path) = child_argument() {
        let instance = start(&[]).unwrap();
        let error = open_in(&*instance, &path, READ).err().unwrap();
        let said = (error.code(), error.chain());
        assert_eq!(
            said,
            (Code::EACCES, format!("open {path}: access denied")),
            "it is the mode that refuses"
        );
        refused(open_in(&*instance, &path, WRITE), Code::EACCES, "access denied");
        refused(open_in(&*instance, &path, NEW | OpenFlags::ATOMIC), Code::EACCES, "access denied");
        refused(open_in(&*instance, &format!("{path}.new"), NEW), Code::EACCES, "access denied");
        return;
    }
    let house = House::new().with("private", "secret");
    fs::set_permissions(house.path("private"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(house.folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let test = child("errors::permissions_are_eacces", &house.bare("private"));
    // Root may do everything: the child is nobody, and runs a copy of this program that nobody may run.
    let (mut command, _copy) = if rustix::process::geteuid().is_root() {
        let copy = tempfile::TempDir::new().unwrap();
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = copy.path().join("test");
        // By another process: another test's child would inherit a descriptor for writing to it, and the program be busy.
        assert!(
            Command::new("cp").args([test.get_program(), program.as_os_str()]).status().unwrap().success()
        );
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(test.get_args());
        for (name, value) in test.get_envs() {
            command.env(name, value.unwrap());
        }
        (command, Some(copy))
    } else {
        (test, None)
    };
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            zvfs_test_support::skip(format_args!("setpriv: {error}"));
            return;
        }
    };
    assert!(finished(child).success());
    fs::set_permissions(house.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes until it fails; returns what was taken, and the code.
fn fill(file: &mut dyn File) -> (usize, Code) {
    let (mut taken, bytes) = (0, [7; 10_000]);
    loop {
        match file.write(&bytes) {
            Ok(count) => taken += count,
            Err(error) => {
                assert!(error.to_string().contains("no space left"), "{error}");
                return (taken, error.code());
            }
        }
    }
}

#[test]
fn a_full_disk_is_enospc_after_what_fitted() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some(_mounted) = SmallDisk::mount(folder.path(), "64k") else { return };
    let root = folder.path().to_str().unwrap();
    let instance = start(&[("root", root)]).unwrap();
    let path = |name: &str| format!("{root}/{name}");

    let mut file = open_in(&*instance, &path("f"), NEW).unwrap();
    let (taken, code) = fill(&mut *file);
    assert_eq!(code, Code::ENOSPC);
    // 64 KiB is no multiple of 10,000: the last write that was taken was a short one.
    assert!(taken > 10_000 && taken % 10_000 != 0, "{taken}");
    assert_eq!(fs::metadata(path("f")).unwrap().len(), taken as u64);
    drop(file);
    fs::remove_file(path("f")).unwrap();

    let reserving = NEW | OpenFlags::PREALLOCATE;
    for flags in [reserving, reserving | OpenFlags::ATOMIC] {
        let opened = request(&path("g"), &vfs_core::Control::new(), |request| {
            instance.open(&request.with_flags(flags).with_expected_size(Some(1 << 20)))
        });
        refused(opened, Code::ENOSPC, "reserve 1048576 bytes for");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    // The old content was gone, and its time changed, before it turned out that the new one has no room.
    fs::write(path("old"), "precious").unwrap();
    let before = fs::metadata(path("old")).unwrap();
    for flags in [reserving, reserving | OpenFlags::ATOMIC] {
        let opened = request(&path("old"), &vfs_core::Control::new(), |request| {
            instance.open(&request.with_flags(flags).with_expected_size(Some(1 << 20)))
        });
        refused(opened, Code::ENOSPC, "reserve 1048576 bytes for");
        let after = fs::metadata(path("old")).unwrap();
        assert_eq!(fs::read(path("old")).unwrap(), b"precious");
        assert_eq!(
            (before.modified().unwrap(), before.blocks()),
            (after.modified().unwrap(), after.blocks())
        );
    }
    fs::remove_file(path("old")).unwrap();
    let mut file = open_in(&*instance, &path("h"), NEW | OpenFlags::ATOMIC).unwrap();
    assert_eq!(fill(&mut *file).1, Code::ENOSPC);
    drop(file);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
