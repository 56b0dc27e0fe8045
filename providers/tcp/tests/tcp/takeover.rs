//! Readers that are gone without a word, and those that come in their place.

use crate::common::*;
use crate::peer::{connect, shake_hands};
use netpipe::broker::{self, Times};
use netpipe::{Address, Decoder, Handshake, Hello, Message, Name, Register, Role, Secret, Sender};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tempfile::NamedTempFile;
use vfs_core::{Code, Finish, OpenOptions, Registry};

const SECRET: &str = "sixteen bytes at least";
const SHORT: Duration = Duration::from_millis(100);

/// A broker, and what is proven to it.
struct Place {
    broker: Running,
    secret: NamedTempFile,
}

impl Place {
    /// With a broker that gives readers so long to show that they live.
    fn new(takeover: Duration) -> Place {
        let times = Times { takeover, half: Duration::from_millis(100), ..Times::default() };
        let proven = Some(Secret::new(SECRET.as_bytes()).unwrap());
        let broker = Running::start(broker::Config { secret: proven, times, ..broker::Config::default() });
        let mut secret = NamedTempFile::new().unwrap();
        secret.write_all(SECRET.as_bytes()).unwrap();
        Place { broker, secret }
    }

    fn host(&self, settings: &str) -> Registry {
        let (broker, secret) = (self.broker.address, self.secret.path());
        registry(&format!("broker = \"{broker}\", secret-file = {secret:?}, {settings}"))
    }
}

/// A reader whose machine has vanished: it has registered, nobody is at its address, and it says nothing any more.
fn vanished_reader(broker: SocketAddr, name: &str) -> TcpStream {
    let mut stream = connect(broker.port());
    let secret = Secret::new(SECRET.as_bytes()).unwrap();
    shake_hands(&mut stream, Handshake::dialler(Hello::broker(), Some(secret), None).unwrap());
    let addresses = vec![Address::new(&format!("127.0.0.1:{}", free_port())).unwrap()];
    let (name, role) = (Name::new(name).unwrap(), Role::Reader);
    let wanted = Register { id: 1, role, name, addresses, writers: None, takeover: false };
    stream.write_all(&Message::Register(wanted).to_bytes()).unwrap();
    // The broker answers in order.
    stream.write_all(&Message::Ping.to_bytes()).unwrap();
    let mut decoder = Decoder::new(Sender::Broker);
    loop {
        let mut bytes = [0; 12];
        let count = stream.read(&mut bytes).unwrap();
        if decoder.next(&mut &bytes[..count]).unwrap() == Some(Message::Pong) {
            return stream;
        }
    }
}

/// The successor of a reader whose machine had vanished was refused for 40 s: EBUSY, for good.
#[test]
fn a_reader_takes_over_from_one_that_is_gone_and_gets_its_writer() {
    let place = Place::new(SHORT);
    let _gone = vanished_reader(place.broker.address, "place");
    // It is introduced to the one that is gone, and meets it neither at its address nor by a relay.
    let mut writer = place.host("").open("netpipe:place", &OpenOptions::new(WRITE)).unwrap();
    let writing = in_thread(move || {
        writer.write_all(b"for whoever is there").unwrap();
        writer.finish(Finish::Commit).unwrap();
    });
    let mut heir = place.host("takeover = true").open("netpipe:place", &OpenOptions::new(READ)).unwrap();
    assert_eq!(in_time(move || read_to_end(&mut heir)), b"for whoever is there");
    writing.recv_timeout(SLACK).unwrap();
}

#[test]
fn a_reader_takes_over_only_if_the_operator_says_so() {
    let place = Place::new(SHORT);
    let _gone = vanished_reader(place.broker.address, "place");
    let mut second = place.host("").open("netpipe:place", &OpenOptions::new(READ)).unwrap();
    refused(in_time(move || second.read(&mut [0; 8])), Code::EBUSY, "has a reader already");
}

#[test]
fn a_reader_that_lives_is_not_taken_over_from() {
    let place = Place::new(SLACK);
    let mut reader = place.host("").open("netpipe:place", &OpenOptions::new(READ)).unwrap();
    let mut writer = place.host("").open("netpipe:place", &OpenOptions::new(WRITE)).unwrap();
    writer.write_all(b"x").unwrap();
    read_exactly(&mut reader, 1);
    let mut heir = place.host("takeover = true").open("netpipe:place", &OpenOptions::new(READ)).unwrap();
    refused(in_time(move || heir.read(&mut [0; 8])), Code::EBUSY, "has a reader already");
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"");
}
