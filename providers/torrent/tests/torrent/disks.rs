//! Disks: how much may be kept, and one that is full.

use crate::common::*;
use vfs_core::Code;
use zvfs_engines::torrent::Seed;

#[test]
fn no_file_is_opened_that_the_disk_has_no_room_for() {
    let (large, small) = (torrent("large", 9 * PIECE), torrent("small", 2 * PIECE));
    let place = Place::new("disk = \"512k\"");
    refused(place.try_open(&place.torrent(&large)), Code::EFBIG, "`disk`");
    let held: Vec<_> = (0..4)
        .map(|number| place.open(&place.torrent(&torrent(&format!("t{number}"), 2 * PIECE - number))))
        .collect();
    refused(place.try_open(&place.torrent(&small)), Code::ENOSPC, "`disk`");
    drop(held);
}

#[test]
fn room_is_there_again_after_a_close() {
    let (first, second) = (torrent("first", 6 * PIECE), torrent("second", 5 * PIECE));
    let seed = Seed::of(&first);
    seed.add(second.clone());
    let place = Place::new(&format!("disk = \"512k\", {}", peers_setting([seed.address()])));
    assert!(place.fetch(&place.torrent(&first)) == first.content);
    let descriptor = place.torrent(&second);
    // The close is on its way.
    zvfs_test_support::eventually("there is room", || place.try_open(&descriptor).is_ok());
    assert!(place.fetch(&descriptor) == second.content);
}
