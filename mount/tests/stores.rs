//! `zvfs mount` of an object store: moto, as S3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Mounted, can_mount, configured, program, succeeds};
use tempfile::{TempDir, tempdir};
use zvfs_engines::S3;
use zvfs_test_support::{eventually, have, run};

/// The command under an operator's file that leads to a server.
fn to(server: &S3, folder: &TempDir, options: &[&str]) -> Command {
    configured(folder.path(), "object", &server.settings(), options)
}

#[test]
fn a_bucket_is_a_tree_that_programs_read_and_write() {
    if !can_mount() || !have(&["tar", "grep", "cp", "diff"]) {
        return;
    }
    let Some(server) = S3::moto() else { return };
    let content: Vec<u8> = (0..500_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    server.put("data/large", &content);
    server.put("data/deeper/note", b"a needle\n");
    server.put("data/deeper/other", b"hay\n");
    let (folder, at, copies) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let mounted = Mounted::by(to(&server, &folder, &["--write"]), at.path(), &server.descriptor("data"));
    assert!(fs::read(mounted.path().join("large")).unwrap() == content);
    let found = succeeds(program("grep", &["-rl", "needle", "."]).current_dir(mounted.path()));
    assert_eq!(found.stdout, b"./deeper/note\n");
    succeeds(program("cp", &["-r"]).arg(mounted.path()).arg(copies.path().join("copy")));
    succeeds(program("diff", &["-r"]).arg(mounted.path()).arg(copies.path().join("copy")));
    let archive = copies.path().join("archive.tar");
    succeeds(program("tar", &["-cf"]).arg(&archive).arg("-C").arg(mounted.path()).arg("."));
    let listed = succeeds(program("tar", &["-tf"]).arg(&archive));
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 5);

    succeeds(program("cp", &[]).arg(&archive).arg(mounted.path().join("deeper/archive")));
    assert_eq!(server.get("data/deeper/archive"), Some(fs::read(&archive).unwrap()));
    fs::remove_file(mounted.path().join("deeper/other")).unwrap();
    assert_eq!(server.get("data/deeper/other"), None);
    // Changed by somebody else.
    server.put("data/deeper/note", b"another note, and a longer one\n");
    let note = mounted.path().join("deeper/note");
    assert_eq!(fs::read(note).unwrap(), b"another note, and a longer one\n");
    mounted.unmount();
}

/// Found: a shell gives each of its commands another number of an open file and closes that after it, which was taken for the file's end:
/// it had the first line only, and of a shell that was killed too.
#[test]
fn what_a_shells_commands_write_is_one_file() {
    if !can_mount() || !have(&["dash", "bash"]) {
        return;
    }
    let Some(server) = S3::moto() else { return };
    server.put("data/there", b"content");
    server.put("data/old", b"old");
    let (folder, at) = (tempdir().unwrap(), tempdir().unwrap());
    let mounted = Mounted::by(to(&server, &folder, &["--write"]), at.path(), &server.descriptor("data"));
    for shell in ["dash", "bash"] {
        let run =
            |script: &str| program(shell, &["-c", script]).current_dir(mounted.path()).output().unwrap();
        for script in [
            "exec 3> KEY; echo a >&3; echo b >&3; exec 3>&-; cat KEY",
            "exec 3> KEY; echo a >&3; (echo b >&3); exec 3>&-; cat KEY",
            "{ echo a; echo b; } > KEY; cat KEY",
            // Which of its two closes comes first, nobody says.
            "exec 3> KEY 4>&3; echo a >&3; exec 3>&-; echo b >&4; exec 4>&-; cat KEY",
        ] {
            let done = run(&script.replace("KEY", shell));
            assert_eq!(String::from_utf8_lossy(&done.stdout), "a\nb\n", "{shell}: {script}: {done:?}");
            assert_eq!(server.get(&format!("data/{shell}")), Some(b"a\nb\n".to_vec()), "{shell}: {script}");
        }
        // To end is to close.
        let done = run("exec 3> ended; echo a >&3; echo b >&3");
        assert!(done.status.success() && done.stderr.is_empty(), "{shell}: {done:?}");
        assert_eq!(server.get("data/ended"), Some(b"a\nb\n".to_vec()), "{shell}");
        fs::remove_file(mounted.path().join("ended")).unwrap();
        let done = run("exec 3> old; echo cut >&3; kill -9 $$");
        assert!(!done.status.success(), "{shell}: {done:?}");
        assert_eq!(server.get("data/old"), Some(b"old".to_vec()), "{shell}");
    }
    mounted.unmount();
}

#[test]
fn folders_are_made_in_a_store_that_has_none() {
    if !can_mount() || !have(&["cp", "diff", "tar", "rm", "mkdir", "rmdir"]) {
        return;
    }
    let Some(server) = S3::moto() else { return };
    server.put("data/there/key", b"content");
    let (folder, at, source) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let from = source.path().join("from");
    fs::create_dir_all(from.join("a/empty")).unwrap();
    fs::write(from.join("a/file"), "content\n").unwrap();
    let options = ["--write", "--cache-time", "0ms"];
    let mounted = Mounted::by(to(&server, &folder, &options), at.path(), &server.descriptor("data"));
    let shown = |name: &str| mounted.path().join(name);
    succeeds(program("cp", &["-r"]).arg(&from).arg(mounted.path()));
    succeeds(program("diff", &["-r"]).arg(&from).arg(shown("from")));
    assert_eq!(server.get("data/from/a/file"), Some(b"content\n".to_vec()));
    let archive = source.path().join("archive");
    succeeds(program("tar", &["-cf"]).arg(&archive).arg("-C").arg(source.path()).arg("from"));
    succeeds(program("rm", &["-r"]).arg(shown("from")));
    assert!(!shown("from").exists() && server.get("data/from/a/file").is_none());
    succeeds(program("tar", &["-xf"]).arg(&archive).arg("-C").arg(mounted.path()));
    succeeds(program("diff", &["-r"]).arg(&from).arg(shown("from")));

    let number = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
    assert_eq!(number(fs::create_dir(shown("there"))), Some(17));
    assert_eq!(number(fs::create_dir(shown("from/a/empty"))), Some(17));
    assert_eq!(number(fs::remove_dir(shown("there"))), Some(39));
    assert_eq!(number(fs::remove_dir(shown("from/a"))), Some(39));
    fs::remove_file(shown("from/a/file")).unwrap();
    assert!(shown("from/a").is_dir());
    assert_eq!(number(fs::remove_dir(shown("from/a"))), Some(39));
    for name in ["from/a/empty", "from/a", "from"] {
        fs::remove_dir(shown(name)).unwrap();
        assert!(!shown(name).exists());
    }
    assert_eq!(fs::read_dir(mounted.path()).unwrap().count(), 1);
    mounted.unmount();
}

#[test]
fn what_a_store_cannot_do_leaves_nothing_and_is_explained() {
    if !can_mount() || !have(&["dd", "sqlite3"]) {
        return;
    }
    let Some(server) = S3::moto() else { return };
    server.put("data/old", b"old content");
    let (folder, at) = (tempdir().unwrap(), tempdir().unwrap());
    let mounted = Mounted::by(to(&server, &folder, &["--write"]), at.path(), &server.descriptor("data"));
    let shown = |name: &str| mounted.path().join(name);
    let fails = |mut command: Command| {
        assert!(!run(command_in(&mut command, mounted.path())).unwrap().status.success())
    };
    fails(program("dd", &["if=/dev/zero", "of=sought", "bs=1k", "count=1", "seek=3"]));
    fails(program("dd", &["if=/dev/zero", "of=sought2", "bs=1k", "count=1", "seek=3", "conv=notrunc"]));
    fails(program("sqlite3", &["new.db", "create table t(n)"]));
    let mut file = File::create(shown("partly")).unwrap();
    file.write_all(b"begun").unwrap();
    assert!(file.write_at(b"elsewhere", 100).is_err());
    assert!(closed(file).is_err());
    let mut over = File::create(shown("old")).unwrap();
    over.write_all(b"new").unwrap();
    assert!(over.write_at(b"elsewhere", 100).is_err());
    drop(over);
    // One that is refused before it has written anything, and goes on in another way, is not held back.
    let mut other = File::create(shown("other")).unwrap();
    assert!(other.set_len(100).is_err());
    other.write_all(b"in order").unwrap();
    drop(other);
    assert_eq!(server.get("data/other"), Some(b"in order".to_vec()));
    assert_eq!(File::options().write(true).open(shown("old")).unwrap_err().raw_os_error(), Some(95));
    eventually("nothing is left of what failed", || fs::read_dir(mounted.path()).unwrap().count() == 2);
    let said = mounted.unmount();
    assert!(said.contains("copy it elsewhere") && !said.contains("TRUNCATE"), "{said}");
    for name in ["sought", "sought2", "new.db", "partly"] {
        assert_eq!(server.get(&format!("data/{name}")), None, "{name}");
    }
    assert_eq!(server.get("data/old"), Some(b"old content".to_vec()));
}

fn command_in(command: &mut Command, folder: &Path) -> Command {
    command.current_dir(folder);
    std::mem::replace(command, Command::new("true"))
}

#[test]
fn a_server_that_dies_is_an_error_and_the_folder_is_unmounted_all_the_same() {
    if !can_mount() {
        return;
    }
    let Some(server) = S3::moto() else { return };
    server.put("data/file", b"content");
    let (folder, at) = (tempdir().unwrap(), tempdir().unwrap());
    let options = ["--write", "--timeout", "5s", "--cache-time", "0ms"];
    let mounted = Mounted::by(to(&server, &folder, &options), at.path(), &server.descriptor("data"));
    // It fails if the close of its output does.
    let mut cat = program("sh", &["-c", "exec cat > new"])
        .current_dir(mounted.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    cat.stdin.as_mut().unwrap().write_all(b"to be sent").unwrap();
    eventually("it has written", || {
        fs::metadata(mounted.path().join("new")).is_ok_and(|new| new.len() == 10)
    });
    drop(server);
    let begun = Instant::now();
    // What was written is sent when it is closed, which says that it is not there.
    drop(cat.stdin.take());
    assert!(!cat.wait().unwrap().success());
    assert!(fs::read(mounted.path().join("file")).is_err());
    assert!(fs::read_dir(mounted.path()).is_err());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    mounted.unmount();
}

/// Closes a file, and gives what came of it, which std's own close does not: a copy of its descriptor is asked afterwards.
fn closed(file: File) -> std::io::Result<()> {
    let copy = rustix::io::dup(&file)?;
    drop(file);
    Ok(rustix::fs::fsync(&copy)?)
}
