//! What becomes of a reader when its server, its connection or its file does not stay.

use crate::common::*;
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};
use vfs_core::{Capabilities, Code, Kind, OpenFile, OpenFlags, OpenOptions};
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::pattern;

/// Reads some, lets something happen, and reads the rest.
fn interrupted(
    mut server: SshServer,
    flags: OpenFlags,
    happens: impl FnOnce(&mut SshServer),
) -> (Vec<u8>, Option<vfs_core::Error>) {
    let registry = knowing(&server);
    let mut file = open(&registry, &server.sftp("large"), flags).unwrap();
    let mut some = vec![0; 1 << 20];
    let count = file.read(&mut some).unwrap();
    happens(&mut server);
    let (rest, error) = in_time(move || drain(&mut file));
    some.truncate(count);
    some.extend(rest);
    are_right(&some, 0);
    (some, error)
}

#[test]
fn a_lost_connection_is_replaced_and_the_file_read_on() {
    for flags in [READ, READ | OpenFlags::SEQUENTIAL, READ | OpenFlags::RANDOM] {
        let Some(server) = with_large_file() else { return };
        let (bytes, error) = interrupted(server, flags, |server| server.signal(Signal::KILL));
        assert!(error.is_none(), "{error:?}");
        assert_eq!(bytes.len() as u64, LARGE, "the end came at the wrong place");
    }
}

#[test]
fn a_server_that_is_gone_is_an_error_and_no_end() {
    let Some(server) = with_large_file() else { return };
    let (bytes, error) = interrupted(server, READ, SshServer::end);
    let error = error.expect("a killed source was taken for an end");
    assert!([Code::ECONNREFUSED, Code::ECONNRESET].contains(&error.code()), "{}", error.chain());
    assert!((bytes.len() as u64) < LARGE);
}

#[test]
fn a_file_that_changed_while_the_connection_was_lost_is_estale() {
    let Some(server) = with_large_file() else { return };
    let (_, error) = interrupted(server, READ, |server| {
        server.signal(Signal::KILL);
        let file = File::options().write(true).open(server.root().join("large")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
    });
    assert_eq!(error.expect("another file was read on").code(), Code::ESTALE);
}

#[test]
fn a_file_that_was_cut_short_is_estale_and_no_end() {
    let Some(server) = with_large_file() else { return };
    let (_, error) = interrupted(server, READ, |server| {
        let file = File::options().write(true).open(server.root().join("large")).unwrap();
        file.set_len(LARGE / 2).unwrap();
    });
    let error = error.expect("the cut was taken for the end");
    assert!(error.code() == Code::ESTALE && error.chain().contains("had 50331648"), "{}", error.chain());
}

#[test]
fn reads_at_offsets_go_on_too() {
    let Some(mut server) = with_large_file() else { return };
    let registry = knowing(&server);
    let file = open(&registry, &server.sftp("large"), READ).unwrap();
    let read_at = |file: &OpenFile, offset: u64| {
        let mut buf = vec![0; 3 << 20];
        let count = file.read_at(&mut buf, offset).unwrap();
        are_right(&buf[..count], offset);
        assert!(count > 0);
    };
    read_at(&file, LARGE / 2);
    server.signal(Signal::KILL);
    read_at(&file, 12_345);
    assert_eq!(file.read_at(&mut [0; 100], LARGE + 5).unwrap(), 0);
}

/// OpenSSH's handles are binary numbers: from the 129th on they are no UTF-8, which one library took them for.
#[test]
fn more_files_are_open_at_once_than_handles_that_read_as_text() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = registry(&format!("{}, channels = 1", settings(&server)));
    let names: Vec<String> = (0..200).map(|number| format!("file-{number}")).collect();
    let mut files: Vec<OpenFile> = names
        .iter()
        .map(|name| {
            server.put(name, name.as_bytes());
            open(&registry, &server.sftp(name), READ).unwrap()
        })
        .collect();
    for (file, name) in files.iter_mut().zip(&names) {
        assert_eq!(drain(file).0, name.as_bytes());
    }
}

#[test]
fn names_that_are_no_utf_8_are_read_listed_and_removed() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    let name = OsStr::from_bytes(b"odd \xff name?");
    fs::write(server.root().join(name), b"content").unwrap();
    let descriptor = server.sftp("odd%20%FF%20name%3F");
    assert_eq!(fetch(&registry, &descriptor).unwrap(), b"content");
    let mut found = Vec::new();
    let options = OpenOptions::default();
    let listed = registry.names(&server.sftp(""), &options, &mut |entry| {
        found.push((entry.bytes.to_vec(), entry.stat.and_then(|stat| stat.size)));
        std::ops::ControlFlow::Continue(())
    });
    listed.unwrap();
    assert_eq!(found, [(name.as_bytes().to_vec(), Some(7))]);
    registry.remove(&descriptor, &options).unwrap();
    assert!(!server.root().join(name).exists());
}

/// A case report: it was told as a file that is not there.
#[test]
fn a_link_that_leads_to_itself_is_told_as_such() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    for (link, to) in [("self", "self"), ("ping", "pong"), ("pong", "ping")] {
        std::os::unix::fs::symlink(to, server.root().join(link)).unwrap();
    }
    let options = OpenOptions::default();
    for link in ["self", "ping"] {
        let descriptor = server.sftp(link);
        refused(open(&registry, &descriptor, READ), Code::ELOOP);
        refused(open(&registry, &descriptor, OpenFlags::WRITE | OpenFlags::CREATE), Code::ELOOP);
        let atomic = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::ATOMIC;
        refused(open(&registry, &descriptor, atomic), Code::ELOOP);
        refused(registry.stat(&descriptor, &options), Code::ELOOP);
        let listed = registry.names(&descriptor, &options, &mut |_| std::ops::ControlFlow::Continue(()));
        refused(listed, Code::ELOOP);
    }
    // It is a name like others.
    registry.remove(&server.sftp("self"), &options).unwrap();
}

#[test]
fn what_is_no_regular_file_is_refused_and_named() {
    let Some(server) = SshServer::openssh() else { return };
    let registry = knowing(&server);
    fs::create_dir(server.root().join("folder")).unwrap();
    zvfs_test_support::fifo(server.root().join("fifo"));
    std::os::unix::fs::symlink("nowhere", server.root().join("dangling")).unwrap();
    server.put("file", b"x");
    let options = OpenOptions::default();
    for (name, code) in [
        ("folder", Code::EISDIR),
        ("fifo", Code::EPROTONOSUPPORT),
        ("dangling", Code::ENOENT),
        ("absent", Code::ENOENT),
        ("file/below", Code::ENOENT),
    ] {
        refused(open(&registry, &server.sftp(name), READ), code);
    }
    let kind = |name: &str| registry.stat(&server.sftp(name), &options).unwrap().kind;
    assert_eq!((kind("folder"), kind("fifo"), kind("file")), (Kind::Directory, Kind::Stream, Kind::Regular));
    let list = |name: &str| {
        registry.names(&server.sftp(name), &options, &mut |_| std::ops::ControlFlow::Continue(()))
    };
    refused(list("file"), Code::ENOTDIR);
    refused(list("absent"), Code::ENOENT);
    refused(registry.remove(&server.sftp("folder"), &options), Code::EISDIR);
    assert!(server.root().join("folder").exists());
}

#[test]
fn a_path_below_the_users_home_is_relative() {
    let Some(server) = SshServer::asyncssh() else { return };
    let registry = knowing(&server);
    let home = server.sftp_of(std::path::Path::new("/~/"));
    let stat = registry.stat(&home, &OpenOptions::default()).unwrap();
    assert_eq!(stat.kind, Kind::Directory);
    refused(open(&registry, &format!("{home}nothing-of-that-name"), READ), Code::ENOENT);
}

#[test]
fn one_connection_serves_many_files_and_is_closed_when_nobody_uses_it() {
    let Some(mut server) = with_large_file() else { return };
    let registry = registry(&format!(r#"{}, idle-timeout = "20ms""#, settings(&server)));
    let mut files: Vec<OpenFile> =
        (0..10).map(|_| open(&registry, &server.sftp("large"), READ).unwrap()).collect();
    for file in &mut files {
        assert!(file.capabilities().contains(Capabilities::SEEKABLE));
        let mut buf = vec![0; 1000];
        let count = file.read(&mut buf).unwrap();
        assert!(pattern::bytes(0..count as u64) == buf[..count]);
    }
    assert_eq!(server.connections(), 1);
    drop(files);
    zvfs_test_support::eventually("no connection is left", || server.connections() == 0);
    assert_eq!(fetch(&registry, &server.sftp("large")).unwrap().len() as u64, LARGE);
}
