//! What a copy takes of the disk: no block for a hole, and none where two files can share one.

use crate::support::{Folder, run, zvfs};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use zvfs_test_support::SmallDisk;

/// A 5 GiB file with one block of data took 44 s, and then 5 GiB of disk.
#[test]
fn holes_stay_holes() {
    let folder = Folder::new();
    let (source, target) = (folder.at("source"), folder.at("target"));
    let sparse = fs::File::create(&source).unwrap();
    sparse.set_len(5 << 30).unwrap();
    sparse.write_all_at(b"in the middle", (2 << 30) + 5).unwrap();
    run(zvfs(["cp", &source, &target])).succeeded();
    let (before, after) = (fs::metadata(&source).unwrap(), fs::metadata(&target).unwrap());
    assert_eq!(after.len(), 5 << 30);
    assert!(after.blocks() <= before.blocks() + 16, "{} blocks of {}", after.blocks(), before.blocks());
    let mut found = [0; 15];
    fs::File::open(&target).unwrap().read_exact_at(&mut found, (2 << 30) + 4).unwrap();
    assert_eq!(&found, b"\0in the middle\0");

    // What lies under a hole in a target that is not empty is covered with zeros.
    let small = folder.write("small", [b'x'; 100_000]);
    let holed = fs::File::create(folder.at("holed")).unwrap();
    holed.set_len(100_000).unwrap();
    run(zvfs(["cp", "--in-place", &folder.at("holed"), &small])).succeeded();
    assert!(fs::read(&small).unwrap() == [0; 100_000]);
    // Longer than the source, or shorter: where that has a hole, it gets one.
    for size in [40_000_000, 1_000_000] {
        let full = folder.write("full", vec![b'x'; size]);
        let holed = fs::File::create(folder.at("holed")).unwrap();
        holed.set_len(30_000_000).unwrap();
        holed.write_all_at(b"x", 20_000_000).unwrap();
        run(zvfs(["cp", "--in-place", &folder.at("holed"), &full])).succeeded();
        assert!(fs::read(&full).unwrap() == fs::read(folder.at("holed")).unwrap(), "{size}");
        let (before, after) = (holed.metadata().unwrap().blocks(), fs::metadata(&full).unwrap().blocks());
        assert!(after <= before + 16, "{size}: {after} blocks of {before}");
    }
}

#[test]
fn holes_of_the_files_of_a_tree_stay_holes_and_so_do_those_of_a_paced_copy() {
    let folder = Folder::new();
    fs::create_dir(folder.at("tree")).unwrap();
    let sparse = fs::File::create(folder.at("tree/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    for at in [0, 10 << 20, (64 << 20) - 1] {
        sparse.write_all_at(b"x", at).unwrap();
    }
    let blocks = |path: &str| fs::metadata(folder.at(path)).unwrap().blocks();
    run(zvfs(["cp", "-rT", &folder.at("tree"), &folder.at("copy")])).succeeded();
    run(zvfs(["cp", "--limit-rate", "1g", &folder.at("tree/sparse"), &folder.at("paced")])).succeeded();
    for copy in ["copy/sparse", "paced"] {
        assert!(fs::read(folder.at(copy)).unwrap() == fs::read(folder.at("tree/sparse")).unwrap(), "{copy}");
        let (before, after) = (blocks("tree/sparse"), blocks(copy));
        assert!(after <= before + 16, "{copy}: {after} blocks of {before}");
    }
}

/// There is room for one of the two.
#[test]
fn a_copy_shares_the_blocks_of_its_source_where_the_file_system_can() {
    const SIZE: usize = 160 << 20;
    for kind in ["btrfs", "xfs"] {
        let folder = Folder::new();
        let at = folder.path().join("disk");
        fs::create_dir(&at).unwrap();
        let Some(_disk) = SmallDisk::sharing(&at, kind) else { continue };
        let (source, target) = (folder.at("disk/source"), folder.at("disk/target"));
        let content: Vec<u8> =
            (0..SIZE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(&source, &content).unwrap();
        fs::File::open(&source).unwrap().sync_all().unwrap();
        run(zvfs(["cp", &source, &target])).succeeded();
        assert!(fs::read(&target).unwrap() == content, "{kind}");
        // What is written to the one is not seen in the other.
        fs::File::options().write(true).open(&source).unwrap().write_all_at(b"new", 5).unwrap();
        assert!(fs::read(&target).unwrap() == content, "{kind}");
    }
}
