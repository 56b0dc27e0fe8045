//! `zvfs mount --write` as ordinary programs see it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::process::Stdio;
use support::{Mounted, can_mount, program, succeeds};
use tempfile::tempdir;
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
    succeeds(program("cp", &["-p"]).arg(&from).arg(at("copied")));
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

#[test]
fn a_file_is_not_seen_before_it_is_complete_and_never_of_a_program_that_is_killed() {
    if !can_mount() || !have(&["sh", "cat"]) {
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
