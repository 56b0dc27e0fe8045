//! Readers and writers meet by name.

use crate::client::{Peer, Running, secret};
use netpipe::{Error, Hello, Message, Name, Role, code};

/// Checks that two instances were introduced to each other, by these registrations.
fn assert_met(reader: &mut Peer, reader_id: u64, writer: &mut Peer, writer_id: u64) {
    let (to_reader, to_writer) = (reader.matched(), writer.matched());
    assert_eq!((to_reader.id, to_writer.id), (reader_id, writer_id));
    assert_eq!(to_reader.token, to_writer.token);
    assert!(to_reader.addresses.is_empty());
    assert_eq!(to_writer.addresses[0].as_str(), "127.0.0.1:7001");
}

#[test]
fn either_side_may_come_first() {
    let broker = Running::start();
    let (mut one, mut two) = (broker.dial(), broker.dial());
    one.reader(1, "reader first");
    one.sync();
    two.writer(2, "reader first");
    assert_met(&mut one, 1, &mut two, 2);
    one.writer(3, "writer first");
    one.sync();
    two.reader(4, "writer first");
    assert_met(&mut two, 4, &mut one, 3);
}

#[test]
fn one_instance_may_be_both_ends() {
    let broker = Running::start();
    let mut peer = broker.dial();
    peer.writer(1, "ring");
    peer.reader(2, "ring");
    assert_eq!((peer.matched().id, peer.matched().id), (2, 1));
}

#[test]
fn a_reader_meets_as_many_writers_as_it_expects() {
    let broker = Running::start();
    let mut reader = broker.dial();
    let mut writers: Vec<_> = (0..3).map(|_| broker.dial()).collect();
    writers[0].writer(0, "three");
    writers[0].sync();
    reader.register(9, Role::Reader, "three", Some(3));
    assert_met(&mut reader, 9, &mut writers[0], 0);
    for id in [1, 2] {
        writers[id].writer(id as u64, "three");
        assert_met(&mut reader, 9, &mut writers[id], id as u64);
    }
    writers[0].writer(7, "three");
    let (id, reason) = writers[0].refused();
    assert_eq!((id, reason.code), (7, code::EBUSY));
    assert!(reason.text.contains("three"), "{reason}");
}

#[test]
fn a_second_reader_is_busy_and_a_withdrawn_name_is_free_again() {
    let broker = Running::start();
    let (mut one, mut two) = (broker.dial(), broker.dial());
    one.reader(1, "name");
    one.sync();
    two.reader(1, "name");
    assert_eq!(two.refused().1.code, code::EBUSY);
    one.send(&Message::Withdraw(1));
    one.sync();
    two.reader(1, "name");
    one.sync();
    one.writer(1, "name");
    assert_met(&mut two, 1, &mut one, 1);
    one.writer(2, "name");
    assert_eq!(one.refused().1.code, code::EBUSY);
}

#[test]
fn a_name_is_free_when_its_readers_connection_ends() {
    let broker = Running::start();
    let (mut one, mut two) = (broker.dial(), broker.dial());
    one.reader(1, "name");
    one.sync();
    drop(one);
    broker.await_log("close");
    two.reader(1, "name");
    two.writer(2, "name");
    assert_eq!((two.matched().id, two.matched().id), (1, 2));
}

#[test]
fn a_broker_keeps_nothing_and_its_clients_register_again() {
    let mut broker = Running::start();
    let (mut one, mut two) = (broker.dial(), broker.dial());
    one.reader(1, "name");
    one.sync();
    two.writer(1, "other");
    two.sync();
    broker.stop.stop();
    broker.join();
    assert!(one.at_end() && two.at_end());

    let broker = Running::at(broker.address, |_| {});
    let (mut one, mut two) = (broker.dial(), broker.dial());
    two.reader(1, "name");
    two.sync();
    one.writer(2, "name");
    assert_met(&mut two, 1, &mut one, 2);
}

#[test]
fn a_thousand_pipes_meet_over_two_connections() {
    let broker = Running::start();
    let (mut one, mut two) = (broker.dial(), broker.dial());
    let send = |peer: &mut Peer, role: Role| {
        (0..1000).for_each(|id| peer.register(id, role, &format!("pipe {id}"), None));
    };
    send(&mut one, Role::Reader);
    one.sync();
    send(&mut two, Role::Writer);
    for id in 0..1000 {
        assert_met(&mut one, id, &mut two, id);
    }
    one.sync();
}

#[test]
fn a_secret_is_proved_by_both_sides() {
    let broker = Running::with(|config| config.secret = Some(secret(1)));
    let mut peer = broker.dial_as(Hello::broker(), Some(&secret(1))).unwrap();
    peer.sync();
}

#[test]
fn a_wrong_secret_and_a_missing_one_are_refused() {
    let refused =
        |broker: &Running, given: Option<&netpipe::Secret>| match broker.dial_as(Hello::broker(), given) {
            Err(Error::Refused(reason)) => assert_eq!(reason.code, code::EACCES),
            Err(Error::Denied(_)) => {}
            other => panic!("{:?}", other.map(|_| "accepted")),
        };
    let broker = Running::with(|config| config.secret = Some(secret(1)));
    refused(&broker, Some(&secret(2)));
    refused(&broker, None);
    let open = Running::start();
    refused(&open, Some(&secret(1)));
    open.dial().sync();
}

#[test]
fn a_broker_takes_no_pipes() {
    let broker = Running::start();
    let hello = Hello::pipe(Role::Writer, Name::new("name").unwrap(), None);
    match broker.dial_as(hello, None) {
        Err(Error::Refused(reason)) => assert_eq!(reason.code, code::EPROTO),
        other => panic!("{:?}", other.map(|_| "accepted")),
    }
}
