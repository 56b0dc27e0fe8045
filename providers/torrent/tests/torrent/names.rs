//! Names in a torrent: what a descriptor leads to, status, lists.

use crate::common::*;
use std::ops::ControlFlow;
use vfs_core::{Code, Kind, OpenOptions};
use zvfs_engines::torrent::{Seed, Torrent};
use zvfs_http_servers::Server;

fn tree() -> Torrent {
    Torrent::of_files("tree", &[("a/b", b"12345"), ("a/c/d", b"6"), ("e", b"")], PIECE)
}

fn listed(place: &Place, descriptor: &str) -> Vec<(String, Kind, Option<u64>)> {
    let mut found = Vec::new();
    let mut each = |entry: vfs_core::Entry<'_>| {
        let stat = entry.stat.unwrap();
        found.push((entry.name.to_owned(), stat.kind, stat.size));
        ControlFlow::Continue(())
    };
    place.registry.list(descriptor, &OpenOptions::default(), &mut each).unwrap();
    found
}

#[test]
fn folders_are_listed_and_have_a_status() {
    let place = Place::new("");
    let descriptor = place.torrent(&tree());
    let root = [("a".to_owned(), Kind::Directory, None), ("e".to_owned(), Kind::Regular, Some(0))];
    assert_eq!(listed(&place, &descriptor), root);
    assert_eq!(listed(&place, &format!("{descriptor}#")), root);
    let a = [("b".to_owned(), Kind::Regular, Some(5)), ("c".to_owned(), Kind::Directory, None)];
    assert_eq!(listed(&place, &format!("{descriptor}#a")), a);
    let stat = |path: &str| place.registry.stat(&format!("{descriptor}#{path}"), &OpenOptions::default());
    assert_eq!(stat("a").unwrap().kind, Kind::Directory);
    let file = stat("a/c/d").unwrap();
    assert_eq!((file.kind, file.size), (Kind::Regular, Some(1)));
    assert!(file.version.starts_with(&tree().hex()));
    refused(stat("a/x"), Code::ENOENT, "`a/b`");
}

#[test]
fn a_folder_is_not_opened_and_names_its_files() {
    let place = Place::new("");
    let descriptor = place.torrent(&tree());
    for path in ["", "#", "#a"] {
        refused(place.try_open(&format!("{descriptor}{path}")), Code::EISDIR, "`a/b`, `a/c/d`, `e`");
    }
    refused(place.try_open(&format!("{descriptor}#a/nothing")), Code::ENOENT, "a/nothing");
}

#[test]
fn a_torrent_that_is_not_there_is_the_inner_providers_error() {
    let place = Place::new("");
    refused(place.try_open("torrent:/nowhere/x.torrent"), Code::ENOENT, "/nowhere/x.torrent");
    // Nobody serves it; in a process it is not in `may`, so nobody is even asked.
    let unknown = place.try_open("torrent:unknown:x").err().unwrap();
    assert!([Code::EPROTONOSUPPORT, Code::EACCES].contains(&unknown.code()), "{}", unknown.chain());
    refused(place.try_open("torrent:"), Code::EINVAL, "torrent:");
}

#[test]
fn a_torrent_lies_on_a_web_server() {
    let Some(server) = Server::nginx() else { return };
    let torrent = torrent("w", 2 * PIECE);
    server.put("w.torrent", &torrent.file);
    let seed = Seed::of(&torrent);
    let place = Place::with_peers([seed.address()]);
    assert!(place.fetch(&format!("torrent:{}#w", server.http("w.torrent"))) == torrent.content);
    refused(place.try_open(&format!("torrent:{}", server.http("none.torrent"))), Code::ENOENT, "404");
}
