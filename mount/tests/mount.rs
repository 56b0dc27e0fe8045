//! `zvfs mount` as ordinary programs see it: tar, grep, cp, sqlite3 and git in a folder that is somebody else's tree.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use support::{Mounted, can_mount, program, succeeds, zvfs_mount};
use tempfile::tempdir;
use zvfs_test_support::{bounded, eventually, have, run};

/// A tree with what trees have: folders, an empty one, large and empty files, names that no descriptor writes as they are.
fn tree() -> tempfile::TempDir {
    let tree = tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::create_dir_all(at("a folder/deeper/still")).unwrap();
    fs::create_dir(at("empty folder")).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("a folder/100%?#&"), "needle in a stack\n").unwrap();
    fs::write(at("a folder/deeper/-rf *"), "hay\n".repeat(50_000)).unwrap();
    fs::write(at("a folder/deeper/still/line\nbreak"), "needle\n").unwrap();
    fs::write(at("zero\u{200b}width"), "invisible\n").unwrap();
    fs::write(tree.path().join(OsStr::from_bytes(b"latin-\xe4")), "no UTF-8\n").unwrap();
    let large: Vec<u8> = (0..5_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    fs::write(at("large"), large).unwrap();
    tree
}

#[test]
fn a_tree_is_read_as_the_files_themselves() {
    if !can_mount() || !have(&["tar", "grep", "diff", "cp"]) {
        return;
    }
    let (tree, copies) = (tree(), tempdir().unwrap());
    let mounted = Mounted::of(&format!("file:{}", tree.path().display()), &[]);
    succeeds(program("diff", &["-r"]).arg(tree.path()).arg(mounted.path()));
    succeeds(program("cp", &["-r"]).arg(mounted.path()).arg(copies.path().join("copy")));
    succeeds(program("diff", &["-r"]).arg(tree.path()).arg(copies.path().join("copy")));
    let archive = copies.path().join("archive.tar");
    succeeds(program("tar", &["-cf"]).arg(&archive).arg("-C").arg(mounted.path()).arg("."));
    fs::create_dir(copies.path().join("unpacked")).unwrap();
    succeeds(program("tar", &["-xf"]).arg(&archive).arg("-C").arg(copies.path().join("unpacked")));
    succeeds(program("diff", &["-r"]).arg(tree.path()).arg(copies.path().join("unpacked")));
    let found = succeeds(program("grep", &["-rlZ", "needle"]).current_dir(mounted.path()).arg("."));
    let mut found: Vec<&[u8]> =
        found.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    found.sort_unstable();
    assert_eq!(found, [&b"./a folder/100%?#&"[..], b"./a folder/deeper/still/line\nbreak"]);
    mounted.unmount();
}

/// tar takes a folder for changed whose time is another one after it was read.
#[test]
fn an_open_folder_has_the_time_of_its_name() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let folder = File::open(tree.path().join("a folder")).unwrap();
    folder.set_modified(old).unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--cache-time", "0s"]);
    let name = mounted.path().join("a folder");
    let modified = |file: &File| file.metadata().unwrap().modified().unwrap();
    let open = File::open(&name).unwrap();
    assert_eq!((modified(&open), fs::metadata(&name).unwrap().modified().unwrap()), (old, old));
    assert!(fs::read_dir(&name).unwrap().count() > 0);
    assert_eq!(modified(&open), old);
    let new = old + Duration::from_secs(1);
    folder.set_modified(new).unwrap();
    assert_eq!((fs::metadata(&name).unwrap().modified().unwrap(), modified(&open)), (new, new));
    drop(open);
    mounted.unmount();
}

#[test]
fn many_programs_read_at_once() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    let whole = fs::read(tree.path().join("large")).unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(fs::read(mounted.path().join("large")).unwrap() == whole));
        }
    });
    mounted.unmount();
}

#[test]
fn a_database_is_queried_and_a_repository_is_cloned() {
    if !can_mount() || !have(&["sqlite3", "git"]) {
        return;
    }
    let (tree, out) = (tempdir().unwrap(), tempdir().unwrap());
    let table = "create table numbers(n); with recursive c(n) as (select 1 union all select n+1 from c where n<100000) \
                 insert into numbers select n from c;";
    succeeds(program("sqlite3", &[]).arg(tree.path().join("numbers.db")).arg(table));
    let git = |folder: &std::path::Path, arguments: &[&str]| {
        let mut git =
            program("git", &["-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@b"]);
        succeeds(git.args(arguments).current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1"))
    };
    git(tree.path(), &["init", "-q", "repository"]);
    let repository = tree.path().join("repository");
    for number in 0..20 {
        fs::write(repository.join(format!("file {number}")), format!("{number}\n").repeat(1000)).unwrap();
        git(&repository, &["add", "."]);
        git(&repository, &["commit", "-q", "-m", "one more"]);
    }
    git(&repository, &["gc", "-q"]);
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    let sum = succeeds(
        program("sqlite3", &["-readonly"])
            .arg(mounted.path().join("numbers.db"))
            .arg("select sum(n) from numbers"),
    );
    assert_eq!(sum.stdout, b"5000050000\n");
    let from = mounted.path().join("repository");
    git(out.path(), &["clone", "-q", "--no-hardlinks", from.to_str().unwrap(), "clone"]);
    succeeds(program("diff", &["-r", "-x", ".git"]).arg(&repository).arg(out.path().join("clone")));
    git(&out.path().join("clone"), &["fsck", "--full"]);
    mounted.unmount();
}

#[test]
fn one_file_is_shown_under_its_own_name_and_nothing_beside_it() {
    if !can_mount() {
        return;
    }
    let tree = tempdir().unwrap();
    fs::write(tree.path().join("one file"), "content").unwrap();
    let mounted = Mounted::of(&format!("file:{}/one%20file", tree.path().display()), &[]);
    let names: Vec<_> =
        fs::read_dir(mounted.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["one file"]);
    assert_eq!(fs::read(mounted.path().join("one file")).unwrap(), b"content");
    assert_eq!(File::open(mounted.path().join("another")).unwrap_err().raw_os_error(), Some(2));
    mounted.unmount();
}

#[test]
fn a_file_that_changed_is_read_anew_and_one_that_is_open_stays() {
    if !can_mount() {
        return;
    }
    let tree = tempdir().unwrap();
    let path = tree.path().join("file");
    fs::write(&path, vec![b'a'; 300_000]).unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--cache-time", "1h"]);
    let shown = mounted.path().join("file");
    assert!(fs::read(&shown).unwrap() == vec![b'a'; 300_000]);
    let mut old = File::open(&shown).unwrap();
    // Replaced, as by an editor: the kernel still takes the old name and size for current, but no content of the old file.
    fs::write(tree.path().join("new"), vec![b'b'; 400_000]).unwrap();
    fs::rename(tree.path().join("new"), &path).unwrap();
    assert!(fs::read(&shown).unwrap() == vec![b'b'; 400_000]);
    let mut content = Vec::new();
    old.read_to_end(&mut content).unwrap();
    assert!(content == vec![b'a'; 300_000]);
    drop(old);
    mounted.unmount();
}

#[test]
fn what_is_no_file_is_shown_and_never_waited_for() {
    if !can_mount() || !have(&["grep"]) {
        return;
    }
    let tree = tempdir().unwrap();
    zvfs_test_support::fifo(tree.path().join("fifo"));
    fs::write(tree.path().join("file"), "needle\n").unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    assert_eq!(File::open(mounted.path().join("fifo")).unwrap_err().raw_os_error(), Some(6));
    let found = succeeds(program("grep", &["-rl", "needle", "."]).current_dir(mounted.path()));
    assert_eq!(found.stdout, b"./file\n");
    mounted.unmount();
}

#[test]
fn nothing_can_be_written_without_write() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    let failed = |result: std::io::Result<()>| assert_eq!(result.unwrap_err().raw_os_error(), Some(30));
    failed(fs::write(mounted.path().join("new"), "x"));
    failed(fs::write(mounted.path().join("large"), "x"));
    failed(fs::remove_file(mounted.path().join("large")));
    failed(fs::create_dir(mounted.path().join("folder")));
    mounted.unmount();
}

#[test]
fn in_the_background_the_folder_can_be_used_on_return() {
    if !can_mount() {
        return;
    }
    let (tree, at) = (tree(), tempdir().unwrap());
    let log = tempdir().unwrap();
    let mut command = zvfs_mount(&["--background", "--log"]);
    let done = run({
        command.arg(log.path().join("log")).arg(tree.path()).arg(at.path());
        command
    })
    .unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    assert!(fs::read(at.path().join("large")).unwrap() == fs::read(tree.path().join("large")).unwrap());
    succeeds(program("fusermount3", &["-u"]).arg(at.path()));
    // Its failures are the command's own.
    let missing = run({
        let mut command = zvfs_mount(&["--background"]);
        command.arg(tree.path().join("absent")).arg(at.path());
        command
    })
    .unwrap();
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(missing.status.code() == Some(2) && said.contains("absent"), "{missing:?}");
}

#[test]
fn a_signal_unmounts_and_what_is_open_is_served_to_its_end() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    let mut mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    let mut open = File::open(mounted.path().join("large")).unwrap();
    mounted.signal(Signal::TERM);
    let at = mounted.path().to_owned();
    eventually("the folder has no mount", || !support::is_mounted(&at));
    let mut content = Vec::new();
    open.read_to_end(&mut content).unwrap();
    assert!(content == fs::read(tree.path().join("large")).unwrap());
    drop(open);
    let done = mounted.ended();
    assert!(done.status.success() && String::from_utf8_lossy(&done.stderr).contains("is in use"), "{done:?}");
}

#[test]
fn a_folder_whose_program_was_killed_is_explained() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    mounted.signal(Signal::KILL);
    let at = mounted.path().to_owned();
    eventually("its files are gone", || fs::metadata(&at).is_err());
    let again = run({
        let mut command = zvfs_mount(&[]);
        command.arg(tree.path()).arg(&at);
        command
    })
    .unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.code() == Some(107) && said.contains("fusermount3 -u"), "{again:?}");
    succeeds(program("fusermount3", &["-u"]).arg(&at));
    let again = Mounted::on(&at, &tree.path().to_string_lossy(), &[]);
    assert_eq!(fs::read(at.join("empty")).unwrap(), b"");
    again.unmount();
}

#[test]
fn a_folder_is_not_mounted_twice() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    for options in [&[][..], &["--background"]] {
        let mut again = zvfs_mount(options);
        again.arg(tree.path().join("a folder")).arg(mounted.path());
        let done = run(again).unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(16) && said.contains("is mounted there"), "{done:?}");
    }
    assert_eq!(fs::read(mounted.path().join("empty")).unwrap(), b"");
    mounted.unmount();
}

#[test]
fn room_is_not_said_to_be_used_up() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &[]);
    let room = rustix::fs::statvfs(mounted.path()).unwrap();
    assert!(room.f_blocks > 0 && room.f_bfree == room.f_blocks && room.f_bavail == room.f_blocks);
    mounted.unmount();
}

#[test]
fn what_cannot_be_mounted_says_why() {
    if !can_mount() {
        return;
    }
    let tree = tree();
    fs::create_dir(tree.path().join("within")).unwrap();
    let failed = |descriptor: &str, at: &str, code: i32, word: &str| {
        let done = run({
            let mut command = zvfs_mount(&[]);
            command.arg(descriptor).arg(tree.path().join(at));
            command
        })
        .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(code) && said.contains(word), "{done:?}");
    };
    let all = tree.path().to_string_lossy();
    failed(&all, "within", 22, "take one outside");
    failed(&format!("file:{all}"), "within", 22, "take one outside");
    failed(&format!("{all}/empty"), "absent", 2, "absent");
    failed(&format!("{all}/empty"), "large", 20, "not a folder");
    failed("nosuch:x", "within", 93, "nosuch");
}

#[test]
fn a_program_that_waits_can_be_killed_and_others_go_on() {
    if !can_mount() {
        return;
    }
    let server = support::stalling();
    let mounted = Mounted::of(&server.url("/object"), &["--timeout", "10m"]);
    let file = mounted.path().join("object");
    let mut stuck = Command::new("cat").arg(&file).stdout(std::process::Stdio::null()).spawn().unwrap();
    support::waits_for_its_file(&stuck);
    // What else is asked of the file is answered beside it.
    assert_eq!(fs::metadata(&file).unwrap().len(), support::SIZE);
    assert!(bounded(move || fs::read_dir(file.parent().unwrap()).unwrap().count() == 1));
    let begun = Instant::now();
    stuck.kill().unwrap();
    stuck.wait().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    mounted.unmount();
}

#[test]
fn a_server_that_says_nothing_is_an_error_in_time() {
    if !can_mount() {
        return;
    }
    let server = support::stalling();
    let mounted = Mounted::of(&server.url("/object"), &["--timeout", "1s"]);
    let begun = Instant::now();
    let error = fs::read(mounted.path().join("object")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    mounted.unmount();
}
