//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use zvfs_conformance::stops;
use zvfs_engines::torrent::{Conduct, Seed, Torrent};

/// Stops a read of a torrent with this seed.
#[track_caller]
fn stops_reading(torrent: &Torrent, seeds: &[Seed], descriptor: impl Fn(&Place) -> String) {
    let place = Place::with_peers(seeds.iter().map(Seed::address));
    let (registry, descriptor) = (place.registry.clone(), descriptor(&place));
    let size = torrent.content.len();
    stops(move |control, open| {
        let file = open.insert(registry.open(&descriptor, &under(control))?);
        let mut buf = vec![0; size];
        while file.read(&mut buf)? > 0 {}
        Ok(())
    });
}

fn silent(torrent: &Torrent) -> Seed {
    Seed::with(torrent, Conduct { is_silent: true, ..Conduct::default() })
}

#[test]
fn without_a_peer() {
    let torrent = torrent("s", PIECE);
    stops_reading(&torrent, &[], |place| place.torrent(&torrent));
}

#[test]
fn with_a_peer_that_gives_nothing() {
    let torrent = torrent("s", PIECE);
    stops_reading(&torrent, &[silent(&torrent)], |place| place.torrent(&torrent));
}

#[test]
fn in_the_middle() {
    let torrent = torrent("s", 20 * PIECE);
    let dying = Conduct { dies_after: Some(5 * PIECE as u64), ..Conduct::default() };
    stops_reading(&torrent, &[Seed::with(&torrent, dying)], |place| place.torrent(&torrent));
}

#[test]
fn while_a_peer_is_asked_for_metadata() {
    let torrent = torrent("s", PIECE);
    stops_reading(&torrent, &[silent(&torrent)], |_| torrent.magnet());
}

#[test]
fn between_two_attempts_to_get_metadata() {
    let torrent = torrent("s", PIECE);
    let gone = Seed::of(&torrent).address();
    let place = Place::with_peers([gone]);
    let (registry, magnet) = (place.registry.clone(), torrent.magnet());
    stops(move |control, _| registry.open(&magnet, &under(control)).map(drop));
}
