//! A forward proxy: CONNECT, and plain http by absolute URLs.

use crate::fault::{After, Answer, FaultServer, Peer, Request};
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

/// A forward proxy on loopback. Stops when dropped.
pub struct ForwardProxy(FaultServer);

impl ForwardProxy {
    /// One that serves everybody.
    pub fn open() -> ForwardProxy {
        ForwardProxy(FaultServer::http(forward))
    }

    /// One that wants this `Proxy-Authorization`, such as `Basic cmVhZGVyOnN3b3JkZmlzaA==`.
    pub fn guarded(authorization: &str) -> ForwardProxy {
        let wanted = authorization.to_owned();
        ForwardProxy(FaultServer::http(move |request, peer| {
            if request.header("Proxy-Authorization") == Some(&wanted) {
                return forward(request, peer);
            }
            peer.send(&Answer::new(407).with("Proxy-Authenticate", "Basic realm=\"proxy\""))
        }))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.0.url("")
    }

    /// Where it listens.
    pub fn authority(&self) -> String {
        self.0.address().to_string()
    }

    /// What it was asked so far; CONNECT hides what follows it.
    pub fn requests(&self) -> Vec<Request> {
        self.0.requests()
    }
}

fn forward(request: &Request, peer: &mut Peer) -> io::Result<After> {
    if request.method == "CONNECT" {
        let Ok(upstream) = TcpStream::connect(&request.target) else { return peer.send(&Answer::new(502)) };
        peer.raw(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return peer.tunnel(upstream);
    }
    let Some((authority, path)) = request.target.strip_prefix("http://").map(split) else {
        return peer.send(&Answer::new(400));
    };
    let Ok(mut upstream) = TcpStream::connect(authority) else { return peer.send(&Answer::new(502)) };
    let mut head = format!("{} {path} HTTP/1.1\r\nConnection: close\r\n", request.method);
    for (name, value) in &request.headers {
        let own = ["connection", "proxy-authorization", "proxy-connection"];
        if !own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    upstream.write_all((head + "\r\n").as_bytes()).map_err(|_| ErrorKind::ConnectionAborted)?;
    peer.tunnel(upstream)
}

fn split(url: &str) -> (&str, &str) {
    let at = url.find('/').unwrap_or(url.len());
    (&url[..at], if at == url.len() { "/" } else { &url[at..] })
}
