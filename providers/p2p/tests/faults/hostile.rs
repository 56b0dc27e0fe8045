//! Peers that are listed, and say what cannot be.

use crate::common::{
    Circle, SLACK, drain, eventually, goes_through, in_thread, reader, registry, write_until_it_fails, writer,
};
use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream, VarInt, presets};
use iroh::{Endpoint, RelayMode, SecretKey};
use netpipe::{Decoder, Handshake, Header, Hello, Local, Message, Name, Progress, Role, Sender};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use vfs_core::{Code, Registry};

const ALPN: &[u8] = b"zvfs-netpipe/1";

/// A peer whose every word is the test's.
struct Raw {
    runtime: Runtime,
    endpoint: Endpoint,
}

impl Raw {
    fn new() -> (Raw, SecretKey) {
        let key = SecretKey::generate();
        let runtime = Runtime::new().unwrap();
        let endpoint = runtime.block_on(async {
            let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled);
            let builder = builder.secret_key(key.clone()).alpns(vec![ALPN.to_vec()]).clear_ip_transports();
            builder.bind_addr("127.0.0.1:0").unwrap().bind().await.unwrap()
        });
        (Raw { runtime, endpoint }, key)
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { timeout(SLACK, future).await.unwrap() })
    }
}

/// A host, where that is, and a listed peer of it that is connected.
fn house() -> (Registry, Circle, Raw, Connection) {
    let circle = Circle::new(1);
    let (raw, key) = Raw::new();
    let at = raw.endpoint.bound_sockets()[0];
    let settings =
        circle.settings(0).replace("peers = [", &format!("peers = [\"raw={}@{at}\", ", key.public()));
    let host = registry(&settings);
    // It dials whoever may write to it.
    let _read = reader(&host, "raw:first:r");
    let connection = raw.wait(async { raw.endpoint.accept().await.unwrap().await.unwrap() });
    (host, circle, raw, connection)
}

/// What a writer says first.
fn said_first(name: &str) -> (Handshake, Vec<u8>) {
    let hello = Hello::pipe(Role::Writer, Name::new(name).unwrap(), None);
    let mut handshake = Handshake::dialler(hello, None, None).unwrap();
    let first = handshake.output();
    (handshake, first)
}

/// Opens a stream and says HELLO as a writer.
fn hello(raw: &Raw, connection: &Connection, name: &str) -> (SendStream, RecvStream, Handshake) {
    let (handshake, first) = said_first(name);
    let (mut send, receive) = raw.wait(connection.open_bi()).unwrap();
    raw.wait(send.write_all(&first)).unwrap();
    (send, receive, handshake)
}

/// Waits until it is let in.
fn met(raw: &Raw, receive: &mut RecvStream, handshake: &mut Handshake) {
    let mut buf = [0; 4096];
    let count = raw.wait(receive.read(&mut buf)).unwrap().unwrap();
    assert!(matches!(handshake.input(&mut &buf[..count]), Ok(Progress::Done(_))));
}

#[test]
fn what_is_no_protocol_breaks_nothing_else() {
    let (host, _, raw, connection) = house();
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 100], &[1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]] {
        let (mut send, mut receive) = raw.wait(connection.open_bi()).unwrap();
        raw.wait(send.write_all(noise)).unwrap();
        raw.wait(receive.read_to_end(4096)).unwrap();
    }
    let write = writer(&host, "a");
    goes_through(&mut reader(&host, "a"), write);
}

/// Together with HELLO such frames were taken for what came after the answer. Nobody reads yet: a reader that is there may answer
/// before they have come.
#[test]
fn who_does_not_wait_for_the_answer_is_refused() {
    let (host, _, raw, connection) = house();
    let early = [&Header::data(b"x", false).encode()[..], b"x", &Message::End(1).to_bytes()].concat();
    for early in [early, vec![7; 1024]] {
        let (mut handshake, first) = said_first("a");
        let (mut send, mut receive) = raw.wait(connection.open_bi()).unwrap();
        raw.wait(send.write_all(&[first, early].concat())).unwrap();
        let answer = raw.wait(receive.read_to_end(4096)).unwrap();
        let error = handshake.input(&mut &answer[..]).unwrap_err();
        assert!(error.to_string().contains("only DISCARD"), "{error}");
    }
    goes_through(&mut reader(&host, "a"), writer(&host, "a"));
}

#[test]
fn a_peer_has_only_so_many_connections_and_the_newest_count() {
    let (host, circle, raw, first) = house();
    let more: Vec<_> =
        (0..4).map(|_| raw.wait(raw.endpoint.connect(circle.address(0), ALPN)).unwrap()).collect();
    match raw.wait(first.closed()) {
        ConnectionError::ApplicationClosed(close) => {
            assert_eq!(close.error_code, VarInt::from_u32(16));
            assert!(String::from_utf8_lossy(&close.reason).contains("newer connections"), "{close}");
        }
        other => panic!("{other}"),
    }
    let mut read = reader(&host, "a");
    let (mut send, mut receive, mut handshake) = hello(&raw, &more[3], "a");
    met(&raw, &mut receive, &mut handshake);
    raw.wait(send.write_all(&Message::End(0).to_bytes())).unwrap();
    assert_eq!(drain(&mut read), (Vec::new(), None));
    assert!(more.iter().all(|connection| connection.close_reason().is_none()));
}

#[test]
fn more_than_the_window_breaks_the_pipe() {
    let (host, _, raw, connection) = house();
    let mut read = reader(&host, "raw:a:r?window=64k");
    let (mut send, mut receive, mut handshake) = hello(&raw, &connection, "a");
    met(&raw, &mut receive, &mut handshake);
    for _ in 0..2 {
        let bytes = [7; 60_000];
        raw.wait(send.write_all(&Header::data(&bytes, false).encode())).unwrap();
        // It may be refused by then.
        let _ = raw.wait(send.write_all(&bytes));
    }
    let (bytes, code) = drain(&mut read);
    assert_eq!((bytes.len(), code), (60_000, Some(Code::EPROTO)));
    let answer = raw.wait(receive.read_to_end(4096)).unwrap();
    let mut decoder = Decoder::new(Sender::Reader);
    let mut input = &answer[..];
    let last = std::iter::from_fn(|| decoder.next(&mut input).unwrap()).last();
    assert!(matches!(last, Some(Message::Refusal(_))), "{last:?}");
}

/// Each byte began the reader's wait anew, so that no host ever told of it.
#[test]
fn a_frame_that_comes_by_single_bytes_leaves_a_wait_as_old_as_it_is() {
    let (host, _, raw, connection) = house();
    let mut read = reader(&host, "raw:a:r");
    let control = read.control().clone();
    let (mut send, mut receive, mut handshake) = hello(&raw, &connection, "a");
    met(&raw, &mut receive, &mut handshake);
    let reads = in_thread(move || read.read(&mut [0; 8]));
    let bytes = [7; 60_000];
    raw.wait(send.write_all(&Header::data(&bytes, false).encode())).unwrap();
    let mut left = bytes.chunks(1);
    eventually("a wait that lasts", || {
        raw.wait(send.write_all(left.next().unwrap())).unwrap();
        let waiting = control.waiting().filter(|waiting| waiting.object == "data");
        waiting.is_some_and(|waiting| waiting.since.elapsed() > Duration::from_secs(2))
    });
    raw.wait(send.write_all(&left.flatten().copied().collect::<Vec<_>>())).unwrap();
    assert_eq!(reads.recv_timeout(SLACK).unwrap().unwrap(), 8);
}

#[test]
fn an_end_that_counts_wrong_is_no_end() {
    let (host, _, raw, connection) = house();
    let mut read = reader(&host, "raw:a:r");
    let (mut send, mut receive, mut handshake) = hello(&raw, &connection, "a");
    met(&raw, &mut receive, &mut handshake);
    raw.wait(send.write_all(&Message::End(5).to_bytes())).unwrap();
    assert_eq!(drain(&mut read), (Vec::new(), Some(Code::EPROTO)));
}

#[test]
fn a_stream_that_ends_without_a_word_did_not_come_and_one_after_a_word_broke() {
    let (host, _, raw, connection) = house();
    let mut read = reader(&host, "a");
    let (mut send, mut receive, mut handshake) = hello(&raw, &connection, "a");
    met(&raw, &mut receive, &mut handshake);
    send.finish().unwrap();
    raw.wait(receive.read_to_end(4096)).unwrap();
    goes_through(&mut read, writer(&host, "a"));
    let mut read = reader(&host, "b");
    let (mut send, mut receive, mut handshake) = hello(&raw, &connection, "b");
    met(&raw, &mut receive, &mut handshake);
    raw.wait(send.write_all(&Header::data(b"x", false).encode())).unwrap();
    raw.wait(send.write_all(b"x")).unwrap();
    send.finish().unwrap();
    assert_eq!(drain(&mut read), (b"x".to_vec(), Some(Code::ECONNRESET)));
}

/// As a hostile reader.
#[test]
fn a_reader_that_takes_what_was_never_sent_breaks_the_pipe() {
    let (host, _, raw, connection) = house();
    let mut write = writer(&host, "raw:a:w");
    let (mut send, mut receive) = raw.wait(connection.accept_bi()).unwrap();
    let mut handshake = Handshake::acceptor(None);
    let mut buf = [0; 4096];
    let count = raw.wait(receive.read(&mut buf)).unwrap().unwrap();
    assert!(matches!(handshake.input(&mut &buf[..count]), Ok(Progress::Hello(_))));
    handshake.accept(Local::default(), None).unwrap();
    raw.wait(send.write_all(&handshake.output())).unwrap();
    raw.wait(send.write_all(&Message::Taken(1 << 40).to_bytes())).unwrap();
    assert_eq!(write_until_it_fails(&mut write).code(), Code::EPROTO);
}
