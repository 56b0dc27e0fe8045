//! Keys, agents and passwords, good and bad.

use crate::common::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vfs_core::Code;
use zvfs_engines::ssh::{PASSWORD, SshServer};
use zvfs_http_servers::Process;
use zvfs_test_support::{eventually, succeeded};

fn openssh() -> Option<SshServer> {
    let server = SshServer::openssh()?;
    server.put("x", b"content");
    Some(server)
}

fn asyncssh() -> Option<SshServer> {
    let server = SshServer::asyncssh()?;
    server.put("x", b"content");
    Some(server)
}

/// A host that knows the server, with further settings.
fn with(server: &SshServer, settings: &str) -> vfs_core::Registry {
    let known = server.known_hosts();
    registry(&format!("known-hosts = [{known:?}], {settings}"))
}

/// A file for a secret, which nobody else can read.
fn secret(server: &SshServer, name: &str, text: &str) -> PathBuf {
    let path = server.write(name, text);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_key_that_the_server_does_not_take_is_refused_and_the_error_says_what_was_tried() {
    let Some(server) = openssh() else { return };
    let other = server.new_key("ed25519", "other");
    let error =
        refused(fetch(&with(&server, &format!("key-file = {other:?}")), &server.sftp("x")), Code::EACCES)
            .chain();
    for words in ["refuses the key of `key-file`", server.user(), "accepts publickey"] {
        assert!(error.contains(words), "no `{words}` in {error}");
    }
    // A refusal does not spoil the next one, nor another instance.
    assert_eq!(fetch(&knowing(&server), &server.sftp("x")).unwrap(), b"content");
}

#[test]
fn without_anything_to_log_in_with_the_error_says_what_to_set() {
    let Some(server) = openssh() else { return };
    let error = refused(fetch(&with(&server, ""), &server.sftp("x")), Code::EACCES).chain();
    assert!(error.contains("set `key-file`, `agent` or `password`"), "{error}");
}

#[test]
fn the_user_is_the_descriptors_or_the_settings() {
    let Some(server) = openssh() else { return };
    let nobody = server.sftp("x").replace(&format!("{}@", server.user()), "");
    let error = refused(fetch(&knowing(&server), &nobody), Code::EINVAL).chain();
    assert!(error.contains("set `user`"), "{error}");
    let key = server.key_file();
    let named = with(&server, &format!("key-file = {key:?}, user = {:?}", server.user()));
    assert_eq!(fetch(&named, &nobody).unwrap(), b"content");
    let other = server.sftp("x").replace(&format!("{}@", server.user()), "nobody-like-that@");
    refused(fetch(&named, &other), Code::EACCES);
}

#[test]
fn a_key_with_a_passphrase_needs_it() {
    let Some(server) = openssh() else { return };
    let key = server.key_file();
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-p", "-P", "", "-N", "open sesame", "-f"]).arg(&key);
    succeeded(command);
    let with_passphrase = |text: &str| {
        let file = secret(&server, "passphrase", text);
        with(&server, &format!("key-file = {key:?}, passphrase-file = {file:?}"))
    };
    assert_eq!(fetch(&with_passphrase("open sesame\n"), &server.sftp("x")).unwrap(), b"content");
    let error = refused(fetch(&with_passphrase("swordfish"), &server.sftp("x")), Code::EINVAL).chain();
    assert!(error.contains("`passphrase` is wrong") && !error.contains("swordfish"), "{error}");
    let without = with(&server, &format!("key-file = {key:?}"));
    let error = refused(fetch(&without, &server.sftp("x")), Code::EINVAL).chain();
    assert!(error.contains("set `passphrase`"), "{error}");
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let Some(server) = openssh() else { return };
    let key = server.key_file();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let error = refused(fetch(&knowing(&server), &server.sftp("x")), Code::EACCES).chain();
    assert!(error.contains("chmod") || error.contains("read"), "{error}");
}

/// An agent with one key, for as long as it is held.
fn agent(server: &SshServer, key: &Path) -> (Process, PathBuf) {
    let socket = server.folder().join("agent");
    let arguments = ["-D", "-a", socket.to_str().unwrap()];
    let process = Process::start("ssh-agent", &arguments, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::null());
    });
    eventually("the agent listens", || socket.exists());
    let mut command = Command::new("ssh-add");
    command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket);
    succeeded(command);
    (process.unwrap(), socket)
}

#[test]
fn an_agents_keys_log_in_rsa_too() {
    let Some(server) = openssh() else { return };
    let key = server.new_key("rsa", "rsa");
    fs::copy(key.with_extension("pub"), server.folder().join("authorized_keys")).unwrap();
    let (agent, socket) = agent(&server, &key);
    let registry = with(&server, &format!("agent = {socket:?}"));
    assert_eq!(fetch(&registry, &server.sftp("x")).unwrap(), b"content");
    drop(agent);
    eventually("the agent is gone", || !socket.exists());
    let again = with(&server, &format!("agent = {socket:?}, retries = 0"));
    let error = refused(fetch(&again, &server.sftp("x")), Code::EACCES).chain();
    assert!(error.contains(socket.to_str().unwrap()), "{error}");
    // In a file it is refused, with what works instead.
    let error =
        refused(fetch(&with(&server, &format!("key-file = {key:?}")), &server.sftp("x")), Code::EINVAL);
    assert!(error.chain().contains("agent"), "{}", error.chain());
}

#[test]
fn passwords_log_in_and_are_shown_nowhere() {
    let Some(server) = asyncssh() else { return };
    let in_descriptor = |password: &str| server.sftp("x").replace("@127", &format!(":{password}@127"));
    let nothing = with(&server, "");
    assert_eq!(fetch(&nothing, &in_descriptor(PASSWORD)).unwrap(), b"content");
    let error = refused(fetch(&with(&server, ""), &in_descriptor("sesame")), Code::EACCES);
    for text in [error.chain(), format!("{error:?}")] {
        assert!(text.contains("the password") && !text.contains("sesame"), "{text}");
    }
    let file = secret(&server, "password", &format!("{PASSWORD}\n"));
    let set =
        |hosts: &str| with(&server, &format!("password-file = {file:?}, credentials-for = [{hosts:?}]"));
    assert_eq!(fetch(&set("127.0.0.1"), &server.sftp("x")).unwrap(), b"content");
    let error = refused(fetch(&set("files.example"), &server.sftp("x")), Code::EACCES).chain();
    assert!(error.contains("nothing to log in with"), "{error}");
    let error =
        refused(fetch(&with(&server, &format!("password-file = {file:?}")), &server.sftp("x")), Code::EINVAL);
    assert!(error.chain().contains("credentials-for"), "{}", error.chain());
}
