//! Mounts as whoever reads the tree finds them.

use super::*;
use crate::guest::Reason;
use crate::guest::fuzz::{MANIFEST, open};
use crate::guest::tree::ROOT;
use crate::manifest::Manifest;
use zvfs_test_support::Random;

/// Mounts an archive of two files, once from a channel with positions and once from one that is loaded.
fn mounted(limits: &mut MountLimits<'_>) -> [Result<Vec<String>, Failure>; 2] {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["a", "b"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, name, &b"abc"[..]).unwrap();
    }
    let archive = builder.into_inner().unwrap();
    let manifest = Manifest::parse(MANIFEST.as_bytes()).unwrap();
    let mut channels = open(&manifest, &archive);
    let mut tree = Tree::new(channels.iter().map(|channel| channel.alias()), Some(1 << 20));
    ["/data/ro", "/dev/stdin"].map(|channel| {
        let plan = Plan { channel, path: "/m", writable: true };
        mount(plan, &mut channels, &mut tree, limits, 0)
    })
}

/// Found in a review: a mount did not look at its session's Timeout, however long it took.
#[test]
fn a_session_that_is_stopped_mounts_no_more() {
    let stop = Stop::default();
    assert!(mounted(&mut MountLimits::new(&stop)).iter().all(Result::is_ok));
    stop.throw(Reason::Timeout, None);
    for outcome in mounted(&mut MountLimits::new(&stop)) {
        assert_eq!(outcome, Err(stop.failure().unwrap()));
    }
}

/// Found in a review: each of 64 archives had the limit for itself.
#[test]
fn all_loaded_archives_share_one_limit() {
    let stop = Stop::default();
    let mut limits = MountLimits { stop: &stop, loadable: 5000 };
    let [_, loaded] = mounted(&mut limits);
    assert!(loaded.is_ok() && limits.loadable == 5000 - 3072, "{loaded:?}, {limits:?}");
    let [packed, loaded] = mounted(&mut limits);
    assert!(packed.is_ok());
    assert!(loaded.unwrap_err().text().contains("the archives to be loaded are over"));
}

/// What is below a directory, a line for each name: its path, its kind, and where a link leads or what a file holds.
fn listed(tree: &Tree, directory: usize, at: &str, lines: &mut Vec<String>) {
    for (_, name, node) in tree.entries(directory, 2) {
        let path = format!("{at}/{name}");
        match node {
            Node::Directory(below) => {
                lines.push(format!("{path}/"));
                listed(tree, below, &path, lines);
            }
            Node::File(file) => lines.push(format!("{path} {}", tree.file(file).unwrap().size())),
            Node::Link(link) => lines.push(format!("{path} -> {}", tree.target(link).unwrap())),
            Node::Device(number) => lines.push(format!("{path} = device {number}")),
            Node::Channel(number) => lines.push(format!("{path} = channel {number}")),
        }
    }
}

/// Mounts an archive in one way: what is told, and what is found below the mount.
fn found(archive: &[u8], writable: bool) -> (Result<Vec<String>, Failure>, Vec<String>) {
    let manifest = Manifest::parse(MANIFEST.as_bytes()).unwrap();
    let mut channels = open(&manifest, archive);
    let mut tree = Tree::new(channels.iter().map(|channel| channel.alias()), Some(1 << 20));
    let (stop, mut lines) = (Stop::default(), Vec::new());
    let plan = Plan { channel: "/data/ro", path: "/data", writable };
    let told = mount(plan, &mut channels, &mut tree, &mut MountLimits::new(&stop), 0);
    listed(&tree, ROOT, "", &mut lines);
    (told, lines)
}

/// A member of an archive as few names as possible make it, so that each meets the others.
fn random_member(builder: &mut tar::Builder<Vec<u8>>, chance: &mut Random) {
    const NAMES: [&str; 8] = ["a", "a/b", "a/b/c", "l", "l/x", "rw", "rw/x", "d"];
    let (name, other) = (NAMES[chance.below(NAMES.len())], NAMES[chance.below(NAMES.len())]);
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    let mut link = |kind, target: &str| {
        header.set_entry_type(kind);
        builder.append_link(&mut header, name, target).unwrap();
    };
    match chance.below(6) {
        0 => link(tar::EntryType::Symlink, ".."),
        1 => link(tar::EntryType::Symlink, other),
        2 => link(tar::EntryType::Link, other),
        3 => {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, name, &b""[..]).unwrap();
        }
        _ => {
            header.set_size(chance.below(9) as u64);
            let size = header.size().unwrap() as usize;
            builder.append_data(&mut header, name, &vec![b'x'; size][..]).unwrap();
        }
    }
}

/// A case report: `a` and `a/b`, or `l` to `..` and `l/x`, were refused read-only, and taken where they could be written.
#[test]
fn an_archive_means_the_same_read_only_and_writable() {
    let mut chance = Random(1);
    let (mut good, mut refused) = (0, 0);
    for _ in 0..3000 {
        let mut builder = tar::Builder::new(Vec::new());
        for _ in 0..=chance.below(6) {
            random_member(&mut builder, &mut chance);
        }
        let archive = builder.into_inner().unwrap();
        let (read_only, writable) = (found(&archive, false), found(&archive, true));
        assert_eq!(read_only.0, writable.0);
        match read_only.0 {
            Ok(_) => assert_eq!(read_only.1, writable.1),
            Err(_) => refused += 1,
        }
        good += usize::from(read_only.0.is_ok());
    }
    assert!(good > 500 && refused > 500, "{good} were mounted, {refused} refused");
}
