//! Pipes through the broker: the bytes, the backpressure, and how each kind of end gets to the other side.

use crate::client::{Running, is_timeout, secret};
use netpipe::{Message, Reason, Token, code};
use rustix::net::sockopt::set_socket_linger;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;
use zvfs_test_support::eventually;

/// Joins two connections.
fn joined(broker: &Running) -> (TcpStream, TcpStream) {
    let token = broker.prepare_relay(None);
    let ends = [broker.dial_relay(token, None, &[]).unwrap(), broker.dial_relay(token, None, &[]).unwrap()];
    broker.await_log("join");
    ends.into()
}

fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// Reads until the connection breaks, and returns what came before and how it broke.
fn until_broken(stream: &mut TcpStream) -> (Vec<u8>, ErrorKind) {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("an orderly end after {} bytes", all.len()),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => return (all, error.kind()),
        }
    }
}

/// The length of what `pattern` repeats: a prime, never aligned with a buffer.
const PERIOD: usize = 100_003;

/// What each stream repeats; `seed` makes them differ.
fn pattern(seed: u64) -> Vec<u8> {
    (0..PERIOD as u64)
        .map(|position| (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56 ^ seed) as u8)
        .collect()
}

fn send(mut stream: &TcpStream, seed: u64, total: u64) {
    let pattern = pattern(seed);
    let mut left = total as usize;
    while left > 0 {
        let count = left.min(PERIOD);
        stream.write_all(&pattern[..count]).unwrap();
        left -= count;
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Reads to the end, and returns how many bytes came; all are as `send` sent them.
fn receive(stream: &TcpStream, seed: u64) -> u64 {
    receive_with(stream, seed, |_| {})
}

/// As `receive`; calls something before each read, with the position.
fn receive_with(mut stream: &TcpStream, seed: u64, mut before: impl FnMut(usize)) -> u64 {
    let pattern = pattern(seed);
    let mut buffer = vec![0; 77_777];
    let mut position = 0;
    loop {
        let start = position % PERIOD;
        let most = buffer.len().min(PERIOD - start);
        before(position);
        match stream.read(&mut buffer[..most]).unwrap() {
            0 => return position as u64,
            count => {
                assert!(buffer[..count] == pattern[start..start + count], "wrong bytes from {position} on");
                position += count;
            }
        }
    }
}

#[test]
fn bytes_pass_both_ways_at_once_and_each_way_ends_by_itself() {
    const TOTAL: u64 = 64 << 20;
    let broker = Running::start();
    let (one, two) = joined(&broker);
    thread::scope(|scope| {
        scope.spawn(|| send(&one, 1, TOTAL));
        scope.spawn(|| send(&two, 2, TOTAL / 2));
        let there = scope.spawn(|| receive(&two, 1));
        let back = scope.spawn(|| receive(&one, 2));
        assert_eq!((there.join().unwrap(), back.join().unwrap()), (TOTAL, TOTAL / 2));
    });
    broker.await_log(&format!("{TOTAL} bytes from"));
    assert!(broker.log().iter().any(|line| line.starts_with("end \"relayed\"")), "{:?}", broker.log());
}

#[test]
fn a_reader_that_does_not_read_holds_its_writer_back() {
    let broker = Running::start();
    let (one, two) = joined(&broker);
    one.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let pattern = pattern(3);
    let mut sent = 0;
    let full = loop {
        match (&one).write(&pattern[sent % PERIOD..]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
        assert!(sent < 64 << 20, "{sent} bytes went nowhere");
    };
    assert!(is_timeout(&full), "{full}");
    assert_idle(&broker, Duration::from_millis(100));
    // At some point of this both directions are shut at the writer's socket, with bytes left in it: epoll reports that
    // without end.
    one.shutdown(Shutdown::Write).unwrap();
    two.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&one).read(&mut [0; 8]).unwrap(), 0);
    let mut next_stop = 0;
    let got = receive_with(&two, 3, |position| {
        if position >= next_stop {
            next_stop += sent / 16;
            assert_idle(&broker, Duration::from_millis(100));
        }
    });
    assert_eq!(got, sent as u64);
    broker.await_log(&format!("end \"relayed\": {sent} bytes"));
}

/// Checks that a relay at a standstill costs no processor time.
fn assert_idle(broker: &Running, time: Duration) {
    broker.dial().sync();
    let before = broker.processor_time();
    thread::park_timeout(time);
    let spent = broker.processor_time() - before;
    assert!(spent < time / 4, "{spent:?} at a standstill of {time:?}");
}

#[test]
fn a_half_closed_relay_still_carries_the_other_direction() {
    let broker = Running::start();
    let (mut one, mut two) = joined(&broker);
    one.write_all(b"question").unwrap();
    one.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    two.read_to_string(&mut text).unwrap();
    assert_eq!(text, "question");
    for _ in 0..10 {
        two.write_all(b"answer").unwrap();
        let mut answer = [0; 6];
        one.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
    }
    drop(two);
    assert_eq!(one.read(&mut [0; 8]).unwrap(), 0);
    broker.await_log("end \"relayed\"");
}

#[test]
fn a_reset_gets_through_as_a_reset_behind_what_was_sent() {
    let broker = Running::start();
    for back in [false, true] {
        let (mut one, mut two) = joined(&broker);
        if back {
            std::mem::swap(&mut one, &mut two);
        }
        one.write_all(b"last words").unwrap();
        let mut first = [0; 4];
        two.read_exact(&mut first).unwrap();
        reset(one);
        assert_eq!(until_broken(&mut two), (b" words".to_vec(), ErrorKind::ConnectionReset));
    }
}

/// A reader that closes sends CLOSED, and over unread bytes its system sends a reset right behind: CLOSED must not be lost.
#[test]
fn what_was_sent_just_before_a_reset_arrives() {
    let broker = Running::start();
    for _ in 0..50 {
        let (mut one, mut two) = joined(&broker);
        one.write_all(b"last words").unwrap();
        reset(one);
        assert_eq!(until_broken(&mut two), (b"last words".to_vec(), ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_reset_gets_through_to_a_peer_that_does_not_read() {
    let broker = Running::timed(|times| times.closing = Duration::from_millis(200));
    let (mut one, mut two) = joined(&broker);
    one.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while one.write(&[1; 65_536]).is_ok() {}
    reset(one);
    broker.await_log("break \"relayed\"");
    assert_eq!(until_broken(&mut two).1, ErrorKind::ConnectionReset);
}

#[test]
fn a_close_over_unread_bytes_resets_the_writer() {
    let broker = Running::start();
    let (mut one, two) = joined(&broker);
    one.write_all(&[1; 100_000]).unwrap();
    let mut first = [0; 1];
    (&two).read_exact(&mut first).unwrap();
    drop(two);
    let broken = || one.write_all(&[1; 1000]).is_err();
    eventually("the reset at the writer", broken);
}

#[test]
fn what_comes_with_the_handshake_is_not_lost() {
    let key = secret(9);
    for key in [None, Some(&key)] {
        let broker = Running::with(|config| config.secret = key.cloned());
        let token = broker.prepare_relay(key);
        let pattern = pattern(5);
        let one = broker.dial_relay(token, key, &pattern[..10_000]).unwrap();
        // The first end sends on while it waits for the other.
        (&one).write_all(&pattern[10_000..10_001]).unwrap();
        let mut two = broker.dial_relay(token, key, b"back").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receive(&two, 5), 10_001);
        let mut back = [0; 4];
        (&one).read_exact(&mut back).unwrap();
        assert_eq!(&back, b"back");
        two.flush().unwrap();
    }
}

/// Reads the REFUSAL that comes instead of the other end's bytes.
fn refusal(stream: &mut TcpStream) -> Reason {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    match netpipe::Decoder::new(netpipe::Sender::Reader).next(&mut &bytes[..]) {
        Ok(Some(Message::Refusal(reason))) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_is_good_for_one_pair_of_connections() {
    let broker = Running::start();
    assert_eq!(refusal(&mut broker.dial_relay(Token([3; 16]), None, &[]).unwrap()).code, code::EACCES);
    let token = broker.prepare_relay(None);
    let _ends = [broker.dial_relay(token, None, &[]).unwrap(), broker.dial_relay(token, None, &[]).unwrap()];
    let mut third = broker.dial_relay(token, None, b"bytes that nobody will take").unwrap();
    assert_eq!(refusal(&mut third).code, code::EACCES);
}

#[test]
fn a_token_expires() {
    let broker = Running::timed(|times| {
        times.token = Duration::from_millis(500);
        times.half = Duration::from_millis(10);
    });
    let token = broker.prepare_relay(None);
    let show = || refusal(&mut broker.dial_relay(token, None, &[]).unwrap()).code;
    let over = || match show() {
        // Good, though the other half does not come.
        code::ETIMEDOUT => false,
        code => {
            assert_eq!(code, code::EACCES);
            true
        }
    };
    eventually("the token's end", over);
}

#[test]
fn one_half_waits_only_so_long_for_the_other() {
    let broker = Running::timed(|times| times.half = Duration::from_millis(100));
    let token = broker.prepare_relay(None);
    let mut alone = broker.dial_relay(token, None, b"bytes for nobody").unwrap();
    assert_eq!(refusal(&mut alone).code, code::ETIMEDOUT);
    // It may try again while its token is good.
    let mut again = broker.dial_relay(token, None, &[]).unwrap();
    assert_eq!(refusal(&mut again).code, code::ETIMEDOUT);
}

#[test]
fn an_end_that_leaves_before_it_is_joined_may_come_back() {
    let broker = Running::start();
    let token = broker.prepare_relay(None);
    drop(broker.dial_relay(token, None, &[]).unwrap());
    broker.await_log("left before its pipe was joined");
    let (mut one, mut two) =
        (broker.dial_relay(token, None, &[]).unwrap(), broker.dial_relay(token, None, &[]).unwrap());
    one.write_all(b"hello").unwrap();
    let mut text = [0; 5];
    two.read_exact(&mut text).unwrap();
}

#[test]
fn a_relay_needs_the_secret() {
    let key = secret(1);
    let broker = Running::with(|config| config.secret = Some(key.clone()));
    let token = broker.prepare_relay(Some(&key));
    for wrong in [None, Some(&secret(2))] {
        assert!(broker.dial_relay(token, wrong, &[]).is_err());
    }
    // Neither used the token up.
    let _ends = [
        broker.dial_relay(token, Some(&key), &[]).unwrap(),
        broker.dial_relay(token, Some(&key), &[]).unwrap(),
    ];
    broker.await_log("join");
}

#[test]
fn a_stopped_broker_lets_relays_end_and_resets_the_rest() {
    let mut broker = Running::timed(|times| times.stop = Duration::from_millis(500));
    let (mut one, mut two) = joined(&broker);
    one.write_all(b"before").unwrap();
    broker.stop.stop();
    broker.await_log("stopping");
    let mut text = [0; 6];
    two.read_exact(&mut text).unwrap();
    broker.join();
    assert_eq!(until_broken(&mut one).1, ErrorKind::ConnectionReset);
    assert_eq!(until_broken(&mut two).1, ErrorKind::ConnectionReset);
}

#[test]
fn many_relays_run_at_once() {
    let broker = Running::start();
    let pairs: Vec<_> = (0..50).map(|_| joined(&broker)).collect();
    thread::scope(|scope| {
        for (seed, (one, two)) in pairs.iter().enumerate() {
            scope.spawn(move || send(one, seed as u64, 1 << 20));
            scope.spawn(move || assert_eq!(receive(two, seed as u64), 1 << 20));
        }
    });
}
