//! The servers do what tests over them rely on, seen by curl.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zvfs_http_servers::{
    After, Answer, BlackHole, FaultServer, ForwardProxy, LongLine, Object, Server, chunked, pattern,
};
use zvfs_test_support::{eventually, have};

/// Runs curl; its output, and its exit code.
fn curl(arguments: &[&str]) -> (Vec<u8>, i32) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--noproxy", ""]).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.stdout, output.status.code().unwrap())
}

fn fetched(arguments: &[&str]) -> String {
    let (bytes, code) = curl(arguments);
    assert_eq!(code, 0, "{arguments:?}");
    String::from_utf8(bytes).unwrap()
}

fn serves_both_ways(server: &Server) {
    server.put("rivers", b"Rhine\nDanube\n");
    let ca = server.ca_file().display().to_string();
    for url in [server.http("rivers"), server.https("rivers")] {
        assert_eq!(fetched(&["--cacert", &ca, &url]), "Rhine\nDanube\n", "{}", server.log());
    }
    assert_eq!(curl(&[&server.https("rivers")]).1, 60, "an unknown authority is no error");
}

fn takes_uploads(server: &Server) {
    let url = server.http("new");
    fetched(&["--fail", "--request", "PUT", "--data-binary", "bytes", &url]);
    assert_eq!(std::fs::read(server.root().join("new")).unwrap(), b"bytes");
    assert_eq!(fetched(&["--range", "1-2", &url]), "yt");
    fetched(&["--fail", "--request", "DELETE", &url]);
    assert!(!server.root().join("new").exists());
}

#[test]
fn nginx_serves_and_takes() {
    let Some(server) = Server::nginx() else { return };
    if have(&["curl"]) {
        serves_both_ways(&server);
        takes_uploads(&server);
        std::fs::create_dir(server.root().join("private")).unwrap();
        server.put("private/x", b"inner");
        assert_eq!(curl(&["--fail", &server.http("private/x")]).1, 22);
        assert_eq!(fetched(&["--user", "reader:swordfish", &server.http("private/x")]), "inner");
        let (client, ca) = (server.authority().client(), server.ca_file().display().to_string());
        let (cert, key) = (client.certificate_file(), client.key_file());
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let url = server.https_for_clients("rivers").unwrap();
        assert_eq!(fetched(&["--cacert", &ca, "--cert", &cert, "--key", &key, &url]), "Rhine\nDanube\n");
        assert_eq!(curl(&["--fail", "--cacert", &ca, &url]).1, 22);
    }
}

#[test]
fn apache2_serves_and_takes() {
    let Some(server) = Server::apache2() else { return };
    if have(&["curl"]) {
        serves_both_ways(&server);
        takes_uploads(&server);
    }
}

#[test]
fn python_serves_and_ignores_ranges() {
    let Some(server) = Server::python() else { return };
    if have(&["curl"]) {
        serves_both_ways(&server);
        assert_eq!(fetched(&["--header", "Range: bytes=1-2", &server.http("rivers")]), "Rhine\nDanube\n");
    }
}

#[test]
fn the_fault_server_is_right_unless_told_otherwise() {
    if !have(&["curl"]) {
        return;
    }
    let object = Object::new(1_000_000);
    let server = FaultServer::http(move |request, peer| match request.target.as_str() {
        "/cut" => peer.cut(&object.answer(request), 1000, After::Close),
        "/reset" => peer.cut(&object.answer(request), 1000, After::Reset),
        "/chunked" => {
            let framed = chunked(b"0123456789", 3);
            peer.send(&Answer::new(200).with("Transfer-Encoding", "chunked").raw_body(framed))
        }
        "/upload" => {
            let body = peer.body(request)?;
            peer.send(&Answer::new(200).body(body))
        }
        _ => peer.send(&object.answer(request)),
    });
    assert!(curl(&[&server.url("/")]).0 == pattern::bytes(0..1_000_000));
    assert!(curl(&["--range", "999990-", &server.url("/")]).0 == pattern::bytes(999_990..1_000_000));
    assert!(curl(&["--range", "-7", &server.url("/")]).0 == pattern::bytes(999_993..1_000_000));
    assert_eq!(curl(&["--fail", "--range", "1000000-", &server.url("/")]).1, 22);
    assert_eq!(curl(&[&server.url("/cut")]), (pattern::bytes(0..1000), 18));
    assert_eq!(curl(&[&server.url("/reset")]).1, 56);
    assert_eq!(fetched(&[&server.url("/chunked")]), "0123456789");
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let url = server.url("/upload");
        assert_eq!(
            fetched(&["--request", "PUT", "--data-binary", "bytes", "--header", framing, &url]),
            "bytes"
        );
    }
    let requests = server.requests();
    assert_eq!(requests[1].range(), Some((999_990, None)));
    assert_eq!(server.connections(), requests.len());
    assert!(server.wait_until(Duration::from_secs(20), |_, _, open| open == 0), "a connection stays open");
}

#[test]
fn the_fault_server_speaks_tls_and_stops_with_a_stalled_client() {
    if !have(&["curl"]) {
        return;
    }
    let authority = zvfs_http_servers::Authority::new();
    let ca = authority.ca_file().display().to_string();
    for (identity, code) in [(authority.good(), 0), (authority.wrong_name(), 60), (authority.expired(), 60)] {
        let object = Object::new(100);
        let server = FaultServer::https(&identity, move |request, peer| peer.send(&object.answer(request)));
        assert_eq!(curl(&["--cacert", &ca, &server.url("/")]).1, code);
    }
    let server = FaultServer::http(|_, peer| peer.stall());
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(server.wait_until(Duration::from_secs(20), |requests, _, _| requests.len() == 1));
    drop(server);
}

#[test]
fn the_forward_proxy_tunnels_forwards_and_refuses() {
    let Some(server) = Server::nginx() else { return };
    if !have(&["curl"]) {
        return;
    }
    server.put("rivers", b"Rhine\n");
    let ca = server.ca_file().display().to_string();
    let open = ForwardProxy::open();
    for url in [server.http("rivers"), server.https("rivers")] {
        assert_eq!(fetched(&["--cacert", &ca, "--proxy", &open.url(), &url]), "Rhine\n");
    }
    let methods: Vec<String> = open.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "CONNECT"]);
    let guarded = ForwardProxy::guarded("Basic cmVhZGVyOnN3b3JkZmlzaA==");
    let url = server.http("rivers");
    assert_eq!(curl(&["--fail", "--proxy", &guarded.url(), &url]).1, 22);
    assert_eq!(fetched(&["--proxy", &guarded.url(), "--proxy-user", "reader:swordfish", &url]), "Rhine\n");
}

#[test]
fn the_long_line_takes_its_time_and_loses_nothing() {
    if !have(&["curl"]) {
        return;
    }
    let object = Object::new(10_000_000);
    let server = FaultServer::http(move |request, peer| peer.send(&object.answer(request)));
    let line = LongLine::to(server.address(), Duration::from_millis(20));
    let start = Instant::now();
    let (bytes, _) = curl(&[&format!("http://{}/", line.address())]);
    assert!(bytes == pattern::bytes(0..10_000_000));
    // Two round trips: TCP's handshake, and the question.
    assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
}

#[test]
fn nobody_gets_through_to_a_black_hole() {
    let hole = BlackHole::new();
    let dialled = TcpStream::connect_timeout(&hole.address(), Duration::from_millis(300));
    assert_eq!(dialled.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_killed_test_leaves_no_server() {
    const INNER: &str = "ZVFS_SERVERS_KILLED";
    if std::env::var_os(INNER).is_some() {
        let server = Server::nginx().unwrap();
        println!("\nport {}", server.port());
        loop {
            std::thread::park();
        }
    }
    if !have(&["nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut inner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_killed_test_leaves_no_server"])
        .env(INNER, "1")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(inner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let port = said.filter_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok()).next().unwrap();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    inner.kill().unwrap();
    inner.wait().unwrap();
    eventually("nginx has ended", || TcpStream::connect(("127.0.0.1", port)).is_err());
}
