//! What becomes of a writer: whole or absent with ATOMIC, and nothing lost silently in place.

use crate::common::*;
use rustix::process::Signal;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};
use vfs_core::{Code, Finish, Flush, OpenFile, OpenFlags};
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::pattern;
use zvfs_test_support::{SmallDisk, built, command, eventually, run};

/// Writes more than fits under way, lets something happen, and writes on until it fails or commits.
fn interrupted(
    mut file: OpenFile,
    server: &mut SshServer,
    happens: impl FnOnce(&mut SshServer),
) -> Option<vfs_core::Error> {
    let piece = pattern::bytes(0..1 << 20);
    file.write_all(&piece).unwrap();
    happens(server);
    let outcome = in_time(move || {
        for _ in 1..LARGE >> 20 {
            file.write_all(&piece)?;
        }
        file.finish(Finish::Commit)
    });
    outcome.err()
}

#[test]
fn a_connection_that_is_lost_in_an_upload_fails_it_and_leaves_nothing() {
    let Some(mut server) = SshServer::openssh() else { return };
    server.put("taken", b"old");
    let registry = knowing(&server);
    for name in ["taken", "new"] {
        let file = open(&registry, &server.sftp(name), ATOMIC).unwrap();
        let error = interrupted(file, &mut server, |server| server.signal(Signal::KILL));
        assert_eq!(error.expect("a half upload was committed").code(), Code::ECONNRESET);
    }
    eventually("the hidden files are gone", || names(&server) == ["taken"]);
    assert_eq!(fs::read(server.root().join("taken")).unwrap(), b"old");
    // The instance goes on.
    store(&registry, &server.sftp("new"), ATOMIC, b"whole").unwrap();
    assert_eq!(fs::read(server.root().join("new")).unwrap(), b"whole");
}

#[test]
fn a_server_that_is_gone_fails_an_upload() {
    for flags in [ATOMIC, REPLACE] {
        let Some(mut server) = SshServer::openssh() else { return };
        let file = open(&knowing(&server), &server.sftp("new"), flags).unwrap();
        let error = interrupted(file, &mut server, SshServer::end).expect("nobody took it");
        assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
    }
}

#[test]
fn what_is_written_elsewhere_than_at_its_end_arrives() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    let mut file = open(&registry, &server.sftp("new"), ATOMIC).unwrap();
    let outcome = in_time(move || {
        file.write_all(b"0123456789")?;
        file.seek(std::io::SeekFrom::Start(3))?;
        file.write_all(b"abc")?;
        file.write_at(b"Z", 20)?;
        file.flush(Flush::Sync)?;
        file.truncate(22)?;
        assert_eq!(file.stat()?.size, Some(22));
        file.finish(Finish::Commit)
    });
    outcome.unwrap();
    let content = fs::read(server.root().join("new")).unwrap();
    assert_eq!(content, b"012abc6789\0\0\0\0\0\0\0\0\0\0Z\0");
}

#[test]
fn a_replaced_file_keeps_its_permissions_and_a_link_its_target() {
    let Some(server) = SshServer::openssh() else { return };
    server.put("file", b"old");
    let path = server.root().join("file");
    fs::set_permissions(&path, Permissions::from_mode(0o4751)).unwrap();
    symlink("file", server.root().join("link")).unwrap();
    store(&knowing(&server), &server.sftp("link"), ATOMIC, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o751);
    assert!(fs::symlink_metadata(server.root().join("link")).unwrap().is_symlink());
    assert_eq!(names(&server), ["file", "link"]);
}

#[test]
fn what_can_only_be_written_in_place_says_so() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    zvfs_test_support::fifo(server.root().join("fifo"));
    fs::create_dir(server.root().join("folder")).unwrap();
    let error = refused(open(&registry, &server.sftp("fifo"), ATOMIC), Code::ENOTSUP).chain();
    assert!(error.contains("in place"), "{error}");
    refused(open(&registry, &server.sftp("folder"), ATOMIC), Code::EISDIR);
    let error = refused(open(&registry, &server.sftp("no/folder"), ATOMIC), Code::ENOENT).chain();
    assert!(error.contains("its folder does not exist"), "{error}");
    refused(open(&registry, &server.sftp("no/folder"), REPLACE), Code::ENOENT);
    refused(open(&registry, &server.sftp("absent"), ATOMIC.without(OpenFlags::CREATE)), Code::ENOENT);
}

#[test]
fn a_name_that_is_too_long_says_so_at_once() {
    let Some(server) = SshServer::openssh() else { return };
    let (registry, descriptor) = (knowing(&server), server.sftp(&"x".repeat(300)));
    for flags in [READ, REPLACE, ATOMIC] {
        refused(open(&registry, &descriptor, flags), Code::ENAMETOOLONG);
    }
    assert_eq!(names(&server), Vec::<String>::new());
}

#[test]
fn a_name_that_was_taken_meanwhile_is_not_replaced_by_who_was_to_make_it() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    let mut file = open(&registry, &server.sftp("new"), ATOMIC | OpenFlags::EXCLUSIVE).unwrap();
    let outcome = {
        let root = server.root();
        in_time(move || {
            file.write_all(b"mine")?;
            fs::write(root.join("new"), b"theirs").unwrap();
            file.finish(Finish::Commit)
        })
    };
    refused(outcome, Code::EEXIST);
    assert_eq!(fs::read(server.root().join("new")).unwrap(), b"theirs");
    eventually("the hidden file is gone", || names(&server) == ["new"]);
}

#[test]
fn a_hidden_file_that_is_a_day_old_is_swept_and_a_younger_one_is_not() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    for (hidden, hours) in [(".new.zvfs-0", 30), (".new.zvfs-1", 20)] {
        server.put(hidden, b"left behind");
        let file = File::options().write(true).open(server.root().join(hidden)).unwrap();
        // Its access too: a file whose own time was set to an older one is no leftover yet.
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        file.set_times(FileTimes::new().set_accessed(then).set_modified(then)).unwrap();
    }
    let first = open(&registry, &server.sftp("new"), ATOMIC).unwrap();
    let second = open(&registry, &server.sftp("new"), ATOMIC).unwrap();
    assert_eq!(names(&server), [".new.zvfs-0", ".new.zvfs-1", ".new.zvfs-2"]);
    assert_eq!(fs::read(server.root().join(".new.zvfs-1")).unwrap(), b"left behind");
    drop((first, second));
    eventually("only the younger one is left", || names(&server) == [".new.zvfs-1"]);
}

#[test]
fn what_was_taken_before_a_close_in_place_is_written() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    let mut file = open(&registry, &server.sftp("new"), REPLACE).unwrap();
    let content = pattern::bytes(0..3_000_000);
    let bytes = content.clone();
    in_time(move || file.write_all(&bytes)).unwrap();
    eventually("all of it is there", || fs::read(server.root().join("new")).unwrap() == content);
}

#[test]
fn a_full_disk_is_enospc_and_leaves_no_partial_file() {
    for server in [SshServer::openssh, SshServer::asyncssh] {
        let Some(server) = server() else { return };
        let folder = server.root().join("disk");
        fs::create_dir(&folder).unwrap();
        let Some(_disk) = SmallDisk::mount(&folder, "1m") else { return };
        let registry = knowing(&server);
        for flags in [ATOMIC, REPLACE] {
            let content = pattern::bytes(0..3 << 20);
            let error = refused(store(&registry, &server.sftp("disk/new"), flags, &content), Code::ENOSPC);
            let text = error.chain();
            let path = folder.join("new").display().to_string();
            assert!(text.contains("no space left") && text.contains(&path), "{text}");
            if flags == ATOMIC {
                eventually("the hidden file is gone", || fs::read_dir(&folder).unwrap().count() == 0);
            }
        }
    }
}

#[test]
fn a_discarded_upload_leaves_nothing() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    let mut file = open(&registry, &server.sftp("new"), ATOMIC).unwrap();
    in_time(move || {
        file.write_all(&pattern::bytes(0..1 << 20)).unwrap();
        file.finish(Finish::Discard).unwrap();
    });
    assert_eq!(names(&server), [""; 0]);
}

/// A stranger's report: the server had refused to remove the hidden file, and DISCARD was a success.
#[test]
fn a_hidden_file_that_cannot_be_removed_is_told() {
    for server in [SshServer::openssh, SshServer::asyncssh] {
        let Some(server) = server() else { return };
        let registry = knowing(&server);
        let hidden = server.root().join(".new.zvfs-0");
        let discard = || {
            let mut file = open(&registry, &server.sftp("new"), ATOMIC).unwrap();
            let name = hidden.clone();
            let discarded = in_time(move || {
                file.write_all(b"half").unwrap();
                // Its name is a folder's now, which is removed by no such request.
                fs::remove_file(&name).unwrap();
                fs::create_dir(&name).unwrap();
                file.finish(Finish::Discard)
            });
            fs::remove_dir(&hidden).unwrap();
            refused(discarded, Code::EIO).chain()
        };
        // On a busy machine the answer may take longer than a DISCARD waits for it, and that is said instead.
        let mut said = (0..5).map(|_| discard());
        let error = said.find(|error| !error.contains("does not say within")).expect("five were too late");
        assert!(error.contains(".new.zvfs-0 is left, since the server does not remove it"), "{error}");
    }
}

/// A review's finding: the refusal came with COMMIT, when all was sent, and `zvfs mv` and programs over a mount lost the file.
#[test]
fn a_server_that_sets_no_times_says_so_at_once_and_the_file_is_written_without() {
    let Some(server) = SshServer::without_changes() else { return };
    let registry = knowing(&server);
    for (name, flags) in [("whole", ATOMIC), ("in-place", REPLACE)] {
        let mut file = open(&registry, &server.sftp(name), flags).unwrap();
        let (set, written) = in_time(move || {
            let set = file.set_modified(SystemTime::UNIX_EPOCH);
            (set, file.write_all(b"content").and_then(|()| file.finish(Finish::Commit)))
        });
        let error = refused(set, Code::ENOTSUP).chain();
        assert!(error.contains("the server sets no time of what is written"), "{error}");
        written.unwrap();
        assert_eq!(fs::read(server.root().join(name)).unwrap(), b"content");
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, b"moved").unwrap();
    let source = source.to_str().unwrap();
    let kept = zvfs(&server, folder.path(), &["cp", "--preserve", source, &server.sftp("copied")]);
    assert_eq!(kept.status.code(), Some(95), "{kept:?}");
    let moved = zvfs(&server, folder.path(), &["mv", source, &server.sftp("moved")]);
    assert!(moved.status.success(), "{moved:?}");
    assert_eq!(fs::read(server.root().join("moved")).unwrap(), b"moved");
    // A stranger's report: nor does it cut a file, and a copy in place failed when all was written.
    for content in [&b"longer than it was"[..], b"moved", b"cut"] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::write(&source, content).unwrap();
        let cp = ["cp", "--in-place", source.to_str().unwrap(), &server.sftp("moved")];
        let copied = zvfs(&server, folder.path(), &cp);
        assert!(copied.status.success(), "{copied:?}");
        assert_eq!(fs::read(server.root().join("moved")).unwrap(), content);
    }
    eventually("the hidden file is gone", || names(&server) == ["in-place", "moved", "whole"]);
}

/// Runs the command, with files for itself in a folder, for a server that it knows.
fn zvfs(server: &SshServer, folder: &Path, arguments: &[&str]) -> Output {
    let file = folder.join("zvfs.toml");
    let configuration = format!("[provider.file]\n[provider.sftp]\nsettings = {{ {} }}\n", settings(server));
    fs::write(&file, configuration).unwrap();
    let mut zvfs = Command::new(command());
    zvfs.env_remove("ZVFS_CONFIG").arg("--config").arg(file).arg("--provider-path").arg(built());
    zvfs.args(arguments);
    run(zvfs).unwrap()
}

/// An upload that broke is gone on with, as nobody could before: what the server has of it is read back, and not sent again.
#[test]
fn the_commands_copy_goes_on_with_what_a_broken_upload_left() {
    let Some(server) = SshServer::openssh() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let content = pattern::bytes(0..4_000_000);
    fs::write(path("source"), &content).unwrap();
    // Of pieces on their way at once, one is lost before another arrives.
    let left = [&content[..2_500_000], &[0; 32_768][..], &content[2_532_768..3_000_000]].concat();
    server.put("target", &left);
    let cp = ["cp", "--partial", "--in-place", &path("source"), &server.sftp("target")];
    let done = zvfs(&server, folder.path(), &cp);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("goes on after the 2.38 MiB"), "{said}");
    assert!(fs::read(server.root().join("target")).unwrap() == content);
    assert_eq!(names(&server), ["target"]);
}
