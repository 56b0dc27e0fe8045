//! The suite over `http`, against real servers, in-process, through the library and in a process of its own, with and without TLS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use vfs_core::{OpenFlags, Provider, Walls};
use zvfs_conformance::{Blocking, Subject, load_built, load_in_process, run};
use zvfs_http::HttpProvider;
use zvfs_http_servers::Server;
use zvfs_test_support::provider_process;

type Url = fn(&Server, &str) -> String;

fn in_process() -> Box<dyn Provider> {
    Box::new(HttpProvider)
}

fn library() -> Box<dyn Provider> {
    let library = load_built("http").unwrap();
    assert_eq!(library.info(), HttpProvider.info());
    library
}

/// In a process of its own, with what docs/operators.md says that it needs.
fn in_a_process_of_its_own(server: Option<Server>, url: Url) {
    let Some(server) = server else { return };
    let read = vec![server.ca_file().to_owned()];
    let walls = Walls { tcp_connect: true, dns: true, read, ..Walls::default() };
    let provider = load_in_process("http", provider_process(), &walls).unwrap();
    assert_eq!(provider.info(), HttpProvider.info());
    suite(Some(server), provider, url, true);
}

/// What can be read there; what can be written too, if the server takes it.
fn suite(server: Option<Server>, provider: Box<dyn Provider>, url: Url, writable: bool) {
    let Some(server) = server else { return };
    let server = Arc::new(server);
    let (source, target, root) = (server.clone(), server.clone(), server.root());
    let subject = Subject::new(provider)
        .setting("ca-file", server.ca_file().to_str().unwrap())
        .source(move |name, content| {
            source.put(name, content);
            Ok(url(&source, name))
        })
        .blocking(silent_server());
    if !writable {
        return run(subject.read_only());
    }
    run(subject.target(move |name| Ok(url(&target, name))).contents(move |descriptor| {
        let name = descriptor.rsplit('/').next().unwrap_or_default();
        match fs::read(root.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            content => content.map(Some),
        }
    }));
}

/// A server that takes connections, and never says a word.
fn silent_server() -> impl Fn(&str) -> io::Result<Blocking> {
    let listeners = Mutex::new(Vec::new());
    move |name| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let descriptor = format!("http://{}/{name}", listener.local_addr()?);
        listeners.lock().unwrap().push(listener);
        Ok(Blocking { descriptor, flags: OpenFlags::READ })
    }
}

#[test]
fn nginx_in_process() {
    suite(Server::nginx(), in_process(), Server::http, true);
}

#[test]
fn nginx_with_tls_in_process() {
    suite(Server::nginx(), in_process(), Server::https, true);
}

#[test]
fn nginx_through_the_library() {
    suite(Server::nginx(), library(), Server::http, true);
}

#[test]
fn nginx_with_tls_through_the_library() {
    suite(Server::nginx(), library(), Server::https, true);
}

#[test]
fn nginx_in_a_process_of_its_own() {
    in_a_process_of_its_own(Server::nginx(), Server::http);
}

#[test]
fn nginx_with_tls_in_a_process_of_its_own() {
    in_a_process_of_its_own(Server::nginx(), Server::https);
}

#[test]
fn apache2_in_process() {
    suite(Server::apache2(), in_process(), Server::http, true);
}

#[test]
fn apache2_with_tls_in_process() {
    suite(Server::apache2(), in_process(), Server::https, true);
}

#[test]
fn apache2_through_the_library() {
    suite(Server::apache2(), library(), Server::http, true);
}

#[test]
fn apache2_with_tls_through_the_library() {
    suite(Server::apache2(), library(), Server::https, true);
}

#[test]
fn python_in_process() {
    suite(Server::python(), in_process(), Server::http, false);
}

#[test]
fn busybox_in_process() {
    suite(Server::busybox(), in_process(), Server::http, false);
}

#[test]
fn webfs_in_process() {
    suite(Server::webfs(), in_process(), Server::http, false);
}

#[test]
fn whitenoise_in_process() {
    suite(Server::whitenoise(), in_process(), Server::http, false);
}

#[test]
fn python_with_tls_in_process() {
    suite(Server::python(), in_process(), Server::https, false);
}

#[test]
fn python_through_the_library() {
    suite(Server::python(), library(), Server::http, false);
}

#[test]
fn python_with_tls_through_the_library() {
    suite(Server::python(), library(), Server::https, false);
}
