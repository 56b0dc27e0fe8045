//! Every limit is answered with EBUSY and its name, and what goes makes room.

use crate::client::{Peer, Running, is_timeout};
use netpipe::{Error, Hello, Message, Reason, code};
use std::io::Write;
use std::time::Duration;
use zvfs_test_support::eventually;

fn busy(result: Result<Peer, Error>) -> String {
    match result {
        Err(Error::Refused(Reason { code: code::EBUSY, text })) => text,
        other => panic!("{:?}", other.map(|_| "accepted")),
    }
}

fn dial(broker: &Running) -> Result<Peer, Error> {
    broker.dial_as(Hello::broker(), None)
}

#[test]
fn connections_altogether() {
    let broker = Running::limited(|limits| limits.connections = 2);
    let (one, _two) = (broker.dial(), broker.dial());
    assert_eq!(busy(dial(&broker)), "over the broker's limit of 2 connections");
    drop(one);
    eventually("room for a connection", || dial(&broker).is_ok());
}

#[test]
fn connections_of_one_address() {
    let broker = Running::limited(|limits| limits.connections_per_address = 2);
    let (_one, two) = (broker.dial(), broker.dial());
    assert_eq!(busy(dial(&broker)), "over the broker's limit of 2 connections of one address");
    drop(two);
    eventually("room for a connection", || dial(&broker).is_ok());
}

#[test]
fn handshakes_at_once() {
    let broker = Running::limited(|limits| limits.handshakes = 1);
    let idle = broker.raw();
    let refused = || busy(dial(&broker)).contains("1 handshakes");
    assert!(refused());
    drop(idle);
    eventually("room for a handshake", || dial(&broker).is_ok());
    // One that is complete does not count.
    let (_one, _two) = (broker.dial(), broker.dial());
}

/// Once 256 connections that said nothing kept everybody else out, for 10 s at a time.
#[test]
fn strangers_that_dawdle_give_way() {
    let broker = Running::limited(|limits| limits.handshakes = 4);
    let mut idle: Vec<_> = (0..4).map(|_| broker.raw()).collect();
    eventually("room for a handshake", || dial(&broker).is_ok());
    // The first of them had to go.
    assert_eq!(std::io::Read::read(&mut idle[0], &mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_flood_of_connections_over_the_limit_leaves_the_others_alone() {
    let broker = Running::limited(|limits| limits.connections = 1);
    let mut peer = broker.dial();
    let flood: Vec<_> = (0..200).map(|_| broker.raw()).collect();
    peer.sync();
    drop(flood);
    peer.sync();
}

#[test]
fn a_peer_that_does_not_read_is_closed() {
    let broker = Running::limited(|limits| limits.output = 16 * 1024);
    let mut deaf = broker.raw();
    deaf.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let peer = Peer::new(deaf.try_clone().unwrap(), Hello::broker(), None, &[]).unwrap();
    let pings = Message::Ping.to_bytes().repeat(1000);
    // Answers pile up in the kernel's buffers first, some MiB of them.
    let closed = || match deaf.write_all(&pings) {
        Ok(()) => false,
        Err(error) => !is_timeout(&error),
    };
    eventually("the end of a deaf peer", closed);
    assert!(
        broker.log().iter().any(|line| line.ends_with("does not read what it is sent")),
        "{:?}",
        broker.log()
    );
    drop(peer);
    broker.dial().sync();
}

#[test]
fn relays() {
    let broker = Running::limited(|limits| limits.relays = 1);
    let mut peer = broker.dial();
    for id in [1, 3] {
        peer.reader(id, &format!("name {id}"));
        peer.writer(id + 1, &format!("name {id}"));
        peer.matched();
        let token = peer.matched().token;
        peer.send(&Message::Unreachable { id: id + 1, token });
        if id == 1 {
            assert_eq!((peer.relayed().0, peer.relayed().0), (1, 2));
        }
    }
    let (id, reason) = peer.refused();
    assert_eq!((id, reason.code), (4, code::EBUSY));
    assert_eq!(reason.text, "over the broker's limit of 1 relayed pipes");
    // It is none too many when it comes again: it was introduced in vain.
    peer.writer(5, "name 3");
    assert_eq!((peer.matched().id, peer.matched().id), (3, 5));
}
