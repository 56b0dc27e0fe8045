//! The suite over torrents, in-process, through the library and in a process of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::sync::Arc;
use tempfile::TempDir;
use vfs_core::{Configuration, OpenFlags, Provider, Registry, Walls};
use zvfs_conformance::{Blocking, Subject, load_built, load_in_process, run};
use zvfs_engines::torrent::{Conduct, Seed, Torrent};
use zvfs_test_support::provider_process;
use zvfs_torrent::TorrentProvider;

/// Small, so that what is read has several.
const PIECE: usize = 16 << 10;

/// The suite, with torrents that are made as it goes.
fn suite(provider: Box<dyn Provider>) {
    assert_eq!(provider.info(), TorrentProvider.info());
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let seed = Arc::new(Seed::start(Conduct::default()));
    let registry = Registry::new(Configuration::parse("[provider.file]\n").unwrap());
    registry.register(load_built("file").unwrap()).unwrap();
    let subject = Subject::new(provider).host(registry.host()).setting("peers", &seed.address());
    let (sources, blocked) = (folder.clone(), folder);
    run(subject
        .source(move |name, content| {
            // A torrent of nothing is none: an empty file needs company.
            let torrent = Torrent::of_files(name, &[("company", b"x"), ("a/it", content)], PIECE);
            let descriptor = written(&sources, &torrent);
            seed.add(torrent);
            Ok(format!("{descriptor}#a/it"))
        })
        .blocking(move |name| {
            // Nobody has it.
            let torrent = Torrent::of_file(name, name.as_bytes(), PIECE);
            Ok(Blocking { descriptor: written(&blocked, &torrent), flags: OpenFlags::READ })
        }));
}

/// Writes a `.torrent`; its descriptor.
fn written(folder: &TempDir, torrent: &Torrent) -> String {
    let path = folder.path().join(format!("{}.torrent", torrent.name));
    fs::write(&path, &torrent.file).unwrap();
    format!("torrent:{}", path.display())
}

#[test]
fn in_process() {
    suite(Box::new(TorrentProvider));
}

#[test]
fn through_the_library() {
    suite(load_built("torrent").unwrap());
}

/// With what docs/operators.md says that it needs.
#[test]
fn in_a_process_of_its_own() {
    let walls = Walls {
        tcp_connect: true,
        udp: true,
        dns: true,
        read: vec!["/etc/ssl".into()],
        write: vec![std::env::temp_dir()],
        open: vec!["file".into()],
        memory: Some(512 << 20),
        ..Walls::default()
    };
    suite(load_in_process("torrent", provider_process(), &walls).unwrap());
}
