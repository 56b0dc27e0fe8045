//! Through a proxy, around one, and away from one.

use crate::common::*;
use std::os::unix::fs::PermissionsExt;
use vfs_core::Code;
use zvfs_http_servers::{After, Answer, Authority, FaultServer, ForwardProxy, Object};

const CREDENTIALS: &str = "Basic cmVhZGVyOnN3b3JkZmlzaA==";

fn object() -> FaultServer {
    serving(Object::new(200_000))
}

#[test]
fn http_goes_through_the_proxy_by_its_whole_url() {
    let (server, proxy) = (object(), ForwardProxy::open());
    let registry = registry(&format!("proxy = \"{}\"", proxy.url()));
    fetch(&registry, &server.url("/x?q=1")).is(0..200_000);
    assert_eq!(proxy.requests()[0].target, server.url("/x?q=1"));
    assert_eq!(server.requests()[0].target, "/x?q=1");
}

#[test]
fn https_goes_through_the_proxy_by_connect() {
    let authority = Authority::new();
    let server = FaultServer::https(&authority.good(), |request, peer| {
        peer.cut(&Object::new(200_000).answer(request), 80_000, After::Close)
    });
    let proxy = ForwardProxy::open();
    let settings = format!("{QUICK}, proxy = \"{}\", ca-file = {:?}", proxy.url(), authority.ca_file());
    fetch(&registry(&settings), &server.url("/x")).is(0..200_000);
    for request in proxy.requests() {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("CONNECT", &*server.address().to_string())
        );
    }
}

#[test]
fn hosts_without_proxy_are_dialled_directly() {
    let (server, proxy) = (object(), ForwardProxy::open());
    for pattern in ["127.0.0.1", "127.0.0.0/8", "*"] {
        let settings = format!("proxy = \"{}\", no-proxy = [\"{pattern}\"]", proxy.url());
        fetch(&registry(&settings), &server.url("/")).is(0..200_000);
    }
    assert_eq!(proxy.requests().len(), 0);
}

#[test]
fn a_proxy_s_credentials_are_for_the_proxy() {
    let authority = Authority::new();
    let (plain, secure) = (
        object(),
        FaultServer::https(&authority.good(), |request, peer| peer.send(&Object::new(9).answer(request))),
    );
    let proxy = ForwardProxy::guarded(CREDENTIALS);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "reader:swordfish\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let common = format!("{QUICK}, proxy = \"{}\", ca-file = {:?}", proxy.url(), authority.ca_file());
    let with = registry(&format!("{common}, proxy-credentials-file = {file:?}"));
    fetch(&with, &plain.url("/")).is(0..200_000);
    fetch(&with, &secure.url("/")).is(0..9);
    for request in plain.requests().iter().chain(&secure.requests()) {
        assert_eq!(request.header("Proxy-Authorization"), None);
    }
    let without = registry(&common);
    for url in [plain.url("/"), secure.url("/")] {
        let fetched = fetch(&without, &url);
        fetched.failed(Code::EACCES);
    }
}

#[test]
fn credentials_do_not_go_to_the_proxy_of_an_https_url() {
    let authority = Authority::new();
    let server =
        FaultServer::https(&authority.good(), |request, peer| peer.send(&Object::new(9).answer(request)));
    let proxy = ForwardProxy::open();
    let settings = format!("{QUICK}, proxy = \"{}\", ca-file = {:?}", proxy.url(), authority.ca_file());
    fetch(&registry(&settings), &server.url("/").replace("//", "//reader:swordfish@")).is(0..9);
    assert_eq!(server.requests()[0].header("Authorization"), Some(CREDENTIALS));
    assert!(proxy.requests().iter().all(|request| request.header("Authorization").is_none()));
}

#[test]
fn a_proxy_that_refuses_to_connect_is_an_error() {
    for (status, code) in [(403, Code::EACCES), (407, Code::EACCES)] {
        let proxy = FaultServer::http(move |_, peer| peer.send(&Answer::new(status).body("no")));
        let registry = registry(&format!("{QUICK}, proxy = \"{}\"", proxy.url("")));
        fetch(&registry, "https://somewhere.example/").failed(code);
        assert_eq!(proxy.requests().len(), 1, "{status} was tried again");
    }
}

#[test]
fn a_proxy_s_hundred_megabytes_of_headers_are_bounded() {
    let sent = Sent::default();
    let counting = sent.clone();
    let proxy = FaultServer::http(move |_, peer| {
        peer.raw(b"HTTP/1.1 200 OK\r\n")?;
        flood(peer, b"X-Padding: 0123456789abcdef\r\n", 100 << 20, &counting)?;
        peer.stall()
    });
    let registry = registry(&format!("{QUICK}, proxy = \"{}\"", proxy.url("")));
    fetch(&registry, "https://somewhere.example/").failed(Code::EPROTO);
    drop(proxy);
    assert!(sent.total() < 50 << 20, "{} bytes were taken", sent.total());
}

#[test]
fn the_environment_s_proxy_is_not_the_operator_s() {
    // A provider changes nothing process-wide, and takes nothing from there: what is set for curl is not set for a host.
    let (server, proxy) = (object(), ForwardProxy::open());
    let name = "proxies::the_environment_s_proxy_is_not_the_operator_s";
    if let Some(url) = std::env::var_os("ZVFS_FAULTS_URL") {
        return fetch(&quick(), url.to_str().unwrap()).is(0..200_000);
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env("ZVFS_FAULTS_URL", server.url("/"));
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"] {
        command.env(variable, proxy.url());
    }
    let output = in_time(move || command.output().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((proxy.requests().len(), server.requests().len()), (0, 1));
}
