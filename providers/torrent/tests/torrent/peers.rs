//! What peers do: lie, die, stay silent, come late.

use crate::common::*;
use std::collections::BTreeSet;
use std::time::Duration;
use vfs_core::{Code, Control, OpenOptions};
use zvfs_engines::torrent::{Conduct, Seed, Tracker};
use zvfs_test_support::{free_port, within};

#[test]
fn a_seed_that_dies_is_succeeded_by_another() {
    let torrent = torrent("d", 64 * PIECE);
    let dying = Conduct { dies_after: Some(20 * PIECE as u64), ..Conduct::default() };
    let seeds = [Seed::with(&torrent, dying), Seed::of(&torrent)];
    let place = Place::with_peers(seeds.iter().map(Seed::address));
    assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
}

#[test]
fn a_lie_is_never_believed() {
    let torrent = torrent("l", 50 * PIECE);
    let lying = Conduct { corrupt: (0..50).step_by(5).collect(), ..Conduct::default() };
    let seeds = [Seed::with(&torrent, lying), Seed::of(&torrent)];
    let place = Place::with_peers(seeds.iter().map(Seed::address));
    assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
}

#[test]
fn who_lies_alone_is_dropped_and_what_was_right_stays() {
    let torrent = torrent("l", 4 * PIECE);
    let lying = Conduct { corrupt: BTreeSet::from([3]), ..Conduct::default() };
    let seed = Seed::with(&torrent, lying);
    let place = Place::new(&format!("{}, stall-timeout = \"2s\"", peers_setting([seed.address()])));
    let mut file = place.open(&place.torrent(&torrent));
    let content = torrent.content.clone();
    let error = within(SLACK, move || {
        let (mut read, mut buf) = (0, vec![0; PIECE]);
        loop {
            match file.read(&mut buf) {
                Ok(count) => {
                    assert!(count > 0 && buf[..count] == content[read..read + count]);
                    read += count;
                }
                Err(error) => break (read, error),
            }
        }
    });
    assert_eq!(error.0, 3 * PIECE);
    refused::<()>(Err(error.1), Code::ETIMEDOUT, "none of 1 known peers is connected");
}

#[test]
fn without_peers_a_read_waits_and_says_so() {
    let torrent = torrent("n", PIECE);
    let place = Place::new("stall-timeout = \"300ms\"");
    let mut file = place.open(&place.torrent(&torrent));
    let outcome = within(SLACK, move || file.read(&mut [0; 10]));
    refused(outcome, Code::ETIMEDOUT, "not a byte of the torrent came for 300ms: no peer is known");
}

#[test]
fn a_deadline_ends_a_read_with_what_it_waited_for() {
    let torrent = torrent("n", PIECE);
    let silent = Seed::with(&torrent, Conduct { is_silent: true, ..Conduct::default() });
    let place = Place::with_peers([silent.address()]);
    let control = Control::new();
    let mut file = place.try_open_with(&place.torrent(&torrent), under(&control)).unwrap();
    control.set_deadline(Some(std::time::Instant::now() + Duration::from_millis(300)));
    let outcome = within(SLACK, move || file.read(&mut [0; 10]));
    refused(outcome, Code::ETIMEDOUT, "piece 0 of the torrent");
}

#[test]
fn trackers_name_peers() {
    let torrent = torrent("t", 3 * PIECE);
    let seed = Seed::of(&torrent);
    let tracker = Tracker::naming(&seed.address());
    let torrent = torrent.announced_by(&tracker);
    let place = Place::new("");
    assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
    let link = format!("{}&tr={}", torrent.magnet(), tracker.url());
    assert!(place.fetch(&link) == torrent.content);
}

#[test]
fn trackers_that_are_off_are_not_asked() {
    let torrent = torrent("t", 3 * PIECE);
    let seed = Seed::of(&torrent);
    let tracker = Tracker::naming(&seed.address());
    let torrent = torrent.announced_by(&tracker);
    let place = Place::new("trackers = false, stall-timeout = \"500ms\"");
    let mut file = place.open(&place.torrent(&torrent));
    refused(within(SLACK, move || file.read(&mut [0; 10])), Code::ETIMEDOUT, "no peer is known");
    assert_eq!(tracker.asked(), Vec::<String>::new());
    assert_eq!(seed.accepted(), 0);
}

/// What one host keeps, another one may have of it, if the operator says so.
#[test]
fn peers_get_pieces_only_if_that_is_set() {
    let torrent = torrent("u", 5 * PIECE);
    let seed = Seed::of(&torrent);
    for uploads in [true, false] {
        let listen = format!("127.0.0.1:{}", free_port());
        let peers = peers_setting([seed.address()]);
        let giving = Place::new(&format!("{peers}, listen = \"{listen}\", upload = {uploads}"));
        let mut held = giving.open(&giving.torrent(&torrent));
        let (content, held) = within(SLACK, move || (drain(&mut held).unwrap(), held));
        assert!(content == torrent.content);
        let taking = Place::new(&format!("{}, stall-timeout = \"1s\"", peers_setting([listen])));
        let mut file = taking.open(&taking.torrent(&torrent));
        let outcome = within(SLACK, move || drain(&mut file));
        match uploads {
            true => assert!(outcome.unwrap() == torrent.content),
            false => drop(refused(outcome, Code::ETIMEDOUT, "not a byte")),
        }
        drop(held);
    }
}

/// With nobody else there, they find nobody; but they start, and end with the host.
#[test]
fn discovery_starts_and_ends_with_the_host() {
    let torrent = torrent("f", 3 * PIECE);
    let seed = Seed::of(&torrent);
    let place = Place::new(&format!("{}, dht = true, lsd = true", peers_setting([seed.address()])));
    assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
    within(SLACK, move || drop(place));
}

#[test]
fn an_open_may_have_a_patience_of_its_own() {
    let torrent = torrent("n", PIECE);
    let place = Place::new("");
    let options = OpenOptions::new(READ).setting("stall-timeout", "200ms");
    let mut file = place.try_open_with(&place.torrent(&torrent), options).unwrap();
    refused(within(SLACK, move || file.read(&mut [0; 10])), Code::ETIMEDOUT, "200ms");
}
