//! Signs of life and windows that grow: peers in the test's own hands.

use crate::common::*;
use crate::peer::dial;
use netpipe::hello::{FEATURE_ALIVE, FEATURE_WINDOWS, WINDOW_DEFAULT};
use netpipe::{Decoder, Header, Hello, Message, Name, Role, Sender};
use std::io::{Read, Write};
use std::net::TcpStream;
use vfs_core::{Code, Finish, OpenFile, OpenOptions};

/// A peer that dialled, and follows what it is told.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
    rest: Vec<u8>,
}

impl Peer {
    fn dial(port: u16, role: Role, features: u64, alive: Option<u32>) -> Peer {
        let hello = Hello { features, alive, ..Hello::pipe(role, Name::unnamed(), None) };
        let (established, stream) = dial(port, hello);
        assert_eq!(established.features, features);
        let from = if role == Role::Writer { Sender::Reader } else { Sender::Writer };
        Peer { stream, decoder: Decoder::new(from), rest: Vec::new() }
    }

    fn say(&mut self, message: &Message) {
        self.stream.write_all(&message.to_bytes()).unwrap();
    }

    fn write(&mut self, count: u32) {
        const PIECE: usize = 65_536;
        for _ in 0..count as usize / PIECE {
            self.stream.write_all(&Header::data(&[7; PIECE], false).encode()).unwrap();
            self.stream.write_all(&[7; PIECE]).unwrap();
        }
    }

    fn hear(&mut self) -> Message {
        loop {
            let mut input = &self.rest[..];
            let message = self.decoder.next(&mut input).unwrap();
            self.rest = input.to_vec();
            if let Some(message) = message {
                return message;
            }
            let mut bytes = [0; 1000];
            let count = self.stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the other end closed the connection");
            self.rest.extend_from_slice(&bytes[..count]);
        }
    }
}

fn open(settings: &str, descriptor: &str, writes: bool) -> OpenFile {
    registry(settings).open(descriptor, &OpenOptions::new(if writes { WRITE } else { READ })).unwrap()
}

const LIMIT: &str = "silence-timeout = \"2s\"";

/// A writer's process was stopped, and the kernel of its machine answered for it: its reader waited for ever.
#[test]
fn a_writer_that_gives_no_sign_of_life_is_econnreset() {
    let port = free_port();
    let mut reader = open(LIMIT, &format!("tcp:127.0.0.1:{port}"), false);
    let _peer = Peer::dial(port, Role::Writer, FEATURE_ALIVE, None);
    refused(in_time(move || reader.read(&mut [0; 8])), Code::ECONNRESET, "no sign of life for 2 s");
}

#[test]
fn a_reader_that_gives_no_sign_of_life_is_econnreset() {
    for how in [Finish::Commit, Finish::Discard] {
        let port = free_port();
        let mut writer = open(LIMIT, &format!("tcp:127.0.0.1:{port}?role=listen"), true);
        let _peer = Peer::dial(port, Role::Reader, FEATURE_ALIVE, None);
        let outcome = in_time(move || match how {
            Finish::Commit => writer.write_all(b"bytes").and_then(|()| writer.finish(how)),
            _ => loop {
                if let Err(error) = writer.write_all(&[7; 65_536]) {
                    break Err(error);
                }
            },
        });
        refused(outcome, Code::ECONNRESET, "no sign of life for 2 s");
    }
}

/// Whoever has nothing to say says that it is there; and whoever does not know of it is not held to it.
#[test]
fn a_peer_that_gives_signs_of_life_is_waited_for() {
    let port = free_port();
    let mut reader = open(LIMIT, &format!("tcp:127.0.0.1:{port}"), false);
    let reading = in_thread(move || drain(&mut reader).0.len());
    let mut peer = Peer::dial(port, Role::Writer, FEATURE_ALIVE, Some(500));
    // Six of them take 3 s.
    for _ in 0..6 {
        while peer.hear() != Message::Alive {}
        peer.say(&Message::Alive);
    }
    peer.write(65_536);
    peer.say(&Message::End(65_536));
    assert_eq!(reading.recv_timeout(SLACK).unwrap(), 65_536);

    let mut reader = open(LIMIT, &format!("tcp:127.0.0.1:{port}"), false);
    let mut peer = Peer::dial(port, Role::Writer, 0, None);
    let reading = in_thread(move || drain(&mut reader).0.len());
    assert!(reading.recv_timeout(std::time::Duration::from_millis(2_500)).is_err(), "it was given up");
    peer.write(65_536);
    peer.say(&Message::End(65_536));
    assert_eq!(reading.recv_timeout(SLACK).unwrap(), 65_536);
}

/// On a way of 100 ms a window of 1 MiB lets 9.5 MB/s through.
#[test]
fn a_window_grows_where_the_reader_waits_for_a_writer_that_waits_for_it() {
    let grown = |settings: &str| {
        let port = free_port();
        let mut reader = open(settings, &format!("tcp:127.0.0.1:{port}"), false);
        let reading = in_thread(move || drain(&mut reader).0.len());
        let mut peer = Peer::dial(port, Role::Writer, FEATURE_WINDOWS, None);
        let (mut window, mut total, mut windows) = (WINDOW_DEFAULT.min(256 << 10), 0, Vec::new());
        if settings.is_empty() {
            window = WINDOW_DEFAULT;
        }
        for _ in 0..2 {
            // All that the window holds; then nothing until it is larger, or everything was taken.
            peer.write(window);
            total += u64::from(window);
            peer.say(&Message::Full);
            let mut larger = false;
            loop {
                match peer.hear() {
                    Message::Window(size) => (window, larger) = (size, true),
                    Message::Taken(taken) if taken == total && (larger || !settings.is_empty()) => break,
                    Message::Taken(taken) if taken == total => {
                        // WINDOW follows: the reader waits.
                        match peer.hear() {
                            Message::Window(size) => window = size,
                            other => panic!("{other:?} instead of WINDOW"),
                        }
                        break;
                    }
                    Message::Taken(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            windows.push(window);
        }
        peer.say(&Message::End(total));
        assert_eq!(reading.recv_timeout(SLACK).unwrap() as u64, total);
        windows
    };
    assert_eq!(grown(""), [2 << 20, 4 << 20]);
    assert_eq!(grown("window = \"256k\""), [256 << 10, 256 << 10], "one that is set does not grow");
}
