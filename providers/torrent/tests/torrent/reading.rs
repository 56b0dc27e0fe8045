//! Reading: in order, after a seek, at positions, several files at once.

use crate::common::*;
use std::io::SeekFrom;
use vfs_core::{OpenFlags, OpenOptions};
use zvfs_engines::torrent::{Seed, Torrent};
use zvfs_test_support::within;

#[test]
fn a_file_is_read_to_its_end() {
    let torrent = torrent("a", 10 * PIECE + 17);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
}

#[test]
fn files_share_pieces_and_the_download() {
    let parts: Vec<Vec<u8>> = (0..5).map(|part| random(PIECE * 2 / 3 + part, part as u64 + 1)).collect();
    let files: Vec<(String, &[u8])> =
        parts.iter().enumerate().map(|(part, bytes)| (format!("d/{part}"), bytes.as_slice())).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
    let torrent = Torrent::of_files("several", &files, PIECE);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    let descriptor = place.torrent(&torrent);
    let open: Vec<_> = files
        .iter()
        .map(|(path, bytes)| (place.open(&format!("{descriptor}#{path}")), bytes.to_vec()))
        .collect();
    for (mut file, bytes) in open {
        let read = within(SLACK, move || (drain(&mut file).unwrap(), file));
        assert!(read.0 == bytes);
    }
    // Each piece came once.
    assert_eq!(seed.given(), torrent.content.len() as u64);
}

#[test]
fn positions_are_read_without_what_lies_before() {
    let torrent = torrent("a", 100 * PIECE);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    let random = OpenOptions::new(READ | OpenFlags::RANDOM);
    let mut file = place.try_open_with(&place.torrent(&torrent), random).unwrap();
    let content = torrent.content.clone();
    within(SLACK, move || {
        for offset in [77 * PIECE + 5, 3, 99 * PIECE, 50 * PIECE - 10] {
            let mut buf = vec![0; 20];
            let count = file.read_at(&mut buf, offset as u64).unwrap();
            assert!(count > 0 && buf[..count] == content[offset..offset + count]);
        }
        assert_eq!(file.read_at(&mut [0; 8], content.len() as u64).unwrap(), 0);
        file.seek(SeekFrom::End(-7)).unwrap();
        let mut buf = [0; 20];
        assert_eq!(file.read(&mut buf).unwrap(), 7);
        assert_eq!(buf[..7], content[content.len() - 7..]);
        assert_eq!(file.read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn many_files_open_at_once_do_not_starve_each_other() {
    let torrents: Vec<Torrent> =
        (0..20).map(|number| torrent(&format!("t{number}"), PIECE * 3 + number)).collect();
    let seed = Seed::start(Default::default());
    let place = Place::with_peers([seed.address()]);
    torrents.iter().for_each(|torrent| seed.add(torrent.clone()));
    let open: Vec<_> = torrents.iter().map(|torrent| place.open(&place.torrent(torrent))).collect();
    for (mut file, torrent) in open.into_iter().zip(torrents) {
        assert!(within(SLACK, move || drain(&mut file).unwrap()) == torrent.content, "{}", torrent.name);
    }
}

#[test]
fn a_torrent_is_opened_again_after_its_last_close() {
    let torrent = torrent("a", 3 * PIECE);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    let descriptor = place.torrent(&torrent);
    for _ in 0..10 {
        assert!(place.fetch(&descriptor) == torrent.content);
    }
}

#[test]
fn an_empty_file_needs_no_peer() {
    let torrent = Torrent::of_files("t", &[("empty", b""), ("full", b"x")], PIECE);
    let place = Place::new("");
    assert!(place.fetch(&format!("{}#empty", place.torrent(&torrent))).is_empty());
}
