//! What a broker tells of itself.

use crate::client::{Peer, Running};
use netpipe::held::{Held, Place, State, Totals};
use netpipe::hello::FEATURE_STATUS;
use netpipe::{Hello, Message, Role, code};

fn dial(broker: &Running) -> Peer {
    broker.dial_as(Hello { features: FEATURE_STATUS, ..Hello::broker() }, None).unwrap()
}

fn page(peer: &mut Peer, after: Place) -> (Vec<Held>, Totals) {
    peer.send(&Message::Status(after));
    let mut page = Vec::new();
    loop {
        match peer.receive() {
            Message::Held(held) => page.push(*held),
            Message::Totals(totals) => return (page, totals),
            other => panic!("{other:?} in an answer to STATUS"),
        }
    }
}

fn all(peer: &mut Peer) -> (Vec<Held>, Totals) {
    let (mut all, mut after) = (Vec::new(), (0, 0));
    loop {
        let (page, totals) = page(peer, after);
        all.extend(page);
        if totals.next == (0, 0) {
            return (all, totals);
        }
        assert!(totals.next > after, "the list goes on");
        after = totals.next;
    }
}

#[test]
fn everything_that_is_held_is_told_once_page_by_page() {
    let broker = Running::start();
    let mut peer = dial(&broker);
    assert_eq!(all(&mut peer).0, []);
    for id in 0..100 {
        peer.writer(id, &format!("pipe {id}"));
    }
    let (held, totals) = all(&mut peer);
    let mut names: Vec<_> = held.iter().map(|held| held.name.as_str().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((held.len(), names.len(), totals.registrations), (100, 100, 100));
    assert!(held.iter().all(|held| held.state == State::Writer && held.peers.len() == 1));
}

#[test]
fn who_waits_for_whom_and_what_is_relayed_is_told() {
    let broker = Running::start();
    let token = broker.prepare_relay(None);
    let _ends = [0, 1].map(|_| broker.dial_relay(token, None, &[]).unwrap());
    broker.await_log("join \"relayed\"");
    let mut peer = dial(&broker);
    peer.register(1, Role::Reader, "any", Some(0));
    peer.register(2, Role::Reader, "three", Some(3));
    peer.register(3, Role::Writer, "three", None);
    peer.matched();
    peer.matched();
    let (held, totals) = all(&mut peer);
    let of = |name: &str, state| held.iter().find(|held| held.name.as_str() == name && held.state == state);
    assert_eq!(of("any", State::Reader).unwrap().writers, None);
    assert_eq!(of("three", State::Reader).unwrap().writers, Some(2));
    assert_eq!(of("three", State::Introduced).unwrap().peers.len(), 2);
    assert_eq!(of("relayed", State::Relay).unwrap().peers.len(), 2);
    assert_eq!(totals.relays, 1);
}

#[test]
fn who_has_not_said_that_it_knows_status_may_not_ask() {
    let broker = Running::start();
    let mut peer = broker.dial();
    peer.send(&Message::Status((0, 0)));
    assert_eq!(peer.refusal().code, code::EPROTO);
}
