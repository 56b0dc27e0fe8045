//! Files: their content, and what else is done to them.

use crate::{Case, Outcome, Setting, allowed, by_filter, by_landlock, c_string, call, raise, refused};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use vfs_core::Walls;

const AT_CWD: usize = libc::AT_FDCWD as usize;

pub fn cases() -> Vec<Case> {
    vec![
        ("what_is_not_named_cannot_be_opened", not_named),
        ("read_reads_and_changes_nothing", reads_only),
        ("write_writes_makes_moves_and_removes", writes),
        ("attributes_by_path_stay", attributes_by_path),
        ("attributes_of_what_may_be_read_stay", attributes_of_read_files),
        ("what_is_written_gets_attributes_but_no_set_id_bits", attributes_of_written_files),
        ("nobody_is_watched", watching),
        ("flags_of_the_hosts_open_files_stay", flags_of_streams),
        ("flags_of_its_own_open_files_change", flags_of_its_own),
    ]
}

fn reads(setting: &Setting) -> Walls {
    Walls { read: vec![setting.at("read")], ..Walls::default() }
}

fn reads_and_writes(setting: &Setting) -> Walls {
    Walls { write: vec![setting.at("write")], ..reads(setting) }
}

fn not_named(setting: &Setting) -> Outcome {
    raise(&reads_and_writes(setting))?;
    by_landlock("a file beside", fs::read(setting.at("secret")))?;
    by_landlock("by a way around", fs::read(setting.at("read/../secret")))?;
    by_landlock("a folder", fs::read_dir(&setting.folder))?;
    for path in [
        "/etc/shadow",
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/1/status",
        "/dev/zero",
        "/dev/mem",
        "/root",
    ] {
        // A container may not have all of them.
        refused(path, File::open(path), &[libc::EACCES, libc::ENOENT])?;
    }
    by_landlock("writing", fs::write(setting.at("secret"), "x"))?;
    by_landlock("making", File::create(setting.at("new")))?;
    by_landlock("removing", fs::remove_file(setting.at("secret")))?;
    by_landlock("moving in", fs::rename(setting.at("secret"), setting.at("write/secret")))?;
    by_landlock("moving out", fs::rename(setting.at("write/file"), setting.at("file")))?;
    // Landlock says EXDEV where the file would get rights by its new place.
    let linked = fs::hard_link(setting.at("read/file"), setting.at("write/linked"));
    refused("linking", linked, &[libc::EXDEV, libc::EACCES])?;
    allowed("the null device", fs::write("/dev/null", "x"))?;
    allowed("randomness", File::open("/dev/urandom"))?;
    Ok(())
}

fn reads_only(setting: &Setting) -> Outcome {
    raise(&reads(setting))?;
    assert_eq!(allowed("reading", fs::read(setting.at("read/file")))?, b"text");
    assert_eq!(allowed("listing", fs::read_dir(setting.at("read")))?.count(), 1);
    by_landlock("writing", fs::write(setting.at("read/file"), "x"))?;
    let path = c_string(&setting.at("read/file"));
    by_landlock("truncating", call(libc::SYS_truncate, [path.as_ptr() as usize, 0]))?;
    let truncating = [AT_CWD, path.as_ptr() as usize, (libc::O_RDONLY | libc::O_TRUNC) as usize];
    by_landlock("truncating by opening", call(libc::SYS_openat, truncating))?;
    by_landlock("removing", fs::remove_file(setting.at("read/file")))?;
    by_landlock("making", File::create(setting.at("read/new")))
}

fn writes(setting: &Setting) -> Outcome {
    raise(&reads_and_writes(setting))?;
    allowed("writing", fs::write(setting.at("write/file"), "new"))?;
    allowed("making", fs::write(setting.at("write/below/new"), "new"))?;
    allowed("a folder", fs::create_dir(setting.at("write/folder")))?;
    allowed("moving", fs::rename(setting.at("write/below/new"), setting.at("write/folder/new")))?;
    allowed("linking", fs::hard_link(setting.at("write/folder/new"), setting.at("write/folder/again")))?;
    allowed("reading", fs::read(setting.at("write/folder/again")))?;
    allowed("removing", fs::remove_dir_all(setting.at("write/folder")))?;
    by_landlock("a symbolic link", symlink("/etc/shadow", setting.at("write/link")))?;
    by_landlock(
        "a socket",
        call(libc::SYS_mknodat, [AT_CWD, c_string(&setting.at("write/s")).as_ptr() as usize, 0o140_644]),
    )?;
    Ok(())
}

fn attributes_by_path(setting: &Setting) -> Outcome {
    raise(&reads_and_writes(setting))?;
    for name in ["secret", "read/file", "write/file"] {
        let path = c_string(&setting.at(name));
        let at = path.as_ptr() as usize;
        by_filter("fchmodat", call(libc::SYS_fchmodat, [AT_CWD, at, 0o777]))?;
        by_filter("fchownat", call(libc::SYS_fchownat, [AT_CWD, at, 1, 1, 0]))?;
        by_filter("utimensat", call(libc::SYS_utimensat, [AT_CWD, at, 0, 0]))?;
        let (attribute, value) = (c"user.x".as_ptr() as usize, c"x".as_ptr() as usize);
        by_filter("setxattr", call(libc::SYS_setxattr, [at, attribute, value, 1, 0]))?;
        by_filter("lsetxattr", call(libc::SYS_lsetxattr, [at, attribute, value, 1, 0]))?;
        by_filter("removexattr", call(libc::SYS_removexattr, [at, attribute]))?;
        // fchmodat2, setxattrat
        for number in [452, 463] {
            refused("its newer form", call(number, [AT_CWD, at, 0o777]), &[libc::ENOSYS])?;
        }
        #[cfg(target_arch = "x86_64")]
        for number in [libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes]
        {
            by_filter("its older form", call(number, [at, 0, 0]))?;
        }
        by_filter(
            "as a library does it",
            fs::set_permissions(setting.at(name), Permissions::from_mode(0o777)),
        )?;
    }
    Ok(())
}

fn attributes_of_read_files(setting: &Setting) -> Outcome {
    raise(&reads(setting))?;
    let file = File::open(setting.at("read/file"))?;
    let before = file.metadata()?;
    by_filter("mode", file.set_permissions(Permissions::from_mode(0o777)))?;
    by_filter("times", file.set_modified(std::time::SystemTime::UNIX_EPOCH))?;
    let fd = file.as_raw_fd() as usize;
    by_filter("owner", call(libc::SYS_fchown, [fd, 1, 1]))?;
    let (attribute, value) = (c"user.x".as_ptr() as usize, c"x".as_ptr() as usize);
    by_filter("attribute", call(libc::SYS_fsetxattr, [fd, attribute, value, 1, 0]))?;
    // FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY, BTRFS_IOC_SNAP_CREATE_V2
    for command in [0x4008_6602, 0x401c_5820, 0x4080_6685, 0x5000_9417] {
        by_filter("flags", call(libc::SYS_ioctl, [fd, command, value]))?;
    }
    by_filter("a lease", call(libc::SYS_fcntl, [fd, libc::F_SETLEASE as usize, libc::F_RDLCK as usize]))?;
    let after = file.metadata()?;
    assert_eq!((before.mode(), before.mtime(), before.uid()), (after.mode(), after.mtime(), after.uid()));
    Ok(())
}

fn attributes_of_written_files(setting: &Setting) -> Outcome {
    raise(&reads_and_writes(setting))?;
    let file = allowed("making", File::create(setting.at("write/new")))?;
    allowed("mode", file.set_permissions(Permissions::from_mode(0o640)))?;
    allowed("times", file.set_modified(std::time::SystemTime::UNIX_EPOCH))?;
    let set_id = [0o4755, 0o2755];
    for mode in set_id {
        by_filter("set-id mode", file.set_permissions(Permissions::from_mode(mode)))?;
        let make = |name: &str| OpenOptions::new().write(true).create(true).mode(mode).open(setting.at(name));
        by_filter("making with set-id mode", make("write/set-id"))?;
        let folder = c_string(&setting.at("write"));
        let unnamed =
            [AT_CWD, folder.as_ptr() as usize, (libc::O_TMPFILE | libc::O_WRONLY) as usize, mode as usize];
        by_filter("the same, unnamed", call(libc::SYS_openat, unnamed))?;
        let path = c_string(&setting.at("write/node"));
        let node = [AT_CWD, path.as_ptr() as usize, (libc::S_IFREG | mode) as usize];
        by_filter("the same, by mknod", call(libc::SYS_mknodat, node))?;
    }
    let (new, moved) = (c_string(&setting.at("write/new")), c_string(&setting.at("write/moved")));
    let rename = |flags| [AT_CWD, new.as_ptr() as usize, AT_CWD, moved.as_ptr() as usize, flags];
    let whiteout = libc::RENAME_WHITEOUT as usize;
    by_filter("a whiteout, which is a device", call(libc::SYS_renameat2, rename(whiteout)))?;
    allowed("a rename", call(libc::SYS_renameat2, rename(libc::RENAME_NOREPLACE as usize)))?;
    refused("a mode in memory", call(libc::SYS_openat2, [AT_CWD, 0, 0, 0]), &[libc::ENOSYS])
}

fn watching(setting: &Setting) -> Outcome {
    raise(&reads(setting))?;
    let inotify = call(libc::SYS_inotify_init1, [0]).unwrap_or(0);
    by_filter("inotify", call(libc::SYS_inotify_add_watch, [inotify, c"/etc".as_ptr() as usize, 2]))?;
    by_filter("fanotify", call(libc::SYS_fanotify_init, [0, 0]))
}

/// The two ways to change flags of an open file: each wants a number, and the second where it stands.
fn set_flags(fd: usize) -> [(&'static str, io::Result<usize>); 2] {
    let on = 1u32;
    let flags = (libc::O_APPEND | libc::O_NONBLOCK) as usize;
    [
        ("F_SETFL", call(libc::SYS_fcntl, [fd, libc::F_SETFL as usize, flags])),
        ("FIONBIO", call(libc::SYS_ioctl, [fd, libc::FIONBIO as usize, &raw const on as usize])),
    ]
}

fn flags_of_streams(_: &Setting) -> Outcome {
    raise(&Walls { standard_streams: true, ..Walls::default() })?;
    let copy = allowed("a copy", call(libc::SYS_dup, [1]))?;
    for (what, set) in set_flags(1).into_iter().chain(set_flags(copy)) {
        by_filter(what, set)?;
    }
    allowed("asking", call(libc::SYS_fcntl, [1, libc::F_GETFL as usize]))?;
    Ok(())
}

fn flags_of_its_own(_: &Setting) -> Outcome {
    raise(&Walls::default())?;
    let (_reads, writes) = allowed("a pipe", io::pipe())?;
    for (what, set) in set_flags(writes.as_raw_fd() as usize) {
        allowed(what, set)?;
    }
    Ok(())
}
