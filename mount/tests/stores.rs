//! `zvfs mount` of an object store: moto, as S3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Mounted, can_mount, program, succeeds};
use tempfile::{TempDir, tempdir};
use zvfs_engines::S3;
use zvfs_test_support::{built, have};

/// The command under an operator's file that leads to a server.
fn to(server: &S3, folder: &TempDir, options: &[&str]) -> Command {
    let config = folder.path().join("zvfs.toml");
    let text = format!(
        "provider-path = [{:?}]\n[provider.object]\nsettings = {{ {} }}\n",
        built(),
        server.settings()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-mount"));
    command.arg("--config").arg(config).arg("mount").args(options);
    command
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

#[test]
fn a_server_that_dies_is_an_error_and_the_folder_is_unmounted_all_the_same() {
    if !can_mount() {
        return;
    }
    let Some(server) = S3::moto() else { return };
    server.put("data/file", b"content");
    let (folder, at) = (tempdir().unwrap(), tempdir().unwrap());
    let options = ["--write", "--timeout", "2s", "--cache-time", "0ms"];
    let mounted = Mounted::by(to(&server, &folder, &options), at.path(), &server.descriptor("data"));
    let mut file = File::create(mounted.path().join("new")).unwrap();
    file.write_all(b"to be sent").unwrap();
    drop(server);
    let begun = Instant::now();
    // What was written is sent when it is closed, which says that it is not there.
    assert!(closed(file).is_err());
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
