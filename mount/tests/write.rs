//! `zvfs mount --write` as ordinary programs see it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use support::{Mounted, can_mount, program, succeeds};
use tempfile::tempdir;
use zvfs_engines::ssh::SshServer;
use zvfs_test_support::{eventually, have};

#[test]
fn what_programs_write_is_there_when_they_have_closed_it() {
    if !can_mount() || !have(&["cp", "sh", "dd", "mv"]) {
        return;
    }
    let (tree, source) = (tempdir().unwrap(), tempdir().unwrap());
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let from = source.path().join("from");
    fs::write(&from, &content).unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    let (at, there) = (|name: &str| mounted.path().join(name), |name: &str| tree.path().join(name));
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    File::options().write(true).open(&from).unwrap().set_modified(long_ago).unwrap();
    succeeds(program("cp", &["-p"]).arg(&from).arg(at("copied")));
    assert_eq!(fs::metadata(there("copied")).unwrap().modified().unwrap(), long_ago);
    assert_eq!(fs::metadata(at("copied")).unwrap().modified().unwrap(), long_ago);
    assert!(fs::read(there("copied")).unwrap() == content);
    assert!(fs::read(at("copied")).unwrap() == content);
    // Over what is there, also a shorter one.
    succeeds(
        program("sh", &["-c", "echo short > copied && echo more >> copied"]).current_dir(mounted.path()),
    );
    assert_eq!(fs::read(there("copied")).unwrap(), b"short\nmore\n");
    // One file that several programs write one after the other.
    succeeds(
        program("sh", &["-c", "(echo a; cat; echo b) < copied > several; : > nothing"])
            .current_dir(mounted.path()),
    );
    assert_eq!(fs::read(there("several")).unwrap(), b"a\nshort\nmore\nb\n");
    eventually("the empty file is there", || there("nothing").exists());
    // A shell's own commands close and go on.
    let shell = "exec 3> shared; echo one >&3; echo two >&3; exec 3>&-";
    succeeds(program("sh", &["-c", shell]).current_dir(mounted.path()));
    eventually("what a shell wrote is there", || {
        fs::read(there("shared")).is_ok_and(|text| text == b"one\ntwo\n")
    });
    succeeds(program("mv", &[]).arg(at("several")).arg(at("moved")));
    assert!(there("moved").exists() && !there("several").exists());
    fs::remove_file(at("moved")).unwrap();
    assert!(!there("moved").exists());
    mounted.unmount();
}

/// Times were let through and not kept, so that make(1) and rsync(1) did everything anew.
#[test]
fn times_that_programs_set_are_kept() {
    if !can_mount() || !have(&["touch", "tar", "cp"]) {
        return;
    }
    let (tree, source) = (tempdir().unwrap(), tempdir().unwrap());
    fs::create_dir(source.path().join("folder")).unwrap();
    fs::write(source.path().join("folder/file"), "content").unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    let (at, there) = (|name: &str| mounted.path().join(name), |name: &str| tree.path().join(name));
    let seconds = |path: &Path| fs::metadata(path).unwrap().mtime();
    let touch = |day: &str, of: &Path| {
        succeeds(program("touch", &["-d", &format!("{day} 00:00 UTC")]).arg(of));
    };
    touch("2001-09-09", &source.path().join("folder/file"));
    touch("2002-02-02", &source.path().join("folder"));
    succeeds(program("cp", &["-rp"]).arg(source.path().join("folder")).arg(at("copied")));
    succeeds(
        program("sh", &["-c", "tar -C \"$1\" -c folder | tar -x", "sh"])
            .arg(source.path())
            .current_dir(mounted.path()),
    );
    for name in ["copied", "folder"] {
        let file = format!("{name}/file");
        for found in [seconds(&there(&file)), seconds(&at(&file))] {
            assert_eq!(found, 999_993_600, "{name}");
        }
        assert_eq!(seconds(&there(name)), 1_012_608_000, "{name}");
    }
    // Of what is there and what is new, without a write.
    touch("2003-03-03", &at("copied/file"));
    touch("2003-03-03", &at("new"));
    for name in ["copied/file", "new"] {
        eventually("a touch arrives", || seconds(&there(name)) == 1_046_649_600);
        assert_eq!(seconds(&at(name)), 1_046_649_600, "{name}");
    }
    assert_eq!(fs::read(there("copied/file")).unwrap(), b"content");
    succeeds(program("touch", &[]).arg(at("new")));
    eventually("a touch is now", || seconds(&there("new")) > 1_700_000_000);
    mounted.unmount();
}

/// A review's finding: a time that was set once stayed, whatever was written afterwards, so that make(1) and `cp -u` missed it.
#[test]
fn a_file_that_is_written_after_it_was_given_a_time_has_a_new_one() {
    if !can_mount() {
        return;
    }
    let tree = tempdir().unwrap();
    fs::write(tree.path().join("there"), "content").unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    let (at, there) = (|name: &str| mounted.path().join(name), |name: &str| tree.path().join(name));
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let started = SystemTime::now() - Duration::from_secs(60);
    let modified = |file: &File| file.metadata().unwrap().modified().unwrap();
    for (name, is_anew) in [("there", false), ("new", true)] {
        let mut file = File::options().write(true).create(is_anew).truncate(is_anew).open(at(name)).unwrap();
        for change in ["before a write", "after one"] {
            file.set_modified(long_ago).unwrap();
            assert_eq!(modified(&file), long_ago, "{name}, {change}");
            file.write_all(b"some").unwrap();
        }
        file.set_modified(long_ago).unwrap();
        file.set_len(6).unwrap();
        drop(file);
        eventually("the file is complete", || fs::metadata(there(name)).is_ok_and(|found| found.len() == 6));
        eventually("it has its time", || fs::metadata(there(name)).unwrap().modified().unwrap() > started);
        assert!(fs::metadata(at(name)).unwrap().modified().unwrap() > started, "{name}");
    }
    mounted.unmount();
}

#[test]
fn a_file_is_not_seen_before_it_is_complete_and_never_of_a_program_that_is_killed() {
    if !can_mount() || !have(&["sh", "bash", "cat"]) {
        return;
    }
    let tree = tempdir().unwrap();
    fs::write(tree.path().join("file"), "old").unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    let at = mounted.path().join("file");
    let mut file = File::create(&at).unwrap();
    file.write_all(b"new content").unwrap();
    assert_eq!(fs::metadata(&at).unwrap().size(), 11);
    assert_eq!(fs::read(tree.path().join("file")).unwrap(), b"old");
    drop(file);
    assert_eq!(fs::read(tree.path().join("file")).unwrap(), b"new content");
    assert_eq!(fs::read(&at).unwrap(), b"new content");

    let script = "exec cat > \"$1\"";
    let mut writer = program("sh", &["-c", script, "sh"]).arg(&at).stdin(Stdio::piped()).spawn().unwrap();
    writer.stdin.as_mut().unwrap().write_all(b"half").unwrap();
    eventually("the program has written", || fs::metadata(&at).is_ok_and(|known| known.size() == 4));
    writer.kill().unwrap();
    writer.wait().unwrap();
    let said = mounted.unmount();
    assert!(said.contains("ended by a signal"), "{said}");
    assert_eq!(fs::read(tree.path().join("file")).unwrap(), b"new content");
}

#[test]
fn a_file_is_changed_in_the_middle_where_its_provider_can() {
    if !can_mount() || !have(&["sqlite3"]) {
        return;
    }
    let tree = tempdir().unwrap();
    fs::write(tree.path().join("file"), "0123456789").unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    let at = mounted.path().join("file");
    let mut file = File::options().read(true).write(true).open(&at).unwrap();
    file.write_all_at(b"xy", 4).unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    let mut part = [0; 6];
    file.read_exact(&mut part).unwrap();
    assert_eq!(&part, b"23xy67");
    file.set_len(7).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert_eq!(fs::read(tree.path().join("file")).unwrap(), b"0123xy6");
    let table =
        "create table t(n); insert into t values (1), (2); update t set n = n * 10; select sum(n) from t";
    let sum = succeeds(program("sqlite3", &[]).arg(mounted.path().join("new.db")).arg(table));
    assert_eq!(sum.stdout, b"30\n");
    mounted.unmount();
}

/// Found: a new file that a program appends to, such as a log, was not there before the program closed it, for whoever wanted to read it or
/// append to it too; and when the program was ended, as by `kill`, all of it was dropped.
fn what_is_appended_is_there_at_once_and_stays(mounted: &Mounted, tree: &Path) {
    let script = "exec 3>> log; echo one >&3; (echo two >> log); cat log; echo three >&3; kill -TERM $$";
    let done = program("sh", &["-c", script]).current_dir(mounted.path()).output().unwrap();
    assert_eq!((done.stdout.as_slice(), done.stderr.as_slice()), (&b"one\ntwo\n"[..], &b""[..]), "{done:?}");
    assert!(!done.status.success());
    eventually("all of it is there", || {
        fs::read(tree.join("log")).is_ok_and(|log| log == b"one\ntwo\nthree\n")
    });
    let many = "for n in 1 2 3 4 5 6 7 8 9 10; do echo line >> many || exit 1; done";
    let many = format!("({many}) & one=$!; ({many}) & wait $one && wait $!");
    succeeds(program("bash", &["-c", &many]).current_dir(mounted.path()));
    assert_eq!(fs::read_to_string(tree.join("many")).unwrap(), "line\n".repeat(20));
    // Only what is new is made exclusively.
    let new = || File::options().append(true).create_new(true).open(mounted.path().join("log"));
    assert_eq!(new().unwrap_err().raw_os_error(), Some(17));
}

/// Found: its status was asked for by its name, which was gone.
fn what_is_open_and_removed_is_read_on(mounted: &Mounted) {
    let path = mounted.path().join("removed");
    fs::write(&path, "content").unwrap();
    let mut open = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(open.metadata().unwrap().len(), 7);
    let mut content = String::new();
    open.read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
}

/// Found: it was the mount's own.
fn what_is_being_written_has_the_time_of_its_last_write(mounted: &Mounted) {
    let (path, began) = (mounted.path().join("made"), SystemTime::now());
    let mut made = File::create(&path).unwrap();
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    let created = modified();
    assert!(created >= began, "{created:?} {began:?}");
    made.write_all(b"content").unwrap();
    assert!(modified() > created);
}

fn behaves_as_a_folder(mounted: Mounted, tree: &Path) {
    what_is_appended_is_there_at_once_and_stays(&mounted, tree);
    what_is_open_and_removed_is_read_on(&mounted);
    what_is_being_written_has_the_time_of_its_last_write(&mounted);
    mounted.unmount();
}

/// Of what programs expect of any folder.
const OPTIONS: [&str; 3] = ["--write", "--cache-time", "0ms"];

#[test]
fn a_folder_of_files_behaves_as_a_folder() {
    if !can_mount() || !have(&["sh", "bash", "cat"]) {
        return;
    }
    let tree = tempdir().unwrap();
    behaves_as_a_folder(Mounted::of(&tree.path().to_string_lossy(), &OPTIONS), tree.path());
}

#[test]
fn a_folder_of_an_sftp_server_behaves_as_a_folder() {
    if !can_mount() || !have(&["sh", "bash", "cat"]) {
        return;
    }
    let Some(server) = SshServer::openssh() else { return };
    let (config, at) = (tempdir().unwrap(), tempdir().unwrap());
    behaves_as_a_folder(Mounted::sftp(&server, config.path(), at.path(), &OPTIONS), &server.root());
}

#[test]
fn what_is_to_be_new_is_not_made_twice() {
    if !can_mount() {
        return;
    }
    let tree = tempdir().unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    let new = || File::options().write(true).create_new(true).open(mounted.path().join("new"));
    new().unwrap().write_all(b"first").unwrap();
    assert_eq!(new().unwrap_err().raw_os_error(), Some(17));
    assert_eq!(fs::read(tree.path().join("new")).unwrap(), b"first");
    mounted.unmount();
}

#[test]
fn trees_are_copied_in_and_removed() {
    if !can_mount() || !have(&["cp", "rm", "diff", "tar"]) {
        return;
    }
    let (tree, source) = (tempdir().unwrap(), tempdir().unwrap());
    fs::create_dir_all(source.path().join("from/a/b")).unwrap();
    fs::write(source.path().join("from/a/b/file"), "content").unwrap();
    fs::write(source.path().join("from/other"), "more").unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    succeeds(program("cp", &["-r"]).arg(source.path().join("from")).arg(mounted.path()));
    succeeds(program("diff", &["-r"]).arg(source.path()).arg(tree.path()));
    let archive = source.path().join("archive.tar");
    succeeds(program("tar", &["-cf"]).arg(&archive).arg("-C").arg(source.path()).arg("from"));
    succeeds(program("rm", &["-r"]).arg(mounted.path().join("from")));
    assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 0);
    succeeds(program("tar", &["-xf"]).arg(&archive).arg("-C").arg(mounted.path()));
    succeeds(program("diff", &["-r"]).arg(source.path().join("from")).arg(tree.path().join("from")));
    let error = fs::remove_dir(mounted.path().join("from")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(39));
    mounted.unmount();
}
