//! `zvfs mount` of a tree with links, which lead out of it, back into it and nowhere: no program gets through one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use support::{Mounted, can_mount, program, succeeds};
use tempfile::{TempDir, tempdir};
use zvfs_engines::ssh::SshServer;
use zvfs_test_support::{have, run};

/// Puts a tree with links into a folder. What the links lead to that is outside.
fn plant(tree: &Path) -> TempDir {
    let outside = tempdir().unwrap();
    fs::write(outside.path().join("precious"), "precious\n").unwrap();
    fs::create_dir(outside.path().join("folder")).unwrap();
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b/file"), "needle\n").unwrap();
    symlink(outside.path(), tree.join("out")).unwrap();
    symlink(outside.path().join("precious"), tree.join("a/to-file")).unwrap();
    symlink(outside.path().join("absent"), tree.join("a/dangling")).unwrap();
    symlink("..", tree.join("a/b/up")).unwrap();
    symlink("../..", tree.join("a/b/top")).unwrap();
    outside
}

/// What is outside is as it was.
#[track_caller]
fn is_whole(outside: &Path) {
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious\n");
    assert!(outside.join("folder").is_dir());
    assert_eq!(fs::read_dir(outside).unwrap().count(), 2);
}

fn has_programs() -> bool {
    can_mount() && have(&["rm", "find", "tar", "grep", "mkdir", "sh"])
}

/// What holds for every provider whose folders have links, mounted to be written.
fn no_link_is_followed(mounted: Mounted, tree: &Path, outside: &Path) {
    let at = |name: &str| mounted.path().join(name);
    // None of the folders was listed before.
    for name in ["out", "out/precious", "a/to-file", "a/dangling", "a/b/up", "a/b/top/a/b/file"] {
        assert_eq!(fs::symlink_metadata(at(name)).unwrap_err().raw_os_error(), Some(2), "{name}");
    }
    let find = succeeds(program("find", &[".", "-mindepth", "1"]).current_dir(mounted.path()));
    let found = String::from_utf8(find.stdout).unwrap();
    let mut names: Vec<&str> = found.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["./a", "./a/b", "./a/b/file"]);
    let grep = succeeds(program("grep", &["-rl", "needle", "."]).current_dir(mounted.path()));
    assert_eq!(grep.stdout, b"./a/b/file\n");
    let archive = outside.with_extension("tar");
    succeeds(program("tar", &["-cf"]).arg(&archive).arg("-C").arg(mounted.path()).arg("."));
    let size = fs::metadata(&archive).unwrap().len();
    fs::remove_file(&archive).unwrap();
    assert!(size < 100_000, "{size} bytes");

    // By name, and as programs go about it that list first.
    for script in
        ["rm -rf out", "rm -rf a/b/top", "find out -delete", "rm -rf ./*", "find . -mindepth 1 -delete"]
    {
        run({
            let mut command = program("sh", &["-c", script]);
            command.current_dir(mounted.path());
            command
        })
        .unwrap();
        is_whole(outside);
    }
    // Nor is anything made where one is.
    for name in ["a/to-file", "a/dangling", "out"] {
        assert_eq!(fs::write(at(name), "new").unwrap_err().raw_os_error(), Some(17), "{name}");
        assert_eq!(fs::create_dir(at(name)).unwrap_err().raw_os_error(), Some(17), "{name}");
        assert!(fs::remove_file(at(name)).is_err() && fs::remove_dir(at(name)).is_err(), "{name}");
        assert!(tree.join(name).is_symlink(), "{name}");
    }
    is_whole(outside);
    // One that leads to a folder and is put in a file's place.
    fs::write(at("replaced"), "file").unwrap();
    assert!(at("replaced").exists());
    fs::remove_file(tree.join("replaced")).unwrap();
    symlink(outside, tree.join("replaced")).unwrap();
    assert!(!at("replaced").exists() && !at("replaced/precious").exists());
    let said = mounted.unmount();
    assert!(said.contains("left out 1 names: links"), "{said}");
}

#[test]
fn no_link_of_a_folder_is_followed() {
    if !has_programs() {
        return;
    }
    let tree = tempdir().unwrap();
    let outside = plant(tree.path());
    let options = ["--write", "--cache-time", "0ms"];
    no_link_is_followed(Mounted::of(&tree.path().to_string_lossy(), &options), tree.path(), outside.path());
}

#[test]
fn no_link_of_an_sftp_server_is_followed() {
    if !has_programs() {
        return;
    }
    let Some(server) = SshServer::openssh() else { return };
    let outside = plant(&server.root());
    let (config, at) = (tempdir().unwrap(), tempdir().unwrap());
    let options = ["--write", "--cache-time", "0ms"];
    let mounted = Mounted::sftp(&server, config.path(), at.path(), &options);
    // Found: a time that SFTP has not was an error, which made cp -p and tar fail.
    let old = outside.path().join("of-1965");
    fs::write(&old, "content").unwrap();
    succeeds(program("touch", &["-d", "1965-01-01 00:00 UTC"]).arg(&old));
    succeeds(program("cp", &["-p"]).arg(&old).arg(mounted.path().join("of-1965")));
    succeeds(program("touch", &["-d", "1965-01-01 00:00 UTC"]).arg(mounted.path().join("of-1965")));
    assert_eq!(fs::read(server.root().join("of-1965")).unwrap(), b"content");
    fs::remove_file(mounted.path().join("of-1965")).unwrap();
    fs::remove_file(&old).unwrap();
    no_link_is_followed(mounted, &server.root(), outside.path());
}

#[test]
fn a_folder_with_links_is_listed_once_while_that_counts() {
    if !has_programs() {
        return;
    }
    let tree = tempdir().unwrap();
    let outside = plant(tree.path());
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write", "--cache-time", "1h"]);
    assert!(!mounted.path().join("out").exists());
    assert!(fs::read(mounted.path().join("a/b/file")).unwrap() == b"needle\n");
    // What the mounted folder's own programs make is no link.
    fs::write(mounted.path().join("a/new"), "new").unwrap();
    fs::create_dir(mounted.path().join("a/made")).unwrap();
    assert!(mounted.path().join("a/made").is_dir() && mounted.path().join("a/new").is_file());
    // A link that came since.
    symlink(outside.path(), tree.path().join("a/late")).unwrap();
    assert!(!mounted.path().join("a/late").exists());
    // One in the place of a folder that was listed: what it leads to was shown for as long as that counts.
    fs::rename(tree.path().join("a/b"), tree.path().join("a/moved")).unwrap();
    symlink(outside.path(), tree.path().join("a/b")).unwrap();
    assert!(!mounted.path().join("a/b/precious").exists());
    assert!(fs::read_dir(mounted.path().join("a/b")).map_or(0, Iterator::count) < 2);
    mounted.unmount();
    is_whole(outside.path());
}
