//! Host keys: known, unknown, changed, revoked.

use crate::common::*;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use vfs_core::Code;
use zvfs_engines::ssh::SshServer;
use zvfs_test_support::succeeded;

fn server() -> Option<SshServer> {
    let server = SshServer::openssh()?;
    server.put("x", b"content");
    Some(server)
}

/// What a host is told of a file of known hosts with these lines.
fn with_lines(server: &SshServer, lines: &str) -> vfs_core::Result<Vec<u8>> {
    let file = server.write("some_hosts", lines);
    fetch(&registry(&with_key(&file, &server.key_file())), &server.sftp("x"))
}

#[test]
fn an_unknown_key_is_refused_until_the_line_that_the_error_names_is_added() {
    let Some(server) = server() else { return };
    let file = server.write("some_hosts", "");
    let registry = registry(&with_key(&file, &server.key_file()));
    let error = refused(fetch(&registry, &server.sftp("x")), Code::EACCES).chain();
    let line = server.host_key_line("ed25519");
    for words in ["SHA256:", file.to_str().unwrap(), line.trim()] {
        assert!(error.contains(words), "no `{words}` in {error}");
    }
    fs::write(&file, line).unwrap();
    assert_eq!(fetch(&registry, &server.sftp("x")).unwrap(), b"content");
}

#[test]
fn a_file_of_known_hosts_that_is_not_there_knows_nobody() {
    let Some(server) = server() else { return };
    let absent = server.folder().join("absent");
    let registry = registry(&with_key(&absent, &server.key_file()));
    let error = refused(fetch(&registry, &server.sftp("x")), Code::EACCES).chain();
    assert!(error.contains(absent.to_str().unwrap()), "{error}");
}

#[test]
fn another_key_than_the_known_one_is_refused() {
    let Some(server) = server() else { return };
    let other = server.new_key("ed25519", "other");
    let other = fs::read_to_string(other.with_extension("pub")).unwrap();
    let error =
        refused(with_lines(&server, &format!("[127.0.0.1]:{} {other}", server.port())), Code::EACCES).chain();
    assert!(error.contains("has changed") && error.contains("line 1 of"), "{error}");
}

#[test]
fn a_revoked_key_is_refused() {
    let Some(server) = server() else { return };
    let line = server.host_key_line("ed25519");
    let error = refused(with_lines(&server, &format!("{line}@revoked {line}")), Code::EACCES).chain();
    assert!(error.contains("revoked by line 2"), "{error}");
}

/// OpenSSH prefers its Ed25519 key, which a host that knows the other one only would not know.
#[test]
fn the_key_that_is_known_is_the_one_that_is_asked_for() {
    let Some(server) = server() else { return };
    assert_eq!(with_lines(&server, &server.host_key_line("ecdsa")).unwrap(), b"content");
}

/// A server of which only the RSA key was known had changed its key, as it seemed; one that had no other was not understood.
#[test]
fn a_servers_rsa_key_is_known_too() {
    let Some(mut server) = server() else { return };
    server.end();
    for name in ["host_ecdsa", "host_ecdsa.pub"] {
        fs::remove_file(server.folder().join(name)).unwrap();
    }
    server.new_key("rsa", "host_ecdsa");
    server.start_again();
    let line = server.host_key_line("ecdsa");
    assert!(line.contains(" ssh-rsa "), "{line}");
    // Its Ed25519 key comes first, unless the other one is known.
    assert_eq!(with_lines(&server, &line).unwrap(), b"content");
    server.end();
    fs::remove_file(server.folder().join("host_ed25519")).unwrap();
    server.start_again();
    let error = refused(with_lines(&server, ""), Code::EACCES).chain();
    assert!(error.contains(line.trim()), "{error}");
    assert_eq!(with_lines(&server, &line).unwrap(), b"content");
}

#[test]
fn hashed_names_are_known() {
    let Some(server) = server() else { return };
    let file = server.known_hosts();
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-H", "-f"]).arg(&file);
    succeeded(command);
    let lines = fs::read_to_string(file).unwrap();
    assert!(!lines.contains("127.0.0.1"));
    assert_eq!(with_lines(&server, &lines).unwrap(), b"content");
}

#[test]
fn the_first_key_is_trusted_if_the_operator_says_so_and_no_other_one_after_it() {
    let Some(mut server) = server() else { return };
    let key = server.key_file();
    let nobody = server.write("some_hosts", "");
    let settings =
        format!(r#"{}, unknown-hosts = "trust-first", retry-delay = "1ms""#, with_key(&nobody, &key));
    let registry = registry(&settings);
    assert_eq!(fetch(&registry, &server.sftp("x")).unwrap(), b"content");
    assert_eq!(fs::read_to_string(&nobody).unwrap(), "", "it was written down");
    server.end();
    for kind in ["ed25519", "ecdsa"] {
        for name in [format!("host_{kind}"), format!("host_{kind}.pub")] {
            fs::remove_file(server.folder().join(name)).unwrap();
        }
        server.new_key(kind, &format!("host_{kind}"));
    }
    server.start_again();
    let error = refused(fetch(&registry, &server.sftp("x")), Code::EACCES).chain();
    assert!(error.contains("another than the first"), "{error}");
}

#[test]
fn what_is_no_ssh_server_is_said() {
    let Some(server) = server() else { return };
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap();
    thread::spawn(move || web.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let once = registry(&format!("{}, retries = 0", settings(&server)));
    let error = refused(fetch(&once, &format!("sftp://me@{address}/x")), Code::ECONNRESET).chain();
    assert!(error.contains("is it an SSH server"), "{error}");
}
