//! Real clients as seeds.

use crate::common::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;
use vfs_core::OpenFlags;
use zvfs_engines::torrent::{Client, Torrent};
use zvfs_test_support::within;

const MIB: usize = 1 << 20;

/// Reads all of a large file; the first byte is there before the whole.
fn reads_it_all(torrent: &Torrent, client: Option<Client>) {
    let Some(client) = client else { return };
    let place = Place::with_peers([client.address()]);
    let mut file = place.open(&place.torrent(torrent));
    let content = torrent.content.clone();
    within(SLACK * 3, move || {
        let begun = Instant::now();
        let mut first = vec![0; 1000];
        let count = file.read(&mut first).unwrap();
        assert_eq!(first[..count], content[..count]);
        println!("the first byte after {:?}", begun.elapsed());
        let rest = drain(&mut file).unwrap();
        println!("all after {:?}", begun.elapsed());
        assert!(rest == content[count..]);
    });
}

#[test]
fn transmission_seeds_256_mib() {
    let torrent = Torrent::of_file("big", &random(256 * MIB, 1), MIB);
    reads_it_all(&torrent, Client::transmission(&torrent));
}

#[test]
fn aria2_seeds_64_mib() {
    let torrent = Torrent::of_file("big", &random(64 * MIB, 2), MIB);
    reads_it_all(&torrent, Client::aria2(&torrent));
}

#[test]
fn a_magnet_link_through_transmission() {
    let torrent = Torrent::of_files("folder", &[("a/b", &random(3 * MIB, 3)), ("c", b"hello")], PIECE);
    let Some(client) = Client::transmission(&torrent) else { return };
    let place = Place::with_peers([client.address()]);
    assert_eq!(place.fetch(&format!("{}#c", torrent.magnet())), b"hello");
    assert!(place.fetch(&format!("{}#a/b", torrent.magnet())) == torrent.files[0].1);
}

#[test]
fn random_reads_through_transmission() {
    let torrent = Torrent::of_file("random", &random(48 * MIB, 4), 256 << 10);
    let Some(client) = Client::transmission(&torrent) else { return };
    let place = Place::with_peers([client.address()]);
    let options = vfs_core::OpenOptions::new(READ | OpenFlags::RANDOM);
    let file = place.try_open_with(&place.torrent(&torrent), options).unwrap();
    let content = torrent.content.clone();
    within(SLACK, move || {
        let mut at = 12_345_usize;
        for _ in 0..50 {
            at = (at * 7919 + 104_729) % (content.len() - 5000);
            let mut buf = vec![0; 5000];
            let count = file.read_at(&mut buf, at as u64).unwrap();
            assert!(buf[..count] == content[at..at + count], "at {at}");
        }
    });
}

/// One is killed in the middle; 1 % of the other's pieces are not what they were.
#[test]
fn a_client_killed_in_mid_read_and_one_with_corrupt_pieces() {
    let torrent = Torrent::of_file("two", &random(100 * MIB, 5), MIB);
    let (Some(killed), Some(corrupt), Some(honest)) =
        (Client::aria2(&torrent), Client::aria2(&torrent), Client::transmission(&torrent))
    else {
        return;
    };
    let changed = File::options().write(true).open(corrupt.data().join("two")).unwrap();
    changed.write_all_at(b"changed", 57 * MIB as u64 + 1234).unwrap();
    let place = Place::with_peers([killed.address(), corrupt.address(), honest.address()]);
    let mut file = place.open(&place.torrent(&torrent));
    let content = torrent.content.clone();
    within(SLACK * 3, move || {
        let mut first = vec![0; 5 * MIB];
        let count = file.read(&mut first).unwrap();
        assert!(first[..count] == content[..count]);
        drop(killed);
        assert!(drain(&mut file).unwrap() == content[count..]);
    });
}
