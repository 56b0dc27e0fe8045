//! Writes the corpus again: `cargo test -p netpipe --test fuzz -- --ignored`. Its inputs have no CRCs, so that a mutation
//! is not refused for that alone.

use crate::CORPUS;
use netpipe::hello::{FEATURE_SAME_HOST, MAGIC};
use netpipe::same_host::Step;
use netpipe::{Address, Header, Hello, Match, Message, Name, Reason, Register, Role, Token};
use std::fs;
use std::path::Path;

fn store(target: &str, name: &str, parts: &[&[u8]]) {
    let folder = Path::new(CORPUS).join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), parts.concat()).unwrap();
}

/// A frame without its CRC.
fn bare(mut frame: Vec<u8>) -> Vec<u8> {
    frame[1] = 0;
    frame[8..12].fill(0);
    frame
}

fn data(payload: &[u8], crc: bool) -> Vec<u8> {
    [&Header::data(payload, crc).encode(), payload].concat()
}

#[test]
#[ignore = "writes into the source tree"]
fn write() {
    let token = Token([0x42; 16]);
    let name = || Name::new("job/a>b").unwrap();
    let addresses = ["10.0.0.1:9713", "[::1]:1", ":9"].map(|text| Address::new(text).unwrap()).to_vec();
    let reader = Register {
        id: 7,
        role: Role::Reader,
        name: name(),
        addresses: addresses.clone(),
        writers: Some(3),
        takeover: false,
    };
    let writer = Register {
        id: 8,
        role: Role::Writer,
        name: name(),
        addresses: Vec::new(),
        writers: None,
        takeover: false,
    };
    let matched = Match { id: 7, token, addresses };
    let registered = [reader, writer].map(Message::Register);
    let reason = Reason::new(16, "the name is in use");

    store("header", "valid-data", &[&Header::data(b"payload", true).encode()]);
    store("header", "valid-end", &[&Message::End(9).to_bytes()[..12]]);
    store("header", "broken-length", &[&[0x10, 0, 0, 0, 1, 0, 16, 0, 0, 0, 0, 0]]);
    store("header", "broken-type", &[&[0x90, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]]);
    store("header", "broken-short", &[&[0x11, 0, 0, 0, 8]]);

    let streams: [(&str, u8, Vec<Message>); 5] = [
        ("valid-writer", 0, vec![Message::End(4)]),
        ("valid-reader", 1, vec![Message::Taken(4), Message::Taken(1 << 40), Message::Closed(1 << 40)]),
        ("valid-instance", 2, {
            let rest = [
                Message::Withdraw(7),
                Message::Unreachable { id: 8, token },
                Message::Discarded(8),
                Message::Ping,
                Message::Pong,
                Message::Refusal(Reason::new(71, "")),
            ];
            registered.iter().cloned().chain(rest).collect()
        }),
        (
            "valid-broker",
            3,
            vec![
                Message::Match(matched.clone()),
                Message::Refused { id: 7, reason: reason.clone() },
                Message::Relay { id: 7, token },
                Message::Ping,
            ],
        ),
        ("broken-after-done", 1, vec![Message::Done, Message::Taken(4)]),
    ];
    for (name, choice, messages) in streams {
        let stream: Vec<u8> = messages.iter().flat_map(|message| bare(message.to_bytes())).collect();
        store("decoder", name, &[&[choice], &stream]);
    }
    for (name, message) in
        [("valid-reader-register", &registered[0]), ("valid-writer-register", &registered[1])]
    {
        store("decoder", name, &[&[2 + 4 * 12], &bare(message.to_bytes())]);
        store("register", name, &[&[0], &message.to_bytes()[12..]]);
    }
    store("decoder", "broken-crc", &[&[1], &[0x22, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]]);
    store("register", "valid-match", &[&[1], &Message::Match(matched).to_bytes()[12..]]);
    let odd =
        [0; 8].into_iter().chain((1..1024u16).flat_map(|n| [(n * 2 + 13).to_le_bytes(), [0; 2]].concat()));
    let odd: Vec<u8> = odd.collect();
    store("register", "broken-only-unknown-fields", &[&[0], &odd]);

    let mut hello = Hello::pipe(Role::Reader, Name::unnamed(), Some(token));
    (hello.nonce, hello.agent, hello.window) = ([1; 32], Some("zvfs/1".into()), Some(1 << 20));
    let whole = bare(hello.to_bytes());
    let hello_of_reader = Hello { token: None, ..hello.clone() };
    let direct = bare(hello_of_reader.to_bytes());
    let with = bare(Hello { proof: true, ..hello }.to_bytes());
    let wrong_proof = [&[2, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0][..], &[9; 32]].concat();
    let refusal = bare(Message::Refusal(reason.clone()).to_bytes());
    store("hello", "valid-pipe", &[&whole[12..]]);
    store("hello", "valid-broker", &[&Hello { nonce: [2; 32], ..Hello::broker() }.to_bytes()[12..]]);
    store("hello", "valid-relay", &[&Hello::relay(token).to_bytes()[12..]]);
    store("hello", "broken-magic", &[b"\x89npipe\n\n\x01\0\x01\0"]);
    store("hello", "broken-only-unknown-fields", &[&MAGIC, &[1, 0, 1, 0], &odd[8..]]);

    store("acceptor", "valid-hello", &[&[254], &whole]);
    store("acceptor", "valid-hello-in-pieces", &[&[0], &whole]);
    store("acceptor", "broken-wrong-proof", &[&[255], &with, &wrong_proof]);
    store("acceptor", "broken-refusal", &[&[254], &refusal]);
    store("acceptor", "broken-http", &[&[254], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]);
    store("acceptor", "broken-tls", &[&[254], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]);
    store("dialler", "valid-hello", &[&[254], &direct]);
    store(
        "dialler",
        "broken-wrong-proof",
        &[&[255], &bare(Hello { proof: true, ..hello_of_reader.clone() }.to_bytes()), &wrong_proof],
    );
    store("dialler", "broken-refusal", &[&[254], &refusal]);

    let meets = Hello { features: FEATURE_SAME_HOST, ..Hello::pipe(Role::Writer, Name::unnamed(), None) };
    let meets = bare(Hello { nonce: [3; 32], ..meets }.to_bytes());
    store("acceptor", "valid-meeting", &[&[254], &meets]);
    let meets = Hello { features: FEATURE_SAME_HOST, ..hello_of_reader };
    store("dialler", "valid-meeting", &[&[254], &bare(meets.to_bytes())]);

    let step = |step: u8, word: u32| [&[step][..], &word.to_le_bytes()].concat();
    let many =
        |steps: &[(u8, u32)]| steps.iter().flat_map(|(code, word)| step(*code, *word)).collect::<Vec<u8>>();
    store(
        "ring-reader",
        "valid-turns",
        &[&many(&[(0, 100), (3, 60), (5, 0), (1, 1), (2, 9), (4, 0), (3, 4000), (0, 131_172)])],
    );
    let end = |total| bare(Message::End(total).to_bytes());
    store("inlet", "valid-plain", &[&[200], &data(b"payload", false), &data(b"more", false), &end(11)]);
    store("inlet", "valid-in-pieces", &[&[6], &data(b"payload", false), &end(7)]);
    store("inlet", "broken-total", &[&[200], &data(b"payload", false), &end(8)]);
    store("inlet", "broken-cut-off", &[&[200], &data(b"payload", false)]);
    store("inlet", "broken-taken", &[&[200], &bare(Message::Taken(0).to_bytes())]);
    store("inlet", "broken-discard", &[&[200], &bare(Message::Discard(Reason::new(5, "no")).to_bytes())]);
    store("ring-reader", "broken-too-much", &[&many(&[(0, 131_073), (3, 1)])]);
    store("ring-reader", "broken-taken-back", &[&many(&[(0, 100), (3, 60), (0, 59), (3, 1)])]);
    store("ring-reader", "broken-rings", &[&many(&[(5, 0); 1001])]);
    store(
        "ring-writer",
        "valid-turns",
        &[&many(&[(2, 4000), (1, 1), (4, 0), (0, 3999), (3, 70_000), (2, 4999), (0, 8095)])],
    );
    store("ring-writer", "broken-taken-before", &[&many(&[(2, 4000), (0, 4001), (2, 1)])]);
    store("ring-writer", "broken-given-back", &[&many(&[(2, 4000), (0, 4000), (2, 1), (0, 3999), (2, 1)])]);

    let end = bare(Message::End(11).to_bytes());
    store("incoming", "valid-plain", &[&[254], &data(b"hello ", false), &data(b"world", false), &end]);
    store("incoming", "valid-crc", &[&[255], &data(b"hello ", true), &data(b"world", true), &end]);
    store("incoming", "valid-in-pieces", &[&[5], &data(b"hello ", true), &data(b"world", true), &end]);
    let steps = [Step::Waits, Step::Leaves].map(|step| Message::Meeting(step).to_bytes());
    store(
        "incoming",
        "valid-meeting",
        &[&[254], &data(b"hello ", false), &steps.concat(), &data(b"world", false), &end],
    );
    store("incoming", "broken-meeting", &[&[254], &steps[1], &end]);
    store("incoming", "broken-total", &[&[254], &data(b"hello ", false), &end]);
    store(
        "incoming",
        "broken-discard",
        &[&[254], &data(b"hi", false), &bare(Message::Discard(reason).to_bytes())],
    );
    store("incoming", "broken-window", &[&[254], &[0x10, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]]);

    for (name, scheme, rest) in [
        ("valid-direct", 0, "//[::1]:80/?mode=r&role=connect&window=64k"),
        ("valid-node", 0, "2:0"),
        ("valid-short", 1, "broker.example:80:2/left:w?job=a%2fb"),
        ("valid-opaque", 2, "local|>x"),
        ("broken-port", 0, "//h:65536"),
        ("broken-name", 1, "b:%ff:r"),
    ] {
        store("descriptor", name, &[&[scheme], rest.as_bytes()]);
    }
}
