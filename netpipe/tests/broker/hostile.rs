//! Peers that break rules, by mistake or on purpose: each costs itself its connection, and nobody else anything.

use crate::client::{Peer, Running};
use netpipe::{Handshake, Hello, Message, Name, Register, Role, Token, code};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;
use zvfs_test_support::{Random, eventually};

/// Reads all that comes until the connection ends, in order or not.
fn drain(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert!(!crate::client::is_timeout(&error), "no end of the connection");
                return all;
            }
        }
    }
}

#[test]
fn a_peer_that_does_not_speak_netpipe_gets_no_answer() {
    let broker = Running::start();
    for first in ["GET / HTTP/1.1\r\nHost: broker\r\n\r\n", "\x01\0\0\0\x10\0\0\0\0\0\0\0not netpipe's magic"]
    {
        let mut stream = broker.raw();
        stream.write_all(first.as_bytes()).unwrap();
        assert_eq!(drain(&mut stream), b"");
    }
    broker.await_log("does not speak netpipe");
    broker.dial().sync();
}

#[test]
fn a_handshake_has_its_time_however_slowly_it_comes() {
    let broker = Running::timed(|times| times.handshake = Duration::from_millis(200));
    let mut silent = broker.raw();
    let mut slow = broker.raw();
    let hello = Handshake::dialler(Hello::broker(), None, None).unwrap().output();
    let (most, _last) = hello.split_at(hello.len() - 1);
    let mut bytes = most.iter();
    let over = || {
        if let Some(byte) = bytes.next() {
            let _ = slow.write_all(&[*byte]);
        }
        broker.log().iter().filter(|line| line.starts_with("refuse")).count() == 2
    };
    eventually("the end of both handshakes", over);
    assert_eq!(drain(&mut silent), b"");
    // It had shown by then that it speaks netpipe, or not: a REFUSAL or nothing, and the end.
    let answer = drain(&mut slow);
    assert!(answer.is_empty() || answer[0] == 0x03, "{answer:?}");
    // So short a time may be too short for this side as well, on a busy machine.
    eventually("a handshake in time", || broker.dial_as(Hello::broker(), None).is_ok());
}

#[test]
fn a_hello_cut_at_any_byte_is_survived() {
    let broker = Running::start();
    let hello = Handshake::dialler(Hello::relay(Token([7; 16])), None, None).unwrap().output();
    for length in 0..hello.len() {
        let mut stream = broker.raw();
        stream.write_all(&hello[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        drain(&mut stream);
    }
    broker.dial().sync();
}

/// Sends bytes after a good handshake, and returns the code of the REFUSAL that comes for them.
fn refused(broker: &Running, bytes: &[u8]) -> u32 {
    let mut peer = broker.dial();
    peer.reader(1, "name");
    peer.sync();
    peer.stream.write_all(bytes).unwrap();
    let reason = peer.refusal();
    assert!(!reason.text.is_empty());
    reason.code
}

#[test]
fn every_broken_rule_is_refused_by_its_code_and_ends_the_registrations() {
    let broker = Running::start();
    let register = |id, role, writers| {
        let name = Name::new("name").unwrap();
        Message::Register(Register { id, role, name, addresses: Vec::new(), writers, takeover: false })
            .to_bytes()
    };
    let mut wrong_crc = Message::Withdraw(7).to_bytes();
    *wrong_crc.last_mut().unwrap() ^= 1;
    let mut no_crc_and_too_long = register(2, Role::Reader, None);
    no_crc_and_too_long[1] = 0;
    no_crc_and_too_long[4..8].copy_from_slice(&4097u32.to_le_bytes());
    let mut huge = Message::Ping.to_bytes();
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let unreachable = Message::Unreachable { id: 1, token: Token([1; 16]) }.to_bytes();
    let cases: [(&str, Vec<u8>, u32); 12] = [
        ("an unknown type", vec![0x7f; 12], code::EPROTO),
        ("a later type", [&[0x80][..], &[0; 11]].concat(), code::EPROTO),
        ("a second HELLO", Hello::broker().to_bytes(), code::EPROTO),
        ("DATA", [&[0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..], b"x"].concat(), code::EPROTO),
        ("a broker's frame", Message::Relay { id: 1, token: Token([0; 16]) }.to_bytes(), code::EPROTO),
        ("a wrong CRC", wrong_crc, code::EBADMSG),
        ("a length over the bound", no_crc_and_too_long, code::EPROTO),
        ("a length of 4 GiB", huge, code::EPROTO),
        ("an id twice", register(1, Role::Writer, None), code::EPROTO),
        ("a writer that expects writers", register(2, Role::Writer, Some(3)), code::EPROTO),
        ("a reader that reached nobody", unreachable, code::EPROTO),
        ("a reader that discards", Message::Discarded(1).to_bytes(), code::EPROTO),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(refused(&broker, &bytes), code, "{what}");
        // The name is free again, whatever the peer did: `refused` registers it anew each time.
    }
}

#[test]
fn a_refusal_from_a_peer_ends_its_connection() {
    let broker = Running::start();
    let mut peer = broker.dial();
    peer.send(&Message::Refusal(netpipe::Reason::new(code::EBUSY, "no more")));
    assert!(peer.at_end());
    broker.await_log("no more");
}

#[test]
fn frames_arrive_whole_in_whatever_pieces() {
    let broker = Running::start();
    let mut peer = broker.dial();
    let mut bytes = Vec::new();
    for (id, role) in [(1, Role::Reader), (2, Role::Writer)] {
        let name = Name::new("pieces").unwrap();
        Message::Register(Register { id, role, name, addresses: Vec::new(), writers: None, takeover: false })
            .append_to(&mut bytes);
    }
    for byte in bytes {
        peer.stream.write_all(&[byte]).unwrap();
    }
    assert_eq!((peer.matched().id, peer.matched().id), (1, 2));
}

#[test]
fn random_bytes_leave_the_broker_serving() {
    let broker = Running::start();
    let mut bystander = broker.dial();
    let mut random = Random(1);
    for round in 0..300 {
        let mut stream = broker.raw();
        if round % 3 != 0 {
            let peer = Peer::new(stream.try_clone().unwrap(), Hello::broker(), None, &[]);
            assert!(peer.is_ok());
        }
        let mut bytes = Vec::new();
        for _ in 0..random.below(8) {
            // A frame that is nearly right gets further than noise.
            let kinds = [0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x01, 0x03];
            let length = random.below(64);
            bytes.push(kinds[random.below(8)]);
            bytes.extend_from_slice(&[0; 3]);
            bytes.extend_from_slice(&(length as u32).to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend((0..length).map(|_| random.below(16) as u8));
        }
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        drain(&mut stream);
    }
    bystander.sync();
    bystander.reader(1, "name");
    bystander.writer(2, "name");
    assert_eq!((bystander.matched().id, bystander.matched().id), (1, 2));
}
