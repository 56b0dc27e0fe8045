//! Magnet links: the metadata comes from peers.

use crate::common::*;
use std::time::Instant;
use vfs_core::{Code, OpenOptions};
use zvfs_engines::torrent::{Conduct, Seed, Torrent};

#[test]
fn a_magnet_link_is_its_torrent() {
    let torrent = torrent("m", 5 * PIECE + 1);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    assert!(place.fetch(&torrent.magnet()) == torrent.content);
    assert!(place.fetch(&format!("{}#m", torrent.magnet())) == torrent.content);
    let stat = place.registry.stat(&torrent.magnet(), &OpenOptions::default()).unwrap();
    assert_eq!(stat.size, Some(torrent.content.len() as u64));
}

/// Metadata of several parts.
#[test]
fn large_metadata_is_put_together() {
    let torrent = Torrent::of_file("l", &random(40 << 20, 7), 16 << 10);
    assert!(torrent.info.len() > 3 * (16 << 10));
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    let file = place.open(&torrent.magnet());
    let mut buf = [0; 100];
    let count = file.read_at(&mut buf, 30 << 20).unwrap();
    assert_eq!(buf[..count], torrent.content[30 << 20..(30 << 20) + count]);
}

#[test]
fn metadata_that_nobody_has_times_out() {
    let torrent = torrent("m", PIECE);
    let silent = Seed::with(&torrent, Conduct { is_silent: true, ..Conduct::default() });
    let place = Place::new(&format!("{}, stall-timeout = \"300ms\"", peers_setting([silent.address()])));
    let begun = Instant::now();
    refused(
        place.try_open(&torrent.magnet()),
        Code::ETIMEDOUT,
        "no peer gave the torrent's metadata within 300ms",
    );
    assert!(begun.elapsed() < SLACK);
}

#[test]
fn metadata_of_two_gigabytes_is_not_believed() {
    let torrent = torrent("m", PIECE);
    let liar = Seed::with(&torrent, Conduct { metadata_size: Some(2 << 30), ..Conduct::default() });
    let place = Place::new(&format!("{}, stall-timeout = \"3s\"", peers_setting([liar.address()])));
    refused(place.try_open(&torrent.magnet()), Code::ETIMEDOUT, "metadata");
    // With what other tests of this process hold meanwhile.
    let resident = zvfs_test_support::resident();
    assert!(resident < 2 << 30, "{resident} bytes");
}

/// Only who makes the link can make such metadata, since its hash is in the link.
#[test]
fn hostile_metadata_is_refused() {
    let mut torrent = torrent("m", PIECE);
    torrent.info = b"d6:lengthi5e4:name1:n12:piece lengthi0e6:pieces0:e".to_vec();
    torrent.hash = Torrent::hash_of(&torrent.info);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    refused(place.try_open(&torrent.magnet()), Code::EBADMSG, "no usable torrent");
}

#[test]
fn a_link_without_anybody_to_ask_says_what_to_set() {
    let torrent = torrent("m", PIECE);
    let place = Place::new("");
    refused(place.try_open(&torrent.magnet()), Code::ENOTSUP, "`peers`, `dht` and `lsd`");
    refused(place.try_open("magnet:?xt=urn:btih:abc"), Code::EINVAL, "hash");
}
