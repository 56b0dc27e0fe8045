//! Pieces that are kept between runs.

use crate::common::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use tempfile::TempDir;
use vfs_core::Code;
use zvfs_engines::torrent::{Seed, Torrent};

fn keeping(folder: &TempDir, seeds: &[&Seed]) -> Place {
    let peers = peers_setting(seeds.iter().map(|seed| seed.address()));
    Place::new(&format!("folder = \"{}\", {peers}", folder.path().display()))
}

fn kept(folder: &TempDir, torrent: &Torrent) -> File {
    let path = folder.path().join(format!("{}.pieces", torrent.hex()));
    File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn kept_pieces_need_no_peer() {
    let (torrent, folder) = (torrent("k", 7 * PIECE + 3), tempfile::tempdir().unwrap());
    {
        let seed = Seed::of(&torrent);
        let place = keeping(&folder, &[&seed]);
        assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
    }
    let place = keeping(&folder, &[]);
    assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
}

#[test]
fn kept_pieces_that_changed_are_fetched_again() {
    let (torrent, folder) = (torrent("k", 7 * PIECE + 3), tempfile::tempdir().unwrap());
    let seed = Seed::of(&torrent);
    {
        let place = keeping(&folder, &[&seed]);
        assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
    }
    kept(&folder, &torrent).write_all_at(b"changed", 3 * PIECE as u64).unwrap();
    kept(&folder, &torrent).set_len(5 * PIECE as u64).unwrap();
    let before = seed.given();
    let place = keeping(&folder, &[&seed]);
    assert!(place.fetch(&place.torrent(&torrent)) == torrent.content);
    assert_eq!(seed.given() - before, (PIECE + 2 * PIECE + 3) as u64);
}

#[test]
fn a_kept_file_has_one_instance() {
    let (torrent, folder) = (torrent("k", 3 * PIECE), tempfile::tempdir().unwrap());
    let seed = Seed::of(&torrent);
    let (first, second) = (keeping(&folder, &[&seed]), keeping(&folder, &[&seed]));
    let held = first.open(&first.torrent(&torrent));
    refused(second.try_open(&second.torrent(&torrent)), Code::EBUSY, "`folder`");
    drop((held, first));
    assert!(second.fetch(&second.torrent(&torrent)) == torrent.content);
}

/// Without `folder` nothing is left, not even if the host is killed: the file never had a name.
#[test]
fn nothing_is_kept_by_default() {
    let torrent = torrent("k", 3 * PIECE);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    let descriptor = place.torrent(&torrent);
    let file = place.open(&descriptor);
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 1);
    drop(file);
}
