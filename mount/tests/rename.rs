//! Renames, and files that are read while they are made: what editors, git and rsync do in a folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use support::{Mounted, can_mount, configured, program, succeeds};
use tempfile::tempdir;
use zvfs_engines::S3;
use zvfs_engines::ssh::SshServer;
use zvfs_test_support::{eventually, have};

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// What holds wherever files can be written as a whole.
fn renames(mounted: &Path) {
    let at = |name: &str| mounted.join(name);
    fs::create_dir(at("sub")).unwrap();
    fs::write(at("one"), "1").unwrap();
    fs::rename(at("one"), at("two")).unwrap();
    assert_eq!((at("one").exists(), text(&at("two"))), (false, "1".to_owned()));
    // Over another one, and with a file that is open under the old name.
    fs::write(at("sub/old"), "the old content").unwrap();
    let mut open = File::open(at("two")).unwrap();
    fs::rename(at("two"), at("sub/old")).unwrap();
    assert_eq!((at("two").exists(), text(&at("sub/old"))), (false, "1".to_owned()));
    let mut read = String::new();
    open.read_to_string(&mut read).unwrap();
    assert_eq!((read.as_str(), open.metadata().unwrap().len()), ("1", 1));
    // As Python's and others' recipes for a file that is there as a whole have it: the rename comes before the close.
    let mut file = File::create(at("new")).unwrap();
    file.write_all(b"renamed, then closed").unwrap();
    fs::rename(at("new"), at("sub/old")).unwrap();
    drop(file);
    assert_eq!((at("new").exists(), text(&at("sub/old"))), (false, "renamed, then closed".to_owned()));

    let error = fs::rename(at("none"), at("two")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    fs::create_dir(at("folder")).unwrap();
    let error = fs::rename(at("sub/old"), at("folder")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    // mv then copies.
    let error = fs::rename(at("sub"), at("other")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CrossesDevices);
    let exchange = renameat_with(CWD, at("sub/old"), CWD, at("sub/none"), RenameFlags::EXCHANGE);
    assert!(exchange.is_err());
    assert_eq!(text(&at("sub/old")), "renamed, then closed");
}

#[test]
fn files_are_renamed() {
    if !can_mount() {
        return;
    }
    let tree = tempdir().unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    renames(mounted.path());
    let (at, there) = (|name: &str| mounted.path().join(name), |name: &str| tree.path().join(name));
    assert_eq!(text(&there("sub/old")), "renamed, then closed");
    fs::write(at("taken"), "taken").unwrap();
    let new = |to: &str| renameat_with(CWD, at("sub/old"), CWD, at(to), RenameFlags::NOREPLACE);
    assert!(new("taken").is_err());
    assert_eq!(text(&there("taken")), "taken");
    new("free").unwrap();
    assert_eq!(text(&there("free")), "renamed, then closed");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(at("free")).unwrap().set_modified(long_ago).unwrap();
    fs::rename(at("free"), at("kept")).unwrap();
    assert_eq!(fs::metadata(at("kept")).unwrap().modified().unwrap(), long_ago);
    assert_eq!(fs::metadata(there("kept")).unwrap().modified().unwrap(), long_ago);
    // One of two names of a file, at the provider, has no content of its own to be replaced: neither is lost.
    fs::hard_link(there("kept"), there("second")).unwrap();
    let error = fs::rename(at("taken"), at("second")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CrossesDevices);
    assert_eq!(
        (text(&there("kept")).as_str(), text(&there("taken")).as_str()),
        ("renamed, then closed", "taken")
    );
    mounted.unmount();
}

#[test]
fn files_of_servers_are_renamed() {
    if !can_mount() {
        return;
    }
    if let Some(server) = SshServer::openssh() {
        let (config, at) = (tempdir().unwrap(), tempdir().unwrap());
        let mounted = Mounted::sftp(&server, config.path(), at.path(), &["--write"]);
        renames(mounted.path());
        assert_eq!(text(&server.root().join("sub/old")), "renamed, then closed");
        mounted.unmount();
    }
    let Some(server) = S3::moto() else { return };
    server.put("data/there", b"there");
    let (config, at) = (tempdir().unwrap(), tempdir().unwrap());
    let command = configured(config.path(), "object", &server.settings(), &["--write"]);
    let mounted = Mounted::by(command, at.path(), &server.descriptor("data"));
    renames(mounted.path());
    assert_eq!(server.get("data/sub/old"), Some(b"renamed, then closed".to_vec()));
    assert_eq!(server.get("data/new"), None);
    mounted.unmount();
}

/// git renames each object, index and reference into its place; sed and vim write a new file and rename it.
#[test]
fn editors_and_git_work_in_a_folder() {
    if !can_mount() || !have(&["git", "sed"]) {
        return;
    }
    let tree = tempdir().unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    let repository = mounted.path().join("repository");
    fs::create_dir(&repository).unwrap();
    let git = |arguments: &[&str]| {
        let mut git =
            program("git", &["-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@b"]);
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        succeeds(git.args(arguments).current_dir(&repository))
    };
    git(&["init", "-q"]);
    for number in 0..3 {
        fs::write(repository.join("file"), format!("{number}\n").repeat(1000)).unwrap();
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one more"]);
    }
    git(&["branch", "-m", "another"]);
    git(&["gc", "-q"]);
    git(&["fsck", "--strict"]);
    assert!(git(&["status", "--porcelain"]).stdout.is_empty());
    let log = git(&["log", "--format=%s"]);
    assert_eq!(log.stdout, b"one more\n".repeat(3));
    succeeds(program("sed", &["-i", "s/2/edited/", "file"]).current_dir(&repository));
    assert_eq!(text(&tree.path().join("repository/file")), "edited\n".repeat(1000));
    if have(&["vim"]) {
        let change = ["-u", "NONE", "-i", "NONE", "-es", "-c", "set backup backupcopy=no", "-c"];
        let mut vim = program("vim", &change);
        vim.args(["call setline(1, 'by vim')", "-c", "wq", "file"]).stdin(Stdio::null());
        succeeds(vim.current_dir(&repository));
        assert!(text(&tree.path().join("repository/file")).starts_with("by vim\nedited\n"));
    }
    mounted.unmount();
}

/// A file with rsync's own name first, then with the right one; or changed where it is, block by block.
#[test]
fn rsync_has_its_files_in_a_folder() {
    if !can_mount() || !have(&["rsync", "diff"]) {
        return;
    }
    let (tree, source) = (tempdir().unwrap(), tempdir().unwrap());
    let mut large: Vec<u8> =
        (0..1_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::create_dir(source.path().join("sub")).unwrap();
    for number in 0..20 {
        fs::write(source.path().join(format!("sub/{number}")), format!("{number}")).unwrap();
    }
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write", "--cache-time", "0ms"]);
    let from = format!("{}/", source.path().display());
    for (change, options) in [&["-a"][..], &["-a", "--inplace"]].iter().enumerate() {
        let to = format!("{}/{change}/", mounted.path().display());
        for place in [None, Some(2_000_000)] {
            if let Some(place) = place {
                large[place] = large[place].wrapping_add(1);
                fs::write(source.path().join("sub/7"), "changed").unwrap();
            }
            fs::write(source.path().join("large"), &large).unwrap();
            succeeds(program("rsync", options).args(["--checksum", "--no-whole-file", &from, &to]));
            succeeds(program("diff", &["-r", &from]).arg(tree.path().join(change.to_string())));
        }
        let again = succeeds(program("rsync", options).args(["--itemize-changes", &from, &to]));
        assert_eq!(String::from_utf8(again.stdout).unwrap(), "", "their times are kept");
    }
    mounted.unmount();
}

#[test]
fn what_is_being_made_is_read_in_the_folder_and_nowhere_else() {
    if !can_mount() || !have(&["sh", "cat"]) {
        return;
    }
    let tree = tempdir().unwrap();
    fs::write(tree.path().join("old"), "old").unwrap();
    let mounted = Mounted::of(&tree.path().to_string_lossy(), &["--write"]);
    for name in ["new", "old"] {
        let (at, there) = (mounted.path().join(name), tree.path().join(name));
        let mut writer = File::create(&at).unwrap();
        writer.write_all(b"one ").unwrap();
        let mut reader = File::open(&at).unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "one ", "{name}");
        assert_eq!(fs::read(&there).unwrap_or_default(), if name == "old" { "old" } else { "" }.as_bytes());
        writer.write_all(b"two ").unwrap();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!((read.as_str(), text(&at).as_str()), ("one two ", "one two "), "{name}");
        drop(writer);
        // What is read on is the file that came of it.
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "one two ");
        assert_eq!((text(&there).as_str(), text(&at).as_str()), ("one two ", "one two "), "{name}");
    }
    // One whose writer was killed never comes to be.
    let at = mounted.path().join("killed");
    let mut writer =
        program("sh", &["-c", "exec cat > \"$1\"", "sh"]).arg(&at).stdin(Stdio::piped()).spawn().unwrap();
    writer.stdin.as_mut().unwrap().write_all(b"half").unwrap();
    eventually("the program has written", || fs::metadata(&at).is_ok_and(|known| known.len() == 4));
    let mut reader = File::open(&at).unwrap();
    let mut half = [0; 4];
    reader.read_exact(&mut half).unwrap();
    assert_eq!(&half, b"half");
    writer.kill().unwrap();
    writer.wait().unwrap();
    eventually("the reader hears of it", || reader.read(&mut [0]).is_err());
    drop(reader);
    let said = mounted.unmount();
    assert!(said.contains("ended by a signal"), "{said}");
    assert!(!tree.path().join("killed").exists());
}
