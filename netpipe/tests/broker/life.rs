//! Idle connections, the start and the end of a broker, and its log.

use crate::client::{PATIENCE, Running, secret};
use netpipe::broker::{Broker, Config};
use netpipe::{Header, Hello, Kind, Message, code};
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};
use zvfs_test_support::eventually;

#[test]
fn an_idle_instance_is_pinged_and_lives_as_long_as_it_answers() {
    let broker = Running::timed(|times| {
        times.idle = Duration::from_millis(40);
        times.pong = Duration::from_secs(5);
    });
    let mut peer = broker.dial();
    for _ in 0..5 {
        assert_eq!(peer.receive(), Message::Ping);
        peer.send(&Message::Pong);
    }
    peer.reader(1, "still there");
    peer.writer(2, "still there");
    let mut matched = Vec::new();
    while matched.len() < 2 {
        match peer.receive() {
            // On a busy machine it is idle again by then.
            Message::Ping => peer.send(&Message::Pong),
            Message::Match(found) => matched.push(found.id),
            other => panic!("{other:?} instead of MATCH"),
        }
    }
    assert_eq!(matched, [1, 2]);
}

#[test]
fn an_instance_that_does_not_answer_is_closed_whatever_else_it_sends() {
    let broker = Running::timed(|times| {
        times.idle = Duration::from_millis(40);
        times.pong = Duration::from_millis(200);
    });
    let mut silent = broker.dial();
    assert_eq!(silent.receive(), Message::Ping);
    assert_eq!(silent.next(), None);
    // Bytes of a frame that is never whole are no sign of life.
    let mut dripping = broker.dial();
    let header = Header { kind: Kind::Register, crc: None, length: 4096 };
    dripping.stream.write_all(&header.encode()).unwrap();
    let count = || broker.log().iter().filter(|line| line.ends_with("no PONG")).count();
    let gone = || {
        let _ = dripping.stream.write_all(&[0]);
        count() == 2
    };
    eventually("the end of a dripping peer", gone);
    assert_eq!(dripping.next(), Some(Message::Ping));
    assert_eq!(dripping.next(), None);
}

/// Whoever would take the place of a reader whose machine had vanished was refused for 40 s.
#[test]
fn a_reader_that_shows_no_sign_of_life_gives_way_to_one_that_would_take_over() {
    let broker = Running::timed(|times| times.takeover = Duration::from_millis(50));
    let (mut gone, mut heir, mut writer) = (broker.dial(), broker.dial(), broker.dial());
    gone.reader(1, "place");
    gone.sync();
    heir.heir(1, "place");
    assert_eq!(heir.refused().1.code, code::EBUSY);
    assert_eq!(gone.receive(), Message::Ping);
    // Asked once more meanwhile, it gets no second PING, and no more time.
    heir.heir(2, "place");
    assert_eq!(heir.refused().1.code, code::EBUSY);
    assert_eq!(gone.next(), None);
    heir.heir(3, "place");
    writer.writer(1, "place");
    assert_eq!((heir.matched().id, writer.matched().id), (3, 1));
}

#[test]
fn a_reader_that_lives_keeps_its_place() {
    let broker = Running::timed(|times| times.takeover = PATIENCE);
    let (mut reader, mut heir) = (broker.dial(), broker.dial());
    reader.reader(1, "place");
    reader.sync();
    // Whoever does not ask for the place leaves the reader alone.
    heir.reader(1, "place");
    assert_eq!(heir.refused().1.code, code::EBUSY);
    reader.sync();
    for id in 2..5 {
        heir.heir(id, "place");
        assert_eq!(heir.refused().1.code, code::EBUSY);
        assert_eq!(reader.receive(), Message::Ping);
        reader.send(&Message::Pong);
        reader.sync();
    }
    // Nor does an instance doubt itself.
    reader.heir(2, "place");
    assert_eq!(reader.refused().1.code, code::EBUSY);
    reader.sync();
}

#[test]
fn stopping_ends_connections_and_returns_in_time() {
    let mut broker = Running::start();
    let (mut instance, mut greeting) = (broker.dial(), broker.raw());
    instance.reader(1, "name");
    instance.sync();
    let start = Instant::now();
    broker.stop.stop();
    broker.stop.stop();
    broker.join();
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    assert!(instance.at_end());
    assert!(matches!(std::io::Read::read(&mut greeting, &mut [0; 8]), Ok(0) | Err(_)));
    assert!(std::net::TcpStream::connect(broker.address).is_err());
}

#[test]
fn a_broker_that_was_stopped_before_it_ran_returns() {
    let broker = Broker::bind("127.0.0.1:0", Config::default()).unwrap();
    broker.handle().stop();
    broker.run().unwrap();
}

#[test]
fn without_a_secret_only_loopback_is_served() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let error = Broker::bind(address, Config::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("secret"), "{error}");
    }
    Broker::bind("127.0.0.1:0", Config::default()).unwrap();
    Broker::bind("0.0.0.0:0", Config { secret: Some(secret(1)), ..Config::default() }).unwrap();
    Broker::bind("0.0.0.0:0", Config { insecure: true, ..Config::default() }).unwrap();
}

#[test]
fn an_address_in_use_is_named() {
    let broker = Running::start();
    let error = Broker::bind(broker.address, Config::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&broker.address.to_string()), "{error}");
}

#[test]
fn the_log_says_who_met_whom_and_no_secrets() {
    let mut broker = Running::with(|config| config.secret = Some(secret(b'x')));
    let secret = secret(b'x');
    let mut hello = Hello::broker();
    hello.agent = Some("tester 1".into());
    let mut peer = broker.dial_as(hello, Some(&secret)).unwrap();
    let address = peer.stream.local_addr().unwrap();
    peer.reader(1, "name");
    peer.writer(2, "name");
    peer.writer(3, "name");
    peer.matched();
    let token = peer.matched().token;
    assert_eq!(peer.refused().1.code, code::EBUSY);
    peer.send(&Message::Withdraw(1));
    peer.sync();
    broker.stop.stop();
    broker.join();
    let log = broker.log();
    assert!(log.contains(&format!("instance {address}: \"tester 1\"")), "{log:?}");
    assert!(log.contains(&format!("match \"name\": writer {address}, reader {address}")), "{log:?}");
    assert!(log.contains(&format!("withdraw \"name\": {address}")), "{log:?}");
    assert!(log.iter().any(|line| line.starts_with("refuse \"name\"")), "{log:?}");
    let all = log.join("\n");
    let hex: String = token.0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        !all.contains("xxxx") && !all.contains(&hex) && !all.contains(&format!("{:?}", token.0)),
        "{all}"
    );
}
