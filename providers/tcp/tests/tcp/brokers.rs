//! Brokers that die at a bad moment, or talk without end: in the test's own hands.

use crate::common::*;
use crate::peer::accept;
use netpipe::{Address, Decoder, Match, Message, Reason, Sender, Token};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use vfs_core::{OpenOptions, Registry};

/// The broker's end of an instance's connection.
struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    rest: Vec<u8>,
}

impl Connection {
    fn accept(listener: &TcpListener) -> Connection {
        let (_, stream) = accept(listener);
        Connection { stream, decoder: Decoder::new(Sender::Instance), rest: Vec::new() }
    }

    fn say(&mut self, message: &Message) {
        self.stream.write_all(&message.to_bytes()).unwrap();
    }

    /// The next frame; `None`: none came until then.
    fn hear(&mut self, until: Instant) -> Option<Message> {
        loop {
            let mut input = &self.rest[..];
            let message = self.decoder.next(&mut input).unwrap();
            self.rest = input.to_vec();
            let left = until.saturating_duration_since(Instant::now());
            if message.is_some() || left.is_zero() {
                return message;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut bytes = [0; 1000];
            match self.stream.read(&mut bytes) {
                Ok(0) => panic!("the instance closed the connection"),
                Ok(count) => self.rest.extend_from_slice(&bytes[..count]),
                Err(_) => return None,
            }
        }
    }

    /// The next frame but PINGs, which are answered.
    fn told(&mut self) -> Option<Message> {
        loop {
            match self.hear(Instant::now() + SLACK) {
                Some(Message::Ping) => self.say(&Message::Pong),
                told => return told,
            }
        }
    }

    fn registration(&mut self) -> u64 {
        match self.told() {
            Some(Message::Register(registered)) => registered.id,
            other => panic!("{other:?} instead of REGISTER"),
        }
    }

    fn introduce(&mut self, id: u64, token: Token, port: u16) {
        let addresses = vec![Address::new(&format!("127.0.0.1:{port}")).unwrap()];
        self.say(&Message::Match(Match { id, token, addresses }));
    }
}

/// A broker in the test's own hands, and a host of it, with further settings.
fn own_broker(more: &str) -> (TcpListener, Registry) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = registry(&format!("broker = \"{}\"{more}", listener.local_addr().unwrap()));
    (listener, host)
}

/// A port at which nobody answers: what is queued there already is all that fits.
fn deaf() -> (u16, TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
    }
    (address.port(), listener, queued)
}

/// A broker that was restarted while a writer dialled got UNREACHABLE with its predecessor's token: a broken rule, for which it
/// refused the instance, and every pipe of it failed.
#[test]
fn what_a_broker_said_before_it_was_lost_is_not_told_to_the_next() {
    let (listener, host) = own_broker("");
    let _writer = host.open("netpipe:a:w", &OpenOptions::default()).unwrap();
    let (port, _listener, _queued) = deaf();
    let mut broker = Connection::accept(&listener);
    let id = broker.registration();
    let start = Instant::now();
    broker.introduce(id, Token([1; 16]), port);
    drop(broker);
    let mut broker = Connection::accept(&listener);
    assert_eq!(broker.registration(), id);
    // The first introduction is given up after 3 s.
    while let Some(message) = broker.hear(start + Duration::from_secs(5)) {
        assert_eq!(message, Message::Ping, "the last broker's token");
    }
    // This one's own is told.
    broker.introduce(id, Token([2; 16]), free_port());
    let told = broker.hear(Instant::now() + SLACK);
    assert_eq!(told, Some(Message::Unreachable { id, token: Token([2; 16]) }));
}

/// Each MATCH of a broker was dialled, however many came for one writer.
#[test]
fn a_broker_that_introduces_without_end_has_one_connection_made_at_a_time() {
    let (listener, host) = own_broker("");
    let _writer = host.open("netpipe:a:w", &OpenOptions::default()).unwrap();
    // It takes connections, and says nothing.
    let reader = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = reader.local_addr().unwrap().port();
    let mut broker = Connection::accept(&listener);
    let id = broker.registration();
    for number in 0..1000_u16 {
        let mut token = [0; 16];
        token[..2].copy_from_slice(&number.to_le_bytes());
        broker.introduce(id, Token(token), port);
    }
    // It answers in order: then it has seen all of them.
    broker.say(&Message::Ping);
    assert_eq!(broker.hear(Instant::now() + SLACK), Some(Message::Pong));
    let first = reader.accept().unwrap();
    reader.set_nonblocking(true).unwrap();
    assert!(reader.accept().is_err(), "a second connection for one writer");
    drop(first);
}

/// A reader's machine with too much to do drops a connection. The writer registered anew, and was one too many to the broker,
/// which had introduced it already.
#[test]
fn an_introduced_reader_that_drops_a_connection_is_dialled_again() {
    let (listener, host) = own_broker("");
    let mut writer = host.open("netpipe:a:w", &OpenOptions::default()).unwrap();
    let reader = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut broker = Connection::accept(&listener);
    let id = broker.registration();
    broker.introduce(id, Token([3; 16]), reader.local_addr().unwrap().port());
    let met = in_thread(move || {
        drop(reader.accept().unwrap());
        accept(&reader)
    });
    let (met, _stream) = met.recv_timeout(SLACK).unwrap();
    assert_eq!(met.peer.token, Some(Token([3; 16])));
    in_time(move || writer.write_all(b"through").unwrap());
}

/// A reader's process was gone, and what stood before it still took connections: its writer dialled for ever, and met no other
/// reader.
#[test]
fn a_reader_that_takes_connections_and_lets_nobody_in_is_given_up() {
    let (listener, host) = own_broker(", peer-timeout = \"4s\"");
    let mut writer = host.open("netpipe:a:w", &OpenOptions::default()).unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut broker = Connection::accept(&listener);
    let id = broker.registration();
    broker.introduce(id, Token([4; 16]), gone.local_addr().unwrap().port());
    let _closing = in_thread(move || gone.incoming().for_each(drop));
    let told = broker.told();
    assert_eq!(told, Some(Message::Unreachable { id, token: Token([4; 16]) }));
    let reader = TcpListener::bind("127.0.0.1:0").unwrap();
    broker.introduce(id, Token([5; 16]), reader.local_addr().unwrap().port());
    let met = in_thread(move || accept(&reader));
    let (met, _stream) = met.recv_timeout(SLACK).unwrap();
    assert_eq!(met.peer.token, Some(Token([5; 16])));
    in_time(move || writer.write_all(b"through").unwrap());
}

/// A service that is no netpipe, for as long as the test runs.
fn web_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever went already hears nothing.
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    port
}

/// The first address that led to somebody else, or to another machine where no secret was set, ended the pipe; its reader
/// waited for ever.
#[test]
fn an_address_that_leads_to_somebody_else_is_followed_by_the_next_and_then_the_relay() {
    let broker = Running::start(netpipe::broker::Config::default());
    let at = format!("broker = \"{}\"", broker.address);
    let (wrong, right) = (web_server(), free_port());
    let elsewhere = "192.0.2.1:9";
    let listen = format!("listen = \"127.0.0.1:{right}\"");
    for (number, advertised) in [
        format!("{listen}, advertise = [\"127.0.0.1:{wrong}\", \"{elsewhere}\", \"127.0.0.1:{right}\"]"),
        format!("advertise = [\"{elsewhere}\", \"127.0.0.1:{wrong}\"]"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("netpipe:{number}");
        let mut reader =
            registry(&format!("{at}, {advertised}")).open(&name, &OpenOptions::new(READ)).unwrap();
        let writer = registry(&at).open(&name, &OpenOptions::new(WRITE)).unwrap();
        in_time(move || goes_through(&mut reader, writer, b"through"));
    }
}

/// A broker that was stopped for longer than a handshake may take did not speak netpipe, for good.
#[test]
fn a_broker_that_says_nothing_is_dialled_again_and_at_last_etimedout() {
    let (listener, host) = own_broker("");
    let _writer = host.open("netpipe:a:w", &OpenOptions::default()).unwrap();
    let silent = listener.accept().unwrap();
    let mut broker = Connection::accept(&listener);
    broker.registration();
    drop((silent, broker));

    let (_stopped, host) = own_broker(", peer-timeout = \"1s\"");
    let mut reader = host.open("netpipe:a:r", &OpenOptions::default()).unwrap();
    let error = in_time(move || reader.read(&mut [0; 8]));
    refused(error, vfs_core::Code::ETIMEDOUT, "answered none");
}

/// A broker that had no room for a relay said so to the writer, whose reader waited for ever.
#[test]
fn a_relay_over_the_brokers_limit_ends_both_sides() {
    let limits = netpipe::broker::Limits { relays: 0, ..Default::default() };
    let broker = Running::start(netpipe::broker::Config { limits, ..Default::default() });
    let settings = format!("broker = \"{}\", peer-timeout = \"1s\"", broker.address);
    let away = format!("{settings}, advertise = [\"127.0.0.1:{}\"]", free_port());
    let mut reader = registry(&away).open("netpipe:a:r", &OpenOptions::new(READ)).unwrap();
    let mut writer = registry(&settings).open("netpipe:a:w", &OpenOptions::default()).unwrap();
    let reading = in_thread(move || reader.read(&mut [0; 8]));
    let error = in_time(move || writer.write(b"x"));
    refused(error, vfs_core::Code::ETIMEDOUT, "limit of 0 relayed pipes");
    refused(reading.recv_timeout(SLACK).unwrap(), vfs_core::Code::ECONNRESET, "gave it up");
}

/// A broker that was stopped after its handshake kept everybody waiting for ever: its kernel took what it was sent.
#[test]
fn a_broker_that_falls_silent_is_dialled_again_and_at_last_etimedout() {
    let (listener, host) = own_broker(", peer-timeout = \"1s\"");
    let mut reader = host.open("netpipe:a:r", &OpenOptions::new(READ)).unwrap();
    let mut broker = Connection::accept(&listener);
    broker.registration();
    assert_eq!(broker.hear(Instant::now() + SLACK), Some(Message::Ping));
    let (_again, _) = listener.accept().unwrap();
    let error = in_time(move || reader.read(&mut [0; 8]));
    refused(error, vfs_core::Code::ETIMEDOUT, "answered none");
}

#[test]
fn a_broker_that_answers_is_kept() {
    // It has 3 s for each answer.
    let (listener, host) = own_broker(", silence-timeout = \"4s\"");
    let _reader = host.open("netpipe:a:r", &OpenOptions::new(READ)).unwrap();
    let mut broker = Connection::accept(&listener);
    broker.registration();
    for _ in 0..5 {
        assert_eq!(broker.hear(Instant::now() + SLACK), Some(Message::Ping));
        broker.say(&Message::Pong);
    }
}

/// A broker without descriptors for a relay says "busy"; that had the writer registered a second time under the same id, for
/// which the broker refused the instance, and every pipe of it failed.
#[test]
fn a_writer_that_is_tried_again_ends_its_registration_first() {
    let (listener, host) = own_broker("");
    let _writer = host.open("netpipe:a:w", &OpenOptions::default()).unwrap();
    let mut broker = Connection::accept(&listener);
    let id = broker.registration();
    broker.introduce(id, Token([1; 16]), free_port());
    let told = broker.hear(Instant::now() + SLACK);
    assert_eq!(told, Some(Message::Unreachable { id, token: Token([1; 16]) }));
    broker.say(&Message::Relay { id, token: Token([2; 16]) });
    let (met, mut relay) = accept(&listener);
    assert_eq!(met.peer.token, Some(Token([2; 16])));
    relay.write_all(&Message::Refusal(Reason::new(netpipe::code::EBUSY, "busy")).to_bytes()).unwrap();
    assert_eq!(broker.hear(Instant::now() + SLACK), Some(Message::Withdraw(id)));
    assert_eq!(broker.registration(), id);
}

/// What a broker said when it refused was told as "a frame after the last one".
#[test]
fn a_brokers_refusal_is_told_in_its_words() {
    let (listener, host) = own_broker("");
    let mut reader = host.open("netpipe:a:r", &OpenOptions::new(READ)).unwrap();
    let mut broker = Connection::accept(&listener);
    broker.registration();
    broker.say(&Message::Refusal(Reason::new(netpipe::code::EACCES, "this broker is for others")));
    let error = in_time(move || reader.read(&mut [0; 10]).unwrap_err());
    assert!(error.chain().contains("this broker is for others"), "{}", error.chain());
}
