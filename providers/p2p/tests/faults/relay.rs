//! Peers that meet through a relay: here one that believes whoever comes, and passes on what they send each other.

use crate::common::{Circle, goes_through, reader, registry, writer};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use vfs_core::Code;

/// The frames of the relay's protocol, each a message of a WebSocket.
const CHALLENGE: u8 = 0;
const CONFIRMED: u8 = 2;
/// One datagram, or several: to another peer, and from one.
const TO: [u8; 2] = [4, 5];
const FROM: [u8; 2] = [6, 7];
const PING: u8 = 9;
const PONG: u8 = 10;
/// The length of a peer's key.
const KEY: usize = 32;

struct Relay {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    peers: Mutex<HashMap<Vec<u8>, TcpStream>>,
    passed: AtomicUsize,
}

impl Relay {
    fn start() -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay =
            Relay { url: format!("http://{}", listener.local_addr().unwrap()), shared: Arc::default() };
        let shared = relay.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                // A peer ends it.
                thread::spawn(move || drop(shared.serve(&stream.unwrap())));
            }
        });
        relay
    }
}

impl Shared {
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut incoming = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if incoming.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let key = head.lines().filter_map(|line| line.split_once(": "));
        let key =
            key.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).map(|(_, key)| key).next();
        let Some(key) = key else {
            // Somebody asks how far it is to here.
            return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let accepted = digest(
            &SHA1_FOR_LEGACY_USE_ONLY,
            format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
        );
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: iroh-relay-v2\r\n\r\n",
            base64(accepted.as_ref())
        )?;
        send(stream, &[&[CHALLENGE][..], &[7; 16]])?;
        // Its key, and a proof.
        let Some(proof) = receive(&mut incoming)? else { return Ok(()) };
        let own = proof[1..=KEY].to_vec();
        send(stream, &[&[CONFIRMED]])?;
        self.peers.lock().unwrap().insert(own.clone(), stream.try_clone()?);
        while let Some(frame) = receive(&mut incoming)? {
            let peers = self.peers.lock().unwrap();
            let kind = TO.iter().position(|kind| *kind == frame[0]);
            match (kind, frame[1..].split_at_checked(KEY)) {
                (Some(kind), Some((to, datagrams))) => {
                    if let Some(peer) = peers.get(to) {
                        self.passed.fetch_add(1, Ordering::Relaxed);
                        send(peer, &[&[FROM[kind]], &own, datagrams])?;
                    }
                }
                _ if frame[0] == PING => send(stream, &[&[PONG], &frame[1..]])?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Sends a binary message.
fn send(mut stream: &TcpStream, parts: &[&[u8]]) -> io::Result<()> {
    let payload = parts.concat();
    let length = payload.len() as u16;
    let head = match length {
        0..126 => vec![0x82, length as u8],
        _ => [&[0x82, 126][..], &length.to_be_bytes()].concat(),
    };
    stream.write_all(&[head, payload].concat())
}

/// Receives the next binary message; `None`: the client closes.
fn receive(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        let mut length = [0; 2];
        let length = match head[1] & 0x7f {
            126 => {
                stream.read_exact(&mut length)?;
                u16::from_be_bytes(length)
            }
            127 => return Err(io::Error::other("a message of more than 64 KiB")),
            short => short.into(),
        };
        let (mut mask, mut payload) = ([0; 4], vec![0; length.into()]);
        stream.read_exact(&mut mask)?;
        stream.read_exact(&mut payload)?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        match head[0] & 0x0f {
            2 if !payload.is_empty() => return Ok(Some(payload)),
            8 => return Ok(None),
            _ => {}
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits =
            chunk.iter().enumerate().fold(0, |bits, (at, byte)| bits | usize::from(*byte) << (16 - 8 * at));
        (0..4).map(move |at| if at <= chunk.len() { DIGITS[bits >> (18 - 6 * at) & 63] } else { b'=' })
    });
    digits.map(char::from).collect()
}

/// What an operator writes of a peer that knows the keys of two and no address.
fn settings(circle: &Circle, at: usize, relay: &str) -> String {
    let settings = circle.settings(at);
    let before = settings.split_once("peers").unwrap().0;
    let peers = [0, 1].map(|at| format!("p{at}={}", circle.key(at)));
    format!("{before}relays = [{relay:?}], peers = {peers:?}")
}

#[test]
fn peers_that_know_no_address_of_each_other_meet_through_their_relay() {
    let (relay, circle) = (Relay::start(), Circle::new(2));
    let [one, two] = [0, 1].map(|at| registry(&settings(&circle, at, &relay.url)));
    let write = writer(&one, "p1:a");
    goes_through(&mut reader(&two, "p0:a"), write);
    assert!(relay.shared.passed.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_relay_is_one_by_its_url() {
    let circle = Circle::new(2);
    for wrong in ["relay.example", "ftp://relay.example", "file:///tmp/relay"] {
        let open = registry(&settings(&circle, 0, wrong))
            .open("p2p:a:r", &vfs_core::OpenOptions::new(vfs_core::OpenFlags::READ));
        crate::common::refused(open, Code::EINVAL, "setting `relays`");
    }
}
