//! Hostile torrents: an error, in bounded memory, and nothing written anywhere.

use crate::common::*;
use std::fs;
use vfs_core::Code;
use zvfs_engines::torrent::{Seed, Torrent};

#[test]
fn broken_torrents_are_refused() {
    let place = Place::new("");
    let good = torrent("t", 100).file;
    for (name, bytes, code) in [
        ("truncated", good[..good.len() / 2].to_vec(), Code::EBADMSG),
        ("empty", Vec::new(), Code::EBADMSG),
        ("html", b"<!doctype html>".to_vec(), Code::EBADMSG),
        ("deep", vec![b'l'; 4 << 20], Code::EBADMSG),
        ("huge", vec![b'1'; 17 << 20], Code::EFBIG),
        (
            "overflow",
            b"d4:infod6:lengthi18446744073709551615e4:name1:n12:piece lengthi16384e6:pieces0:ee".to_vec(),
            Code::EBADMSG,
        ),
        (
            "large",
            b"d4:infod6:lengthi9223372036854775807e4:name1:n12:piece lengthi16384e6:pieces0:ee".to_vec(),
            Code::EFBIG,
        ),
        ("no-piece", b"d4:infod6:lengthi5e4:name1:n12:piece lengthi0e6:pieces0:ee".to_vec(), Code::EBADMSG),
    ] {
        refused(place.try_open(&place.file(name, &bytes)), code, name);
    }
}

/// Names are never used for files; a torrent with hostile ones is refused all the same, for whoever copies it by its names.
#[test]
fn hostile_paths_reach_nothing() {
    let place = Place::new("");
    for path in ["../../escaped", "a/../../escaped", "./x"] {
        let torrent = Torrent::of_files("t", &[(path, b"gotcha")], PIECE);
        let seed = Seed::of(&torrent);
        let place = Place::with_peers([seed.address()]);
        refused(place.try_open(&place.torrent(&torrent)), Code::EBADMSG, "no usable torrent");
    }
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_kept_is_called_by_the_hash() {
    let torrent = Torrent::of_files("..", &[("etc/passwd", b"gotcha")], PIECE);
    let seed = Seed::of(&torrent);
    let kept = tempfile::tempdir().unwrap();
    let settings = format!("folder = \"{}\", {}", kept.path().display(), peers_setting([seed.address()]));
    let place = Place::new(&settings);
    assert_eq!(place.fetch(&place.torrent(&torrent)), b"gotcha");
    let names: Vec<_> = fs::read_dir(kept.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [format!("{}.pieces", torrent.hex()).as_str()]);
}
