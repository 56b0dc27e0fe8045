//! Files that appear on COMMIT.

use crate::common::*;
use rustix::fs::{XattrFlags, fsetxattr, getxattr};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};
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
        assert_eq!(house.names(), ["f"], "not even under another name");
        if sync {
            file.flush(Flush::Sync).unwrap();
        }
        assert_eq!(house.content("f"), "old");
        file.finish(Finish::Commit).unwrap();
        assert_eq!(house.content("f"), "new");
        assert_eq!(house.names(), ["f"]);
        refused(file.write(b"x"), Code::EBADF, "already finished");
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
    refused(house.open("fifo", ATOMIC), Code::ENOTSUP, "with ATOMIC: it is a FIFO");
    refused(house.open("dir", ATOMIC), Code::EISDIR, "is a directory");
    refused(house.open("dir/", ATOMIC), Code::EISDIR, "is a directory");
    let instance = start(&[]).unwrap();
    refused(open_in(&*instance, "/dev/null", ATOMIC), Code::ENOTSUP, "with ATOMIC: it is a device");
    let stream = open_in(&*instance, "/dev/stdout", WRITE | OpenFlags::ATOMIC);
    refused(stream, Code::ENOTSUP, "with ATOMIC: it is a standard stream");
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

/// 32 of 33 processes that were killed in mid-write left a `.name.zvfs-<random>` for good.
#[test]
fn a_killed_writer_leaves_nothing() {
    if let Some(path) = child_argument() {
        let instance = start(&[]).unwrap();
        let mut file = open_in(&*instance, &path, ATOMIC).unwrap();
        write_all(&mut *file, &[7; 1 << 20]);
        println!("\nwritten");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    for name in ["there", "absent"] {
        let house = House::new().with("there", "old");
        let mut child = child("atomic::a_killed_writer_leaves_nothing", &house.bare(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map(|line| line.unwrap()).any(|line| line == "written"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((house.names(), house.content("there")), (vec!["there".to_owned()], "old".to_owned()));
    }
}

#[test]
fn what_a_writer_left_that_was_killed_in_its_commit_is_swept_at_the_next_open() {
    let house = House::new().with("f", "old").with(".f.zvfs-0", "half").with(".f.zvfs-4", "half");
    drop(house.open("f", ATOMIC).unwrap());
    assert_eq!(house.names(), ["f"]);
}

/// A new owner-only file became readable by all in a replacement, its access list and attributes were gone.
#[test]
fn what_belongs_to_the_name_is_kept() {
    let house = House::new().with("f", "old");
    let old = File::options().write(true).open(house.path("f")).unwrap();
    // Version 2; user::rw-, user 4711 r--, group::r--, mask::r--, other::---.
    let list: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 4, 4711), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let mut access = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in list {
        access.extend([tag.to_le_bytes(), rights.to_le_bytes()].concat());
        access.extend(id.to_le_bytes());
    }
    let mut kept = Vec::new();
    for (name, value) in [("user.note", &b"kept"[..]), ("system.posix_acl_access", &access)] {
        match fsetxattr(&old, name, value, XattrFlags::empty()) {
            Ok(()) => kept.push((name, value)),
            Err(errno) => zvfs_test_support::skip(format_args!("attribute {name}: {errno}")),
        }
    }
    if rustix::process::geteuid().is_root() {
        chown(house.path("f"), Some(4711), Some(4712)).unwrap();
    }
    let before = fs::metadata(house.path("f")).unwrap();
    house.open("f", ATOMIC).unwrap().finish(Finish::Commit).unwrap();
    let after = fs::metadata(house.path("f")).unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (after.uid(), after.gid(), after.mode()),
        "owner, group, mode"
    );
    for (name, value) in kept {
        let mut found = [0; 128];
        let count = getxattr(house.path("f"), name, &mut found[..]).unwrap();
        assert_eq!(&found[..count], value, "{name}");
    }
}

#[test]
fn permissions_changed_while_it_was_written_are_kept() {
    let house = House::new().with("f", "old");
    let mut file = house.open("f", ATOMIC).unwrap();
    fs::set_permissions(house.path("f"), fs::Permissions::from_mode(0o600)).unwrap();
    file.finish(Finish::Commit).unwrap();
    assert_eq!(mode(&house, "f"), 0o600);
}

/// One of its names got the new content, the others kept the old.
#[test]
fn a_file_with_several_names_is_not_torn_apart() {
    let house = House::new().with("f", "old");
    fs::hard_link(house.path("f"), house.path("g")).unwrap();
    refused(house.open("f", ATOMIC), Code::ENOTSUP, "it has 2 names (hard links)");
}

/// "no such file" of a file that is there: the folder takes no temporary one.
#[test]
fn where_no_file_can_be_made_it_says_so() {
    let instance = start(&[]).unwrap();
    let refusal = open_in(&*instance, "/proc/self/comm", WRITE | OpenFlags::ATOMIC);
    refused(refusal, Code::ENOTSUP, "its folder accepts no new file");
}

/// EBUSY after the whole copy.
#[test]
fn a_mounted_file_is_known_before_anything_is_written() {
    if let Some(path) = child_argument() {
        let instance = start(&[]).unwrap();
        refused(open_in(&*instance, &path, ATOMIC), Code::ENOTSUP, "it is mounted there");
        return;
    }
    let house = House::new().with("f", "old").with("over", "");
    let child = child("atomic::a_mounted_file_is_known_before_anything_is_written", &house.bare("over"));
    let mut mounted = Command::new("unshare");
    mounted.args([
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"",
    ]);
    mounted.args([house.path("f"), house.path("over")]).arg(child.get_program()).args(child.get_args());
    for (name, value) in child.get_envs() {
        mounted.env(name, value.unwrap());
    }
    let probe = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        zvfs_test_support::skip("a mounted file: unshare cannot mount here");
        return;
    }
    assert!(mounted.status().unwrap().success());
}

/// "text file busy" of a program that runs, which replacing it does not disturb.
#[test]
fn a_program_that_runs_can_be_replaced() {
    let house = House::new();
    fs::copy("/bin/sleep", house.path("f")).unwrap();
    let mut running = Command::new(house.path("f")).arg("60").spawn().unwrap();
    let replaced = house.open("f", ATOMIC).map(|mut file| {
        write_all(&mut *file, b"new");
        file.finish(Finish::Commit)
    });
    running.kill().unwrap();
    running.wait().unwrap();
    replaced.unwrap().unwrap();
    assert_eq!(house.content("f"), "new");
}
