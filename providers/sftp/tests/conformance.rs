//! The suite over `sftp`, against real servers, in-process, through the library and in a process of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;
use vfs_core::{Provider, Walls};
use zvfs_conformance::{Subject, load_built, load_in_process, run};
use zvfs_engines::ssh::SshServer;
use zvfs_sftp::SftpProvider;
use zvfs_test_support::provider_process;

/// The provider that runs the suite over a server.
type Place = fn(&SshServer) -> Box<dyn Provider>;

fn in_process(_: &SshServer) -> Box<dyn Provider> {
    Box::new(SftpProvider)
}

fn library(_: &SshServer) -> Box<dyn Provider> {
    let library = load_built("sftp").unwrap();
    assert_eq!(library.info(), SftpProvider.info());
    library
}

/// In a process of its own, with what docs/operators.md says that it needs.
fn process(server: &SshServer) -> Box<dyn Provider> {
    let read = vec![server.known_hosts(), server.key_file()];
    let walls = Walls { tcp_connect: true, dns: true, read, ..Walls::default() };
    let provider = load_in_process("sftp", provider_process(), &walls).unwrap();
    assert_eq!(provider.info(), SftpProvider.info());
    provider
}

fn suite(server: Option<SshServer>, place: Place) {
    let Some(server) = server else { return };
    let provider = place(&server);
    let (known_hosts, key_file) = (server.known_hosts(), server.key_file());
    let server = Arc::new(server);
    let (source, target, root) = (server.clone(), server.clone(), server.root());
    run(Subject::new(provider)
        .setting("known-hosts", known_hosts.to_str().unwrap())
        .setting("key-file", key_file.to_str().unwrap())
        .source(move |name, content| {
            source.put(name, content);
            Ok(source.sftp(name))
        })
        .target(move |name| Ok(target.sftp(name)))
        .contents_in(root)
        .silent_server(|address, name| format!("sftp://me@{address}/{name}")));
}

#[test]
fn openssh_in_process() {
    suite(SshServer::openssh(), in_process);
}

#[test]
fn openssh_through_the_library() {
    suite(SshServer::openssh(), library);
}

#[test]
fn openssh_in_a_process_of_its_own() {
    suite(SshServer::openssh(), process);
}

#[test]
fn asyncssh_in_process() {
    suite(SshServer::asyncssh(), in_process);
}

#[test]
fn asyncssh_through_the_library() {
    suite(SshServer::asyncssh(), library);
}
