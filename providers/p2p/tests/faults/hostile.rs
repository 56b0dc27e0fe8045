//! Peers that are listed, and say what cannot be.

use crate::common::{Circle, SLACK, drain, goes_through, reader, registry, write_until_it_fails, writer};
use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use iroh::{Endpoint, RelayMode, SecretKey};
use netpipe::{Decoder, Handshake, Header, Hello, Local, Message, Name, Progress, Role, Sender};
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

/// A host, and a listed peer of it that is connected.
fn house() -> (Registry, Raw, Connection) {
    let circle = Circle::new(1);
    let (raw, key) = Raw::new();
    let at = raw.endpoint.bound_sockets()[0];
    let settings =
        circle.settings(0).replace("peers = [", &format!("peers = [\"raw={}@{at}\", ", key.public()));
    let host = registry(&settings);
    // It dials whoever may write to it.
    let _read = reader(&host, "raw:first:r");
    let connection = raw.wait(async { raw.endpoint.accept().await.unwrap().await.unwrap() });
    (host, raw, connection)
}

/// Opens a stream and says HELLO as a writer.
fn hello(raw: &Raw, connection: &Connection, name: &str) -> (SendStream, RecvStream, Handshake) {
    let hello = Hello::pipe(Role::Writer, Name::new(name).unwrap(), None);
    let mut handshake = Handshake::dialler(hello, None, None).unwrap();
    let (mut send, receive) = raw.wait(connection.open_bi()).unwrap();
    raw.wait(send.write_all(&handshake.output())).unwrap();
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
    let (host, raw, connection) = house();
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 100], &[1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]] {
        let (mut send, mut receive) = raw.wait(connection.open_bi()).unwrap();
        raw.wait(send.write_all(noise)).unwrap();
        raw.wait(receive.read_to_end(4096)).unwrap();
    }
    let write = writer(&host, "a");
    goes_through(&mut reader(&host, "a"), write);
}

#[test]
fn more_than_the_window_breaks_the_pipe() {
    let (host, raw, connection) = house();
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

#[test]
fn an_end_that_counts_wrong_is_no_end() {
    let (host, raw, connection) = house();
    let mut read = reader(&host, "raw:a:r");
    let (mut send, mut receive, mut handshake) = hello(&raw, &connection, "a");
    met(&raw, &mut receive, &mut handshake);
    raw.wait(send.write_all(&Message::End(5).to_bytes())).unwrap();
    assert_eq!(drain(&mut read), (Vec::new(), Some(Code::EPROTO)));
}

#[test]
fn a_stream_that_ends_without_a_word_did_not_come_and_one_after_a_word_broke() {
    let (host, raw, connection) = house();
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
    let (host, raw, connection) = house();
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
