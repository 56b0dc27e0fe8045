//! A tracker over HTTP that names one peer, to everybody.

use super::bencode::{integer, text};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A tracker, on loopback. Ends with the test's process.
#[derive(Debug)]
pub struct Tracker {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tracker {
    /// A tracker that names a peer by its IPv4 address and port.
    pub fn naming(peer: &str) -> Tracker {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let peer: SocketAddrV4 = peer.parse().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Who asks may be gone.
                let _ = stream.and_then(|stream| answer(&stream, peer, &told));
            }
        });
        Tracker { address, asked }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// The first lines of the requests that came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: &TcpStream, peer: SocketAddrV4, told: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while !lines.next().transpose()?.unwrap_or_default().is_empty() {}
    told.lock().unwrap().push(first);
    let peer = [peer.ip().octets().as_slice(), &peer.port().to_be_bytes()].concat();
    let body =
        [b"d".as_slice(), &text(b"interval"), &integer(1800), &text(b"peers"), &text(&peer), b"e"].concat();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
